"""Pages by role: who sees which, what is refused whatever a page does, and that no session has another's role."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from dashboards import jobs
from dashboards.app_pages import shared as pages
from infra import access
from infra.access import Actor, Role, acting, acts_by
from infra.errors import AccessError
from lake.audit import AuditRow, audit_rows
from lake.labels import labels_now
from lake.thresholds import ThresholdChoice, say_threshold
from tests.dashboards.alarmed_site import find_alarms, keep_classifiers, set_alarms
from tests.dashboards.signed_in_site import EGON, NEMO, RITA, VERA, app_of, as_started, ask_for_sign_in, claims_of
from tests.dashboards.small_site import CAMERA, Workspace, open_site
from tests.dashboards.test_anomalies_page import press
from tests.dashboards.test_dashboard_pages import words
from workspace.opened import Workspace as Opened

ROOT = Path(__file__).resolve().parents[2]
LOOKING = ("night", "day", "summaries", "alarms", "anomalies", "search", "runs")
WORKING = {
    "review": "label and judge",
    "queue": "label and judge",
    "regions": "draw regions",
    "models": "compare models",
}
"""Pages that not everybody may use, and what one does there."""


@pytest.fixture(scope="module")
def site_of_all(finished_night: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site that people sign in to, with alarms to judge, to copy from."""
    root = tmp_path_factory.mktemp("access") / "site"
    shutil.copytree(finished_night, root)
    workspace = set_alarms(open_site(root))
    keep_classifiers(workspace)
    find_alarms(workspace)
    ask_for_sign_in(workspace)
    return root


@pytest.fixture
def guarded(
    site_of_all: Path, tmp_path: Path, shown: Callable[[Workspace], None], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Workspace]:
    """Dashboards that people sign in to."""
    before = access._acting
    st.cache_data.clear()
    shutil.copytree(site_of_all, tmp_path / "site")
    workspace = open_site(tmp_path / "site")
    shown(workspace)
    as_started(monkeypatch)
    acts_by(pages.session_actor)
    yield workspace
    acts_by(before)


def audit(workspace: Workspace) -> list[AuditRow]:
    return audit_rows(workspace.ledger)


def looks_at(name: str, page: str) -> str:
    app = app_of(name, f"app_pages/{page}.py").run()
    assert not app.exception, app.exception
    return words(app)


@pytest.mark.parametrize("page", LOOKING)
def test_a_viewer_is_shown_what_there_is_to_look_at(page: str, guarded: Workspace) -> None:
    told = looks_at(VERA, page)
    assert f"# {page.capitalize()}" in told and "may not" not in told


@pytest.mark.parametrize(("page", "what"), WORKING.items())
def test_pages_to_work_on_refuse_a_viewer_and_take_the_others(page: str, what: str, guarded: Workspace) -> None:
    assert f"{VERA} has the role viewer, which may not {what}" in looks_at(VERA, page)
    for name in (RITA, EGON):
        told = looks_at(name, page)
        assert f"# {page.capitalize()}" in told and "may not" not in told


@pytest.mark.parametrize("name", [NEMO, ""])
@pytest.mark.parametrize("page", ["night", "models"])
def test_who_has_no_role_sees_the_sign_in_page_under_every_address(name: str, page: str, guarded: Workspace) -> None:
    app = app_of(name, f"app_pages/{page}.py").run()
    told = words(app)
    assert "Afterwatch" in told and "North gate" not in told and CAMERA not in told
    assert "sign_in" in [button.key for button in app.button]
    assert [row.who for row in audit(guarded)] == [name] * bool(name)


@pytest.mark.parametrize(
    ("claims", "words_told"),
    [
        ({"iat": 1_000_000_000}, "more than 12 hours ago"),
        ({"email_verified": False}, "has not verified"),
        ({"email": ["egon@example.org"]}, "says nothing of you"),
    ],
)
def test_whose_word_does_not_hold_sees_the_sign_in_page_alone(
    claims: dict[str, Any], words_told: str, guarded: Workspace
) -> None:
    app = app_of(EGON)
    app.user = claims_of(EGON, **claims)
    told = words(app.run())
    assert words_told in told and "North gate" not in told


