"""Labels in files: round trips, what other tools write, and files that are wrong or hostile."""

import json
import shutil
import tempfile
import zipfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from defusedxml.ElementTree import fromstring
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.errors import ConfigurationError, UnknownNameError
from lake.labels import Label, labels_now, say_labels, take_back, undo_label
from tests.workspace.labelled_site import (
    BROKEN_PATH,
    COPY_PATH,
    EAST,
    EAST_ID,
    EAST_PATH,
    FILE,
    INDEXES,
    LATER_ID,
    NORTH,
    NORTH_ID,
    NORTH_PATH,
    SAID,
    enter,
    label,
    labelled_site,
    recording_row,
)
from workspace.label_files import base
from workspace.label_files.pictures import frames_of
from workspace.label_files.transfer import (
    FORMATS,
    Choice,
    Format,
    Imported,
    ImportSettings,
    export_labels,
    format_of,
    import_labels,
)
from workspace.opened import Workspace

NAMES: dict[Format, str] = {"csv": "labels.csv", "coco": "labels.json", "cvat": "tracks"}
HEADER = "recording,from_s,to_s,use_case,region,relevant"


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site in which nothing is labelled; treat it as read only."""
    folder = tmp_path_factory.mktemp("pristine") / "site"
    labelled_site(folder)
    return folder


@pytest.fixture
def site(pristine: Path, tmp_path: Path) -> Workspace:
    return copied(pristine, tmp_path / "site")


def copied(pristine: Path, folder: Path) -> Workspace:
    shutil.copytree(pristine, folder)
    return Workspace(folder)


def imported(workspace: Workspace, path: Path, **changes: Any) -> Imported:
    told: dict[str, Any] = {"author": "importer"} | changes
    return import_labels(workspace, path, ImportSettings(**told))


def import_all(workspace: Workspace, path: Path) -> list[Imported]:
    """A file, or every file of a folder."""
    return [imported(workspace, file) for file in (sorted(path.rglob("*.xml")) if path.is_dir() else [path])]


def everything(workspace: Workspace) -> set[Label]:
    """Every author's newest word, of both roles."""
    ledger = workspace.ledger
    return {*labels_now(ledger, each_author=True), *labels_now(ledger, role="truth", each_author=True)}


def csv_of(tmp_path: Path, *lines: str, header: str = HEADER, name: str = "labels.csv") -> Path:
    path = tmp_path / name
    path.write_text("\n".join((header, *lines)) + "\n", encoding="utf-8")
    return path


# Round trips

PRINTABLE = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20).filter(
    lambda text: text.isprintable() and text == text.strip()
)


@st.composite
def labels(draw: st.DrawFn) -> Label:
    recording_id = draw(st.sampled_from(sorted(INDEXES)))
    end_us = INDEXES[recording_id].duration_us
    from_us = draw(st.integers(0, end_us - 1))
    return label(
        recording_id,
        from_us,
        draw(st.integers(from_us + 1, end_us)),
        region=draw(st.sampled_from(["frame", "hatch"] if recording_id == NORTH_ID else ["frame", "hatch", "door"])),
        name=draw(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,8}[A-Za-z0-9]", fullmatch=True)),
        relevant=draw(st.booleans()),
        author=draw(PRINTABLE),
        role=draw(st.sampled_from(["label", "truth"])),
        said_at=SAID + timedelta(microseconds=draw(st.integers(-(10**13), 10**12))),
    )


