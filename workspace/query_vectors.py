"""From what a person looks for to a vector of the right space."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from footage.images import cut
from infra.errors import ConfigurationError, LakeError, UnknownNameError
from lake.catalogue import connect, select
from lake.matrix import Block, Matrices, Progress
from models.encoders.base import Encoder, TextEncoder
from models.encoders.build import build
from workspace.opened import PlannedEncoder, Workspace
from workspace.queries import EventQuery, ExampleQuery, ImageQuery, Query, TextQuery, VectorQuery, microseconds

TEXT_FAMILIES = ("open_clip",)
"""Families of encoders with a text tower."""
SUGGESTED = "open_clip/ViT-B-32/laion2b_s34b_b79k"

Vector = NDArray[np.float32]
Indices = NDArray[np.int64]
Place = tuple[str, str, str]


class QueryEncoder:
    """Turns queries into vectors; encoders are loaded when they are first needed, and kept.

    Args:
        workspace: the site.
        matrices: its vectors.
    """

    def __init__(self, workspace: Workspace, matrices: Matrices) -> None:
        self._workspace, self._matrices = workspace, matrices
        self._loaded: dict[str, Encoder] = {}

    def vector(self, query: Query, encoder: str | None = None, progress: Progress | None = None) -> VectorQuery:
        """The vector that stands for a query; arguments and errors are those of `Searcher.search`."""
        if isinstance(query, VectorQuery):
            return self._given(query, encoder)
        known = sorted(self._workspace.encoders, key=_preference)
        asked = known if encoder is None else [self._workspace.encoder(encoder)]
        match query:
            case TextQuery():
                planned = self._with_vectors(_readers(asked, known))
                vector = self._words(planned, query.text)
            case ImageQuery():
                planned = self._with_vectors(_viewers(asked, known))
                pixels = cut(query.picture, planned.spec.input_size, query.region)
                vector = self._load(planned).encode(pixels[None])[0]
            case EventQuery():
                planned, vector = self._event(query, asked, progress)
            case ExampleQuery():
                planned, vector = self._example(query, asked, progress)
        return VectorQuery(planned.spec.space, vector)

    def _given(self, query: VectorQuery, encoder: str | None) -> VectorQuery:
        spaces = self._matrices.spaces() if encoder is None else [self._workspace.encoder(encoder).spec.space]
        if query.space not in spaces:
            raise _strange("the query's vector", [query.space], spaces)
        return query

    def _with_vectors(self, able: Sequence[PlannedEncoder]) -> PlannedEncoder:
        """The first of the encoders in whose space there are vectors."""
        spaces = self._matrices.spaces()
        for planned in able:
            if planned.spec.space in spaces:
                return planned
        raise _strange("the query", [planned.spec.space for planned in able], spaces)

    def _load(self, planned: PlannedEncoder) -> Encoder:
        space, compute = planned.spec.space, self._workspace.settings.compute
        if space not in self._loaded:
            self._loaded[space] = build(
                planned.spec,
                planned.weights,
                device=compute.device,
                precision=compute.precision,
                batch_size=compute.batch_size,
            )
        return self._loaded[space]

    def _words(self, planned: PlannedEncoder, text: str) -> Vector:
        encoder = self._load(planned)
        if not isinstance(encoder, TextEncoder):
            raise ConfigurationError(f"{planned.spec.name} does not understand words; choose another encoder")
        vector: Vector = encoder.encode_text([text])[0]
        return vector

    def _event(
        self, query: EventQuery, asked: Sequence[PlannedEncoder], progress: Progress | None
    ) -> tuple[PlannedEncoder, Vector]:
        sql = "SELECT campaign, camera, region, started_at, ended_at FROM events WHERE event_id = ?"
        rows = select(connect(self._workspace.store), sql, [query.event_id]).to_pylist()
        if not rows:
            raise ConfigurationError(
                f'there is no event "{query.event_id}"; list them with: '
                'afterwatch query "SELECT event_id, camera, started_at FROM events ORDER BY started_at"'
            )
        event = rows[0]
        place = (event["campaign"], event["camera"], event["region"])
        span = microseconds(event["started_at"]), microseconds(event["ended_at"])
        found = self._about([place], span, asked, progress)
        if found is None:
            raise self._unseen(f"the event {query.event_id} ({' · '.join(place)})", [place], asked)
        planned, block, rows_about = found
        # The rows are of unit length: each moment of the event counts the same.
        return planned, block.vectors[rows_about].mean(axis=0, dtype=np.float64).astype(np.float32)

    def _example(
        self, query: ExampleQuery, asked: Sequence[PlannedEncoder], progress: Progress | None
    ) -> tuple[PlannedEncoder, Vector]:
        places = self._places(query)
        moment = microseconds(query.at) if query.at is not None else query.at_us or 0
        found = self._about(places, (moment, moment + 1), asked, progress, query.recording_id)
        if found is None:
            raise self._unseen(f"the example ({query})", places, asked)
        planned, block, rows = found
        return planned, np.array(block.vectors[rows[0]])

    def _places(self, query: ExampleQuery) -> list[Place]:
        """Where the example may be, in whatever space."""
        places = {place for space in self._matrices.spaces() for place in self._matrices.names(space)}
        for number, what, name in (
            (1, "camera", query.camera),
            (2, f"region of camera {query.camera}", query.region),
            (0, f"campaign of camera {query.camera}", query.campaign),
        ):
            known = {place[number] for place in places}
            if name is not None and name not in known:
                raise UnknownNameError(f"{what} with vectors", name, known)
            places = {place for place in places if name in (None, place[number])}
        return sorted(places)

    def _about(
        self,
        places: Sequence[Place],
        span: tuple[int, int],
        asked: Sequence[PlannedEncoder],
        progress: Progress | None,
        recording_id: str | None = None,
    ) -> tuple[PlannedEncoder, Block, Indices] | None:
        """The first encoder with vectors of a span of one of the places: its block, and the rows, nearest first."""
        reach_us = round(self._workspace.settings.reach_s * 1e6)
        for planned in asked:
            known = set(self._matrices.names(planned.spec.space))
            for place in places:
                if place in known:
                    block = self._matrices.block(planned.spec.space, *place, progress)
                    rows = rows_about(block, span, reach_us, recording_id)
                    if len(rows):
                        return planned, block, rows
        return None

    def _unseen(self, what: str, places: Sequence[Place], asked: Sequence[PlannedEncoder]) -> LakeError:
        """Why there is no vector: only other spaces have the place, or the moment is not embedded at all."""
        spaces = [space for space in self._matrices.spaces() if set(places) & set(self._matrices.names(space))]
        mine = [planned.spec.space for planned in asked]
        if not set(mine) & set(spaces):
            return _strange(what, mine, spaces)
        reach_s = self._workspace.settings.reach_s
        return LakeError(
            f"nothing is embedded within {reach_s:g} s of {what}; what there is, is told by: afterwatch query "
            '"SELECT campaign, camera, region, min(taken_at), max(taken_at) FROM embeddings GROUP BY ALL"'
        )


def rows_about(block: Block, span: tuple[int, int], reach_us: int, recording_id: str | None = None) -> Indices:
    """Rows that overlap a span; where none does, the nearest within reach.

    Args:
        block: whose rows.
        span: half open; microseconds since 1970, or in the recording where one is named.
        reach_us: a sampled picture speaks for that much time.
        recording_id: only rows of this recording.

    Returns:
        int64 (M,), in order of how far they begin from the span's begin, then of row.
    """
    if recording_id is None:
        from_us, to_us = block.from_us, block.to_us
    else:
        from_us, to_us = (np.asarray(block.rows[name], dtype=np.int64) for name in ("from_us", "to_us"))
    # Spans are half open: 1 µs apart is the least distance of two that do not overlap.
    apart = np.maximum(np.maximum(from_us - span[1], span[0] - to_us) + 1, 0)
    if recording_id is not None:
        others = np.asarray(block.rows["recording_id"].to_pylist(), dtype=object) != recording_id
        apart[others] = np.iinfo(np.int64).max
    if not len(apart) or apart.min() > reach_us:
        return np.empty(0, dtype=np.int64)
    rows = np.flatnonzero(apart == apart.min())
    return np.asarray(rows[np.argsort(np.abs(from_us[rows] - span[0]), kind="stable")], dtype=np.int64)


def _preference(planned: PlannedEncoder) -> int:
    """Those that understand words first, then other networks that see frames, then handcrafted ones, then snippets."""
    if planned.spec.family in TEXT_FAMILIES:
        return 0
    if planned.spec.kind == "snippet":
        return 3
    return 2 if planned.spec.family == "handcrafted" else 1


def _readers(asked: Sequence[PlannedEncoder], known: Sequence[PlannedEncoder]) -> list[PlannedEncoder]:
    able = [planned for planned in asked if planned.spec.family in TEXT_FAMILIES]
    if able:
        return able
    others = [planned.table.name for planned in known if planned.spec.family in TEXT_FAMILIES]
    names = ", ".join(planned.table.name for planned in asked)
    if others:
        raise ConfigurationError(f"{names} does not understand words; choose {' or '.join(others)}")
    raise ConfigurationError(
        f"no encoder of this site understands words ({names}); add [[encoders]] and below it "
        f'name = "{SUGGESTED}" to afterwatch.toml, its weights with "afterwatch weights add {SUGGESTED} FILE" '
        '(without a file they come from the library\'s hub), then run "afterwatch run"'
    )


def _viewers(asked: Sequence[PlannedEncoder], known: Sequence[PlannedEncoder]) -> list[PlannedEncoder]:
    able = [planned for planned in asked if planned.spec.kind == "frame"]
    if able:
        return able
    others = [planned.table.name for planned in known if planned.spec.kind == "frame"]
    remedy = f"choose {' or '.join(others)}" if others else 'add one to afterwatch.toml, "handcrafted/appearance", say'
    names = ", ".join(planned.table.name for planned in asked)
    raise ConfigurationError(f"{names} sees snippets of several pictures; for a single one {remedy}")


def _strange(what: str, mine: Sequence[str], spaces: Sequence[str]) -> LakeError:
    return LakeError(
        f"{what} is in space {' or '.join(mine)}, and there are vectors of {', '.join(spaces) or 'no space'}: vectors of "
        'two spaces cannot be compared. Choose an encoder that has vectors, or embed with this one: "afterwatch run"'
    )
