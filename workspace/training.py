"""From labels to a retrieval head: which vectors a label speaks of, the training set, the fit, the registry."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infra.errors import ConfigurationError
from lake.keys import short_hash
from lake.labels import Label, Span, UseCase
from lake.matrix import Block
from lake.promotions import history, promote
from models.events import EventRule, speaks_until
from models.heads.retrieval import Fitted, RetrievalSettings, fit_retrieval
from models.labelling import propagate, temporal_slices
from workspace.opened import Workspace

KIND = "retrieval"
BLOCK_US = 60_000_000
"""Length of the temporal blocks over which heads are cross-validated: neighbours in time stay on one side."""
GAP_S = 2.0
"""Time without samples that ends a slice."""
RULE = EventRule(threshold=0.0, minimum_s=1.0, merge_gap_s=3.0, smooth_s=3.0)
"""How margins become moments, unless a head's card says otherwise."""

Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Samples:
    """The vectors that heads of a use case see: one campaign's block, in slices of near-duplicates.

    Attributes:
        block: the vectors, in order of time.
        until_us: int64 (N,), until when each row speaks for the camera, microseconds since 1970.
        slices: int64 (N,), number of each row's temporal slice, rising with time.
    """

    block: Block
    until_us: Rows
    slices: Rows

    @classmethod
    def of(cls, block: Block, reach_s: float) -> "Samples":
        """Samples of a block whose pictures speak for at most `reach_s` seconds each."""
        until_us = speaks_until(block.from_us, block.to_us, round(reach_s * 1e6))
        step_s = _step_s(block)
        return cls(block, until_us, temporal_slices(block.vectors, block.from_us, until_us, gap_s=max(GAP_S, step_s)))

    @property
    def slice_count(self) -> int:
        return int(self.slices[-1]) + 1 if len(self.slices) else 0

    @cached_property
    def rule(self) -> EventRule:
        """How margins become moments: `RULE`, across at least the distance of samples."""
        return replace(RULE, merge_gap_s=max(RULE.merge_gap_s, _step_s(self.block)))

    @cached_property
    def _recordings(self) -> dict[str, tuple[Rows, Rows, Rows, Rows]]:
        """By recording: its rows; begin and end of their spans in it; until when they speak."""
        ids = np.asarray(self.block.rows["recording_id"].to_pylist(), dtype=object)
        begins, ends = (np.asarray(self.block.rows[name].to_numpy(), dtype=np.int64) for name in ("from_us", "to_us"))
        untils = begins + self.until_us - self.block.from_us
        names, codes = np.unique(ids, return_inverse=True) if len(ids) else (ids, np.empty(0, dtype=np.int64))
        mine = {str(name): np.flatnonzero(codes == code) for code, name in enumerate(names)}
        return {name: (rows, begins[rows], ends[rows], untils[rows]) for name, rows in mine.items()}

    def rows_within(self, span: Span) -> Rows:
        """int64 (M,): the rows that a span speaks of.

        That is the row whose span it is; else those whose middle lies in it; else, where it is shorter than the
        distance of samples, the one that speaks for its middle.
        """
        if span.recording_id not in self._recordings:
            return np.empty(0, dtype=np.int64)
        rows, begins, ends, untils = self._recordings[span.recording_id]
        same: Rows = rows[(begins == span.from_us) & (ends == span.to_us)]
        if len(same):
            return same
        middles = (begins + ends) // 2
        within: Rows = rows[(middles >= span.from_us) & (middles < span.to_us)]
        if len(within):
            return within
        middle = (span.from_us + span.to_us) // 2
        speaking: Rows = rows[(begins <= middle) & (untils > middle)]
        return speaking[-1:]

    def span(self, row: int) -> Span:
        """What a row speaks for, in its recording."""
        told = self.block.rows.slice(row, 1).to_pylist()[0]
        return Span(told["recording_id"], told["from_us"], told["to_us"])


@dataclass(frozen=True, eq=False)
class Marks:
    """What labels say of a campaign's rows: one answer for each temporal slice.

    Attributes:
        rows: int64 (L,), the row that stands for each label, rising.
        relevant: bool (L,), the answers.
        counted: the labels that reached a row, whether or not another of the same slice stands for them.
        lost: labels whose span no vector of the block covers.
    """

    rows: Rows
    relevant: NDArray[np.bool_]
    counted: int
    lost: tuple[Label, ...]


