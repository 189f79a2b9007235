"""Search in an opened site: by words, by a picture, by an event, by an example. Found are moments, not frames."""

from dataclasses import dataclass
from datetime import UTC, date, datetime

import pyarrow.compute as pc

from infra.errors import ConfigurationError, UnknownNameError
from lake.matrix import Block, Matrices, Progress
from models.search import Group, Searched, Similarity, group, rank
from workspace.opened import Workspace
from workspace.queries import EPOCH, MICROSECOND, Filters, Query, microseconds
from workspace.query_vectors import QueryEncoder
from workspace.regions import drawn_anew

MOMENTS = 20
GAP_S = 5.0
"""Time between two hits of a camera and region up to which they are one moment."""


@dataclass(frozen=True)
class Moment:
    """A stretch of a camera and region in which a search has hits that follow one another.

    Attributes:
        campaign, camera, day, region: where; the day is that of the best hit's recording.
        recording_id: recording of the best hit.
        from_us, to_us: the moment's part in that recording, microseconds since its first picture, half open.
        started_at, ended_at: true time of the whole moment, which may reach into the recordings beside.
        peak_us, peak_at: begin of the best hit, in the recording and in true time.
        score: of the best hit: cosine, or minus the Euclidean distance.
        hits: vectors found in it.
    """

    campaign: str
    camera: str
    day: date
    region: str
    recording_id: str
    from_us: int
    to_us: int
    started_at: datetime
    ended_at: datetime
    peak_us: int
    peak_at: datetime
    score: float
    hits: int


@dataclass(frozen=True)
class Found:
    """What a search gives.

    Attributes:
        encoder: by whose vectors was searched; empty where the site has it no more.
        space: of these vectors.
        searched: vectors that were compared.
        moments: the best first.
    """

    encoder: str
    space: str
    searched: int
    moments: tuple[Moment, ...]


def open_matrices(workspace: Workspace) -> Matrices:
    """The site's vectors as matrices, kept in its state folder; of each region, those of its present outline."""
    return Matrices(
        workspace.store,
        workspace.ledger,
        workspace.site.state_folder / "matrices",
        lambda: drawn_anew(workspace.ledger),
    )


class Searcher:
    """Searches a site; encoders are loaded when they are first needed, and kept.

    Args:
        workspace: the site.
        matrices: its vectors, where they are opened already.
    """

    def __init__(self, workspace: Workspace, matrices: Matrices | None = None) -> None:
        self._workspace = workspace
        self._matrices = open_matrices(workspace) if matrices is None else matrices
        self.queries = QueryEncoder(workspace, self._matrices)

    def search(
        self,
        query: Query,
        filters: Filters | None = None,
        *,
        limit: int = MOMENTS,
        encoder: str | None = None,
        similarity: Similarity = "cosine",
        gap_s: float = GAP_S,
        progress: Progress | None = None,
    ) -> Found:
        """Find the moments most like a query.

        Args:
            query: what is looked for.
            filters: where; None: everywhere.
            limit: moments at most.
            encoder: name of one of the site's encoders. By default the first that can take the query and has vectors:
                those that understand words before other networks, these before handcrafted ones, frames before
                snippets.
            similarity: `cosine`, or `euclidean`.
            gap_s: hits of a camera and region no further apart are one moment.
            progress: called while vectors are put in order, which happens once after a night.

        Raises:
            ConfigurationError: the query, a filter or the encoder is unknown, or none of the site's can take it.
            WeightsError: the encoder's weights cannot be had.
            LakeError: there are no vectors in the query's space; the message names the spaces that there are.
        """
        filters = Filters() if filters is None else filters
        vector = self.queries.vector(query, encoder, progress)
        self._check_names(vector.space, filters)
        blocks = self._matrices.blocks(vector.space, filters.campaign, filters.camera, filters.region, progress)
        ranking = rank([_within(block, filters) for block in blocks], vector.vector, similarity)
        groups = group(ranking, [(block.from_us, block.to_us) for block in blocks], limit, round(gap_s * 1e6))
        names = [planned.table.name for planned in self._workspace.encoders if planned.spec.space == vector.space]
        moments = tuple(_moment(blocks[found.part], found) for found in groups)
        return Found(names[0] if names else "", vector.space, len(ranking), moments)

    def _check_names(self, space: str, filters: Filters) -> None:
        places = self._matrices.names(space)
        wanted = (filters.campaign, filters.camera, filters.region)
        for number, what in enumerate(("campaign", "camera", "region")):
            known, name = {place[number] for place in places}, wanted[number]
            if name is not None and name not in known:
                raise UnknownNameError(f"{what} with vectors in {space}", name, known)
        if not any(all(want in (None, have) for want, have in zip(wanted, place, strict=True)) for place in places):
            raise ConfigurationError(
                f"each of these is known, but nothing of all of them is embedded in {space}; widen the search"
            )


def _within(block: Block, filters: Filters) -> Searched:
    """The rows of a block that begin within the filter's time: a range, since they are in order of time."""
    start = 0 if filters.start is None else int(block.from_us.searchsorted(microseconds(filters.start)))
    stop = len(block) if filters.end is None else int(block.from_us.searchsorted(microseconds(filters.end)))
    return Searched(block.vectors, block.norms, start, stop)


def _moment(block: Block, found: Group) -> Moment:
    peak = block.rows.slice(found.row, 1).to_pylist()[0]
    rows = block.rows.slice(found.first, found.last - found.first + 1)
    mine = rows.filter(pc.equal(rows["recording_id"], peak["recording_id"]))
    return Moment(
        block.campaign,
        block.camera,
        peak["day"],
        block.region,
        peak["recording_id"],
        pc.min(mine["from_us"]).as_py(),
        pc.max(mine["to_us"]).as_py(),
        EPOCH + found.from_us * MICROSECOND,
        EPOCH + found.to_us * MICROSECOND,
        peak["from_us"],
        peak["taken_at"].astimezone(UTC),
        found.score,
        found.hits,
    )