@pytest.mark.parametrize("kind", FORMATS)
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(said=st.lists(labels(), min_size=1, max_size=6, unique_by=lambda said: (said.author, said.key)))
def test_what_is_exported_and_imported_elsewhere_is_equal(kind: Format, pristine: Path, said: list[Label]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        here, there = (copied(pristine, Path(folder) / name) for name in ("here", "there"))
        say_labels(here.ledger, said)
        target = Path(folder) / NAMES[kind]
        count, _ = export_labels(here, target, Choice(), kind)
        results = import_all(there, target)
        assert everything(there) == set(said)
        assert count == len(said) == sum(len(result.said) for result in results)
        assert not any(result.problems for result in results)
        again = import_all(there, target)
        assert sum(result.known for result in again) == len(said)
        assert not any(result.said for result in again)


@pytest.mark.parametrize("kind", FORMATS)
def test_the_bytes_depend_on_the_labels_alone(kind: Format, pristine: Path, tmp_path: Path) -> None:
    said = [label(from_us=number * 1_000_000 + 7, to_us=number * 1_000_000 + 900_000) for number in range(5)]
    said.append(label(NORTH_ID, 0, 1))
    written = []
    for number, order in enumerate((said, said[::-1])):
        workspace = copied(pristine, tmp_path / f"site-{number}")
        for one in order:
            say_labels(workspace.ledger, [one])
        target = tmp_path / str(number) / NAMES[kind]
        _, files = export_labels(workspace, target, Choice(), kind)
        written.append([(path.relative_to(tmp_path / str(number)), path.read_bytes()) for path in files])
    assert written[0] == written[1]


def test_csv_times_are_exact_to_the_microsecond(site: Workspace, tmp_path: Path) -> None:
    say_labels(site.ledger, [label(from_us=1, to_us=59_999_999, author='Ωmega, the "first"')])
    export_labels(site, tmp_path / "labels.csv", Choice(), "csv")
    lines = (tmp_path / "labels.csv").read_text(encoding="utf-8").splitlines()
    assert lines[1] == (
        f'spring,{EAST},{EAST_PATH},0.000001,59.999999,opening,hatch,true,"Ωmega, the ""first""",'
        "2026-03-04T09:30:00.123456+00:00,label"
    )


def test_choices_narrow_an_export_and_unknown_names_are_answered(site: Workspace, tmp_path: Path) -> None:
    say_labels(site.ledger, [label(), label(NORTH_ID, name="running"), label(role="truth")])
    for choice, count in (
        (Choice(camera=NORTH), 1),
        (Choice(use_case="opening"), 2),
        (Choice(role="truth"), 1),
        (Choice(camera=EAST, role="label"), 1),
    ):
        assert export_labels(site, tmp_path / "labels.csv", choice, "csv")[0] == count
    with pytest.raises(UnknownNameError, match="hall-east"):
        export_labels(site, tmp_path / "none.csv", Choice(camera="hall-eest"), "csv")
    with pytest.raises(UnknownNameError, match="opening"):
        export_labels(site, tmp_path / "none.csv", Choice(use_case="closing"), "csv")
    with pytest.raises(ConfigurationError, match="nothing is labelled"):
        export_labels(site, tmp_path / "none.csv", Choice(camera=NORTH, role="truth"), "csv")
    assert not (tmp_path / "none.csv").exists()


# CSV as people write it


def test_frames_stand_for_their_time_on_display(site: Workspace, tmp_path: Path) -> None:
    frames = csv_of(
        tmp_path,
        f"{EAST_PATH},25,,,opening,yes",
        f"{EAST_PATH},,50,75,opening,no",
        f"{EAST_PATH},1499,,,opening,1",
        f"{NORTH_PATH},400,,,opening,0",
        header="recording,frame,from_frame,to_frame,use_case,relevant",
    )
    said = imported(site, frames).said
    spans = {(one.recording_id, one.from_us, one.to_us, one.relevant) for one in said}
    index = INDEXES[NORTH_ID]
    at_us = int(index.t_us[400])
    assert spans == {
        (EAST_ID, 1_000_000, 1_040_000, True),
        (EAST_ID, 2_000_000, 3_000_000, False),
        (EAST_ID, 59_960_000, 60_000_000, True),
        (NORTH_ID, at_us, at_us + index.hold_us, False),
    }, "before a hole, a picture is on display for as long as pictures are held"


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_any_usual_delimiter_byte_order_mark_and_line_end_is_read(
    site: Workspace, tmp_path: Path, delimiter: str
) -> None:
    rows = [HEADER.upper().split(","), [EAST_PATH, "1.5", "2", "opening", "hatch", "TRUE"]]
    text = "\r\n".join(delimiter.join(row) for row in rows)
    (tmp_path / "labels.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    (one,) = imported(site, tmp_path / "labels.csv").said
    assert (one.from_us, one.to_us, one.author, one.role) == (1_500_000, 2_000_000, "importer", "label")


@pytest.mark.parametrize(
    ("name", "found"),
    [
        (EAST_PATH, EAST_ID),
        (f"{EAST}/{FILE}", EAST_ID),
        (EAST_ID, EAST_ID),
        (NORTH_ID[:12], NORTH_ID),
        (COPY_PATH, EAST_ID),
        ("2026-03-02T08-02-00.mp4", LATER_ID),
    ],
)
def test_recordings_are_found_by_path_file_name_and_content(
    site: Workspace, tmp_path: Path, name: str, found: str
) -> None:
    (one,) = imported(site, csv_of(tmp_path, f"{name},0,1,opening,frame,true")).said
    assert one.recording_id == found


def test_camera_tells_files_of_one_name_apart(site: Workspace, tmp_path: Path) -> None:
    header = f"camera,{HEADER}"
    (one,) = imported(site, csv_of(tmp_path, f"{NORTH},{FILE},0,1,opening,frame,true", header=header)).said
    assert one.recording_id == NORTH_ID
    (problem,) = imported(site, csv_of(tmp_path, f",{FILE},0,1,opening,frame,true", header=header)).problems
    assert EAST_PATH in problem.message and NORTH_PATH in problem.message
    (problem,) = imported(site, csv_of(tmp_path, f"{NORTH},{EAST_PATH},0,1,opening,frame,1", header=header)).problems
    assert "is of camera hall-east" in problem.message


GOOD = f"{EAST_PATH},1,2,opening,hatch,true"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("nowhere.mp4,1,2,opening,hatch,true", 'unknown recording "nowhere.mp4"'),
        (f"{EAST_PATH}4,1,2,opening,hatch,true", f'did you mean "{EAST_PATH}"'),
        (f"{BROKEN_PATH},1,2,opening,hatch,true", "no video stream"),
        (",1,2,opening,hatch,true", "no recording is named"),
        (f"../../{EAST_PATH},1,2,opening,hatch,true", "unknown recording"),
        ("/etc/passwd,1,2,opening,hatch,true", "unknown recording"),
        ("..,1,2,opening,hatch,true", "unknown recording"),
        (f"{EAST_PATH},1,60.000001,opening,hatch,true", "lasts 60.000000 s"),
        (f"{EAST_PATH},-1,2,opening,hatch,true", "from_s"),
        (f"{EAST_PATH},nan,2,opening,hatch,true", "from_s"),
        (f"{EAST_PATH},sNaN,2,opening,hatch,true", "from_s"),
        (f"{EAST_PATH},1,inf,opening,hatch,true", "to_s"),
        (f"{EAST_PATH},1,1e999999999,opening,hatch,true", "to_s"),
        (f'{EAST_PATH},"1,5",2,opening,hatch,true', "as 12.5"),
        (f"{EAST_PATH},2,2,opening,hatch,true", "empty"),
        (f"{EAST_PATH},2,1,opening,hatch,true", "empty"),
        (f"{EAST_PATH},1,,opening,hatch,true", "go together"),
        (f"{EAST_PATH},,,opening,hatch,true", "no time is told"),
        (f"{EAST_PATH},1,2,,hatch,true", "cannot name a use case"),
        (f"{EAST_PATH},1,2,../../opening,hatch,true", "cannot name a use case"),
        (f"{EAST_PATH},1,2,opening,hutch,true", "known: door, frame, hatch"),
        (f"{NORTH_PATH},1,2,opening,door,true", "known: frame, hatch"),
        (f"{EAST_PATH},1,2,opening,hatch,maybe", "true or false"),
        (f"{EAST_PATH},1,2,opening,hatch,", "true or false"),
        (f"{EAST_PATH},1,2,opening,hatch", "5 cells under 6 columns"),
        (f"{EAST_PATH},1,2,{'o' * 5000},hatch,true", "5000 characters"),
    ],
)
def test_a_wrong_row_is_told_and_nothing_is_said(site: Workspace, tmp_path: Path, line: str, reason: str) -> None:
    path = csv_of(tmp_path, GOOD, line)
    found = imported(site, path)
    assert [problem.where for problem in found.problems] == ["line 3"]
    assert reason in found.problems[0].message
    assert not found.said and not everything(site)
    skipping = imported(site, path, skip_bad=True)
    assert skipping.problems == found.problems
    assert len(skipping.said) == len(everything(site)) == 1


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("campaign", "autumn", "known: spring"),
        ("camera", "gate", "known: hall-east, hall-north"),
        ("author", "a\tb", "printable"),
        ("author", "a" * 201, "printable"),
        ("said_at", "yesterday", "its zone"),
        ("said_at", "2026-03-02T08:00:00", "its zone"),
        ("said_at", "2999-01-01T00:00:00+00:00", "later than now"),
        ("said_at", "1066-10-14T00:00:00+00:00", "before 1970"),
        ("said_at", "0001-01-01T00:00:00+14:00", "out of the calendar"),
        ("role", "rumour", "known: label, truth"),
        ("frame", "3", "told twice"),
        ("from_frame", "3", "go together"),
    ],
)
def test_a_wrong_optional_value_is_told(site: Workspace, tmp_path: Path, column: str, value: str, reason: str) -> None:
    (problem,) = imported(site, csv_of(tmp_path, f'"{value}",{GOOD}', header=f"{column},{HEADER}")).problems
    assert reason in problem.message


