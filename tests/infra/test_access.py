"""Roles: what each may do, who has which, and for whom a process works."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from infra import access
from infra.access import (
    ACTOR_VARIABLE,
    LEAST,
    NOBODY,
    ROLES,
    Action,
    Actor,
    Role,
    acting,
    acts_by,
    environment_actor,
    role_of,
    signed_in,
)
from infra.errors import AccessError, AfterwatchError, ConfigurationError
from infra.operation_settings import AccessTable

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
GIVEN: dict[str, Any] = {
    "sign_in": "oidc",
    "metadata_url": "https://id.example.org/.well-known/openid-configuration",
    "client_id": "afterwatch",
    "client_secret_env": "CLIENT_SECRET",
    "cookie_secret_env": "COOKIE_SECRET",
    "redirect_uri": "https://watch.example.org/oauth2callback",
    "viewers": ("vera@example.org",),
    "reviewers": ("group:reviewers", "rita@example.org"),
    "engineers": ("Egon@Example.org", "group:ops"),
}


def table(**changes: Any) -> AccessTable:
    return AccessTable(**{**GIVEN, **changes})


def claims(**changes: Any) -> dict[str, Any]:
    told = {"is_logged_in": True, "iat": NOW.timestamp() - 60, "email": "vera@example.org", "email_verified": True}
    return {**told, **changes}


@pytest.fixture(autouse=True)
def whoever_acts() -> Iterator[None]:
    before = access._acting
    yield
    acts_by(before)


def test_the_error_stands_in_the_tree() -> None:
    assert issubclass(AccessError, AfterwatchError) and AccessError.exit_code == 2


def test_every_action_has_a_least_role() -> None:
    assert set(LEAST) == set(get_args(Action))


@given(st.sampled_from(get_args(Action)), st.sampled_from(ROLES), st.sampled_from(ROLES))
def test_a_higher_role_may_what_a_lower_one_may(action: Action, one: Role, other: Role) -> None:
    low, high = sorted((one, other), key=ROLES.index)
    assert not Actor("x", low, "dashboard").may(action) or Actor("x", high, "dashboard").may(action)


@pytest.mark.parametrize(
    ("role", "may"),
    [
        ("none", set()),
        ("viewer", {"look at the dashboards"}),
        (
            "reviewer",
            {
                "look at the dashboards",
                "label and judge",
                "draw regions",
                "train models",
                "sign flip reports",
                "compare models",
                "take footage and results away",
            },
        ),
        ("engineer", set(get_args(Action))),
    ],
)
def test_what_each_role_may_do(role: Role, may: set[str]) -> None:
    assert {action for action in get_args(Action) if Actor("x", role, "dashboard").may(action)} == may


def test_a_refusal_says_who_what_and_what_it_takes() -> None:
    with pytest.raises(
        AccessError, match="vera has the role viewer, which may not set thresholds; that takes the role eng"
    ):
        Actor("vera", "viewer", "dashboard").require("set thresholds")
    with pytest.raises(AccessError, match="nobody is signed in"):
        NOBODY.require("look at the dashboards")


def test_nobody_has_no_role_and_a_role_has_somebody() -> None:
    with pytest.raises(ValueError, match="has a name"):
        Actor("", "viewer", "dashboard")
    with pytest.raises(ValueError, match="one of the roles"):
        Actor("x", "root", "dashboard")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "groups", "role"),
    [
        ("vera@example.org", (), "viewer"),
        ("VERA@example.org", (), "viewer"),
        ("egon@example.org", (), "engineer"),
        ("anyone@example.org", ("reviewers",), "reviewer"),
        ("vera@example.org", ("reviewers",), "reviewer"),
        ("vera@example.org", ("reviewers", "ops"), "engineer"),
        ("anyone@example.org", ("Reviewers", "group:ops", "rita@example.org"), "none"),
        ("group:ops", (), "none"),
        ("*", (), "none"),
    ],
)
def test_the_highest_list_that_names_a_person_or_a_group_counts(name: str, groups: tuple[str, ...], role: Role) -> None:
    assert signed_in(claims(email=name, groups=list(groups)), table(), NOW).actor.role == role


def test_everybody_is_who_the_provider_knows() -> None:
    everybody = table(viewers=("*",))
    assert signed_in(claims(email="any@where.org"), everybody, NOW).actor == Actor(
        "any@where.org", "viewer", "dashboard", True
    )
    assert signed_in({}, everybody, NOW).actor == NOBODY
    assert signed_in({"is_logged_in": False, "email": "any@where.org"}, everybody, NOW).actor == NOBODY
    # A claim as text is not the truth.
    assert signed_in(claims(is_logged_in="true"), everybody, NOW).actor == NOBODY


def test_a_claim_other_than_an_address_is_taken_as_it_is_written() -> None:
    by_subject = table(claim="sub", viewers=("Ab1",))
    assert role_of("Ab1", frozenset(), by_subject) == "viewer"
    assert role_of("ab1", frozenset(), by_subject) == "none"


@pytest.mark.parametrize(
    ("changes", "remark"),
    [
        ({"email": None}, "says nothing of you under “email”"),
        ({"email": 7}, "says nothing of you"),
        ({"email": "vera@example.org\nrole: engineer"}, "says nothing of you"),
        ({"email": "v" * 300}, "says nothing of you"),
        ({"email_verified": False}, "has not verified your address"),
        ({"email": "stranger@example.org"}, "You have no role here"),
        ({"iat": NOW.timestamp() - 13 * 3600}, "more than 12 hours ago"),
        ({"iat": None}, "does not say when"),
        ({"iat": True}, "does not say when"),
    ],
)
def test_who_gets_no_role_is_told_why(changes: dict[str, Any], remark: str) -> None:
    found = signed_in(claims(**changes), table(), NOW)
    assert found.actor == NOBODY
    assert remark in found.remark


def test_a_sign_in_lasts_as_long_as_the_settings_say() -> None:
    for hours, role in ((11.9, "viewer"), (12.1, "none")):
        issued = (NOW - timedelta(hours=hours)).timestamp()
        assert signed_in(claims(iat=issued), table(), NOW).actor.role == role
        assert signed_in(claims(iat=issued), table(signed_in_hours=1), NOW).actor.role == "none"


@given(st.sampled_from((False, None, 1, "true")), st.dictionaries(st.text(), st.text()))
def test_who_has_not_signed_in_gets_no_role_whatever_else_is_claimed(word: object, told: dict[str, Any]) -> None:
    assert signed_in({**claims(), **told, "is_logged_in": word}, table(viewers=("*",)), NOW).actor == NOBODY


def test_on_the_command_line_the_systems_user_is_an_engineer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ACTOR_VARIABLE, raising=False)
    monkeypatch.setenv("LOGNAME", "operator")
    assert acting() == Actor("operator", "engineer", "command line")


def test_a_job_works_for_who_started_it_and_for_nobody_it_writes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rita = Actor("rita@example.org", "reviewer", "dashboard", signed_in=True)
    for name, value in rita.environment().items():
        monkeypatch.setenv(name, value)
    job = environment_actor()
    assert job == Actor("rita@example.org", "reviewer", "job", signed_in=True)
    assert job.may("write results") and not rita.may("write results")
    assert not job.may("put models into service")
    for name, value in NOBODY.environment().items():
        monkeypatch.setenv(name, value)
    assert not any(environment_actor().may(action) for action in get_args(Action))


@pytest.mark.parametrize("told", ["", "rita", "{}", '{"name": "x", "role": "root", "signed_in": true}', "[1]", "null"])
def test_a_process_that_is_told_nonsense_works_for_nobody(told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ACTOR_VARIABLE, told)
    with pytest.raises(ConfigurationError, match="unset it"):
        environment_actor()


def test_who_acts_is_asked_each_time() -> None:
    people = iter((Actor("a", "viewer", "dashboard"), Actor("b", "engineer", "dashboard")))
    acts_by(lambda: next(people))
    assert (acting().name, acting().name) == ("a", "b")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"metadata_url": "http://id.example.org/x"}, "metadata_url begins with https://"),
        ({"redirect_uri": "http://watch.example.org/oauth2callback"}, "redirect_uri begins with https://"),
        ({"redirect_uri": "https://watch.example.org/"}, "with /oauth2callback"),
        ({"scope": "email profile"}, "openid among"),
        ({"scope": 'openid "email"'}, "scope"),
        ({"client_id": None}, "needs client_id"),
        ({"viewers": (), "reviewers": (), "engineers": ()}, "nobody could sign in"),
    ],
)
def test_settings_that_cannot_be_safe_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        table(**changes)


def test_on_this_machine_sign_in_needs_no_https() -> None:
    table(metadata_url="http://localhost:9400/x", redirect_uri="http://127.0.0.1:8501/oauth2callback")
