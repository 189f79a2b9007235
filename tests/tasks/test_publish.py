"""The pictures and videos of a day: whole, exact in time, traceable, the same every time."""

import json
import shutil
from dataclasses import replace
from datetime import datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from footage.decode import decode
from footage.sheets import draw_caption
from lake.current import recordings_now
from lake.keys import Place
from lake.weight_sets import COLUMNS
from tasks import embedding, publish, segment, shown_pictures
from tasks.plan import FRAMES_SCOPE, DayPlan
from tasks.publish import publish_day
from tasks.receipts import Receipt
from tasks.score import score_day
from tasks.segment import segment_day
from tasks.summarise import summarise_day
from tests.footage.films import Film, make
from tests.tasks.conftest import Processed
from tests.tasks.nights import EAST, MONDAY, TUESDAY, Night, configure, new_site, run, tree
from tests.tasks.planned import plan, steps_of
from workspace.opened import Workspace
from workspace.published_summaries import read_summary

Told = dict[str, Any]


def published(workspace: Workspace) -> dict[Path, Told]:
    """`summary.json` of every published day, by folder."""
    found = sorted(workspace.site.published_folder.rglob("summary.json"))
    return {path.parent: json.loads(path.read_text(encoding="utf-8")) for path in found}


def known_days(workspace: Workspace) -> list[DayPlan]:
    """The days that the lake knows, also of footage that is gone."""
    return plan(workspace, recordings_now(workspace.ledger))


def only(workspace: Workspace) -> tuple[Path, Told]:
    ((folder, told),) = published(workspace).items()
    return folder, told


def times_and_end(path: Path) -> tuple[list[float], float]:
    """Seconds at which each picture appears, and at which the video ends; every picture decodes."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        base = stream.time_base or Fraction(1)
        packets = [packet for packet in container.demux(stream) if packet.size]
        last = packets[-1]
    assert last.pts is not None
    with av.open(str(path)) as container:
        shown = [float((frame.pts or 0) * base) for frame in container.decode(video=0)]
    assert len(shown) == len(packets)
    return shown, float((last.pts + (last.duration or 0)) * base)


def recordings(folder: Path, films: dict[str, Film], changes: dict[str, Any] | None = None) -> tuple[Workspace, Night]:
    """A site of one camera's day after its night."""
    workspace = new_site(folder, changes=changes)
    for name, film in films.items():
        path = workspace.site.footage_root / f"demo/hall/{name}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        make(path, film)
    return workspace, run(workspace)


def test_every_day_with_pictures_is_published_whole(processed: Processed) -> None:
    days = published(processed.workspace)
    assert len(days) == 4
    for folder, told in days.items():
        assert (told["campaign"], told["camera"], told["day"]) == folder.relative_to(
            processed.workspace.site.published_folder
        ).parts
        assert not told["partial"]
        named = {"summary.json", told["video"], told["contact"], told["figure"]}
        named |= {item["keyframe"] for item in told["entries"]}
        named |= {item[name] for item in told["events"] for name in ("keyframe", "clip")}
        assert set(tree(folder)) == named, "what is named is there, and nothing else"
        for name in named:
            if name.endswith(".jpg"):
                assert cv2.imread(str(folder / name)) is not None


def test_every_second_of_a_summary_names_where_it_comes_from(processed: Processed) -> None:
    workspace = processed.workspace
    rows = {row["recording_id"]: row for row in processed.night.rows}
    for told in published(workspace).values():
        ends = [0.0]
        for entry in told["entries"]:
            assert entry["at_s"] == ends[-1], "entries tile the video"
            ends.append(round(entry["at_s"] + entry["for_s"], 6))
            row = rows[entry["recording_id"]]
            assert entry["recording"] == row["path"]
            assert round(entry["for_s"] * 1e6) == entry["to_us"] - entry["from_us"]
            assert datetime.fromisoformat(entry["taken_at"]) == row["started_at"] + timedelta(
                microseconds=entry["from_us"]
            )
            assert entry["from_us"] <= entry["keyframe_us"] < entry["to_us"]
            assert entry["reason"]
            assert all(
                0.0 <= entry[name] <= 1.0 for name in ("score", "anomaly", "memorability", "entropy", "dynamics")
            )
        assert ends[-1] == told["duration_s"] > 0
        versions = told["versions"]
        assert versions["afterwatch"]
        assert versions["spaces"] == {item.table.name: item.spec.space for item in workspace.encoders}
        assert set(versions["weights"]) == set(versions["spaces"])
    for steps in steps_of(workspace, plan(workspace)):
        folder = workspace.site.published_folder / steps.place.campaign / steps.place.camera / f"{steps.place.day}"
        told = json.loads((folder / "summary.json").read_text())
        assert told["key"] == steps.publish.key
        assert (told["versions"]["score"], told["versions"]["summarise"]) == (steps.score.key, steps.summarise.key)


