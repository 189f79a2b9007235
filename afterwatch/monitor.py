"""What `afterwatch metrics` serves: figures in Prometheus' text format, and the health of each part as JSON.

`/healthz` answers 200 where every part is well, and 503 where one is not; `/healthz/flow`, `/healthz/dashboards`, `/healthz/workers`
and `/healthz/room` tell of one part each.
"""

import json
import socket
import threading
import time
from collections.abc import Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from infra.errors import AfterwatchError, ConfigurationError
from workspace.monitoring.figures import PREFIX, Figure, by, figures, one
from workspace.monitoring.health import (
    Dashboards,
    Health,
    all_well,
    ask_dashboards,
    dashboards_health,
    flow_health,
    room_health,
)
from workspace.opened import Workspace

KEPT_S = 10.0
"""Time for which what was asked of others, dashboards and workers, is told again without asking."""
REQUEST_S = 15.0
"""Time that a client has for its request."""


class Monitor:
    """One workspace under watch. It opens the workspace anew when its settings change.

    Args:
        root: of the workspace.

    Raises:
        ConfigurationError: there is none, or its settings are wrong.
    """

    def __init__(self, root: Path) -> None:
        self.workspace = Workspace(root)
        self._settings_at = self._changed_at()
        self._lock = threading.Lock()  # the ledger's memory is of one thread at a time
        self._asked: tuple[float, Dashboards, Health, dict[str, float]] | None = None

    def metrics(self) -> str:
        """The figures, in the text format 0.0.4."""
        registry = CollectorRegistry()
        with self._lock:
            registry.register(_Collector(self._figures()))
        return generate_latest(registry).decode()

    def health(self) -> list[Health]:
        """The line of each part, in order."""
        with self._lock:
            return self._health()

    def _figures(self) -> list[Figure]:
        lines = self._health()
        found = figures(self.workspace)
        well = {line.part: float(line.ok) for line in lines}
        found.append(by("part", "healthy", "Whether a part is well: 1 or 0; /healthz says why not.", well))
        _, dashboards, _, workers = self._ask()
        if self.workspace.settings.watch.dashboards:
            found.append(one("dashboards_up", "Whether the dashboards' server answers: 1 or 0.", dashboards.up))
        if dashboards.sessions is not None:
            found.append(one("dashboards_sessions", "Open dashboard sessions.", dashboards.sessions))
        return [*found, *(one(f"workers_{name}", _WORKERS[name], value) for name, value in workers.items())]

    def _health(self) -> list[Health]:
        self._reopen()
        _, dashboards, workers, _ = self._ask()
        flow = flow_health(self.workspace, self._missed())
        return [flow, dashboards_health(self.workspace, dashboards), workers, room_health(self.workspace)]

    def _missed(self) -> str:
        from tasks.nights_due import missed_now

        try:
            missed = missed_now(self.workspace)
        except (AfterwatchError, OSError, ValueError) as error:
            return f"whether a night was missed cannot be told: {error}"
        return "" if missed is None else missed.words(self.workspace.settings.zone)

    def _ask(self) -> tuple[float, Dashboards, Health, dict[str, float]]:
        """What dashboards and workers answered, a moment ago or now."""
        if self._asked is None or time.monotonic() - self._asked[0] > KEPT_S:
            settings = self.workspace.settings
            dashboards = Dashboards(False, "not asked")
            if settings.watch.dashboards:
                dashboards = ask_dashboards(settings.notifications.link)
            workers = _ask_workers(settings.cluster.address)
            self._asked = time.monotonic(), dashboards, *workers
        return self._asked

    def _reopen(self) -> None:
        """Take up other settings; where they are wrong, those of before go on counting."""
        changed_at = self._changed_at()
        if changed_at != self._settings_at:
            self._settings_at = changed_at
            try:
                self.workspace, self._asked = Workspace(self.workspace.site.root), None
            except ConfigurationError:
                return

    def _changed_at(self) -> int:
        try:
            return (self.workspace.site.root / "afterwatch.toml").stat().st_mtime_ns
        except OSError:
            return 0


