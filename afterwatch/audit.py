"""The audit: who did what, and what was refused."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from afterwatch.options import JsonOption, SiteOption, print_json, print_table

if TYPE_CHECKING:
    from lake.audit import AuditRow, Verdict

SHOWN = 50


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command(epilog="Example: afterwatch audit --verify")(audit)


def audit(
    site: SiteOption = Path("."),
    who: Annotated[str | None, typer.Option(help="Only what this person did.")] = None,
    refused: Annotated[bool, typer.Option("--refused", help="Only what was refused.")] = False,
    last: Annotated[int, typer.Option(min=1, help="The newest rows that are printed; --json gives all.")] = SHOWN,
    verify: Annotated[
        bool, typer.Option("--verify", help="See whether a row was altered or is gone; 1 if so.")
    ] = False,
    head: Annotated[
        str, typer.Option(help="With --verify: hash that an earlier --verify printed, noted outside of this machine.")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Tell who did what on the dashboards and the command line, and what was refused."""
    from infra.errors import ConfigurationError
    from infra.site import Site
    from lake.audit import audit_rows
    from lake.audit import verify as verify_rows
    from lake.ledger import Ledger
    from lake.store import Store
    from workspace.opened import audit_head

    if head and not verify:
        raise ConfigurationError("--head is held against the rows by --verify; say that too")
    opened = Site.open(site)
    ledger = Ledger(Store(opened.lake_location, opened.settings.lake_options))
    verdict = verify_rows(ledger, audit_head(opened), head.strip().lower()) if verify else None
    rows = [row for row in audit_rows(ledger) if who in (None, row.who) and not (refused and row.allowed)]
    if as_json:
        print_json({"rows": [_told(row) for row in rows], **({} if verdict is None else {"verify": _verdict(verdict)})})
    elif verdict is None:
        _print(rows[-last:])
    else:
        _print_verdict(verdict)
    if verdict is not None and verdict.problems:
        raise typer.Exit(1)


def _told(row: "AuditRow") -> dict[str, Any]:
    about = row.about
    place = {"campaign": about.campaign, "camera": about.camera}
    return {
        "at": row.said_at.isoformat(timespec="microseconds"),
        "who": row.who,
        **{name: row.value[name] for name in ("role", "via", "action", "allowed", "on", "count")},
        **({**place, "day": about.day.isoformat()} if any(place.values()) else {}),
        "hash": row.hash,
    }


def _verdict(verdict: "Verdict") -> dict[str, Any]:
    return {"rows": verdict.rows, "heads": list(verdict.heads), "problems": list(verdict.problems)}


def _print(rows: "list[AuditRow]") -> None:
    if not rows:
        typer.echo("Nothing has been done yet that is entered.")
        return
    lines = [
        (
            f"{row.said_at:%Y-%m-%d %H:%M:%S}",
            row.who or "(nobody)",
            row.role,
            row.via,
            row.action if row.allowed else f"REFUSED: {row.action}",
            row.about.on[0] + (f" and {row.about.count - 1} more" if row.about.count > 1 else "")
            if row.about.on
            else "",
        )
        for row in rows
    ]
    print_table(("at (UTC)", "who", "role", "via", "did", "to"), lines)


def _print_verdict(verdict: "Verdict") -> None:
    for problem in verdict.problems:
        typer.echo(f"  {problem}")
    if not verdict.problems:
        typer.echo(f"{verdict.rows} rows, each as it was written, and none is gone that another follows.")
        typer.echo("Note this elsewhere, and give it as --head later: " + (", ".join(verdict.heads) or "(no row yet)"))
