"""Sign-in as the server is started with it: a private file of secrets, that goes with the server, and nobody named."""

import json
import os
import stat
import tomllib
from pathlib import Path

import pytest

from dashboards import serve as serving
from dashboards.serve import serve
from dashboards.sign_in import GUARDED, addresses_told, provider_file, secrets_text, server_environment, signs_in
from infra.access import ACTOR_VARIABLE
from infra.errors import ConfigurationError
from infra.operation_settings import AccessTable
from infra.settings import read_settings
from infra.site import Site
from tests.dashboards.signed_in_site import SECRETS, ask_for_sign_in
from tests.dashboards.small_site import Workspace


@pytest.fixture
def site(empty_site: Workspace, monkeypatch: pytest.MonkeyPatch) -> Site:
    ask_for_sign_in(empty_site)
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    return Site.open(empty_site.root)


def test_the_secrets_lie_in_a_file_that_only_we_read_as_long_as_the_server_runs(site: Site) -> None:
    with provider_file(site, "127.0.0.1", 8501) as options:
        path = Path(options[options.index("--secrets.files") + 1])
        assert path.is_relative_to(site.state_folder)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600 and stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        told = tomllib.loads(path.read_text(encoding="utf-8"))["auth"]
        assert told["cookie_secret"] == SECRETS["ACCESS_COOKIE"] and told["client_secret"] == SECRETS["ACCESS_CLIENT"]
        assert told["client_kwargs"] == {"scope": "openid email profile"}
        assert not any(secret in option for secret in SECRETS.values() for option in options)
    assert not path.exists()


def test_the_file_goes_also_where_the_server_fails(site: Site) -> None:
    with pytest.raises(KeyboardInterrupt), provider_file(site, "127.0.0.1", 8501):
        raise KeyboardInterrupt
    assert list(site.state_folder.rglob("*.toml")) == []


def test_what_a_killed_server_left_is_replaced_and_never_followed(site: Site, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("mine")
    folder = site.state_folder / "sign-in"
    folder.mkdir(parents=True)
    (folder / "127_0_0_1-8501.toml").symlink_to(elsewhere)
    with provider_file(site, "127.0.0.1", 8501):
        assert elsewhere.read_text() == "mine"


@pytest.mark.parametrize("secret", ['a"b\\c', "ü€ 'x'", "#[auth]"])
def test_a_secret_may_hold_any_sign_that_can_be_printed(site: Site, secret: str) -> None:
    text = secrets_text(site.settings.access, {**SECRETS, "ACCESS_CLIENT": secret})
    assert tomllib.loads(text)["auth"]["client_secret"] == secret


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ACCESS_CLIENT": ""}, "ACCESS_CLIENT is not set, and \\[access\\] client_secret_env"),
        ({"ACCESS_COOKIE": ""}, "ACCESS_COOKIE is not set"),
        ({"ACCESS_COOKIE": "x" * 31}, "holds 31 characters; cookies are signed with at least 32"),
        ({"ACCESS_CLIENT": "one\ntwo"}, "cannot be printed"),
    ],
)
def test_without_its_secrets_nothing_is_served_and_no_secret_is_told(
    site: Site, changes: dict[str, str], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message) as raised:
        secrets_text(site.settings.access, {**SECRETS, **changes})
    assert not any(value in str(raised.value) for value in {**SECRETS, **changes}.values() if value)


def test_a_secret_that_stands_in_the_settings_is_refused_and_not_repeated(site: Site) -> None:
    path = site.root / "afterwatch.toml"
    text = path.read_text(encoding="utf-8").replace('"ACCESS_COOKIE"', '"hunter2 hunter2!"')
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match="names the environment variable") as raised:
        read_settings(path)
    assert "hunter2" not in str(raised.value)


def started(root: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[list[str], dict[str, str]]:
    """Command and environment that the server would have been started with."""
    ran: list[tuple[list[str], dict[str, str]]] = []

    def run(command: list[str], environment: dict[str, str]) -> int:
        ran.append((command, environment))
        return 0

    monkeypatch.setattr(serving, "_run", run)
    monkeypatch.setattr(serving, "_require_free", lambda host, port: None)
    serve(root)
    return ran[0]


def test_the_server_is_told_of_nobody_and_of_no_secret(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    command, environment = started(site.root, monkeypatch)
    assert json.loads(environment[ACTOR_VARIABLE]) == {"name": "", "role": "none", "signed_in": False}
    assert signs_in(environment)
    assert not set(SECRETS) & set(environment)
    assert "--server.enableXsrfProtection=true" in command
    assert {f"--{name}={value}" for name, value in GUARDED.items()} <= set(command)
    assert "--server.trustedUserHeaders={}" in command
    assert list(site.state_folder.rglob("*.toml")) == []


def test_without_sign_in_the_server_works_for_whoever_started_it(
    empty_site: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ACTOR_VARIABLE, "left over")
    _, environment = started(empty_site.root, monkeypatch)
    assert not signs_in(environment)
    assert server_environment(AccessTable()) == {}


def test_dashboards_that_others_reach_without_signing_in_are_told_of() -> None:
    assert addresses_told(AccessTable(), "127.0.0.1") == ""
    assert "nobody signs in" in addresses_told(AccessTable(), "0.0.0.0")


def test_who_signs_in_is_told_where(site: Site) -> None:
    assert addresses_told(site.settings.access, "0.0.0.0") == "People sign in at http://localhost:8501"


def test_importing_it_reads_no_secret() -> None:
    assert not signs_in({name: value for name, value in os.environ.items() if name != ACTOR_VARIABLE})
