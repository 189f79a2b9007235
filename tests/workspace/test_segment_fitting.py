"""What a fitted segment classifier keeps: thresholds are chosen on one part, and told of another."""

from pathlib import Path

import numpy as np
import pytest

from afterwatch.workspace_files import make_workspace
from infra.errors import ConfigurationError, LakeError
from lake.operating_points import OperatingPoint, say_operating_point
from models.heads.segment_training import CLASS
from models.sweep import Criterion, sweep
from tests.workspace.made_segments import PARTS, SHOWN, annotated, fit
from tests.workspace.told_cards import says_everything
from workspace.classifiers import FoundClassifier, load_head, sweep_of
from workspace.opened import Workspace
from workspace.segment_parts import Part, check_segments
from workspace.segment_scores import fold_names, fold_part, fold_words, sweep_on_test


@pytest.fixture
def site(tmp_path: Path) -> Workspace:
    return Workspace(make_workspace(tmp_path / "site"))


def test_a_threshold_is_chosen_on_validation_and_told_on_the_test_part(site: Workspace) -> None:
    segments = annotated(SHOWN)
    fitted = fit(site, criterion=Criterion.parse("f1"))
    found = FoundClassifier(fitted.name, fitted.version, fitted.card)
    scores = load_head(site, found).probabilities(segments.samples.vectors)[:, 0]
    parts = np.array([PARTS[segments.videos.videos[number].name] for number in segments.samples.video])
    swept, tested = sweep_of(site, found, CLASS), sweep_on_test(site, found, CLASS)
    for held, part in ((swept, "validation"), (tested, "test")):
        mine = sweep(segments.samples.positive[parts == part], scores[parts == part])
        assert held is not None and held.scores.tolist() == mine.scores.tolist()
        assert held.true_positives.tolist() == mine.true_positives.tolist()
    point = fitted.card["thresholds"][CLASS]["threshold"]
    assert point == swept.choose(Criterion.parse("f1"))
    assert tested is not None
    assert fitted.card["metrics"][CLASS]["inside"]["true_positives"] == tested.at(point).true_positives
    assert (fold_part(fitted.card), fold_words(fitted.card)) == ("validation", "the validation part")
    assert fold_names(found, 12)[::6] == ["c from 0.00 s", "d from 0.00 s"]
    assert fold_names(found, 12)[3] == "c from 3.00 s" and fitted.card["clips"] == ["a", "b"]
    with pytest.raises(LakeError, match="5 held-out scores, and its card names 12"):
        fold_names(found, 5)
    assert fitted.card["remark"] == ""
    says_everything("classifier", fitted.card, fitted.card["author"])


def test_without_validation_the_test_part_is_swept_and_that_is_said(site: Workspace) -> None:
    parts: dict[str, Part] = {name: "train" if part == "validation" else part for name, part in PARTS.items()}
    fitted = fit(site, parts=parts)
    found = FoundClassifier(fitted.name, fitted.version, fitted.card)
    tested = sweep_on_test(site, found, CLASS)
    assert tested is not None and tested.scores.tolist() == sweep_of(site, found, CLASS).scores.tolist()
    assert "is chosen on the test part, and flatters itself" in fitted.card["remark"]
    assert fold_words(fitted.card) == "the test part, for there is no validation part"
    with pytest.raises(ConfigurationError, match="is chosen on the validation part, and it has no segment"):
        fit(site, "other", parts=parts, criterion=Criterion.parse("f1"))


def test_a_classifier_of_clips_has_no_test_part(site: Workspace) -> None:
    card = {"classes": ["fight"], "clips": ["a.mp4", "b.mp4"]}
    found = FoundClassifier("fights", "v1", card)
    assert (fold_part(card), fold_words(card), sweep_on_test(site, found, "fight")) == (None, None, None)
    assert fold_names(found, 2) == ["a.mp4", "b.mp4"]


def test_test_scores_that_are_gone_are_told(site: Workspace) -> None:
    fitted = fit(site)
    card, arrays = site.registry.load("classifier", fitted.name, fitted.version)
    kept = {key: value for key, value in arrays.items() if not key.startswith("test.")}
    site.registry.save("classifier", fitted.name, "damaged", card, kept, author="ada")
    with pytest.raises(LakeError, match="the test scores of classifier trouble damaged are damaged"):
        sweep_on_test(site, FoundClassifier(fitted.name, "damaged", card), CLASS)


@pytest.mark.parametrize(("part", "video"), [("train", "a"), ("test", "e")])
def test_a_part_without_an_anomalous_segment_is_refused(part: str, video: str) -> None:
    segments = annotated(SHOWN)
    check_segments(segments, PARTS)
    # The video is annotated, but its span reaches the overlap in no segment.
    rows = segments.samples.video == [one.name for one in segments.videos.videos].index(video)
    segments.samples.positive[rows] = False
    with pytest.raises(ConfigurationError, match=f"none of the 12 segments of the {part} part is anomalous"):
        check_segments(segments, PARTS)


def test_spans_that_count_as_normal_are_told_on_the_card(site: Workspace) -> None:
    fitted = fit(site, segments=annotated(SHOWN, ("a 5.9 to 6 s", "b 1 to 1.2 s")))
    assert fitted.card["data"]["spans_in_no_anomalous_window"] == 2
    assert (
        "2 of 6 annotated spans fill 50 % of no segment, and count as normal: a 5.9 to 6 s, …" in fitted.card["remark"]
    )


def test_the_threshold_in_service_is_told_on_the_test_part(site: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    import json

    from afterwatch.__main__ import main

    fitted = fit(site)
    found = FoundClassifier(fitted.name, fitted.version, fitted.card)
    say_operating_point(site.ledger, OperatingPoint(fitted.name, fitted.version, CLASS, 0.3, "chosen", "ada"))
    tested = sweep_on_test(site, found, CLASS)
    assert tested is not None
    said = []
    for verb in (["show", "trouble"], ["threshold", "trouble"]):
        for form in (["--json"], []):
            with pytest.raises(SystemExit) as left:
                main(["models", *verb, "--site", str(site.site.root), *form])
            assert left.value.code in (0, None)
            said.append(capsys.readouterr().out)
    for told in (json.loads(said[0])["test"][CLASS], json.loads(said[2])["test"]):
        assert (told["threshold"], told["true_positives"]) == (0.3, tested.at(0.3).true_positives)
    assert "in use, 0.3000, on the test part: precision" in said[1]
    assert "in segments of the test part" in said[1]
    assert "sweep of anomaly over segments of the validation part" in said[1]
    assert "of segments of the validation part: precision" in said[3]
    assert "of segments of the test part: precision" in said[3]


def test_a_validation_part_without_an_anomaly_is_shown(site: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    from afterwatch.__main__ import main

    fit(site, segments=annotated({**SHOWN, "c": ()}))
    with pytest.raises(SystemExit) as left:
        main(["models", "show", "trouble", "--site", str(site.site.root)])
    told = capsys.readouterr()
    assert left.value.code in (0, None), told.err
    assert "nothing there is of the class anomaly, so no threshold has a recall" in told.out