def test_a_form_cannot_say_who_somebody_is(guarded: Workspace) -> None:
    app = app_of(RITA, "app_pages/alarms.py")
    app.session_state["author"] = EGON
    app.run()
    press(app, "Confirm")
    assert [label.author for label in labels_now(guarded.ledger)] == [RITA]
    told = [(row.who, row.action) for row in audit(guarded)]
    assert told == [(RITA, "sign in"), (RITA, "label and judge")]


def test_a_viewer_judges_nothing(guarded: Workspace) -> None:
    app = app_of(VERA, "app_pages/alarms.py").run()
    assert all(button.disabled for button in app.button if "Confirm" in button.label or "Dismiss" in button.label)


def _acts() -> None:
    """A page that says something by a workspace that is kept for all sessions, and tells what came of it."""
    import os

    import streamlit as st

    from dashboards.app_pages.shared import opened, workspace
    from infra.errors import AccessError
    from lake.thresholds import ThresholdChoice, say_threshold
    from workspace.opened import Workspace

    @st.cache_resource
    def kept_by_a_page(root: str) -> Workspace:
        return Workspace(root)

    try:
        shown = workspace()
        kept = (shown, opened(shown), kept_by_a_page(os.environ["AFTERWATCH_SITE"]))
        st.session_state["kept"] = [id(one) for one in kept]
        for work in kept[1:]:
            say_threshold(work.ledger, ThresholdChoice("gate", "frame", "novelty", 3.0, "whoever"))
        st.session_state["came"] = "said"
    except AccessError as error:
        st.session_state["came"] = str(error)


def acting_as(name: str) -> AppTest:
    app = AppTest.from_function(_acts, default_timeout=60)
    app.user = claims_of(name)
    app.run()
    assert not app.exception, app.exception
    return app


def test_what_is_kept_for_all_sessions_never_carries_one_persons_role_into_anothers(guarded: Workspace) -> None:
    sessions = [(name, acting_as(name)) for name in (EGON, VERA, RITA, EGON, NEMO, "", EGON)]
    came = {name: app.session_state["came"] for name, app in sessions}
    kept = {tuple(app.session_state["kept"]) for name, app in sessions if name in (EGON, VERA, RITA)}
    assert len(kept) == 1, "each session had a workspace of its own: this test shows nothing"
    assert came[EGON] == "said"
    for name in (VERA, RITA):
        assert f"{name} has the role" in came[name] and "may not set thresholds" in came[name]
    assert "nobody is signed in" in came[NEMO] and "nobody is signed in" in came[""]
    authors = guarded.ledger.rows("thresholds")["author"].to_pylist()
    assert authors == [EGON] * 6
    told = [(row.who, row.allowed) for row in audit(guarded) if row.action == "set thresholds"]
    assert told == [(EGON, True)] * 2 + [(VERA, False), (RITA, False)] + [(EGON, True)] * 4


def test_a_role_that_is_taken_away_counts_from_the_next_act_on(guarded: Workspace) -> None:
    app = acting_as(EGON)
    assert app.session_state["came"] == "said"
    settings = guarded.root / "afterwatch.toml"
    text = settings.read_text(encoding="utf-8").replace('"group:ops"', '"group:others"').replace("vera@", "egon@")
    settings.write_text(text, encoding="utf-8")
    assert "egon@example.org has the role viewer" in app.run().session_state["came"]


def test_settings_that_no_longer_ask_for_sign_in_open_nothing_until_the_server_starts_anew(guarded: Workspace) -> None:
    settings = guarded.root / "afterwatch.toml"
    settings.write_text(settings.read_text(encoding="utf-8").split("[access]", 1)[0], encoding="utf-8")
    for name in (EGON, ""):
        told = words(app_of(name).run())
        assert "start them anew" in told and "North gate" not in told