def test_videos_last_as_long_as_is_told(processed: Processed) -> None:
    for folder, told in published(processed.workspace).items():
        shown, end = times_and_end(folder / told["video"])
        assert shown[0] == 0.0
        assert end == pytest.approx(told["duration_s"], abs=1e-6)
        starts = [entry["at_s"] for entry in told["entries"]]
        assert set(starts) <= {round(at, 6) for at in shown}, "each entry begins with a picture of its own"
        for event in told["events"]:
            shown, end = times_and_end(folder / event["clip"])
            assert end == pytest.approx(event["clip_s"], abs=1e-6)
            peak = datetime.fromisoformat(event["peak_at"]) - datetime.fromisoformat(event["clip_started_at"])
            assert 0.0 <= peak.total_seconds() < event["clip_s"]
            assert shown[0] <= peak.total_seconds()


@pytest.mark.parametrize(
    "film",
    [
        Film(count=200, time_base=Fraction(1001, 30000)),
        Film(count=60, time_base=Fraction(1, 1000), times=tuple(int(n * 110 + 37 * (n % 3)) for n in range(60))),
        Film(count=30, time_base=Fraction(1, 2)),
    ],
    ids=["30000/1001 Hz", "variable rate", "2 Hz"],
)
def test_times_are_exact_whatever_the_rate(tmp_path: Path, film: Film) -> None:
    workspace, night = recordings(
        tmp_path / "site", {"2026-03-02T08-00-00": film}, {"summary": {"segment_s": 1.3, "budget_s": 4.0}}
    )
    assert night.failed() == []
    folder, told = only(workspace)
    shown, end = times_and_end(folder / told["video"])
    assert end == pytest.approx(told["duration_s"], abs=1e-6)
    assert {entry["at_s"] for entry in told["entries"]} <= {round(at, 6) for at in shown}


def bar(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Mean colour of the upper left corner, which tells a film's pictures apart."""
    return np.asarray(picture[:6, :4].reshape(-1, 3).mean(axis=0))


def test_the_pictures_of_a_summary_are_those_that_it_names(tmp_path: Path) -> None:
    changes = {"summary": {"segment_s": 1.0, "budget_s": 3.0, "proxy_rate_hz": 25.0, "proxy_width": 64}}
    film = Film(count=200, seed=3)
    workspace, _ = recordings(tmp_path / "site", {"2026-03-02T08-00-00": film}, changes)
    folder, told = only(workspace)
    source = workspace.site.footage_root / "demo/hall/2026-03-02T08-00-00.mp4"
    with av.open(str(source)) as container:
        originals = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    with av.open(str(folder / told["video"])) as container:
        base = container.streams.video[0].time_base or Fraction(1)
        for frame in container.decode(video=0):
            at_s = float((frame.pts or 0) * base)
            entry = next(e for e in told["entries"] if e["at_s"] <= at_s < e["at_s"] + e["for_s"])
            number = round((entry["from_us"] / 1e6 + at_s - entry["at_s"]) * 25)
            difference = np.abs(
                bar(np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)) - bar(originals[number])
            ).max()
            assert difference < 25, f"at {at_s} s"