@dataclass(frozen=True, eq=False)
class Trained:
    """A head fitted on the labels of one or several campaigns.

    Attributes:
        fitted: head, calibration, and the cross-validated margins of the training rows.
        marks: the training rows, by campaign.
        campaigns: in the order in which their rows stand in `fitted.margins`.
    """

    fitted: Fitted
    settings: RetrievalSettings
    marks: dict[str, Marks]
    campaigns: tuple[str, ...]

    def margins(self, campaign: str) -> NDArray[np.float64]:
        """Cross-validated margins of a campaign's marks, float64 (L,); nan where there is none."""
        start = 0
        for name in self.campaigns:
            count = len(self.marks[name].rows)
            if name == campaign:
                return self.fitted.margins[start : start + count]
            start += count
        return np.empty(0)


def _step_s(block: Block) -> float:
    """Usual distance of samples in seconds."""
    return float(np.median(np.diff(block.from_us))) / 1e6 if len(block) > 1 else 0.0


def mark(samples: Samples, labels: Iterable[Label]) -> Marks:
    """Find the rows that labels speak of; of the answers within a slice, the newest counts."""
    chosen: dict[int, tuple[int, bool]] = {}
    counted, lost = 0, []
    for label in sorted(labels, key=lambda label: (label.said_at, label.key)):
        hit = samples.rows_within(label.span)
        if not len(hit):
            lost.append(label)
            continue
        counted += 1
        for number in np.unique(samples.slices[hit]):
            of_slice = hit[samples.slices[hit] == number]
            chosen[int(number)] = int(of_slice[len(of_slice) // 2]), label.relevant
    order = sorted(chosen.values())
    return Marks(
        np.array([row for row, _ in order], dtype=np.int64),
        np.array([answer for _, answer in order], dtype=np.bool_),
        counted,
        tuple(lost),
    )


def train(
    campaigns: Sequence[tuple[Samples, Marks]], settings: RetrievalSettings, *, apart: Collection[str] = ()
) -> Trained:
    """Fit a head on all campaigns' marks.

    Args:
        campaigns: samples and what is said of them.
        settings: of the head.
        apart: contents of the recordings that labels are not spread over, so that it can be measured on them.

    Raises:
        ConfigurationError: nothing is labelled relevant, or the campaigns are of different spaces.
    """
    marked = [(samples, marks) for samples, marks in campaigns if len(marks.rows)]
    if len({samples.block.space for samples, _ in marked}) > 1:
        spaces = sorted({samples.block.space for samples, _ in marked})
        raise ConfigurationError(f"vectors of different spaces cannot train one head: {spaces}; choose one encoder")
    if not marked:
        raise ConfigurationError("nothing is labelled yet; mark one relevant moment to begin with")
    vectors = np.concatenate([np.asarray(samples.block.vectors[marks.rows]) for samples, marks in marked])
    relevant = np.concatenate([marks.relevant for _, marks in marked])
    blocks = np.concatenate(
        [
            samples.block.from_us[marks.rows] // BLOCK_US + number * 2**40
            for number, (samples, marks) in enumerate(marked)
        ]
    )
    weights = np.ones(len(vectors))
    own = len(vectors)
    if settings.propagate and 0 < relevant.sum() < len(relevant):
        vectors, relevant, blocks, weights = _with_neighbours(
            marked, vectors, relevant, blocks, weights, frozenset(apart)
        )
    fitted = fit_retrieval(settings, vectors, relevant, blocks, weights)
    fitted = Fitted(fitted.head, fitted.calibration, fitted.margins[:own], fitted.remark)
    names = tuple(samples.block.campaign for samples, _ in marked)
    return Trained(fitted, settings, {name: marks for name, (_, marks) in zip(names, marked, strict=True)}, names)


def save_head(
    workspace: Workspace,
    use_case: UseCase,
    encoder: str,
    space: str,
    trained: Trained,
    author: str,
    metrics: dict[str, Any],
    reference: NDArray[np.uint8] | None,
    rule: EventRule,
    *,
    candidate: bool = False,
    about: Mapping[str, Any] | None = None,
) -> str:
    """Keep a head in the registry, and put it into service where none of its name ever was: the next night applies it to new
    recordings. Where one was, it is a candidate, and what it would change is to be read before it takes the other's place.

    Args:
        workspace: where it is kept.
        use_case: what it looks for.
        encoder, space: by whose vectors.
        trained: the head.
        author: who wants it.
        metrics: how good it is.
        reference: what the camera showed about then, to tell when it is moved; None: the night takes the camera's own stills.
        rule: how margins become moments.
        candidate: whether it is one also where none of its name was in service.
        about: more entries of its card.

    Returns:
        Its version.
    """
    fitted = trained.fitted
    regions = {region.name: region for region in workspace.regions(use_case.camera)}
    if use_case.region not in regions:
        raise ConfigurationError(
            f"camera {use_case.camera} has no region {use_case.region} any more; draw it again before saving a head"
        )
    arrays = {f"head.{name}": value for name, value in fitted.head.to_arrays().items()}
    if fitted.calibration is not None:
        arrays |= {f"calibration.{name}": value for name, value in fitted.calibration.to_arrays().items()}
    if reference is not None:
        arrays["reference"] = reference
    answers = np.concatenate([marks.relevant for marks in trained.marks.values()])
    card: dict[str, Any] = {
        "kind": fitted.head.kind,
        "use_case": asdict(use_case),
        "space": space,
        "encoder": encoder,
        "geometry": regions[use_case.region].geometry,
        "settings": asdict(trained.settings),
        "rule": asdict(rule),
        "labels": {
            "relevant": int(answers.sum()),
            "irrelevant": int((~answers).sum()),
            "said": sum(marks.counted for marks in trained.marks.values()),
            "campaigns": list(trained.campaigns),
        },
        "metrics": metrics,
        "remark": fitted.remark,
        "known_until": datetime.now(UTC).isoformat(timespec="microseconds"),
        **(about or {}),
    }
    digest = {name: [str(value.dtype), list(value.shape), value.tobytes().hex()] for name, value in arrays.items()}
    told = {key: card[key] for key in ("kind", "use_case", "space", "geometry", "settings", "rule")}
    version = short_hash([told, digest])
    name = use_case.head_name
    workspace.registry.save(KIND, name, version, card, arrays, author=author)
    if not candidate and not history(workspace.ledger, KIND, name):
        promote(workspace.ledger, KIND, name, version, author, use_case.camera)
    return version


def cross_validated(trained: Trained) -> dict[str, Any]:
    """What cross-validation over temporal blocks says of a head, on its own labels; empty where it says nothing."""
    answers = np.concatenate([trained.marks[name].relevant for name in trained.campaigns])
    margins = trained.fitted.margins
    known = np.isfinite(margins)
    if not known.any():
        return {}
    right = (margins[known] > 0) == answers[known]
    return {
        "cross_validated": int(known.sum()),
        "accuracy": round(float(right.mean()), 4),
        "recall": _share(right[answers[known]]),
        "specificity": _share(right[~answers[known]]),
    }


def _share(right: NDArray[np.bool_]) -> float | None:
    return round(float(right.mean()), 4) if len(right) else None


def _with_neighbours(
    marked: Sequence[tuple[Samples, Marks]],
    vectors: NDArray[np.float32],
    relevant: NDArray[np.bool_],
    blocks: Rows,
    weights: NDArray[np.float64],
    apart: frozenset[str],
) -> tuple[NDArray[np.float32], NDArray[np.bool_], Rows, NDArray[np.float64]]:
    """Add what labels say of their neighbourhood, campaign by campaign; what is said by a person stands first."""
    parts = [(vectors, relevant, blocks, weights)]
    for number, (samples, marks) in enumerate(marked):
        if not 0 < marks.relevant.sum() < len(marks.relevant):
            continue
        rows, answers, confidence = _propagated(samples, marks, apart)
        more = samples.block.from_us[rows] // BLOCK_US + number * 2**40
        parts.append((np.asarray(samples.block.vectors[rows]), answers, more, confidence))
    joined = [np.concatenate([part[place] for part in parts]) for place in range(4)]
    return joined[0], joined[1], joined[2], joined[3]


def _propagated(
    samples: Samples, marks: Marks, apart: frozenset[str]
) -> tuple[Rows, NDArray[np.bool_], NDArray[np.float64]]:
    """As `propagate`, but for the slices that recordings kept apart have a part in: those do not take part at all."""
    if not apart:
        return propagate(samples.block.vectors, marks.relevant, marks.rows, samples.slices)
    owners = samples.block.rows["recording_id"].to_pylist()
    held = np.unique(samples.slices[np.array([owner in apart for owner in owners], np.bool_)])
    taking_part = ~np.isin(samples.slices, held)
    taking_part[marks.rows] = True
    kept = np.flatnonzero(taking_part)
    rows, answers, confidence = propagate(
        np.asarray(samples.block.vectors[kept]),
        marks.relevant,
        np.searchsorted(kept, marks.rows),
        samples.slices[kept],
    )
    return kept[rows], answers, confidence
