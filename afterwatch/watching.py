"""The verb `metrics`: what monitoring sees of an installation, and whether its parts are well, served over HTTP or printed once."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from afterwatch.options import SiteOption

if TYPE_CHECKING:
    pass


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command(epilog="Example: afterwatch metrics --site site --port 9464")(metrics)


def metrics(
    site: SiteOption = Path("."),
    host: Annotated[str | None, typer.Option("--host", help="Address to listen on.", show_default="watch.host")] = None,
    port: Annotated[
        int | None, typer.Option("--port", min=1, max=65535, help="TCP port.", show_default="watch.port")
    ] = None,
    once: Annotated[
        bool, typer.Option("--once", help="Print the metrics and end, for a collector that reads text files.")
    ] = False,
) -> None:
    """Serve /metrics for Prometheus and /healthz, until stopped."""
    from afterwatch.monitor import Monitor, listen

    monitor = Monitor(site)
    if once:
        typer.echo(monitor.metrics(), nl=False)
        return
    table = monitor.workspace.settings.watch
    server = listen(monitor, host or table.host, port or table.port)
    typer.echo(
        f"serving http://{_address(server.server_address)}/metrics and /healthz of {monitor.workspace.site.root}"
    )
    with server:
        server.serve_forever()


def _address(told: object) -> str:
    assert isinstance(told, tuple)
    return f"[{told[0]}]:{told[1]}" if ":" in str(told[0]) else f"{told[0]}:{told[1]}"
