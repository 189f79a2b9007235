"""What reviewers looked at, and which moments were drawn at random to learn what may have been missed."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from infra.errors import ConfigurationError
from lake.current import statements_now
from lake.labels import Span, UseCase
from lake.ledger import Ledger, Statement

TABLE = "reviews"
_NO_DAY = date(1970, 1, 1)


@dataclass(frozen=True)
class View:
    """Somebody looked at a span for `seconds`, for a use case."""

    use_case: UseCase
    campaign: str
    day: date
    span: Span
    seconds: float
    author: str
    said_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __post_init__(self) -> None:
        if not self.author:
            raise ConfigurationError("a look has an author; name one")


@dataclass(frozen=True)
class AuditDraw:
    """Spans drawn at random from what a head did not flag; the answers are the labels given on them.

    Attributes:
        use_case, campaign: what is audited.
        spans: one span per temporal slice that was drawn, without replacement.
        unflagged: slices they were drawn from.
        seed: of the draw.
        author: who asked for it.
        said_at: when.
    """

    use_case: UseCase
    campaign: str
    spans: tuple[Span, ...]
    unflagged: int
    seed: int
    author: str
    said_at: datetime = field(default_factory=lambda: datetime.now(UTC))


def say_views(ledger: Ledger, views: Sequence[View]) -> None:
    """Append views, all at once."""
    ledger.say(TABLE, [_view_statement(view) for view in views])


def views_of(ledger: Ledger, use_case: UseCase, campaign: str) -> list[View]:
    """Every look at a campaign for a use case, in order of time."""
    rows = _rows(ledger, "view", use_case, campaign)
    views = [
        View(
            use_case,
            campaign,
            row["day"],
            Span(**row["value"]["span"]),
            row["value"]["seconds"],
            row["author"],
            row["said_at"],
        )
        for row in rows
    ]
    return sorted(views, key=lambda view: view.said_at)


def say_audit(ledger: Ledger, draw: AuditDraw) -> None:
    """Append a draw; the newest of a use case and campaign counts."""
    value = {
        **_about(draw.use_case),
        "spans": [asdict(span) for span in draw.spans],
        "unflagged": draw.unflagged,
        "seed": draw.seed,
    }
    key = f"audit/{draw.use_case.name}/{draw.use_case.region}"
    ledger.say(TABLE, [_statement(key, draw.author, value, draw.campaign, draw.use_case.camera, _NO_DAY, draw.said_at)])


def newest_audit(ledger: Ledger, use_case: UseCase, campaign: str) -> AuditDraw | None:
    """The draw that counts; None where none was made."""
    for row in _rows(ledger, "audit", use_case, campaign):
        value = row["value"]
        spans = tuple(Span(**span) for span in value["spans"])
        return AuditDraw(use_case, campaign, spans, value["unflagged"], value["seed"], row["author"], row["said_at"])
    return None


def _rows(ledger: Ledger, kind: str, use_case: UseCase, campaign: str) -> list[dict[str, Any]]:
    return [
        row
        for row in statements_now(ledger, TABLE)
        if row["key"].startswith(f"{kind}/")
        and (row["campaign"], row["camera"]) == (campaign, use_case.camera)
        and (row["value"]["use_case"], row["value"]["region"]) == (use_case.name, use_case.region)
    ]


def _view_statement(view: View) -> Statement:
    value = {**_about(view.use_case), "span": asdict(view.span), "seconds": view.seconds}
    case = view.use_case
    # Every look counts by itself, so its moment is part of what it is about.
    moment = view.said_at.astimezone(UTC).isoformat()
    key = f"view/{case.name}/{case.region}/{view.span.recording_id}/{view.span.from_us}/{view.author}/{moment}"
    return _statement(key, view.author, value, view.campaign, case.camera, view.day, view.said_at)


def _about(use_case: UseCase) -> dict[str, Any]:
    return {"use_case": use_case.name, "region": use_case.region}


def _statement(
    key: str, author: str, value: Any, campaign: str, camera: str, day: date, said_at: datetime
) -> Statement:
    return Statement(key=key, author=author, value=value, campaign=campaign, camera=camera, day=day, said_at=said_at)
