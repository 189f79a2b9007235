"""Verification finds what is not as it was processed."""

import hashlib
from pathlib import Path

import pyarrow as pa
import pytest

from tasks.plan import FRAMES_SCOPE, Selection
from tasks.verify import Verification
from tasks.verify import verify as verify_days
from tests.footage.films import Film, make, packets, scrambled
from tests.tasks.conftest import Processed
from tests.tasks.nights import EAST, TUESDAY, ingest, new_site, run
from tests.tasks.planned import EVERYTHING, plan
from workspace.opened import Workspace

NAMES = ("demo/hall/2026-03-02T08-00-00.mp4", "demo/yard/2026-03-02T08-00-00.mp4")


def content_hash_of(content: bytes) -> str:
    """As a recording is named by: BLAKE2b of 16 bytes."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def verify(workspace: Workspace, selection: Selection = EVERYTHING, frames: int = 3) -> Verification:
    """Recordings and a sample of their pictures alone."""
    return verify_days(workspace, selection, frames=frames, summaries=False, threads=1, progress=lambda *_: None)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Two recordings after a night."""
    found = new_site(tmp_path / "site")
    for seed, name in enumerate(NAMES):
        path = found.site.footage_root / name
        path.parent.mkdir(parents=True)
        make(path, Film(count=75, seed=seed))
    run(found)
    return found


def test_untouched_footage_verifies(processed: Processed) -> None:
    told = verify(processed.workspace, Selection(camera=EAST, day=TUESDAY), frames=4)
    assert (told.recordings, told.differences) == (3, ())
    assert 3 < told.compared <= 12
    assert told.as_json() == {
        **dict.fromkeys(("summaries", "entries", "pictures", "vectors", "digests"), 0),
        "recordings": 3,
        "compared": told.compared,
        "differences": [],
        "remarks": [],
    }


def test_progress_ends_with_the_last_recording(workspace: Workspace) -> None:
    steps: list[tuple[str, float, float]] = []
    verify_days(workspace, EVERYTHING, frames=1, progress=lambda *step: steps.append(step))
    assert steps == [("verify", 1, 2), ("verify", 2, 2), ("summaries", 1, 2), ("summaries", 2, 2)]


@pytest.mark.parametrize("where", ["first byte", "a packet", "last byte"])
def test_one_changed_byte_of_a_recording_is_found(workspace: Workspace, where: str) -> None:
    path = workspace.site.footage_root / NAMES[0]
    content = path.read_bytes()
    at = {"first byte": 0, "a packet": packets(path)[40].at + 8, "last byte": len(content) - 1}[where]
    path.write_bytes(scrambled(content, [(at, 1)]))
    told = verify(workspace)
    contents = f"({content_hash_of(content)}, now {content_hash_of(path.read_bytes())})"
    assert told.differences == (f"{NAMES[0]}: the file's content is not the one that was processed {contents}",)
    assert told.recordings == 2


def test_a_digest_that_differs_is_found_with_its_picture(workspace: Workspace) -> None:
    shard = next(shard for day in plan(workspace) for shard in day.shards if shard.recording.path == NAMES[1])
    (path,) = (product.paths[0] for product in shard.products if product.scope == FRAMES_SCOPE)
    table = workspace.store.read_table(path)
    digests = table["digest"].to_pylist()
    digests[1] = "0" * 16
    column = table.schema.get_field_index("digest")
    workspace.store.write_table(path, table.set_column(column, "digest", pa.array(digests)))
    number = table["index"].to_pylist()[1]
    told = verify(workspace, frames=100)
    assert told.differences == (f"{NAMES[1]}: picture {number} decodes to other pixels",)
    assert told.compared == 6


def test_a_file_that_is_lost_is_found_until_the_night_has_seen_it(workspace: Workspace) -> None:
    (workspace.site.footage_root / NAMES[0]).unlink()
    assert verify(workspace).differences == (f"{NAMES[0]}: the file is not there any more",)
    ingest(workspace)
    told = verify(workspace)
    assert (told.recordings, told.differences) == (1, ())


def test_as_many_pictures_are_compared_as_are_asked_for_spread_over_the_recording(workspace: Workspace) -> None:
    assert [verify(workspace, frames=count).compared for count in (1, 2, 3, 50)] == [2, 4, 6, 6]
