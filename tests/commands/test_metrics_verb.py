"""`afterwatch metrics`: Prometheus' text format, and health over HTTP."""

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from afterwatch.monitor import KEPT_S, Monitor, listen
from infra.errors import ConfigurationError
from tests.workspace.kept_site import NIGHT, make_site
from tests.workspace.monitoring.test_monitoring import ENDED, close_night
from workspace.monitoring.figures import figures
from workspace.monitoring.health import Health
from workspace.opened import Workspace

ROOT = Path(__file__).resolve().parents[2]
ALERTS = ROOT / "infra" / "deploy" / "prometheus" / "alerts.yml"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    site = make_site(tmp_path_factory.mktemp("kept") / "site")
    close_night(site, NIGHT, ENDED)
    (site.site.root / "afterwatch.toml").write_text("[watch]\ndashboards = false\nreserve_gb = 0\n")
    return Workspace(site.site.root)


@pytest.fixture(scope="module")
def served(site: Workspace) -> Iterator[str]:
    with listen(Monitor(site.site.root), "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def get(url: str) -> tuple[int, str, str]:
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers["Content-Type"], error.read().decode()


def families(text: str) -> dict[str, Any]:
    return {family.name: family for family in text_string_to_metric_families(text)}


def test_metrics_are_what_prometheus_reads(site: Workspace, served: str) -> None:
    code, kind, text = get(f"{served}/metrics")
    assert (code, kind) == (200, "text/plain; version=0.0.4; charset=utf-8")
    found = families(text)
    assert {f"afterwatch_{figure.name}" for figure in figures(site)} <= found.keys()
    (status,) = [sample for sample in found["afterwatch_night_status"].samples if sample.value == 1]
    assert status.labels == {"status": "partial"}
    for name, family in found.items():
        assert name.startswith("afterwatch_") and family.documentation.endswith("."), name
        assert family.type in ("gauge", "counter")
    assert {sample.name for sample in found["afterwatch_deleted_files"].samples} == {"afterwatch_deleted_files_total"}


def test_health_is_a_line_for_each_part_and_a_code_for_all(site: Workspace, served: str) -> None:
    code, kind, text = get(f"{served}/healthz")
    told = json.loads(text)
    assert (code, kind, told["ok"], told["reasons"]) == (200, "application/json", True, [])
    assert list(told["parts"]) == ["flow", "dashboards", "workers", "room"]
    for part in told["parts"]:
        assert list(json.loads(get(f"{served}/healthz/{part}")[2])["parts"]) == [part]


def test_an_unknown_path_names_those_there_are(served: str) -> None:
    for path in ("", "/metric", "/healthz/flows", "/healthz/../etc/passwd"):
        code, _, text = get(f"{served}{path}")
        assert code == 404
        assert "/healthz/room" in json.loads(text)["error"]


def test_what_is_not_well_is_503_with_its_reasons_and_settings_are_taken_up(
    site: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody(address: str) -> Any:
        raise ConfigurationError(f"no Dask scheduler answers at {address}")

    monkeypatch.setattr("flows.runners.scheduler_state", nobody)
    monitor = Monitor(site.site.root)
    assert all(line.ok for line in monitor.health())
    settings = site.site.root / "afterwatch.toml"
    before = settings.read_text()
    try:
        settings.write_text(
            '[watch]\nreserve_gb = 1e9\n[notifications]\nlink = "http://127.0.0.1:1"\n[cluster]\naddress = "tcp://127.0.0.1:1"\n'
        )
        with listen(monitor, "127.0.0.1", 0) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            code, _, text = get(f"http://127.0.0.1:{server.server_address[1]}/healthz")
            metrics = families(get(f"http://127.0.0.1:{server.server_address[1]}/metrics")[2])
            server.shutdown()
        told = json.loads(text)
        assert (code, told["ok"]) == (503, False)
        assert [reason.split(":")[0] for reason in told["reasons"]] == ["dashboards", "workers", "room"]
        well = {sample.labels["part"]: sample.value for sample in metrics["afterwatch_healthy"].samples}
        assert well == {"flow": 1, "dashboards": 0, "workers": 0, "room": 0}
        settings.write_text("[watch]\nresrve_gb = 1\n")
        assert [line.ok for line in monitor.health()] == [True, False, False, False], "wrong settings change nothing"
    finally:
        settings.write_text(before)


def test_others_are_asked_once_in_a_while(site: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    asked: list[str | None] = []

    def ask(address: str | None) -> Any:
        asked.append(address)
        return Health("workers", "none"), {}

    monkeypatch.setattr("afterwatch.monitor.time.monotonic", lambda: now[0])
    monkeypatch.setattr("afterwatch.monitor._ask_workers", ask)
    monitor = Monitor(site.site.root)
    monitor.metrics()
    monitor.health()
    assert len(asked) == 1
    now[0] = KEPT_S + 1
    monitor.health()
    assert len(asked) == 2


def test_once_prints_the_same_figures_and_ends(site: Workspace) -> None:
    from typer.testing import CliRunner

    from afterwatch.__main__ import app

    done = CliRunner().invoke(app, ["metrics", "--site", str(site.site.root), "--once"])
    assert done.exit_code == 0, done.output
    assert families(done.stdout).keys() == families(Monitor(site.site.root).metrics()).keys()


def test_a_port_that_is_taken_is_told(site: Workspace, served: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot be listened on"):
        listen(Monitor(site.site.root), "127.0.0.1", int(served.rsplit(":", 1)[1]))


def test_alert_rules_ask_for_metrics_that_there_are(site: Workspace) -> None:
    import re

    known = {
        sample.name for family in families(Monitor(site.site.root).metrics()).values() for sample in family.samples
    }
    known |= {
        "afterwatch_dashboards_up",
        "afterwatch_run_newest_step_timestamp_seconds",
        "afterwatch_deliveries_waiting",
    }
    rules = [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]
    assert len({rule["alert"] for rule in rules}) == len(rules) > 8
    for rule in rules:
        asked = set(re.findall(r"afterwatch_[a-z_]+", rule["expr"]))
        assert asked and asked <= known, rule["alert"]
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert rule["annotations"]["summary"] and rule["annotations"]["description"]
