"""Verbs that serve and measure: dashboard, bench."""

from pathlib import Path
from typing import Annotated

import typer

from afterwatch.options import JsonOption, SiteOption, print_json, print_table


def register(app: typer.Typer) -> None:
    """Add the verbs to the command line."""
    app.command(epilog="Example: afterwatch dashboard --site site --port 8502")(dashboard)
    app.command(epilog="Example: afterwatch bench pass --json")(bench)


def dashboard(
    site: SiteOption = Path("."),
    host: Annotated[str, typer.Option(help="Address to listen on; the default is this machine only.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8501,
    open_browser: Annotated[bool, typer.Option("--open", help="Open a browser.")] = False,
) -> None:
    """Serve the dashboards until stopped."""
    from dashboards.serve import serve
    from infra.site import Site

    opened = Site.open(site)
    typer.echo(f"Dashboards of {opened.root}: http://{host}:{port}  (Ctrl-C stops them)")
    serve(opened.root, host=host, port=port, open_browser=open_browser)


def bench(
    name: Annotated[str, typer.Argument(help="Which benchmark; all runs every one.")] = "all",
    as_json: JsonOption = False,
) -> None:
    """Measure speed and memory on this machine, as ratios, beside what a user would pick instead."""
    import sys

    checkout = Path(__file__).resolve().parents[1]
    if not (checkout / "benchmarks" / "suite.py").exists():
        from infra.errors import ConfigurationError

        raise ConfigurationError("the benchmarks come with a checkout of the sources, not with an installed package")
    sys.path.insert(0, str(checkout))
    from benchmarks.suite import run_benchmarks

    results = run_benchmarks(name, quiet=as_json)
    if as_json:
        print_json(results[0] if len(results) == 1 else {"benches": results})
        return
    for result in results:
        rows = [(row["name"], f"{row['value']:.3g}", row["target"]) for row in result["ratios"]]
        print_table(("ratio", "value", "target"), rows, title=f"\n{result['bench']}")