def test_recordings_that_overlap_are_published(tmp_path: Path) -> None:
    films = {"2026-03-02T08-00-00": Film(count=250), "2026-03-02T08-00-03": Film(count=250, seed=1)}
    workspace, night = recordings(tmp_path / "site", films, {"summary": {"budget_s": 500.0, "similarity_limit": 1.0}})
    assert night.failed() == []
    assert night.report.ingest["overlaps"] == 1
    folder, told = only(workspace)
    assert len({entry["recording_id"] for entry in told["entries"]}) == 2
    assert times_and_end(folder / told["video"])[1] == pytest.approx(told["duration_s"], abs=1e-6)
    segments = read_summary(workspace.site, Place("demo", "hall", MONDAY)).segments
    assert [segment.number for segment in segments] == list(range(1, len(segments) + 1))
    assert [segment.at_s for segment in segments] == sorted(segment.at_s for segment in segments)
    moments = [segment.taken_at for segment in segments]
    assert moments != sorted(moments), "the order of the video is not that of time"


def test_recordings_of_other_sizes_are_published(tmp_path: Path) -> None:
    films = {
        "2026-03-02T08-00-00": Film(count=100, width=96, height=48),
        "2026-03-02T08-00-10": Film(count=100, width=64, height=64, seed=1),
    }
    workspace, night = recordings(tmp_path / "site", films, {"summary": {"budget_s": 500.0, "similarity_limit": 1.0}})
    assert night.failed() == []
    folder, told = only(workspace)
    assert len({entry["recording_id"] for entry in told["entries"]}) == 2
    with av.open(str(folder / told["video"])) as container:
        pictures = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert {picture.shape for picture in pictures} == {(48, 96, 3)}
    assert pictures[-1][:, :10].mean() < 30, "black beside a picture of another shape"
    assert pictures[0][:, :10].mean() > 40


def test_publishing_again_gives_the_same_bytes(copied: Workspace) -> None:
    before = tree(copied.site.published_folder)
    shutil.rmtree(copied.site.published_folder)
    night = run(copied)
    assert {step for _, _, step, _ in night.done()} == {"publish"}
    assert tree(copied.site.published_folder) == before


def test_what_is_not_named_any_more_is_removed(copied: Workspace) -> None:
    folder = copied.site.published_folder / "demo" / EAST / TUESDAY.isoformat()
    (folder / "events/old.mp4").write_bytes(b"old")
    (folder / "keyframes/old.jpg").write_bytes(b"old")
    (folder / ".summary.mp4.0123456789ab.partial").write_bytes(b"killed")
    workspace = configure(copied.site.root, {"summary": {"segment_s": 8.0, "budget_s": 1.0}})
    night = run(workspace)
    assert night.failed() == []
    for at, told in published(workspace).items():
        assert (told["entries"], told["video"], told["duration_s"]) == ([], "", 0)
        named = {
            "summary.json",
            told["contact"],
            *(event[name] for event in told["events"] for name in ("clip", "keyframe")),
        }
        assert set(tree(at)) == named - {""}, "no summary of another day is left behind"


def test_a_day_with_a_shard_missing_is_partial_until_it_comes(tmp_path: Path) -> None:
    films = {"2026-03-02T08-00-00": Film(count=100), "2026-03-02T08-00-10": Film(count=100, seed=1)}
    workspace, _ = recordings(tmp_path / "site", films)
    assert not only(workspace)[1]["partial"]
    (day,) = plan(workspace)
    for product in day.shards[1].products:
        for path in product.paths:
            workspace.store.delete(path)
    (day,) = plan(workspace)
    (steps,) = steps_of(workspace, [day])
    score_day(workspace, day, steps)
    segment_day(workspace, day, steps)
    summarise_day(workspace, day, steps)
    assert publish_day(workspace, day, steps, 1).status == "done"
    assert only(workspace)[1]["partial"]
    run(workspace)
    assert not only(workspace)[1]["partial"]


def test_an_encoder_that_is_not_shown_does_not_make_a_day_partial(copied: Workspace) -> None:
    encoders = [
        {"name": "handcrafted/appearance"},
        {"name": "handcrafted/motion", "stride_s": 0.5},
        {"name": "timm/resnet50"},
    ]
    workspace = configure(copied.site.root, {"encoders": encoders, "summary": {"proxy_width": 64}})
    days = {day.place: day for day in plan(workspace)}
    steps = steps_of(workspace, list(days.values()))[0]
    assert publish_day(workspace, days[steps.place], steps, 1).status == "done"
    folder = workspace.site.published_folder / "demo" / steps.place.camera / f"{steps.place.day}"
    told = json.loads((folder / "summary.json").read_text())
    assert not told["partial"], "its key would not change when the vectors come"