def test_sign_in_that_was_set_while_an_open_server_ran_closes_it(
    guarded: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AFTERWATCH_ACTOR")
    told = words(app_of(EGON).run())
    assert "start them anew" in told and "North gate" not in told


def test_outside_of_a_session_the_server_acts_for_nobody(guarded: Workspace) -> None:
    assert acting().role == "none"
    with pytest.raises(AccessError):
        say_threshold(Opened(guarded.root).ledger, ThresholdChoice(CAMERA, "frame", "novelty", 3.0, EGON))


def test_a_download_asks_for_the_person_it_was_offered_to(guarded: Workspace) -> None:
    guard = Opened(guarded.root).guard
    for actor, taken in (
        (Actor(RITA, "reviewer", "dashboard", True), b"cut"),
        (Actor(VERA, "viewer", "dashboard", True), None),
    ):
        acts_by(lambda actor=actor: actor)  # type: ignore[misc]
        content = pages.to_take_away(guard, ("gate",), lambda: b"cut")
        acts_by(pages.session_actor)  # taken outside of every session
        if taken is None:
            with pytest.raises(AccessError):
                content()
        else:
            assert content() == taken
    assert [(row.who, row.allowed) for row in audit(guarded)] == [(RITA, True), (VERA, False)]


# Jobs.

CHILD = """
import json, sys
from infra.access import acting
from infra.errors import AccessError
from lake.thresholds import ThresholdChoice, say_threshold
from workspace.opened import Workspace
work, came = Workspace(sys.argv[1]), {"name": acting().name, "role": acting().role, "via": acting().via}
try:
    say_threshold(work.ledger, ThresholdChoice("gate", "frame", "novelty", 3.0, "whoever"))
    came["said"] = True
except AccessError:
    came["said"] = False
print(json.dumps(came))
"""


def started(workspace: Workspace, actor: Actor, command: list[str]) -> jobs.Job:
    acts_by(lambda: actor)
    folder = jobs.jobs_folder(workspace.site)
    jobs.start_job(folder, "try", "gate", command, Opened(workspace.root).guard)
    for _ in range(600):
        job = jobs.find_job(folder, "try")
        if job is not None and job.state != "running":
            return job
        time.sleep(0.05)
    raise AssertionError("the job did not end")


def test_a_job_works_for_who_started_it(guarded: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    job = started(guarded, Actor(EGON, "engineer", "dashboard", True), [sys.executable, "-c", CHILD, str(guarded.root)])
    assert job.state == "finished", job.log.read_text()
    assert job.result == {"name": EGON, "role": "engineer", "via": "job", "said": True}
    assert guarded.ledger.rows("thresholds")["author"].to_pylist() == [EGON]
    told = [(row.who, row.via, row.action) for row in audit(guarded)]
    assert told == [(EGON, "dashboard", "start runs"), (EGON, "job", "set thresholds")]


def test_a_job_of_a_page_that_forgets_to_say_for_whom_works_for_nobody(guarded: Workspace) -> None:
    found = subprocess.run(
        [sys.executable, "-c", CHILD, str(guarded.root)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(found.stdout) == {"name": "", "role": "none", "via": "job", "said": False}
    assert guarded.ledger.rows("thresholds").num_rows == 0


@pytest.mark.parametrize(
    ("role", "words_of", "may"),
    [
        ("viewer", ["models", "compare", "a"], False),
        ("reviewer", ["models", "compare", "a"], True),
        ("reviewer", ["models", "promote", "a"], False),
        ("reviewer", ["backfill", "models", "compare"], False),
        ("engineer", ["backfill"], True),
    ],
)
def test_who_may_start_which_job(role: Role, words_of: list[str], may: bool, guarded: Workspace) -> None:
    actor, command = Actor("x", role, "dashboard", True), [sys.executable, "-m", "afterwatch", *words_of]
    assert actor.may(jobs.action_of(command)) is may
    if not may:
        with pytest.raises(AccessError):
            started(guarded, actor, command)
        assert jobs.find_job(jobs.jobs_folder(guarded.site), "try") is None
        assert [(row.who, row.allowed) for row in audit(guarded)] == [("x", False)]


def test_a_command_that_is_no_verb_is_a_run() -> None:
    assert jobs.action_of(["/bin/sh", "-c", "models compare"]) == "start runs"
    assert jobs.action_of(["x", "-m", "other", "models", "compare"]) == "start runs"


def test_without_sign_in_everything_is_as_it_was(full_site: Workspace, shown: Callable[[Workspace], None]) -> None:
    shown(full_site)
    app = app_of("").run()
    assert "North gate" in words(app)
    assert "sign_out" not in [button.key for button in app.button]