@pytest.mark.parametrize(("frame", "reason"), [("1500", "has 1500"), ("-1", "whole number"), ("1.5", "whole number")])
def test_wrong_pictures_are_told(site: Workspace, tmp_path: Path, frame: str, reason: str) -> None:
    path = csv_of(tmp_path, f"{EAST_PATH},{frame},opening,1", header="recording,frame,use_case,relevant")
    assert reason in imported(site, path).problems[0].message


def test_everything_wrong_with_a_row_is_told_at_once(site: Workspace, tmp_path: Path) -> None:
    found = imported(site, csv_of(tmp_path, f"{EAST_PATH},2,1,opening,hutch,maybe"))
    assert len(found.problems) == 3


def test_columns_of_others_are_left_out_and_named(site: Workspace, tmp_path: Path) -> None:
    found = imported(site, csv_of(tmp_path, f"{GOOD},look again", header=f"{HEADER},remark"))
    assert len(found.said) == 1
    assert "remark" in found.remarks[0]


def test_a_line_break_in_a_cell_keeps_the_count_of_lines(site: Workspace, tmp_path: Path) -> None:
    lines = (f'{GOOD},"two\nlines"', f"{EAST_PATH},9,8,opening,hatch,true,")
    (problem,) = imported(site, csv_of(tmp_path, *lines, header=f"{HEADER},remark")).problems
    assert problem.where == "line 4"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        ("recording,frame\n".encode("utf-16"), "UTF-8"),
        (f"{HEADER}\n{EAST_PATH},1,2,öffnung,hatch,1\n".encode("latin-1"), "UTF-8"),
        (b"a,b,c\n1,2,3\n", "use_case"),
        (f"{HEADER},relevant\n".encode(), "stands twice"),
        (f'{HEADER}\n"{EAST_PATH},1,2\n'.encode(), "line"),
        (f"{HEADER}\n{'x' * 200_000},1,2,a,b,1\n".encode(), "field larger"),
    ],
)
def test_what_is_no_csv_is_refused_as_a_whole(site: Workspace, tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "labels.csv").write_bytes(content)
    with pytest.raises(ConfigurationError, match=reason):
        imported(site, tmp_path / "labels.csv", skip_bad=True)


