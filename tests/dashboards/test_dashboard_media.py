"""The published day: read as it was written, confined to its folder, calm about what is absent or broken."""

import json
from datetime import timedelta

import pytest

from dashboards.media import confined, read_published
from infra.errors import LakeError
from lake.keys import Place
from tests.dashboards.small_site import CAMERA, CAMPAIGN, CLIP_PEAK_S, CLIP_S, DAY, PEAKS_S, Workspace, at

GATE = Place(CAMPAIGN, CAMERA, DAY)


def test_a_published_day_is_read_as_written(full_site: Workspace) -> None:
    day = read_published(full_site.site, GATE)
    assert day is not None
    assert (day.video, day.contact, day.duration_s, day.partial) == ("summary.mp4", "contact.jpg", 24.0, False)
    assert [entry.at_s for entry in day.entries] == [0.0, 4.0, 8.0, 12.0, 16.0, 20.0]
    assert day.entries[1].taken_at == at(90)
    assert set(day.clips) == {f"{CAMERA}-event-{number}" for number in range(3)}
    assert day.picture(day.contact) is not None
    assert day.video_bytes(day.video) is not None


def test_a_proxy_is_played_from_the_peak_within_its_length(full_site: Workspace) -> None:
    day = read_published(full_site.site, GATE)
    assert day is not None
    clip = day.clips[f"{CAMERA}-event-0"]
    peak = at(PEAKS_S[CAMERA][0])
    assert clip.offset_s(peak) == CLIP_PEAK_S
    assert clip.offset_s(peak - timedelta(hours=1)) == 0.0
    assert clip.offset_s(peak + timedelta(hours=1)) == CLIP_S


def test_nothing_is_published_yet(empty_site: Workspace) -> None:
    assert read_published(empty_site.site, GATE) is None


@pytest.mark.parametrize(
    "name", ["../../../../afterwatch.toml", "/etc/hostname", "keyframes", "", "absent.jpg", "a\0b"]
)
def test_what_leaves_the_folder_or_is_no_file_is_absent(full_site: Workspace, name: str) -> None:
    assert confined(full_site.day_folder(), name) is None


def test_a_link_that_leaves_the_folder_is_absent(full_site: Workspace) -> None:
    (full_site.day_folder() / "leak.jpg").symlink_to(full_site.root / "afterwatch.toml")
    assert confined(full_site.day_folder(), "leak.jpg") is None


def test_a_camera_named_to_leave_the_published_folder_is_not_followed(full_site: Workspace) -> None:
    outside = full_site.root / DAY.isoformat()
    outside.mkdir()
    (outside / "summary.json").write_text("{}", encoding="utf-8")
    assert read_published(full_site.site, Place("..", "", DAY)) is None


def test_pictures_and_videos_cut_short_are_absent(full_site: Workspace) -> None:
    day = read_published(full_site.site, GATE)
    assert day is not None
    contact = full_site.day_folder() / "contact.jpg"
    contact.write_bytes(contact.read_bytes()[:100])
    (full_site.day_folder() / "summary.mp4").write_bytes(b"")
    assert day.picture("contact.jpg") is None
    assert day.video_bytes("summary.mp4") is None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"entries": [{"at_s": "x"}]}', '{"events": [{}]}', "\x00"])
def test_a_summary_that_cannot_be_read_is_told_with_its_remedy(full_site: Workspace, content: str) -> None:
    (full_site.day_folder() / "summary.json").write_text(content, encoding="utf-8")
    with pytest.raises(LakeError, match="afterwatch run --campaign"):
        read_published(full_site.site, GATE)


def test_a_summary_with_nothing_chosen_is_a_day_without_entries(full_site: Workspace) -> None:
    told = {"key": "k", "partial": True, "video": "", "contact": "", "entries": [], "events": [], "versions": {}}
    (full_site.day_folder() / "summary.json").write_text(json.dumps(told), encoding="utf-8")
    day = read_published(full_site.site, GATE)
    assert day is not None
    assert day.partial
    assert day.video_bytes(day.video) is None


def test_a_day_of_before_there_were_figures_and_one_without_stills_are_read(full_site: Workspace) -> None:
    day = read_published(full_site.site, GATE)
    assert day is not None
    assert day.figure == ""
    file = full_site.day_folder() / "summary.json"
    told = json.loads(file.read_text(encoding="utf-8"))
    told["entries"][0] |= {
        "keyframe": "",
        "keyframe_us": None,
        "probability": None,
        "event_id": "e",
        "truth": "confirmed",
    }
    file.write_text(json.dumps({**told, "figure": "segments.jpg", "omitted": [], "weights": {}}), encoding="utf-8")
    day = read_published(full_site.site, GATE)
    assert day is not None
    assert (day.figure, day.entries[0].keyframe) == ("segments.jpg", "")
    assert day.picture(day.figure) is None, "it is told, and not there"
    assert day.picture(day.entries[0].keyframe) is None
