"""One decode pass for everything: what it gives, however the work is split, resumed or spoilt."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from footage.decode import decode
from footage.probe import probe
from footage.sampling import sample
from footage.synthetic.truth import read_truth
from models.encoders.base import Encoder, EncoderSpec, Pixels
from tasks import embed as embedding_task
from tasks.embed import embed_shards
from tasks.encoders import load_encoder
from tasks.plan import FRAMES_SCOPE, DayPlan, ShardPlan
from tests.footage.films import Film, make, packets, scrambled
from tests.tasks.conftest import Processed
from tests.tasks.nights import EAST, HATCH, configure, ingest, new_site, say_region, seconds_us, table_of
from tests.tasks.planned import plan, shards_of
from workspace.indexes import load_index
from workspace.opened import Workspace

NAME = "demo/hall/2026-03-02T08-00-00"
LONG = Film(count=150, gop=15)
"""6 s at 25 Hz, a key frame every 0.6 s: on no grid of whole seconds."""


@pytest.fixture(scope="session")
def long_film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("film") / "long.mp4", LONG)


def site(folder: Path, film: Path, changes: Mapping[str, Any] | None = None, name: str = NAME) -> Workspace:
    """A site with one recording that is entered, and a region on its camera."""
    workspace = new_site(folder, changes=changes)
    path = workspace.site.footage_root / f"{name}{film.suffix}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(film)
    ingest(workspace)
    return say_region(workspace, "hall", "hatch", HATCH)


def embed_all(workspace: Workspace) -> list[DayPlan]:
    outcomes = embed_shards(workspace, shards_of(plan(workspace)), 1)
    assert {outcome.status for outcome in outcomes} == {"done"}, outcomes
    return plan(workspace)


def products(workspace: Workspace) -> dict[str, pa.Table]:
    """What there is of each scope, shard after shard; coverage with adjoining spans merged."""
    days = plan(workspace)
    tables = {}
    for scope in dict.fromkeys(scope for day in days for scope in day.scopes):
        made = [product for day in days for product in day.products(scope)]
        assert all(product.exists for product in made)
        tables[scope] = table_of(workspace, [product.paths[0] for product in made])
        if scope == FRAMES_SCOPE:
            tables["coverage"] = merged(table_of(workspace, [product.paths[1] for product in made]))
    return tables


def merged(coverage: pa.Table) -> pa.Table:
    rows: list[dict[str, Any]] = []
    for row in coverage.to_pylist():
        same = ("recording_id", "state", "reason")
        if rows and rows[-1]["to_us"] == row["from_us"] and all(rows[-1][name] == row[name] for name in same):
            rows[-1]["to_us"] = row["to_us"]
        else:
            rows.append(row)
    return pa.Table.from_pylist(rows, coverage.schema)


def lake_bytes(workspace: Workspace, days: list[DayPlan]) -> dict[str, bytes]:
    made = [product for day in days for shard in day.shards for product in shard.products]
    return {path: workspace.store.read_bytes(path) for product in made for path in product.paths}


POLICIES: dict[str, dict[str, Any]] = {
    "rate off the key frames": {"sampling": {"policy": "rate", "rate_hz": 3.0}},
    "slow rate, short reach": {"sampling": {"policy": "rate", "rate_hz": 0.4}, "reach_s": 1.3},
    "every 7th": {"sampling": {"policy": "every_nth", "n": 7}},
    "key frames": {"sampling": {"policy": "key_frames"}},
}


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES.keys())
def test_split_into_shards_a_recording_gives_the_same_rows(
    tmp_path: Path, long_film: Path, policy: dict[str, Any]
) -> None:
    whole = site(tmp_path / "whole", long_film, policy)
    split = site(tmp_path / "split", long_film, {**policy, "footage": {"shard_s": 1.0}})
    assert (len(shards_of(embed_all(whole))), len(shards_of(embed_all(split)))) == (1, 5)
    expected, found = products(whole), products(split)
    assert set(found) == set(expected)
    for scope, table in expected.items():
        assert found[scope].equals(table), scope
    assert expected[FRAMES_SCOPE].num_rows > 0


def test_shards_of_a_damaged_recording_give_the_same_rows(tmp_path: Path, long_film: Path) -> None:
    spans = [(packet.at, packet.size) for packet in packets(long_film)[47:62]]
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(scrambled(long_film.read_bytes(), spans))
    whole = site(tmp_path / "whole", damaged, {"sampling": {"policy": "rate", "rate_hz": 5.0}})
    split = site(
        tmp_path / "split", damaged, {"sampling": {"policy": "rate", "rate_hz": 5.0}, "footage": {"shard_s": 0.5}}
    )
    embed_all(whole)
    assert len(shards_of(embed_all(split))) == 9, "a key frame was hurt, too"
    assert products(split).keys() == products(whole).keys()
    for scope, table in products(whole).items():
        assert products(split)[scope].equals(table), scope
    assert seconds_us(products(whole)["coverage"])["corrupt"] > 0


def test_frames_hold_the_sampled_pictures_as_a_plain_decoder_shows_them(processed: Processed) -> None:
    workspace = processed.workspace
    shard = next(shard for shard in shards_of(plan(workspace)) if "2026-03-02T08-00-16" in shard.recording.path)
    frames = workspace.store.read_table(shard.products[0].paths[0]).to_pylist()
    path = workspace.site.footage_root / shard.recording.path
    index = probe(path).index
    wanted = sample(index, workspace.settings.sampling)
    assert index.is_variable_rate
    pictures = list(decode(path, index, wanted, threads=1))
    assert [row["index"] for row in frames] == wanted.tolist()
    assert [row["digest"] for row in frames] == [picture.digest() for picture in pictures]
    assert [row["t_us"] for row in frames] == [int(index.t_us[i]) for i in wanted]
    begin = shard.recording.started_at
    assert all(round((row["taken_at"] - begin).total_seconds() * 1e6) == row["t_us"] for row in frames)
    assert frames[0]["motion"] == 0.0
    assert max(row["motion"] for row in frames) > 0.0


def test_vectors_are_those_of_the_encoders_on_the_same_pictures(tmp_path: Path, long_film: Path) -> None:
    workspace = site(tmp_path / "site", long_film)
    embed_all(workspace)
    path = workspace.site.footage_root / f"{NAME}.mp4"
    index = probe(path).index
    look = workspace.encoder("handcrafted/appearance")
    wanted = sample(index, workspace.settings.sampling)
    encoder = load_encoder(look, workspace.settings.compute)
    for region in workspace.regions("hall"):
        views = [picture.view(region, look.spec.input_size) for picture in decode(path, index, wanted)]
        expected = encoder.encode(np.stack(views)).astype(np.float16)
        table = products(workspace)[f"{look.spec.space}/{region.name}"]
        vectors: Any = table["vector"].combine_chunks()
        found = np.asarray(vectors.flatten()).reshape(len(table), -1)
        assert np.array_equal(found, expected)


def test_encoders_and_regions_in_one_pass_give_what_separate_passes_give(
    tmp_path: Path, long_film: Path, decoded: list[str]
) -> None:
    together = site(tmp_path / "together", long_film)
    days = embed_all(together)
    assert len(decoded) == 1
    apart = site(tmp_path / "apart", long_film)
    (shard,) = shards_of(plan(apart))
    assert len(shard.products) == 5
    for product in shard.products:
        one = ShardPlan(shard.recording, shard.shard, shard.seconds, (product,))
        embed_shards(apart, [one], 1)
    assert len(decoded) == 1 + 5
    assert lake_bytes(apart, plan(apart)) == lake_bytes(together, days)


def test_a_shard_is_decoded_once_however_many_products_it_has(
    tmp_path: Path, long_film: Path, decoded: list[str]
) -> None:
    workspace = site(tmp_path / "site", long_film, {"footage": {"shard_s": 1.0}})
    embed_all(workspace)
    assert len(decoded) == len(shards_of(plan(workspace))) == 5
    embed_shards(workspace, shards_of(plan(workspace)), 1)
    assert len(decoded) == 5, "what exists is not made again"


def test_a_stale_plan_makes_nothing_again(tmp_path: Path, long_film: Path, decoded: list[str]) -> None:
    workspace = site(tmp_path / "site", long_film)
    stale = shards_of(plan(workspace))
    embed_all(workspace)
    outcomes = embed_shards(workspace, stale, 1)
    assert ([outcome.status for outcome in outcomes], len(decoded)) == (["done"], 1)


@pytest.mark.parametrize("lost", ["frames/", "coverage/", "embeddings/space=handcrafted-motion"])
def test_what_is_lost_is_made_whole_again_with_the_same_bytes(tmp_path: Path, long_film: Path, lost: str) -> None:
    workspace = site(tmp_path / "site", long_film, {"footage": {"shard_s": 2.0}})
    before = lake_bytes(workspace, embed_all(workspace))
    gone = [path for path in before if path.startswith(lost)][1:]
    assert gone
    for path in gone:
        workspace.store.delete(path)
    todo = {product.scope.split("/")[0] for shard in shards_of(plan(workspace)) for product in shard.todo}
    assert todo == {FRAMES_SCOPE} if "=" not in lost else {workspace.encoder("handcrafted/motion").spec.space}
    assert lake_bytes(workspace, embed_all(workspace)) == before


def test_every_microsecond_is_accounted_for_and_staged_damage_is_told(
    processed: Processed, small_footage: Path
) -> None:
    workspace = processed.workspace
    rows = {row["path"]: row for row in processed.night.rows}
    for shard in shards_of(plan(workspace)):
        spans = workspace.store.read_table(shard.products[0].paths[1])
        ends = spans["to_us"].to_pylist()
        assert spans["from_us"].to_pylist() == [0, *ends[:-1]], "spans adjoin"
        assert ends[-1] == rows[shard.recording.path]["duration_us"]
        assert sum(seconds_us(spans).values()) == rows[shard.recording.path]["duration_us"]
    truncated = next(
        defect for camera in read_truth(small_footage).cameras for defect in camera.defects if defect.kind == "corrupt"
    )
    shard = next(s for s in shards_of(plan(workspace)) if s.recording.path == f"demo/{truncated.file}")
    spans = workspace.store.read_table(shard.products[0].paths[1]).to_pylist()
    step_us = 1_000_000
    for span in spans:
        if span["state"] == "corrupt":
            assert truncated.from_us - step_us < span["from_us"] < span["to_us"] < truncated.to_us + step_us
    assert [span["state"] for span in spans if span["state"] != "analysed"] == ["corrupt", "missing"]
    assert spans[-1]["state"] == "missing"


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ({"policy": "every_nth", "n": 7}, list(range(0, 150, 7))),
        ({"policy": "key_frames"}, list(range(0, 150, 15))),
        ({"policy": "rate", "rate_hz": 2.0}, [0, 12, 25, 37, 50, 62, 75, 87, 100, 112, 125, 137]),
    ],
)
def test_policies_choose_the_pictures_they_say(
    tmp_path: Path, long_film: Path, policy: dict[str, Any], expected: list[int]
) -> None:
    workspace = site(tmp_path / "site", long_film, {**ONE, "sampling": policy})
    embed_all(workspace)
    assert products(workspace)[FRAMES_SCOPE]["index"].to_pylist() == expected


def test_beyond_the_reach_of_samples_time_is_skipped(tmp_path: Path, long_film: Path) -> None:
    workspace = site(tmp_path / "site", long_film, {"sampling": {"policy": "rate", "rate_hz": 0.5}, "reach_s": 0.5})
    embed_all(workspace)
    assert seconds_us(products(workspace)["coverage"]) == {
        "analysed": 1_500_000,
        "skipped": 4_500_000,
        "corrupt": 0,
        "missing": 0,
    }


def test_holes_of_a_recording_are_missing(tmp_path: Path) -> None:
    times = (*range(50), *range(50 + 250, 350))
    film = make(tmp_path / "hole.mp4", Film(count=100, times=times, time_base=Fraction(1, 25), gop=10))
    workspace = site(tmp_path / "site", film)
    embed_all(workspace)
    told = seconds_us(products(workspace)["coverage"])
    # The picture before the hole stays on display for two seconds less its own time.
    assert told["missing"] == 12_000_000 - 1_960_000 - 2_000_000
    assert sum(told.values()) == 14_000_000


def test_a_snippet_with_a_picture_that_cannot_be_decoded_is_left_out(tmp_path: Path, long_film: Path) -> None:
    sound = site(tmp_path / "sound", long_film)
    embed_all(sound)
    damaged = tmp_path / "damaged.mp4"
    spans = [(packet.at, packet.size) for packet in packets(long_film)[60:75]]
    damaged.write_bytes(scrambled(long_film.read_bytes(), spans))
    workspace = site(tmp_path / "site", damaged)
    embed_all(workspace)
    motion = f"{workspace.encoder('handcrafted/motion').spec.space}/frame"
    lost_us = (60 * 40_000, 75 * 40_000)
    whole, left = (products(item)[motion].to_pylist() for item in (sound, workspace))
    expected = [row["from_us"] for row in whole if row["to_us"] <= lost_us[0] or row["from_us"] >= lost_us[1]]
    found = [row["from_us"] for row in left]
    assert set(expected) <= set(found) < {row["from_us"] for row in whole}
    digests = {row["from_us"]: row["digest"] for row in whole}
    assert all(row["digest"] == digests[row["from_us"]] for row in left), "those that are left have whole pictures"


class Spoilt:
    """An encoder that gives way at chosen pictures."""

    def __init__(self, encoder: Encoder, spoil: Callable[[int, NDArray[np.float32]], NDArray[np.float32]]) -> None:
        self._encoder, self._spoil, self._calls = encoder, spoil, 0

    @property
    def spec(self) -> EncoderSpec:
        return self._encoder.spec

    @property
    def dimension(self) -> int:
        return self._encoder.dimension

    def encode(self, pixels: Pixels) -> NDArray[np.float32]:
        self._calls += 1
        return self._spoil(self._calls, self._encoder.encode(pixels))


def spoil(monkeypatch: pytest.MonkeyPatch, how: Callable[[int, NDArray[np.float32]], NDArray[np.float32]]) -> None:
    """Every encoder of the next embedding gives way in the same manner."""
    monkeypatch.setattr(
        embedding_task, "load_encoder", lambda planned, compute: Spoilt(load_encoder(planned, compute), how)
    )


def first_not_finite(call: int, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    spoilt = vectors.copy()
    if call == 1:
        spoilt[0, 0] = np.nan
    return spoilt


ONE = {"encoders": [{"name": "handcrafted/appearance"}], "novelty": {"encoder": "handcrafted/appearance"}}
"""One encoder is enough to fail."""


def two_recordings(folder: Path, long_film: Path, changes: Mapping[str, Any] | None = None) -> Workspace:
    workspace = site(folder, long_film, {**ONE, **(changes or {})})
    make(workspace.site.footage_root / "demo/hall/2026-03-02T09-00-00.mp4", LONG.but(count=75, seed=2))
    ingest(workspace)
    return Workspace(folder)


def test_vectors_that_are_not_finite_are_refused_and_the_other_shards_are_kept(
    tmp_path: Path, long_film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = two_recordings(tmp_path / "site", long_film, {"compute": {"batch_size": 4}})
    spoil(monkeypatch, first_not_finite)
    outcomes = embed_shards(workspace, shards_of(plan(workspace)), 1)
    assert [outcome.status for outcome in outcomes] == ["failed", "done"]
    assert "not finite" in outcomes[0].message
    bad, good = shards_of(plan(workspace))
    assert good.todo == ()
    assert bad.todo
    assert FRAMES_SCOPE not in {product.scope for product in bad.todo}, "statistics need no encoder"
    monkeypatch.undo()
    embed_all(workspace)
    assert all(not shard.todo for shard in shards_of(plan(workspace)))


def test_vectors_beyond_16_bits_are_refused(tmp_path: Path, long_film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = site(tmp_path / "site", long_film, ONE)
    spoil(monkeypatch, lambda _, vectors: vectors + np.float32(1e6))
    with pytest.warns(RuntimeWarning, match="overflow"):
        (outcome,) = embed_shards(workspace, shards_of(plan(workspace)), 1)
    assert outcome.status == "failed"
    assert "not finite in 16 bits" in outcome.message


def test_an_encoder_that_gives_way_in_a_shared_batch_fails_the_shards_in_it(
    tmp_path: Path, long_film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = two_recordings(tmp_path / "site", long_film, {"compute": {"batch_size": 1000}})

    def never(*_: object) -> NDArray[np.float32]:
        raise RuntimeError("device lost")

    spoil(monkeypatch, never)
    outcomes = embed_shards(workspace, shards_of(plan(workspace)), 1)
    assert [outcome.status for outcome in outcomes] == ["failed", "failed"]
    assert {outcome.message for outcome in outcomes} == {"RuntimeError: device lost"}
    monkeypatch.undo()
    embed_all(workspace)


def test_a_shard_that_cannot_be_read_does_not_lose_the_others(tmp_path: Path, long_film: Path) -> None:
    workspace = two_recordings(tmp_path / "site", long_film)
    bad, good = shards_of(plan(workspace))
    (workspace.site.footage_root / bad.recording.path).unlink()
    outcomes = embed_shards(workspace, [bad, good], 1)
    assert [outcome.status for outcome in outcomes] == ["failed", "done"]
    assert "cannot be opened" in outcomes[0].message
    assert [bool(shard.todo) for shard in shards_of(plan_as_known(workspace))] == [True, False]


def plan_as_known(workspace: Workspace) -> list[DayPlan]:
    """The plan by the lake alone."""
    return plan(workspace, workspace.ledger.rows("recordings").to_pylist())


def test_a_lake_that_is_full_fails_a_shard_and_leaves_nothing_half_written(
    tmp_path: Path, long_film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = site(tmp_path / "site", long_film, ONE)
    write = workspace.store.write_table

    def full(path: str, rows: pa.Table) -> None:
        if path.startswith("coverage/"):
            raise OSError(28, "No space left on device")
        write(path, rows)

    monkeypatch.setattr(workspace.store, "write_table", full)
    (outcome,) = embed_shards(workspace, shards_of(plan(workspace)), 1)
    assert outcome.status == "failed"
    assert "No space left" in outcome.message
    monkeypatch.undo()
    (shard,) = shards_of(plan(workspace))
    assert shard.products[0] in shard.todo, "frames without coverage are not done"
    embed_all(workspace)


def test_the_deadline_is_kept_between_shards(tmp_path: Path, long_film: Path, decoded: list[str]) -> None:
    workspace = two_recordings(tmp_path / "site", long_film)
    over = datetime.now(UTC) - timedelta(seconds=1)
    outcomes = embed_shards(workspace, shards_of(plan(workspace)), 1, until=over)
    assert ([outcome.status for outcome in outcomes], decoded) == (["late", "late"], [])
    later = embed_shards(workspace, shards_of(plan(workspace)), 1, until=over + timedelta(hours=1))
    assert [outcome.status for outcome in later] == ["done", "done"]


def test_batches_and_threads_do_not_change_a_byte(tmp_path: Path, long_film: Path) -> None:
    found = []
    for number, compute in enumerate(({"batch_size": 1}, {"batch_size": 64})):
        workspace = site(tmp_path / f"site{number}", long_film, {"compute": compute, "footage": {"shard_s": 2.0}})
        embed_shards(workspace, shards_of(plan(workspace)), 1 + number)
        found.append(lake_bytes(workspace, plan(workspace)))
    assert found[0] == found[1]
    assert found[0]


def test_encoders_take_the_regions_that_they_are_said_to(tmp_path: Path, long_film: Path) -> None:
    workspace = site(tmp_path / "site", long_film)
    changed = configure(
        workspace.site.root,
        {"encoders": [{"name": "handcrafted/appearance"}, {"name": "handcrafted/motion", "regions": ["hatch"]}]},
    )
    (shard,) = shards_of(plan(changed))
    scopes = [product.scope.split("/") for product in shard.products[1:]]
    assert [(space.split("-")[1], region) for space, region in scopes] == [
        ("appearance", "frame"),
        ("appearance", "hatch"),
        ("motion", "hatch"),
    ]


def test_the_index_of_a_recording_comes_back_as_it_was(processed: Processed) -> None:
    workspace = processed.workspace
    for row in processed.night.rows:
        kept, fresh = (
            load_index(workspace.store, row["recording_id"]),
            probe(workspace.site.footage_root / row["path"]).index,
        )
        assert np.array_equal(kept.pts, fresh.pts)
        assert np.array_equal(kept.is_key, fresh.is_key)
        assert (kept.time_base, kept.declared_us, kept.duration_us) == (
            fresh.time_base,
            fresh.declared_us,
            fresh.duration_us,
        )
    assert EAST in {row["camera"] for row in processed.night.rows}