def test_a_header_alone_says_nothing(site: Workspace, tmp_path: Path) -> None:
    assert imported(site, csv_of(tmp_path)) == Imported((), 0, (), ())


def test_a_file_larger_than_label_files_are_is_refused(
    site: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "LARGEST_BYTES", 1000)
    with pytest.raises(ConfigurationError, match="split it"):
        imported(site, csv_of(tmp_path, *[GOOD] * 50))
    bomb = tmp_path / "bomb.zip"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("annotations.xml", b" " * 10_000_000)
    with pytest.raises(ConfigurationError, match="split it"):
        imported(site, bomb)


@pytest.mark.parametrize("name", ["absent.csv", ".", "labels.doc"])
def test_a_file_that_cannot_be_read_is_told(site: Workspace, tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot be read|--format"):
        imported(site, tmp_path / name)


# What was said before


def test_an_import_without_moments_says_only_what_is_different(site: Workspace, tmp_path: Path) -> None:
    path = csv_of(tmp_path, GOOD)
    assert len(imported(site, path).said) == 1
    assert imported(site, path).known == 1
    assert len(imported(site, path, author="another").said) == 1
    changed = csv_of(tmp_path, GOOD.replace("true", "false"))
    assert len(imported(site, changed).said) == 1
    assert [one.relevant for one in labels_now(site.ledger)] == [False]
    take_back(site.ledger, labels_now(site.ledger), "importer")
    assert len(imported(site, changed).said) == 1


def test_an_older_word_does_not_come_back(site: Workspace, tmp_path: Path) -> None:
    say_labels(site.ledger, [label()])
    export_labels(site, tmp_path / "labels.csv", Choice(), "csv")
    say_labels(site.ledger, [label(relevant=False, said_at=SAID + timedelta(days=1))])
    assert imported(site, tmp_path / "labels.csv").known == 1
    assert [one.relevant for one in labels_now(site.ledger)] == [False]
    undone = undo_label(site.ledger, "inspector", label().use_case)
    assert undone is not None and not undone.relevant
    assert [one.relevant for one in labels_now(site.ledger)] == [True]


def test_two_answers_to_one_question_are_wrong_both(site: Workspace, tmp_path: Path) -> None:
    lines = (GOOD, GOOD, GOOD.replace("true", "false"), f"{EAST_PATH},5,6,opening,hatch,true")
    found = imported(site, csv_of(tmp_path, *lines), skip_bad=True)
    assert {problem.where for problem in found.problems} == {"line 2", "line 4"}
    assert [one.from_us for one in found.said] == [5_000_000]


def test_both_reviewers_of_a_span_survive(pristine: Path, site: Workspace, tmp_path: Path) -> None:
    say_labels(site.ledger, [label(), label(author="other", relevant=False, said_at=SAID + timedelta(hours=1))])
    export_labels(site, tmp_path / "labels.csv", Choice(), "csv")
    there = copied(pristine, tmp_path / "there")
    imported(there, tmp_path / "labels.csv")
    for each in (False, True):
        assert labels_now(there.ledger, each_author=each) == labels_now(site.ledger, each_author=each)


def test_role_of_an_import_goes_before_the_files(site: Workspace, tmp_path: Path) -> None:
    path = csv_of(tmp_path, f"{GOOD},label", header=f"{HEADER},role")
    assert [one.role for one in imported(site, path, role="truth").said] == ["truth"]
    assert not labels_now(site.ledger)
    assert len(labels_now(site.ledger, role="truth")) == 1


def test_labels_outlive_the_files_they_speak_of(pristine: Path, site: Workspace, tmp_path: Path) -> None:
    say_labels(site.ledger, [label()])
    other = recording_row(EAST_ID, recording_id="beef" * 16)
    for workspace in (site, copied(pristine, tmp_path / "there")):
        enter(workspace, [other], seen_at=datetime(2026, 3, 5, tzinfo=UTC))
        enter(workspace, [recording_row(EAST_ID, path=COPY_PATH, status="gone")], datetime(2026, 3, 6, tzinfo=UTC))
        export_labels(site, tmp_path / "labels.csv", Choice(), "csv")
        imported(workspace, tmp_path / "labels.csv")
        assert {one.recording_id for one in everything(workspace)} == {EAST_ID}
    assert COPY_PATH in (tmp_path / "labels.csv").read_text(encoding="utf-8")


# COCO


def coco(**changes: Any) -> dict[str, Any]:
    """A file of somebody else's: plain COCO with videos, no attributes."""
    told = {
        "images": [{"id": 7, "video_id": 1, "frame_id": 25, "file_name": "x/25.jpg", "width": 320, "height": 240}],
        "videos": [{"id": 1, "name": EAST_PATH}],
        "categories": [{"id": 3, "name": "opening"}],
        "annotations": [{"id": 11, "image_id": 7, "category_id": 3, "bbox": [1, 2, 3, 4], "area": 12, "iscrowd": 0}],
    }
    return told | changes


def coco_file(tmp_path: Path, told: Any) -> Path:
    path = tmp_path / "labels.json"
    path.write_text(told if isinstance(told, str) else json.dumps(told), encoding="utf-8")
    return path


def test_an_annotation_without_attributes_is_relevant_and_stands_for_its_picture(
    site: Workspace, tmp_path: Path
) -> None:
    (one,) = imported(site, coco_file(tmp_path, coco()), region="hatch").said
    assert (one.from_us, one.to_us, one.relevant) == (1_000_000, 1_040_000, True)
    assert (one.use_case.name, one.use_case.region, one.author) == ("opening", "hatch", "importer")
    images = [{"id": 7, "frame_index": 50}]
    (one,) = imported(site, coco_file(tmp_path, coco(images=images)), recording=LATER_ID).said
    assert (one.recording_id, one.from_us) == (LATER_ID, 2_000_000)


def test_coco_export_is_what_coco_tools_expect(site: Workspace, tmp_path: Path) -> None:
    say_labels(site.ledger, [label(), label(region="door", from_us=0, to_us=1), label(NORTH_ID, name="running")])
    export_labels(site, tmp_path / "labels.json", Choice(), "coco")
    told = json.loads((tmp_path / "labels.json").read_text(encoding="utf-8"))
    images = {image["id"]: image for image in told["images"]}
    videos = {video["id"]: video for video in told["videos"]}
    names = {category["id"]: category["name"] for category in told["categories"]}
    door, hatch, running = told["annotations"]
    assert [names[one["category_id"]] for one in (door, hatch, running)] == ["opening", "opening", "running"]
    assert hatch["bbox"] == [80.0, 60.0, 160.0, 120.0] and hatch["area"] == 19_200
    assert door["segmentation"] == [[32.0, 24.0, 160.0, 24.0, 96.0, 216.0]]
    assert door["area"] == pytest.approx(0.5 * 128 * 192)
    image = images[hatch["image_id"]]
    assert (image["frame_id"], image["width"], image["height"]) == (25, 320, 240)
    assert image["date_captured"] == "2026-03-02T08:00:01+00:00"
    assert videos[image["video_id"]]["name"] == EAST_PATH


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"annotations": [{"id": 11, "image_id": 8, "category_id": 3}]}, "image_id"),
        ({"annotations": [{"id": 11, "image_id": 7}]}, "category_id"),
        ({"annotations": [{"id": 11, "image_id": 7, "category_id": 3, "attributes": [1]}]}, "attributes is an object"),
        ({"annotations": ["x"]}, "an annotation is an object"),
        ({"videos": []}, "video_id"),
        ({"images": [{"id": 7, "video_id": 1}]}, "frame_id"),
        ({"images": [{"id": 7, "video_id": 1, "frame_id": -1}]}, "whole number"),
        ({"images": [{"id": 7, "video_id": 1, "frame_id": 10**30}]}, "whole number"),
        ({"images": [{"id": 7, "video_id": 1, "frame_id": {"a": 1}}]}, "whole number"),
        ({"images": [{"id": 7, "frame_id": 1}]}, "no recording is named"),
        ({"videos": [{"id": 1, "name": "../../x.mp4"}]}, "unknown recording"),
        ({"categories": [{"id": 3, "name": "a/b"}]}, "cannot name a use case"),
        ({"categories": [{"id": 3}]}, "cannot name a use case"),
    ],
)
def test_a_wrong_annotation_is_told(site: Workspace, tmp_path: Path, changes: dict[str, Any], reason: str) -> None:
    found = imported(site, coco_file(tmp_path, coco(**changes)))
    assert reason in found.problems[0].message
    assert found.problems[0].where.startswith("annotation 1") and not everything(site)


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"from_us": 1}, "go together"),
        ({"from_us": 5, "to_us": 60_000_001}, "lasts"),
        ({"from_us": -5, "to_us": 60}, "whole number"),
        ({"from_us": 0.5, "to_us": 60}, "whole number"),
        ({"relevant": "perhaps"}, "true or false"),
        ({"role": 3}, "known: label, truth"),
    ],
)
def test_a_wrong_attribute_is_told(site: Workspace, tmp_path: Path, attributes: dict[str, Any], reason: str) -> None:
    annotation = {"id": 11, "image_id": 7, "category_id": 3, "attributes": attributes}
    (problem,) = imported(site, coco_file(tmp_path, coco(annotations=[annotation]))).problems
    assert reason in problem.message


