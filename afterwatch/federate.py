"""The verb `federate`: sites that train one model together, without their footage leaving them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from afterwatch import federate_serve
from afterwatch.federation_texts import receipts_told, status_told, tell_receipts, tell_status
from afterwatch.options import JsonOption, SiteOption, print_json, print_table

if TYPE_CHECKING:
    from models.federation.receipts import Direction
    from workspace.federation.client_app import Answered
    from workspace.opened import Workspace

federate_app = typer.Typer(
    help="Train one model at several sites, whose footage stays where it is.", no_args_is_help=True
)


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    federate_app.command(epilog=federate_serve.EXAMPLE)(federate_serve.serve)
    app.add_typer(federate_app, name="federate")


@federate_app.command(epilog="Example: afterwatch federate certificate --host federation.example --site site")
def certificate(
    host: Annotated[
        list[str] | None, typer.Option(help="Name or address by which clients reach this server; repeatable.")
    ] = None,
    site: SiteOption = Path("."),
    as_json: JsonOption = False,
) -> None:
    """Make the server's certificate, for these names and for this machine; clients are handed its authority's."""
    from infra.site import Site
    from workspace.federation.keys import make_certificate

    made = make_certificate(Site.open(site), host or ())
    told = {
        "authority": str(made.authority),
        "fingerprint": made.fingerprint,
        "hosts": list(made.hosts),
        "until": made.until.isoformat(timespec="seconds"),
    }
    if as_json:
        print_json(told)
        return
    typer.echo(
        f"{made.certificate}: for {', '.join(made.hosts)}, until {made.until:%Y-%m-%d}\n"
        f"Hand {made.authority} to the clients; its SHA-256, to compare by telephone:\n{made.fingerprint}"
    )


@federate_app.command(epilog="Example: afterwatch federate key --site site")
def key(site: SiteOption = Path("."), as_json: JsonOption = False) -> None:
    """Make this site's key as a client, once, and say where its public half is."""
    from infra.site import Site
    from workspace.federation.keys import make_key

    public = make_key(Site.open(site))
    if as_json:
        print_json({"public_key": str(public)})
    else:
        typer.echo(
            f'{public}\nHand it to the server\'s people, who run "afterwatch federate admit NAME {public.name}".'
        )


@federate_app.command(epilog="Example: afterwatch federate admit hall-north client.pub --site site")
def admit(
    name: Annotated[str, typer.Argument(help="What the client is called here.")],
    key_file: Annotated[Path, typer.Argument(help="Its public key, client.pub.")],
    site: SiteOption = Path("."),
) -> None:
    """Let a client take part in what is served here."""
    from infra.site import Site
    from workspace.federation.admitted import admit as admit_client

    client = admit_client(Site.open(site), name, key_file)
    typer.echo(f"{client.name} may take part; SHA-256 of its key: {client.fingerprint}")


@federate_app.command(epilog="Example: afterwatch federate expel hall-north --site site")
def expel(
    name: Annotated[str, typer.Argument(help="What the client is called here.")], site: SiteOption = Path(".")
) -> None:
    """Let a client take part no more; its key does not come back."""
    from infra.site import Site
    from workspace.federation.admitted import expel as expel_client

    expel_client(Site.open(site), name)
    typer.echo(f"{name} takes no part any more; a server that runs hears of it before its next round")


@federate_app.command(epilog="Example: afterwatch federate clients --site site")
def clients(site: SiteOption = Path("."), as_json: JsonOption = False) -> None:
    """List the clients that may take part."""
    from infra.site import Site
    from workspace.federation.admitted import clients as admitted

    found = admitted(Site.open(site))
    if as_json:
        told = [{"client": one.name, "fingerprint": one.fingerprint, "admitted_at": one.at} for one in found]
        print_json({"clients": told})
    elif found:
        print_table(
            ("client", "admitted", "SHA-256 of its key"), [(one.name, one.at, one.fingerprint) for one in found]
        )
    else:
        typer.echo('no client is admitted; "afterwatch federate admit NAME client.pub" lets one in')


