"""A site that people sign in to, and people of every role."""

import time
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from infra.access import NOBODY
from tests.dashboards.small_site import Workspace
from tests.dashboards.test_dashboard_pages import APP

VERA, RITA, EGON, NEMO = (f"{name}@example.org" for name in ("vera", "rita", "egon", "nemo"))
"""A viewer, a reviewer, an engineer, and somebody without a role."""
SECRETS = {"ACCESS_CLIENT": "client secret", "ACCESS_COOKIE": "c" * 40}
ACCESS = """
[access]
sign_in = "oidc"
metadata_url = "http://localhost:{provider}/.well-known/openid-configuration"
client_id = "afterwatch"
client_secret_env = "ACCESS_CLIENT"
cookie_secret_env = "ACCESS_COOKIE"
redirect_uri = "http://localhost:{port}/oauth2callback"
viewers = ["vera@example.org"]
reviewers = ["group:reviewers"]
engineers = ["group:ops"]
"""
GROUPS = {RITA: ["reviewers"], EGON: ["ops"]}


def ask_for_sign_in(workspace: Workspace, provider: int = 9400, port: int = 8501) -> None:
    """Let people sign in, from the next start of the dashboards on."""
    settings = workspace.root / "afterwatch.toml"
    settings.write_text(
        settings.read_text(encoding="utf-8") + ACCESS.format(provider=provider, port=port), encoding="utf-8"
    )


def as_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process as the server that such dashboards start."""
    for name, value in NOBODY.environment().items():
        monkeypatch.setenv(name, value)


def claims_of(name: str, **changes: Any) -> dict[str, Any]:
    """What a provider says of somebody; nothing of nobody."""
    if not name:
        return {"is_logged_in": False}
    told = {"is_logged_in": True, "email": name, "groups": GROUPS.get(name, []), "iat": int(time.time()), **changes}
    return {**told, "provider": "default"}


def app_of(name: str, page: str = "", **params: str) -> AppTest:
    """The app as somebody has it in front of them, not yet run."""
    app = AppTest.from_file(str(APP), default_timeout=60)
    app.user = claims_of(name)
    if page:
        app.switch_page(page)
    for key, value in params.items():
        app.query_params[key] = value
    return app