@pytest.mark.parametrize(
    "told",
    [
        "",
        "{",
        "[]",
        "7",
        "{}",
        '{"images": {}, "annotations": [], "categories": []}',
        '{"images": [], "annotations": [NaN], "categories": []}',
        '{"images": [], "annotations": [-Infinity], "categories": []}',
        "[" * 100_000,
        '{"images": [' + "9" * 5000 + "]}",
    ],
)
def test_what_is_no_coco_is_refused_as_a_whole(site: Workspace, tmp_path: Path, told: str) -> None:
    with pytest.raises(ConfigurationError, match=r"labels\.json"):
        imported(site, coco_file(tmp_path, told), skip_bad=True)


# CVAT


def box(frame: int, outside: int = 0, **attributes: str) -> str:
    told = "".join(f'<attribute name="{name}">{value}</attribute>' for name, value in attributes.items())
    return (
        f'<box frame="{frame}" outside="{outside}" occluded="0" keyframe="1" xtl="1.00" ytl="2.00" xbr="30.00" '
        f'ybr="40.00">{told}</box>'
    )


def cvat_file(tmp_path: Path, *shapes: str, source: str = EAST_PATH, task: str = "", name: str = "cvat.xml") -> Path:
    """A file as CVAT writes it, with one track."""
    meta = f"<meta><task><size>1500</size>{task}<source>{source}</source></task><dumped>2026-03-04</dumped></meta>"
    track = f'<track id="4" label="opening" source="manual">{"".join(shapes)}</track>'
    text = f'<?xml version="1.0" encoding="utf-8"?><annotations><version>1.1</version>{meta}{track}</annotations>'
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def spans(labels: Sequence[Label]) -> list[tuple[int, int, bool]]:
    """In pictures of a recording of 25 per second."""
    return sorted((one.from_us // 40_000, one.to_us // 40_000, one.relevant) for one in labels)


@pytest.mark.parametrize(
    ("shapes", "task", "expected"),
    [
        ([box(10), box(11), box(20, 1)], "", [(10, 20, True)]),
        ([box(20, 1), box(10)], "", [(10, 20, True)]),
        ([box(10), box(20, 1), box(30), box(31, 1)], "", [(10, 20, True), (30, 31, True)]),
        ([box(0, 1), box(5)], "", [(5, 1500, True)]),
        ([box(5)], "<stop_frame>99</stop_frame>", [(5, 100, True)]),
        ([box(5)], "<stop_frame>95</stop_frame><frame_filter>step=10</frame_filter>", [(5, 105, True)]),
        ([box(5)], "<stop_frame>9999</stop_frame>", [(5, 1500, True)]),
        ([box(5, relevant="false"), box(9, 1)], "", [(5, 9, False)]),
        ([box(5, relevant="true"), box(7, relevant="false"), box(9, 1)], "", [(5, 7, True), (7, 9, False)]),
        ([box(5, 1), box(9, 1)], "", []),
        ([], "", []),
    ],
)
def test_visible_runs_become_spans(
    site: Workspace, tmp_path: Path, shapes: list[str], task: str, expected: list[tuple[int, int, bool]]
) -> None:
    found = imported(site, cvat_file(tmp_path, *shapes, task=task))
    assert not found.problems
    assert spans(found.said) == expected


@pytest.mark.parametrize(
    ("span", "pictures"),
    [
        ((0, 1), (0, 1)),
        ((0, 40_000), (0, 1)),
        ((0, 40_001), (0, 2)),
        ((39_999, 40_000), (0, 1)),
        ((40_000, 80_000), (1, 2)),
        ((1_000_000, 2_000_000), (25, 50)),
        ((0, 60_000_000), (0, 1500)),
    ],
)
def test_the_pictures_of_a_span_are_those_on_display_in_it(span: tuple[int, int], pictures: tuple[int, int]) -> None:
    assert frames_of(INDEXES[EAST_ID], *span) == pictures


def test_polygons_older_meta_and_zips_are_read(site: Workspace, tmp_path: Path) -> None:
    shapes = [shape.replace("<box", "<polygon").replace("</box", "</polygon") for shape in (box(10), box(12, 1))]
    path = cvat_file(tmp_path, *shapes)
    text = path.read_text(encoding="utf-8").replace(f"<source>{EAST_PATH}</source>", "")
    text = text.replace("</meta>", f"<source>{LATER_ID}</source></meta>")
    with zipfile.ZipFile(tmp_path / "task.zip", "w") as archive:
        archive.writestr("annotations.xml", text)
    (one,) = imported(site, tmp_path / "task.zip").said
    assert (one.recording_id, one.from_us, one.to_us) == (LATER_ID, 400_000, 480_000)


def test_the_recording_can_be_named_by_hand(site: Workspace, tmp_path: Path) -> None:
    for source in (FILE, "", "other.mp4"):
        path = cvat_file(tmp_path, box(10), box(20, 1), source=source)
        with pytest.raises(ConfigurationError, match="--recording"):
            imported(site, path)
        assert {one.recording_id for one in imported(site, path, recording=NORTH_PATH, author=f"a{source}").said} == {
            NORTH_ID
        }


def test_a_track_that_was_moved_in_cvat_counts_as_drawn(pristine: Path, site: Workspace, tmp_path: Path) -> None:
    say_labels(site.ledger, [label(from_us=1_000_007, to_us=2_500_001)])
    _, (path,) = export_labels(site, tmp_path / "tracks", Choice(), "cvat")
    text = path.read_text(encoding="utf-8")
    assert 'frame="25"' in text and 'frame="63"' in text
    path.write_text(text.replace('frame="63"', 'frame="80"'), encoding="utf-8")
    (one,) = imported(copied(pristine, tmp_path / "there"), path).said
    assert (one.from_us, one.to_us) == (1_000_000, 3_200_000)


def test_cvat_export_is_what_cvat_expects(site: Workspace, tmp_path: Path) -> None:
    say_labels(site.ledger, [label(), label(region="door"), label(LATER_ID, 29_000_000, 30_000_000), label(NORTH_ID)])
    count, files = export_labels(site, tmp_path / "tracks", Choice(), "cvat")
    assert count == 4
    assert [str(path.relative_to(tmp_path / "tracks")) for path in files] == [
        f"{path}.xml" for path in (EAST_PATH, f"spring/{EAST}/2026-03-02T08-02-00.mp4", NORTH_PATH)
    ]
    root = fromstring(files[0].read_bytes())
    task = root.find("meta/task")
    assert root.findtext("version") == "1.1"
    assert (task.findtext("size"), task.findtext("mode"), task.findtext("source")) == (
        "1500",
        "interpolation",
        EAST_PATH,
    )
    assert (task.findtext("original_size/width"), task.findtext("original_size/height")) == ("320", "240")
    listed = {item.findtext("name"): item.findtext("mutable") for item in task.iter("attribute")}
    door, hatch = root.findall("track")
    assert hatch.get("label") == "opening"
    first, last = hatch.findall("box")
    assert {item.get("name") for item in first.findall("attribute")} == set(listed)
    assert (first.get("frame"), first.get("outside"), first.get("keyframe")) == ("25", "0", "1")
    assert (last.get("frame"), last.get("outside")) == ("63", "1")
    assert [first.get(name) for name in ("xtl", "ytl", "xbr", "ybr")] == ["80.00", "60.00", "240.00", "180.00"]
    assert door.find("polygon").get("points") == "32.00,24.00;160.00,24.00;96.00,216.00"
    (track,) = fromstring(files[1].read_bytes()).findall("track")
    assert [shape.get("outside") for shape in track] == ["0"], "it is visible to the end, so nothing is outside"


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        (box(10).replace('frame="10"', 'frame="x"'), "picture's number"),
        (box(10).replace('frame="10"', 'frame="-3"'), "picture's number"),
        (box(10).replace('frame="10"', 'frame="NaN"'), "picture's number"),
        (box(10).replace('frame="10" ', ""), "picture's number"),
        (box(1500), "beyond"),
        (box(10).replace('outside="0"', 'outside="2"'), "0 or 1"),
        (box(10, relevant="perhaps"), "true or false"),
        (box(10, from_us="1"), "go together"),
        (box(10, from_us="nan", to_us="7"), "whole number"),
        (box(10, region="hutch"), "known: door, frame, hatch"),
    ],
)
def test_a_wrong_track_is_told(site: Workspace, tmp_path: Path, shape: str, reason: str) -> None:
    (problem,) = imported(site, cvat_file(tmp_path, shape)).problems
    assert problem.where.startswith("track 4")
    assert reason in problem.message


