"""Signing in with an OpenID Connect provider in a real browser, two people of different roles in one server at once."""

import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lake.audit import audit_rows, verify
from lake.labels import labels_now
from tests.dashboards.alarmed_site import find_alarms, keep_classifiers, set_alarms
from tests.dashboards.signed_in_site import EGON, GROUPS, NEMO, SECRETS, VERA, ask_for_sign_in
from tests.dashboards.small_site import Workspace
from tests.dashboards.test_dashboard_browser import CHROMIUM, FLAGS, PATIENCE_MS, ROOT, _wait_for

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.is_file(), reason=f"Debian's chromium is not installed ({CHROMIUM})"),
]


@pytest.fixture
def served(full_site: Workspace, tmp_path: Path) -> Iterator[tuple[Workspace, str, Path]]:
    """A site with alarms that people sign in to, its address, and what its server says."""
    from oidc_provider_mock import User, run_server_in_thread  # type: ignore[import-untyped]  # it has no stubs

    workspace = set_alarms(full_site)
    keep_classifiers(workspace)
    find_alarms(workspace)
    users = [
        User(sub=name.split("@")[0], claims={"email": name, "email_verified": True, "groups": GROUPS.get(name, [])})
        for name in (VERA, EGON, NEMO)
    ]
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = tmp_path / "server.log"
    with run_server_in_thread(user_claims=users) as provider, log.open("wb") as said:
        ask_for_sign_in(workspace, provider.server_port, port)
        code = f"from pathlib import Path; from dashboards.serve import serve; serve(Path({str(workspace.root)!r}), port={port})"
        environment = {**os.environ, **SECRETS, "PYTHONPATH": str(ROOT)}
        server = subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=said, stderr=said)
        try:
            _wait_for(port, server)
            yield workspace, f"http://localhost:{port}", log
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(30)
    assert list(workspace.site.state_folder.rglob("*.toml")) == [], "the secrets outlived the server"


def sign_in(page: Any, address: str, name: str) -> None:
    page.set_default_timeout(2 * PATIENCE_MS)
    page.goto(f"{address}/alarms")
    page.get_by_text("Sign in to see them").wait_for()
    assert "North gate" not in page.content()
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name=name.split("@")[0], exact=True).click()
    page.wait_for_url(f"{address}/**")


def menu(page: Any) -> str:
    return "\n".join(page.get_by_test_id("stTopNavLink").all_inner_texts())


def test_people_sign_in_and_each_has_their_own_role(served: tuple[Workspace, str, Path]) -> None:
    from playwright.sync_api import sync_playwright

    workspace, address, log = served
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS.split())
        engineer, viewer, stranger = (browser.new_context().new_page() for _ in range(3))
        for page, name in ((engineer, EGON), (viewer, VERA), (stranger, NEMO)):
            sign_in(page, address, name)
        stranger.get_by_text("You have no role here").wait_for()
        assert "North gate" not in stranger.content()
        for page, name in ((engineer, EGON), (viewer, VERA)):
            page.get_by_role("button", name=name).wait_for()
        assert "Models" in menu(engineer) and "Models" not in menu(viewer)

        # The engineer's session has opened everything that the server keeps; the viewer's goes on with it.
        engineer.goto(f"{address}/alarms?event=fight-other")
        engineer.get_by_role("button", name="Confirm").wait_for()
        viewer.goto(f"{address}/alarms?event=fight-other")
        viewer.get_by_role("button", name="Confirm").wait_for()
        assert viewer.get_by_role("button", name="Confirm").is_disabled()
        viewer.goto(f"{address}/models")
        viewer.get_by_text("which may not compare models").wait_for()
        engineer.get_by_role("button", name="Confirm").click()
        engineer.get_by_text("1 confirmed").wait_for()

        engineer.get_by_role("button", name=EGON).click()
        engineer.get_by_role("button", name="Sign out").click()
        engineer.wait_for_url("**/oauth2/end_session**")
        engineer.goto(address)
        engineer.get_by_text("Sign in to see them").wait_for()
        cookies = [cookie["value"] for page in (engineer, viewer) for cookie in page.context.cookies()]
        browser.close()
    assert [label.author for label in labels_now(workspace.ledger)] == [EGON]
    rows = audit_rows(workspace.ledger)
    told = {(row.who, row.action, row.allowed) for row in rows}
    assert told == {
        (EGON, "sign in", True),
        (VERA, "sign in", True),
        (NEMO, "sign in", False),
        (EGON, "label and judge", True),
        (EGON, "sign out", True),
    }
    assert verify(workspace.ledger, workspace.site.state_folder / "audit-head").problems == ()
    said = log.read_text(encoding="utf-8") + "".join(str(row) for row in rows)
    secret = [*SECRETS.values(), *(value for value in cookies if len(value) > 20)]
    assert cookies and not any(value in said for value in secret)
    assert "Traceback" not in said
