"""The verb `fit`: heads trained from what people have said."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from afterwatch import fit_autoencoder, fit_classifier, fit_projection, fit_segments
from afterwatch.options import CampaignOption, JsonOption, SiteOption, print_json

if TYPE_CHECKING:
    from workspace.opened import Workspace

fit_app = typer.Typer(
    help="Train heads and networks: retrieval, classifier, segments, autoencoder, projection.", no_args_is_help=True
)
EXAMPLE = 'Example: afterwatch fit retrieval hall-east "hatch open" --region hatch --site site'


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    fit_autoencoder.register(fit_app)
    fit_classifier.register(fit_app)
    fit_projection.register(fit_app)
    fit_segments.register(fit_app)
    app.add_typer(fit_app, name="fit")


@fit_app.command("retrieval", epilog=EXAMPLE)
def fit_retrieval(
    camera: Annotated[str, typer.Argument(help="Camera whose labels train the head, and whose footage it serves.")],
    use_case: Annotated[str, typer.Argument(help="What is looked for, as it was labelled.")],
    region: Annotated[str, typer.Option(help="Region of the camera.")] = "frame",
    campaign: CampaignOption = None,
    encoder: Annotated[str | None, typer.Option(help="Whose vectors; default: the review page's.")] = None,
    propagate: Annotated[bool, typer.Option("--propagate", help="Spread labels to their neighbourhood first.")] = False,
    save: Annotated[
        bool, typer.Option("--save", help="Keep the head; the first of a use case is put into service.")
    ] = False,
    author: Annotated[str | None, typer.Option(help="Who says so; default: you.")] = None,
    site: SiteOption = Path("."),
    as_json: JsonOption = False,
) -> None:
    """Train a retrieval head on every label of a use case, and say what it finds in a campaign."""
    import getpass

    from lake.labels import UseCase
    from lake.promotions import in_service
    from models.heads.retrieval import RetrievalSettings
    from workspace.heads import metrics_of, save_review
    from workspace.opened import Workspace
    from workspace.review_files import moment_rows
    from workspace.session import open_review
    from workspace.training import KIND

    workspace = Workspace(site)
    _check_known(workspace, camera, region, use_case)
    review = open_review(workspace, UseCase(camera, region, use_case), campaign, encoder)
    ranking = review.ranking(RetrievalSettings(propagate=propagate))
    version = save_review(review, ranking, author or getpass.getuser()) if save else None
    serving = in_service(workspace.ledger, KIND, camera).get(review.use_case.head_name)
    labels = review.labels()
    relevant = sum(one.relevant for one in labels)
    told = {
        "use_case": use_case,
        "camera": camera,
        "region": region,
        "campaign": review.campaign,
        "encoder": review.encoder.table.name,
        "labels": {"relevant": relevant, "irrelevant": len(labels) - relevant},
        "cross_validated": metrics_of(ranking),
        "remark": ranking.trained.fitted.remark if ranking.trained else "nothing is labelled relevant",
        "moments": [
            {"started_at": row.started_at.isoformat(), "ended_at": row.ended_at.isoformat(), "score": row.peak_score}
            for row in moment_rows(review, ranking)
        ],
        "version": version,
        "in_service": version is not None and serving == version,
    }
    if as_json:
        print_json(told)
        return
    typer.echo(
        f"{use_case} · {camera} · {region}: {relevant} labels relevant, {len(labels) - relevant} not; "
        f"{len(ranking.events)} moments in {review.campaign}"
    )
    if told["remark"]:
        typer.echo(str(told["remark"]))
    if version is None:
        typer.echo("not saved; --save keeps it")
    elif serving == version:
        typer.echo(f"version {version} is in service")
    else:
        typer.echo(
            f"version {version} is a candidate, and {serving or 'no version'} is in service; to put it there:\n"
            f'afterwatch models promote "{review.use_case.head_name}" {version} --kind {KIND}'
        )


def _check_known(workspace: "Workspace", camera: str, region: str, use_case: str) -> None:
    """Somebody has labelled such a use case; a person who mistypes is told what would be right.

    Raises:
        UnknownNameError: nobody has.
    """
    from infra.errors import UnknownNameError
    from lake.labels import labels_now

    cases = [label.use_case for label in labels_now(workspace.ledger)]
    checks = [
        ("camera with labels", camera, [case.camera for case in cases]),
        ("region with labels", region, [case.region for case in cases if case.camera == camera]),
        (
            "use case with labels",
            use_case,
            [case.name for case in cases if (case.camera, case.region) == (camera, region)],
        ),
    ]
    for what, name, known in checks:
        if name not in known:
            raise UnknownNameError(what, name, sorted(set(known)))
