"""How much of a camera is embedded for each of its regions."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from dashboards.region_queries import embedded_recordings, recording_count, stretches
from dashboards.snapshot import LakeReader, records
from lake.keys import Place
from lake.ledger import RunRow
from lake.schema import embedding_schema
from tests.dashboards.small_site import CAMERA, CAMPAIGN, DAY, NIGHT, OTHER, RECORDED_S, Workspace, at

PLACE = Place(CAMPAIGN, CAMERA, DAY)
SPACE = "handcrafted-1"
SAID = NIGHT + timedelta(hours=1)


def embed(workspace: Workspace, region: str, recordings: list[str], moment: datetime, status: str = "done") -> None:
    embed_in(workspace, SPACE, region, recordings, moment, status)


def embed_in(
    workspace: Workspace, space: str, region: str, recordings: list[str], moment: datetime, status: str
) -> None:
    """What a run that began at `moment` leaves: vectors of some recordings, and its word on the camera's day."""
    path = f"embeddings/space={space}/{PLACE.folder}/{region}-{moment:%H%M%S}.parquet"
    columns: dict[str, Any] = {
        "campaign": [CAMPAIGN] * len(recordings),
        "camera": [CAMERA] * len(recordings),
        "day": [DAY] * len(recordings),
        "space": [space] * len(recordings),
        "recording_id": recordings,
        "region": [region] * len(recordings),
        "index": [0] * len(recordings),
        "from_us": [0] * len(recordings),
        "to_us": [1_000_000] * len(recordings),
        "taken_at": [at(0)] * len(recordings),
        "digest": [""] * len(recordings),
        "vector": [np.zeros(2, np.float16)] * len(recordings),
    }
    workspace.store.write_table(path, pa.table(columns, schema=embedding_schema(2)))
    row = RunRow(
        run_id=f"{moment.astimezone(UTC):%Y%m%dT%H%M%S}-abcdef",
        step="embed",
        campaign=CAMPAIGN,
        camera=CAMERA,
        day=DAY,
        scope=f"{space}/{region}",
        key=f"{region}{moment:%H%M%S}".ljust(20, "0"),
        status=status,
        started_at=moment + timedelta(minutes=5),
        finished_at=moment + timedelta(minutes=5),
        outputs=(path,),
    )
    workspace.ledger.record([row])


def told(workspace: Workspace, *names: str, said: datetime = SAID) -> dict[tuple[str, str], int]:
    found = embedded_recordings(LakeReader(workspace.store), CAMERA, [(name, said) for name in names])
    return {(row.region, row.space): row.recordings for row in records(found)}


def test_nothing_is_embedded_before_a_run_has_seen_the_region(full_site: Workspace) -> None:
    assert told(full_site, "hatch") == {}
    assert told(full_site) == {}
    embed(full_site, "door", ["gate-0", "gate-1"], SAID + timedelta(hours=1))
    assert told(full_site, "hatch") == {}


def test_a_finished_day_counts_whole_though_a_recording_gave_no_vector(full_site: Workspace) -> None:
    embed(full_site, "hatch", ["gate-0"], SAID + timedelta(hours=1))
    assert told(full_site, "hatch", "door") == {("hatch", SPACE): 2}


def test_of_an_unfinished_day_recordings_with_vectors_count(full_site: Workspace) -> None:
    embed(full_site, "hatch", ["gate-0"], SAID + timedelta(hours=1), status="partial")
    assert told(full_site, "hatch") == {("hatch", SPACE): 1}


def test_what_was_embedded_with_an_earlier_outline_does_not_count(full_site: Workspace) -> None:
    embed(full_site, "hatch", ["gate-0", "gate-1"], SAID - timedelta(hours=1))
    assert told(full_site, "hatch") == {}
    assert told(full_site, "hatch", said=SAID - timedelta(hours=2)) == {("hatch", SPACE): 2}


def test_a_run_that_began_before_the_outline_was_said_was_of_the_one_before(full_site: Workspace) -> None:
    # Its rows come five minutes after it began.
    embed(full_site, "hatch", ["gate-0", "gate-1"], SAID - timedelta(minutes=2))
    assert told(full_site, "hatch") == {}


def test_a_run_of_the_same_second_has_seen_it(full_site: Workspace) -> None:
    embed(full_site, "hatch", ["gate-0"], SAID)
    assert told(full_site, "hatch", said=SAID + timedelta(microseconds=400_000)) == {("hatch", SPACE): 2}


def test_names_that_end_alike_are_told_apart(full_site: Workspace) -> None:
    embed(full_site, "upper hatch", ["gate-0"], SAID + timedelta(hours=1))
    assert told(full_site, "hatch", "upper hatch") == {("upper hatch", SPACE): 2}


@pytest.mark.parametrize(("camera", "count"), [(CAMERA, 2), (OTHER, 2), ("nobody", 0)])
def test_recordings_of_a_camera_are_counted(camera: str, count: int, full_site: Workspace) -> None:
    assert recording_count(LakeReader(full_site.store), camera) == count


def test_stretches_of_a_day_are_its_usable_recordings_in_order(full_site: Workspace) -> None:
    first, second = stretches(LakeReader(full_site.store), PLACE)
    assert (first.recording_id, second.recording_id) == ("gate-0", "gate-1")
    assert first.started_at == at(0) and first.ended_at == at(RECORDED_S)
    assert (first.width, first.height) == (320, 240)
    assert first.t_us(at(1.5)) == 1_500_000
    assert first.t_us(at(-5)) == 0 and first.t_us(at(9999)) == RECORDED_S * 1_000_000 - 1