BILLION = (
    '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a "ha">'
    + "".join(f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(9))
    + "]><annotations>&j;</annotations>"
)
OUTSIDE = '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotations>&x;</annotations>'


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (BILLION.encode(), "document type"),
        (OUTSIDE.encode(), "document type"),
        (b'<?xml version="1.0"?><!DOCTYPE a SYSTEM "http://localhost/x.dtd"><annotations/>', "document type"),
        (b"", "is empty"),
        (b"<annotations>", "not XML"),
        (b"<annotations/>", "--recording"),
        (b"<html><body/></html>", "no CVAT file"),
        (b"\xff\xfe\x00<", "not XML"),
        (b'<?xml version="1.0" encoding="utf-99"?><annotations/>', "not XML"),
        (b"not xml at all", "not XML"),
        (b'<annotations><image id="0"/></annotations>', "annotations of images"),
        (b"<annotations><meta><task><stop_frame>-1</stop_frame></task></meta></annotations>", "picture's number"),
        (b"PK\x03\x04 broken", "not XML"),
    ],
)
def test_what_is_no_cvat_or_is_hostile_is_refused_as_a_whole(
    site: Workspace, tmp_path: Path, content: bytes, reason: str
) -> None:
    (tmp_path / "cvat.xml").write_bytes(content)
    with pytest.raises(ConfigurationError, match=reason):
        imported(site, tmp_path / "cvat.xml", skip_bad=True)