_WORKERS = {
    "alive": "Workers of the Dask scheduler.",
    "threads": "Tasks that these can do at once.",
    "processing": "Tasks that they have.",
    "waiting": "Tasks for which there is no worker yet.",
}


def _ask_workers(address: str | None) -> tuple[Health, dict[str, float]]:
    """The workers' line, and their figures where there is a scheduler of its own."""
    if address is None:
        return Health("workers", "embedded: they come with each run and go with it"), {}
    from flows.runners import scheduler_state

    try:
        state = scheduler_state(address)
    except ConfigurationError as error:
        return Health("workers", "", (str(error),)), dict.fromkeys(_WORKERS, 0.0)
    told = f"{state.workers} workers at {address}, {state.processing} tasks at work, {state.waiting} waiting"
    counts = (state.workers, state.threads, state.processing, state.waiting)
    figures_of = {name: float(count) for name, count in zip(_WORKERS, counts, strict=True)}
    reasons = (
        () if state.workers else (f"the scheduler at {address} has no worker; start one with dask worker {address}",)
    )
    return Health("workers", told, reasons), figures_of


class _Collector:
    """Figures as Prometheus' own client takes them."""

    def __init__(self, found: list[Figure]) -> None:
        self._found = found

    def collect(self) -> Iterator[Metric]:
        for figure in self._found:
            kind = CounterMetricFamily if figure.kind == "counter" else GaugeMetricFamily
            family: Any = kind(f"{PREFIX}_{figure.name}", figure.told, labels=figure.labels)
            for told, value in figure.values.items():
                family.add_metric(told, value)
            yield family


def listen(monitor: Monitor, host: str, port: int) -> ThreadingHTTPServer:
    """A server of a monitor's answers; it serves when it is told to.

    Raises:
        ConfigurationError: the address cannot be listened on.
    """

    class Answers(_Answers):
        watched = monitor

    class Server(ThreadingHTTPServer):
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        daemon_threads = True

    try:
        return Server((host, port), Answers)
    except OSError as error:
        raise ConfigurationError(
            f"{host}:{port} cannot be listened on ({error.strerror or error}); stop what uses it, or choose another with --port"
        ) from None


class _Answers(BaseHTTPRequestHandler):
    watched: ClassVar[Monitor]
    timeout = REQUEST_S
    server_version = "afterwatch"
    sys_version = ""

    def do_GET(self) -> None:
        path = self.path.split("?", 1)[0].rstrip("/")
        if path == "/metrics":
            self._send(HTTPStatus.OK, self.watched.metrics().encode(), CONTENT_TYPE_PLAIN_0_0_4)
            return
        lines = self.watched.health() if path.split("/")[1:2] == ["healthz"] else []
        part = path.removeprefix("/healthz").removeprefix("/")
        chosen = [line for line in lines if part in ("", line.part)]
        if not chosen:
            names = [
                "/metrics",
                "/healthz",
                *(f"/healthz/{name}" for name in ("flow", "dashboards", "workers", "room")),
            ]
            self._json(HTTPStatus.NOT_FOUND, {"error": f"nothing is served here; there are {', '.join(names)}"})
            return
        status = HTTPStatus.OK if all_well(chosen) else HTTPStatus.SERVICE_UNAVAILABLE
        told = {line.part: line.as_json() for line in chosen}
        reasons = [f"{line.part}: {reason}" for line in chosen for reason in line.reasons]
        self._json(status, {"ok": all_well(chosen), "reasons": reasons, "parts": told})

    do_HEAD = do_GET

    def _json(self, status: HTTPStatus, told: dict[str, Any]) -> None:
        self._send(status, (json.dumps(told, indent=2) + "\n").encode(), "application/json")

    def _send(self, status: HTTPStatus, content: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing: a line for each scrape would be all that the log holds."""
