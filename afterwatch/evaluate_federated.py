"""The verb `evaluate federated`: autoencoders trained by several clients together, against central and single ones."""

from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from afterwatch.evaluate_anomalies import command_of
from afterwatch.evaluate_telling import tell_report
from afterwatch.options import JsonOption, check_out, progress_bars

if TYPE_CHECKING:
    from collections.abc import Callable

    from evaluation.protocols.federated import FederatedReport, FederatedSettings


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(
        "federated",
        epilog="Example: afterwatch evaluate federated --data UCSDped2 --rounds 10 --out results --name federated-ucsd-ped2",
    )(federated)


def federated(
    context: typer.Context,
    data: Annotated[
        list[Path],
        typer.Option(
            help="Labelled footage of fixed cameras: UCSD, Avenue, cameras with labels.json, a rendered campaign; repeatable. One "
            "camera: its normal clips are dealt to the clients. Several: each is a client."
        ),
    ],
    architecture: Annotated[str, typer.Option(help="hasan, chong_tay or istl.")] = "hasan",
    width: Annotated[float, typer.Option(help="Factor on the numbers of channels; 1 is the paper's.")] = 0.125,
    size: Annotated[int, typer.Option(help="Height and width in pixels.")] = 96,
    rounds: Annotated[int, typer.Option(help="Rounds of the federation.")] = 10,
    local_epochs: Annotated[int, typer.Option(help="Epochs of each client in a round.")] = 1,
    clients: Annotated[int, typer.Option(help="Clients that one camera's clips are dealt to.")] = 2,
    seeds: Annotated[int, typer.Option(help="Trainings of each kind.")] = 3,
    batch: Annotated[int, typer.Option(help="Cuboids of a step.")] = 8,
    learning_rate: Annotated[float, typer.Option(help="Of every training.")] = 1e-3,
    strides: Annotated[str, typer.Option(help="Strides in time of the training cuboids, separated by commas.")] = "1",
    step: Annotated[int, typer.Option(help="Pictures from one training cuboid to the next.")] = 2,
    optimiser: Annotated[
        Literal["kept", "reset"], typer.Option(help="Whether a client keeps its optimiser's state between rounds.")
    ] = "kept",
    rate: Annotated[float, typer.Option(help="Most pictures of a second.")] = 10.0,
    score_step: Annotated[int, typer.Option(help="Pictures from one scored cuboid to the next.")] = 4,
    smooth: Annotated[float, typer.Option(help="Standard deviation of the smoothing window, in seconds.")] = 0.5,
    workers: Annotated[int, typer.Option(help="Worker processes on this machine; 0: one for each core.")] = 0,
    scheduler: Annotated[
        str | None, typer.Option(help="Existing Dask scheduler instead, tcp://host:8786; its workers see --cache.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for tables (.md, .csv, .json) and the figure (.png).")
    ] = None,
    name: Annotated[str, typer.Option(help="What the files in that folder are called.")] = "federated",
    cache: Annotated[Path | None, typer.Option(help="Folder that keeps the small pictures for the next call.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Federated training of autoencoders: frame AUC by round, beside central training and each client alone."""
    from infra.errors import ConfigurationError

    check_out(out, name)
    if scheduler is not None and cache is None:
        raise ConfigurationError(
            "--scheduler needs --cache: a folder that its workers see under the same path, for the pictures lie there"
        )
    settings = _settings(
        architecture,
        width,
        size,
        rounds=rounds,
        local_epochs=local_epochs,
        clients=clients,
        seeds=seeds,
        batch_size=batch,
        learning_rate=learning_rate,
        strides=_strides(strides),
        step=step,
        optimiser=optimiser,
        rate_hz=rate,
        score_step=score_step,
        smooth_s=smooth,
    )
    with progress_bars(quiet=as_json) as progress:
        report = _measured(data, settings, workers, scheduler, cache, progress)
    _tell(context, report, out, name, as_json)


def _settings(architecture: str, width: float, size: int, **others: object) -> "FederatedSettings":
    from evaluation.protocols.federated import FederatedSettings
    from models.autoencoders.settings import settings_of

    # Every value is checked by the class itself.
    return FederatedSettings(settings_of(architecture, {"width": width, "size_px": size}), **others)  # type: ignore[arg-type]


def _strides(text: str) -> tuple[int, ...]:
    from infra.errors import ConfigurationError

    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ConfigurationError(f'--strides "{text}": give whole numbers separated by commas, as 1,2') from None


def _measured(
    data: list[Path],
    settings: "FederatedSettings",
    workers: int,
    scheduler: str | None,
    cache: Path | None,
    progress: "Callable[[str, float, float], None]",
) -> "FederatedReport":
    from evaluation.datasets.anomalies_read import read_footage
    from evaluation.federated_data import read_cameras
    from evaluation.protocols.federated import run_federated
    from flows.runners import client_pool
    from infra.settings import ClusterTable

    sets = [read_footage(folder) for folder in data]
    with ExitStack() as stack:
        # Workers have working folders of their own.
        folder = Path(stack.enter_context(TemporaryDirectory())) if cache is None else cache.expanduser().resolve()
        cameras = read_cameras(sets, settings.model.size_px, settings.rate_hz, folder, progress)
        pool = stack.enter_context(client_pool(ClusterTable(address=scheduler, workers=workers), folder))
        return run_federated(cameras, settings, pool, progress)


def _tell(context: typer.Context, report: "FederatedReport", out: Path | None, name: str, as_json: bool) -> None:
    from evaluation.federated_figures import figures_of
    from evaluation.federated_tables import rounds_csv, to_csv, to_json, to_markdown

    command = command_of(context)
    tell_report(
        lambda figures: to_markdown(report, command, figures),
        to_json(report),
        tables={"": to_csv(report), "rounds": rounds_csv(report)},
        figures=lambda: figures_of(report, name),
        out=out,
        name=name,
        as_json=as_json,
    )