def test_a_zip_without_annotations_is_refused(site: Workspace, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "task.zip", "w") as archive:
        archive.writestr("../annotations.xml", "<annotations/>")
    with pytest.raises(ConfigurationError, match=r"holds no annotations\.xml"):
        imported(site, tmp_path / "task.zip")


def test_an_author_that_xml_cannot_hold_is_told_at_the_export(site: Workspace, tmp_path: Path) -> None:
    say_labels(site.ledger, [label(author="a\x00b")])
    with pytest.raises(ConfigurationError, match="export these labels as CSV"):
        export_labels(site, tmp_path / "tracks", Choice(), "cvat")
    assert not (tmp_path / "tracks").exists()


def test_a_recording_whose_path_leads_outside_is_not_written_there(site: Workspace, tmp_path: Path) -> None:
    enter(site, [recording_row(EAST_ID, path="../../escaped.mp4")], seen_at=datetime(2026, 3, 9, tzinfo=UTC))
    say_labels(site.ledger, [label()])
    with pytest.raises(ConfigurationError, match="outside"):
        export_labels(site, tmp_path / "a" / "b" / "tracks", Choice(), "cvat")
    assert not list(tmp_path.rglob("escaped*"))


def test_regions_that_were_taken_back_keep_their_last_outline(site: Workspace, tmp_path: Path) -> None:
    from lake.ledger import Statement

    say_labels(site.ledger, [label(region="door")])
    site.ledger.say("regions", [Statement(f"{EAST}/door", "inspector", None, camera=EAST)])
    _, (path,) = export_labels(site, tmp_path / "tracks", Choice(), "cvat")
    assert 'points="32.00,24.00;160.00,24.00;96.00,216.00"' in path.read_text(encoding="utf-8")


def test_a_format_is_told_by_its_ending() -> None:
    endings = {"a.CSV": "csv", "a.tsv": "csv", "a.json": "coco", "a.xml": "cvat", "a.zip": "cvat", "folder": "cvat"}
    assert {name: format_of(Path(name), None) for name in endings} == endings
    assert format_of(Path("a.weird"), "coco") == "coco"
    with pytest.raises(UnknownNameError, match="coco"):
        format_of(Path("a.csv"), "excel")
