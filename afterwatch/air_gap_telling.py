"""What `doctor --air-gap` says."""

from pathlib import Path

import typer

from afterwatch.air_gap import Proof, outside_named, prove, telemetry_now
from afterwatch.options import print_json, print_table
from infra.settings import SETTINGS_FILE

CLOSED = "by the kernel: a network of its own, the loopback device alone; and by a hook in every Python process"
HOOKED = (
    "by a hook in every Python process alone: this machine allows no network namespace (unshare --net), so code that is not "
    "Python's was neither refused nor seen; run it as root, or where the kernel lets people make namespaces"
)


def examine_air_gap(site: Path, as_json: bool) -> bool:
    """Prove that a small night, a search and the dashboards reach nothing outside, and say so; True where it is proved.

    Args:
        site: a workspace, whose settings may name places outside; it is only read. There need not be one.
    """
    named = _named(site)
    proof = prove()
    if as_json:
        print_json({**proof.as_json(), "closed": CLOSED if proof.namespace else HOOKED, "named_in_settings": named})
    else:
        print_proof(proof, named)
    return proof.good


def _named(site: Path) -> list[str]:
    if not (site / SETTINGS_FILE).exists():
        return []
    from workspace.opened import Workspace

    return outside_named(Workspace(site))


def print_proof(proof: Proof, named: list[str]) -> None:
    """For people: what ran, what it connected to, what is switched off."""
    typer.echo(f"outside was closed {CLOSED if proof.namespace else HOOKED}")
    rows = [("ok" if step.good else "!!", step.what, step.seconds, step.found) for step in proof.steps]
    print_table(("", "ran", "seconds", "said at the end"), rows)
    settings = [("ok" if item.off else "!!", item.library, item.setting) for item in telemetry_now()]
    print_table(("", "telemetry of", "setting"), settings)
    for place in named:
        typer.echo(f"not tried, but the settings name it: {place}")
    for attempt in proof.attempts:
        place = f"{attempt.host}:{attempt.port}" if attempt.port else attempt.host
        typer.echo(f"tried to reach {place}, {attempt.times} times: {attempt.process} (at {attempt.by})")
    if proof.unnamed:
        typer.echo(
            f"the kernel counted {proof.unnamed} attempts by code that is not Python's, which it does not name; "
            '"strace -f -e trace=connect,sendto" before the same command does'
        )
    outside = sum(attempt.times for attempt in proof.attempts) + proof.unnamed
    typer.echo(f"{proof.processes} processes, {proof.loopback} connections to this machine, {outside} to anywhere else")
    if not all(step.good for step in proof.steps):
        typer.echo("a step failed, so nothing is proved")
