"""The verb `federate serve`: lead the admitted sites through the rounds of a training."""

import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from afterwatch.federate_plans import plan_of
from afterwatch.head_options import (
    ClassWeightsOption,
    DropoutOption,
    HiddenOption,
    MembersOption,
    PublishedOption,
    WeightDecayOption,
)
from afterwatch.options import JsonOption, SiteOption, print_json

if TYPE_CHECKING:
    from flows.federation import Begun, Served
    from models.federation.reports import RoundReport

EXAMPLE = "Example: afterwatch federate serve --kind autoencoder --name halls --rounds 20 --clients 3 --host 0.0.0.0 --site site"
DEFAULT_PORT = 9092


def serve(
    kind: Annotated[str, typer.Option(help="autoencoder, classifier or projection.")],
    name: Annotated[str, typer.Option(help="What the model is called at every site.")],
    rounds: Annotated[int, typer.Option(help="Rounds in all.")] = 10,
    local_epochs: Annotated[int, typer.Option(help="Epochs of each site in each round.")] = 1,
    clients: Annotated[int, typer.Option(help="Clients to wait for before the first round.")] = 2,
    at_least: Annotated[
        int | None, typer.Option("--at-least", help="Clients without which there is no round; default: --clients.")
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on; the default is this machine only.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = DEFAULT_PORT,
    seed: Annotated[int, typer.Option(help="Decides first weights and every order of samples.")] = 0,
    batch: Annotated[int | None, typer.Option(help="Samples of a step.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Smaller where the loss is not finite.")] = None,
    architecture: Annotated[str | None, typer.Option(help="Autoencoder: hasan, chong_tay or istl (default).")] = None,
    width: Annotated[float | None, typer.Option(help="Autoencoder: factor on the numbers of channels.")] = None,
    size: Annotated[int | None, typer.Option(help="Autoencoder: height and width in pixels.")] = None,
    rate: Annotated[float | None, typer.Option(help="Autoencoder: pictures in a second; default: 10.")] = None,
    cuboids: Annotated[int | None, typer.Option(help="Autoencoder: most cuboids of an epoch.")] = None,
    strides: Annotated[str | None, typer.Option(help="Autoencoder: strides in time, as 1,2.")] = None,
    encoder: Annotated[
        list[str] | None, typer.Option(help="Classifier, projection: whose vectors; repeatable for a classifier.")
    ] = None,
    classes: Annotated[
        str | None, typer.Option(help="Classifier, projection: classes, separated by commas, as fight,fall.")
    ] = None,
    frame_rate: Annotated[
        float | None, typer.Option(help="Classifier: pictures in a second for frame encoders.")
    ] = None,
    window: Annotated[
        float | None, typer.Option(help="Classifier: seconds of a window, where every encoder is a frame encoder.")
    ] = None,
    published: PublishedOption = False,
    hidden: HiddenOption = None,
    dropout: DropoutOption = None,
    weight_decay: WeightDecayOption = None,
    class_weights: ClassWeightsOption = None,
    members: MembersOption = None,
    loss: Annotated[
        str | None,
        typer.Option(help="Projection: default supervised_contrastive with --classes, else self_supervised."),
    ] = None,
    dimension: Annotated[int | None, typer.Option(help="Projection: values of a projected vector.")] = None,
    views: Annotated[int | None, typer.Option(help="Projection: augmented views of each sample.")] = None,
    temperature: Annotated[float | None, typer.Option(help="Projection: of the contrastive losses.")] = None,
    margin: Annotated[float | None, typer.Option(help="Projection: of the triplet loss.")] = None,
    restart: Annotated[
        bool, typer.Option("--restart", help="Forget the rounds of an earlier plan, if only of another seed.")
    ] = False,
    site: SiteOption = Path("."),
    as_json: JsonOption = False,
) -> None:
    """Lead the admitted sites through the rounds of a training; broken off, the same call goes on where it was.

    After the last round each site is handed the tensors of the best one. The same call again, when all rounds are done, hands
    them to sites that were away.

    The connection is encrypted and every client shows its key; there is no switch to turn that off.
    """
    from flows.federation import serve as serve_federation
    from workspace.federation.server_app import Wanted
    from workspace.opened import Workspace

    said: dict[str, Any] = {
        "batch": batch,
        "learning_rate": learning_rate,
        "architecture": architecture,
        "width": width,
        "size": size,
        "rate": rate,
        "cuboids": cuboids,
        "strides": strides,
        "encoder": encoder or None,
        "classes": classes,
        "frame_rate": frame_rate,
        "window": window,
        "published": published or None,
        "hidden": hidden,
        "dropout": dropout,
        "weight_decay": weight_decay,
        "class_weights": class_weights,
        "members": members,
        "loss": loss,
        "dimension": dimension,
        "views": views,
        "temperature": temperature,
        "margin": margin,
    }
    workspace = Workspace(site)
    plan = plan_of(workspace, kind, name, said, rounds=rounds, local_epochs=local_epochs, seed=seed)
    served = serve_federation(
        workspace,
        plan,
        _wanted(Wanted, clients, at_least),
        host=host,
        port=port,
        author=getpass.getuser(),
        restart=restart,
        begun=lambda begun: typer.echo(_begun_told(begun, plan.rounds, plan.bytes), err=as_json),
        on_round=lambda report: typer.echo(_round_told(report, plan.rounds), err=as_json),
    )
    if as_json:
        print_json(
            {
                "federation": served.name,
                "version": served.version,
                "card": served.card,
                "handed": dict(served.handed),
            }
        )
    else:
        typer.echo(_served_told(served))


def _wanted(make: Any, clients: int, at_least: int | None) -> Any:
    from infra.errors import ConfigurationError

    least = clients if at_least is None else at_least
    if not 1 <= least <= clients:
        raise ConfigurationError(f"--at-least {least} is from 1 to --clients, which is {clients}; correct the value")
    return make(clients, least)


def _begun_told(begun: "Begun", rounds: int, count: int) -> str:
    from afterwatch.options import size

    goes_on = f", going on with round {begun.first_round}" if begun.first_round > 1 else ""
    if begun.first_round > rounds:
        goes_on = ", all of them done: the result is handed to the sites that come"
    return (
        f"Serving at {begun.address}, TLS and keys of clients on: {rounds} rounds of {size(count)} each way{goes_on}\n"
        f"admitted: {', '.join(begun.clients)}  (Ctrl-C stops it; the same command goes on)"
    )


def _round_told(report: "RoundReport", rounds: int) -> str:
    parts = [f"round {report.number} of {rounds}: {len(report.used)} of {len(report.clients)} clients"]
    parts.append(f"{report.samples} samples")
    if report.loss is not None:
        parts.append(f"loss {report.loss:.6g}")
    if report.held_out_loss is not None:
        parts.append(f"held out {report.held_out_loss:.6g}")
    parts.append(f"{report.seconds:.1f} s")
    left_out = "; ".join(f"{client.client}: {client.refused}" for client in report.refused)
    return ", ".join(parts) + (f"; left out: {left_out}" if left_out else "")


def _served_told(served: "Served") -> str:
    card = served.card
    has = sorted(name for name, why in served.handed.items() if not why)
    has_not = "; ".join(f"{name}: {why}" for name, why in sorted(served.handed.items()) if why)
    return (
        f"{len(card['rounds'])} rounds done, best {card['best_round']}; kept as federation {served.name} {served.version}\n"
        f'a model of it as a candidate ("afterwatch models list" there) has: {", ".join(has) or "no site"}'
        + (f"; not: {has_not}" if has_not else "")
        + "\nThe same command again hands it to sites that were away."
    )