def test_a_day_without_pictures_is_not_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(*_: object, **__: object) -> None:
        raise OSError("the disk is gone")

    monkeypatch.setattr(embedding, "decode", nothing)
    workspace, night = recordings(tmp_path / "site", {"2026-03-02T08-00-00": Film(count=50)})
    assert [receipt.step for receipt in night.receipts if receipt.status == "failed"] == ["embed"] * 3
    assert published(workspace) == {}
    assert night.report.status == "incomplete"


def test_recordings_that_cannot_be_read_any_more_fail_the_step_and_keep_what_was_published(
    copied: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = tree(copied.site.published_folder)
    workspace = configure(copied.site.root, {"summary": {"proxy_width": 64}})

    def lost(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(shown_pictures, "decode", lost)
    day = plan(workspace)[0]
    steps = next(item for item in steps_of(workspace, plan(workspace)) if item.place == day.place)
    receipt = publish_day(workspace, day, steps, 1)
    assert receipt.status == "failed"
    assert "Input/output error" in receipt.message
    assert tree(workspace.site.published_folder) == before


def test_events_of_a_recording_that_is_gone_keep_their_clips(tmp_path: Path) -> None:
    films = {"2026-03-02T08-00-00": Film(count=400), "2026-03-02T08-00-30": Film(count=100, seed=1)}
    novelty = {"floor_mad": 0.0, "alarms_per_night": 5.0}
    workspace, _ = recordings(tmp_path / "site", films, {"novelty": novelty})
    folder, before = only(workspace)
    gone = "demo/hall/2026-03-02T08-00-00.mp4"
    theirs = {event["clip"] for event in before["events"] if event["recording"] == gone}
    assert theirs
    (workspace.site.footage_root / gone).unlink()
    changed = configure(workspace.site.root, {"novelty": novelty, "summary": {"segment_s": 1.0}})
    assert run(changed).failed() == []
    _, after = only(changed)
    assert {entry["recording"] for entry in after["entries"]} == {"demo/hall/2026-03-02T08-00-30.mp4"}
    assert theirs <= {event["clip"] for event in after["events"]}
    assert all((folder / clip).is_file() for clip in theirs)


def test_only_what_is_shown_is_decoded(copied: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted: dict[str, int] = {}

    def counting(path: Path, index: Any, pictures: NDArray[np.int64], **options: Any) -> Any:
        assert path.name not in wanted, "each recording is decoded once"
        wanted[path.name] = len(pictures)
        return decode(path, index, pictures, **options)

    monkeypatch.setattr(shown_pictures, "decode", counting)
    workspace = configure(copied.site.root, {"summary": {"budget_s": 2.0, "proxy_longest_s": 2.0, "proxy_width": 64}})
    place = Place("demo", EAST, TUESDAY)
    days = {day.place: day for day in plan(workspace)}
    steps = next(item for item in steps_of(workspace, list(days.values())) if item.place == place)
    summarise_day(workspace, days[place], steps)
    assert publish_day(workspace, days[place], steps, 1).status == "done"
    _, told = next(item for item in published(workspace).items() if item[0].match(f"{EAST}/{TUESDAY}"))
    shown_s = told["duration_s"] + sum(event["clip_s"] for event in told["events"])
    assert 0 < sum(wanted.values()) <= shown_s * 8 + 2 * (len(told["events"]) + 1)
    assert all(event["clip_s"] <= 2.0 for event in told["events"])
    assert FRAMES_SCOPE in days[place].scopes


def passes_of(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the recordings that publishing decodes, one for each pass over one."""
    passes: list[str] = []

    def counting(path: Path, index: Any, pictures: NDArray[np.int64], **options: Any) -> Any:
        passes.append(path.name)
        return decode(path, index, pictures, **options)

    monkeypatch.setattr(shown_pictures, "decode", counting)
    return passes


def published_anew(workspace: Workspace) -> dict[str, str]:
    """What publishing every day gives where nothing is there to be kept."""
    shutil.rmtree(workspace.site.published_folder)
    assert run(Workspace(workspace.site.root)).failed() == []
    return tree(workspace.site.published_folder)


def all_again(workspace: Workspace) -> float:
    """Publish every day as if its key had changed; returns the seconds decoded."""
    days = {day.place: day for day in plan(workspace)}
    decoded_s = 0.0
    for steps in steps_of(workspace, list(days.values())):
        publishing = replace(steps.publish, key="another", exists=False)
        receipt = publish_day(workspace, days[steps.place], replace(steps, publish=publishing), 1)
        assert receipt.status == "done", receipt.message
        decoded_s += receipt.decoded_s
    return decoded_s


def test_what_is_there_and_made_of_the_same_is_kept(copied: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    before = tree(copied.site.published_folder)
    passes = passes_of(monkeypatch)
    assert all_again(copied) == 0
    assert passes == []
    after = tree(copied.site.published_folder)
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    assert {Path(name).name for name in changed} == {"summary.json"}, "which names another key"


@pytest.mark.parametrize(
    ("damage", "decoded"),
    [
        ("events/*.mp4", True),
        ("keyframes/*-*.jpg", True),
        ("summary.mp4", True),
        ("contact.jpg", False),
        ("segments.jpg", False),
    ],
)
def test_what_is_not_there_as_it_was_written_is_made_again_and_nothing_else(
    copied: Workspace, monkeypatch: pytest.MonkeyPatch, damage: str, decoded: bool
) -> None:
    before = tree(copied.site.published_folder)
    folder = copied.site.published_folder / "demo" / EAST / TUESDAY.isoformat()
    file = sorted(folder.glob(damage))[0]
    file.write_bytes(file.read_bytes()[:-100])
    together = {file, folder / "summary.json", *folder.glob(f"keyframes/{file.stem}.jpg")}
    others = {path: path.stat().st_mtime_ns for path in folder.rglob("*.*") if path not in together}
    passes = passes_of(monkeypatch)
    decoded_s = all_again(copied)
    assert bool(passes) == decoded
    assert (decoded_s > 0) == (file.suffix == ".mp4"), "a still is a moment"
    name = file.relative_to(copied.site.published_folder).as_posix()
    assert tree(copied.site.published_folder)[name] == before[name]
    assert {path: path.stat().st_mtime_ns for path in others} == others


@pytest.mark.parametrize(
    "changes",
    [{"summary": {"proxy_width": 96}}, {"summary": {"proxy_rate_hz": 5.0}}, {"site": {"time_zone": "Asia/Tokyo"}}],
    ids=["width", "rate", "captions"],
)
def test_what_looks_otherwise_now_is_made_again(copied: Workspace, changes: dict[str, Any]) -> None:
    before = tree(copied.site.published_folder)
    changed = configure(copied.site.root, changes)
    assert run(changed).failed() == []
    after = tree(changed.site.published_folder)
    assert not any(after.get(name) == content for name, content in before.items() if name.endswith(".mp4"))
    assert published_anew(changed) == after


def test_a_publication_that_is_killed_is_whole_and_goes_on(copied: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = configure(copied.site.root, {"summary": {"proxy_width": 64}})
    before = published(changed)
    place = Place("demo", EAST, TUESDAY)
    days = {day.place: day for day in plan(changed)}
    steps = next(item for item in steps_of(changed, list(days.values())) if item.place == place)
    passes = 0

    def killed(*arguments: Any, **options: Any) -> Any:
        nonlocal passes
        passes += 1
        if passes > 1:
            raise OSError("killed")
        return decode(*arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(shown_pictures, "decode", killed)
        assert publish_day(changed, days[place], steps, 1).status == "failed"
    assert passes == 2, "a part was replaced"
    folder = changed.site.published_folder / "demo" / EAST / TUESDAY.isoformat()
    assert published(changed) == {**before, folder: {**before[folder], "key": ""}}
    for event in before[folder]["events"]:
        assert (folder / event["clip"]).is_file() and (folder / event["keyframe"]).is_file()
    back = configure(copied.site.root, {"summary": {"proxy_width": 128}})
    all_again(back)
    told = {**published(back)[folder], "key": before[folder]["key"]}
    assert told == before[folder], "what was replaced meanwhile is not taken for what it was"
    assert run(configure(copied.site.root, {"summary": {"proxy_width": 64}})).failed() == []
    after = tree(changed.site.published_folder)
    assert published_anew(changed) == after


def test_a_summary_of_recordings_that_are_gone_stays_as_long_as_it_shows_the_same(copied: Workspace) -> None:
    before = published(copied)
    link = copied.site.footage_root / "demo"
    link.rename(copied.site.root / "away")
    link.mkdir()
    run(Workspace(copied.site.root))
    gone = Workspace(copied.site.root)
    days = {day.place: day for day in known_days(gone)}
    for steps in steps_of(gone, list(days.values())):
        again = replace(steps, publish=replace(steps.publish, key="another", exists=False))
        assert publish_day(gone, days[steps.place], again, 1).status == "done"
    after = published(gone)
    assert {at: {**told, "key": ""} for at, told in after.items()} == {
        at: {**told, "key": ""} for at, told in before.items()
    }
    assert all((at / told["video"]).is_file() for at, told in after.items())


def receipts_of(night: Night, step: str) -> list[Receipt]:
    return [receipt for receipt in night.receipts if receipt.step == step]


def test_a_day_that_was_published_of_what_stood_in_is_published_again(
    copied: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = configure(copied.site.root, {"summary": {"segment_s": 1.0}})
    measure = segment.measure

    def broken(workspace: Workspace, day: DayPlan, *arguments: Any) -> Any:
        if day.place.day == MONDAY:
            raise MemoryError
        return measure(workspace, day, *arguments)

    with monkeypatch.context() as patched:
        patched.setattr(segment, "measure", broken)
        run(changed)
        receipts = receipts_of(run(Workspace(copied.site.root)), "publish")
    assert {(item.place.day, item.status) for item in receipts} == {(MONDAY, "failed"), (TUESDAY, "skipped")}
    folder = changed.site.published_folder / "demo" / EAST / TUESDAY.isoformat()
    stood_in = published(changed)[folder]
    assert stood_in["partial"] and stood_in["lacking"] == []
    night = run(Workspace(copied.site.root))
    assert {(day, step) for camera, day, step, _ in night.done() if camera == EAST and day == f"{TUESDAY}"} == {
        (f"{TUESDAY}", step) for step in ("segment", "summarise", "publish")
    }
    now = Workspace(copied.site.root)
    steps = next(item for item in steps_of(now, plan(now)) if item.place == Place("demo", EAST, TUESDAY))
    told = published(now)[folder]
    assert (told["versions"]["segment"], told["versions"]["summarise"]) == (steps.segment.key, steps.summarise.key)
    assert not told["partial"]
    assert told["entries"] != stood_in["entries"]
    assert steps.exist
    assert run(Workspace(copied.site.root)).done() == set()


def test_a_publication_that_is_killed_is_not_taken_for_the_one_before(
    copied: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = tree(copied.site.published_folder)
    changed = configure(copied.site.root, {"summary": {"proxy_width": 64}})

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(publish, "write_told", killed)
        with pytest.raises(KeyboardInterrupt):
            run(changed)
    between = tree(copied.site.published_folder)
    assert any(between[name] != before[name] for name in before if name.endswith("summary.mp4"))
    night = run(configure(copied.site.root))
    assert night.failed() == []
    assert tree(copied.site.published_folder) == before


@pytest.mark.parametrize("name", ["summary.mp4", "contact.jpg", "segments.jpg", "keyframes/*.jpg", "events/*.mp4"])
def test_a_file_that_is_lost_is_made_again_the_next_night(copied: Workspace, name: str) -> None:
    before = tree(copied.site.published_folder)
    folder = copied.site.published_folder / "demo" / EAST / TUESDAY.isoformat()
    sorted(folder.glob(name))[0].unlink()
    assert {step for *_, step, _ in run(Workspace(copied.site.root)).done()} == {"publish"}
    assert tree(copied.site.published_folder) == before


@pytest.mark.parametrize(
    ("changes", "sheets"),
    [
        ({"weights": {"anomaly": 1.0, "memorability": 1.0, "entropy": 1.0, "dynamics": 1.001}}, {"segments.jpg"}),
        ({"keyframes": 3}, {"contact.jpg", "segments.jpg"}),
    ],
    ids=["scores", "cells"],
)
def test_other_scores_or_sheets_of_the_same_segments_decode_nothing(
    copied: Workspace, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], sheets: set[str]
) -> None:
    changed = configure(copied.site.root, {"summary": {"weights": dict.fromkeys(COLUMNS, 1.0)}})
    run(changed)
    before, told = tree(changed.site.published_folder), published(changed)
    passes = passes_of(monkeypatch)
    changed = configure(copied.site.root, {"summary": {"weights": dict.fromkeys(COLUMNS, 1.0), **changes}})
    night = run(changed)
    assert {step for *_, step, _ in night.done()} == {"publish"} | ({"summarise"} if "weights" in changes else set())
    spans = {folder: [entry["segment"] for entry in each["entries"]] for folder, each in told.items()}
    assert {at: [entry["segment"] for entry in each["entries"]] for at, each in published(changed).items()} == spans
    assert passes == []
    assert {receipt.decoded_s for receipt in receipts_of(night, "publish")} == {0.0}
    after = tree(changed.site.published_folder)
    assert before.keys() == after.keys()
    assert {Path(name).name for name in before if before[name] != after[name]} - sheets == {"summary.json"}
    assert published_anew(changed) == after


def test_what_is_not_shown_of_a_recording_that_is_gone_is_told_until_it_is_back(tmp_path: Path) -> None:
    films = {"2026-03-02T08-00-00": Film(count=100), "2026-03-02T09-00-00": Film(count=100, seed=1)}
    summary = {"budget_s": 500.0, "similarity_limit": 1.0}
    workspace, _ = recordings(tmp_path / "site", films, {"summary": summary})
    _, before = only(workspace)
    assert (before["gone"], before["partial"]) == ([], False)
    gone = "demo/hall/2026-03-02T09-00-00.mp4"
    file, away = workspace.site.footage_root / gone, tmp_path / "away.mp4"
    file.rename(away)
    assert receipts_of(run(Workspace(workspace.site.root)), "publish")[0].message == ""
    assert only(workspace)[1] == before, "nothing is decoded, and all is shown"

    configure(workspace.site.root, {"summary": {**summary, "segment_s": 1.0}})
    for status in ("done", "skipped"):
        (receipt,) = receipts_of(run(Workspace(workspace.site.root)), "publish")
        assert receipt.status == status
        assert "gone" in receipt.message and gone in receipt.message and "put them back" in receipt.message
    _, told = only(workspace)
    assert {entry["recording"] for entry in told["entries"]} == {"demo/hall/2026-03-02T08-00-00.mp4"}
    assert [item["recording"] for item in told["gone"]] == [gone]
    assert told["partial"]

    away.rename(file)
    (receipt,) = receipts_of(run(Workspace(workspace.site.root)), "publish")
    assert (receipt.status, receipt.message) == ("done", "")
    _, told = only(workspace)
    assert {entry["recording"] for entry in told["entries"]} == {f"demo/hall/{name}.mp4" for name in films}
    assert (told["gone"], told["partial"]) == ([], False)
    assert run(Workspace(workspace.site.root)).done() == set()


def test_pictures_after_midnight_bear_the_date_that_is_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    captions: list[str] = []

    def told(picture: Any, caption: str) -> Any:
        captions.append(caption)
        return draw_caption(picture, caption)

    monkeypatch.setattr(shown_pictures, "draw_caption", told)
    changes = {"site": {"time_zone": "Europe/Berlin"}, "summary": {"budget_s": 500.0, "similarity_limit": 1.0}}
    recordings(tmp_path / "site", {"2026-03-02T22-59-58": Film(count=100)}, changes)
    assert set(captions) == {
        *(f"hall  2026-03-02 23:59:{second}" for second in (58, 59)),
        *(f"hall  2026-03-03 00:00:0{second}" for second in (0, 1)),
    }