@federate_app.command(
    epilog="Example: afterwatch federate join --server federation.example:9092 --certificate authority.pem --site site"
)
def join(
    server: Annotated[str, typer.Option(help="Where it is served, as federation.example:9092.")],
    certificate: Annotated[Path, typer.Option(help="Certificate of the server's authority, authority.pem.")],
    data: Annotated[
        Path | None, typer.Option(help="Learn from this folder, as the verbs of fit take it; default: recordings.")
    ] = None,
    campaign: Annotated[str | None, typer.Option(help="Learn from this campaign only.")] = None,
    camera: Annotated[str | None, typer.Option(help="Learn from this camera only.")] = None,
    region: Annotated[str, typer.Option(help="Region of the cameras.")] = "frame",
    once: Annotated[bool, typer.Option("--once", help="Leave when a federation has ended.")] = False,
    author: Annotated[str | None, typer.Option(help="Who lets this site take part; default: you.")] = None,
    site: SiteOption = Path("."),
) -> None:
    """Take part in the federations of a server until stopped; weights and counts leave this site, nothing else.

    What it may be asked is in [federation] of the settings; what left it is in "afterwatch federate receipts".
    """
    import getpass

    from flows.joining import join as join_server
    from workspace.federation.material import Material
    from workspace.opened import Workspace

    workspace = Workspace(site)
    material = Material(None if data is None else data.expanduser(), campaign, camera, region)
    typer.echo(f"Joining {server}  (Ctrl-C stops it; the same command goes on)")
    join_server(
        workspace,
        server,
        certificate,
        material,
        author=author or getpass.getuser(),
        once=once,
        told=lambda answered: typer.echo(_answered_told(answered), err=bool(answered.why)),
        waiting=lambda why: typer.echo(why, err=True),
    )


@federate_app.command(epilog="Example: afterwatch federate receipts halls --site site")
def receipts(
    name: Annotated[str | None, typer.Argument(help="Of the federated model; default: all.")] = None,
    round_number: Annotated[int | None, typer.Option("--round", help="Only this round.")] = None,
    direction: Annotated[str | None, typer.Option(help="sent or received only.")] = None,
    site: SiteOption = Path("."),
    as_json: JsonOption = False,
) -> None:
    """List what crossed: tensors, bytes and counts of every message, written before it left."""
    from infra.errors import UnknownNameError
    from workspace.federation.receipt_files import chosen, receipts_of

    if direction is not None and direction not in ("sent", "received"):
        raise UnknownNameError("--direction", direction, ("sent", "received"))
    found = receipts_of(_workspace(site), name)
    picked = {
        federation: chosen(read.receipts, direction=cast("Direction | None", direction), round_number=round_number)
        for federation, read in found.items()
    }
    if as_json:
        print_json({"federations": [receipts_told(each, found[each], picked[each]) for each in found]})
        return
    for each, read in found.items():
        tell_receipts(each, read, picked[each])
    if not found:
        typer.echo("nothing has crossed yet")


@federate_app.command(epilog="Example: afterwatch federate status --site site")
def status(
    name: Annotated[str | None, typer.Argument(help="Of the federated model; default: all.")] = None,
    site: SiteOption = Path("."),
    as_json: JsonOption = False,
) -> None:
    """Say how far each federation has come, as a server and as a client."""
    from workspace.federation.folders import federation_folder
    from workspace.federation.memories import load_checkpoint
    from workspace.federation.receipt_files import REFUSED, receipts_of

    workspace = _workspace(site)
    found = {
        federation: (load_checkpoint(federation_folder(workspace, federation)), read.receipts)
        for federation, read in receipts_of(workspace, name).items()
        if federation != REFUSED
    }
    if as_json:
        print_json({"federations": [status_told(each, *parts) for each, parts in found.items()]})
        return
    for each, parts in found.items():
        tell_status(each, *parts)
    if not found:
        typer.echo("this workspace has taken part in no federation yet")


@federate_app.command(epilog="Example: afterwatch federate forget halls --site site")
def forget(name: Annotated[str, typer.Argument(help="Of the federated model.")], site: SiteOption = Path(".")) -> None:
    """Take away what this site goes on with in a federation: footage and vectors, the optimiser's state; receipts stay."""
    from flows.flower_processes import FLOWER, one_at_a_time
    from workspace.federation.memories import forget_federation

    workspace = _workspace(site)
    with one_at_a_time(workspace.site.state_folder / FLOWER, "join"):
        forget_federation(workspace, name)
    typer.echo(f"{name}: what it went on with is gone; its receipts stay")


def _workspace(site: Path) -> "Workspace":
    from workspace.opened import Workspace

    return Workspace(site)


def _answered_told(answered: "Answered") -> str:
    """One line for each message; after it, for this site's people only, why it went as it did."""
    where = f"{answered.what}, round {answered.round_number} of {answered.rounds}: " if answered.what else ""
    why = f"\n{answered.why}" if answered.why else ""
    if answered.word:
        return f'{where}{answered.stage}: took no part, the server was told "{answered.word}"{why}'
    done = {"train": "trained on", "evaluate": "evaluated on", "finish": "ended, best round; evaluated on"}[
        answered.stage
    ]
    kept = f"\nkept as a candidate: {answered.kept}" if answered.kept else ""
    return f"{where}{done} {answered.samples} samples, loss {answered.loss:.6g}{kept}{why}"
