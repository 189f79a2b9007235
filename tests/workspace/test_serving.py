"""What a promotion asks for, what it keeps, and how a version is put back."""

from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from afterwatch.workspace_files import make_workspace
from infra.errors import ConfigurationError, LakeError, UnknownNameError
from infra.weights import read_weights
from lake.ledger import Statement
from lake.promotions import Review, in_service
from tests.workspace.signed import signed
from workspace.classifiers import EVERY_CAMERA
from workspace.flip_files import report_hash, report_ids
from workspace.flip_signing import TABLE, signature_of, signed_report
from workspace.lineage import lineage_of
from workspace.opened import Workspace
from workspace.serving import (
    NamedModel,
    model_named,
    put_into_service,
    roll_back,
    take_out_of_service,
    versions_in_service,
)

FIGHTS = "fights"


@pytest.fixture
def site(tmp_path: Path) -> Workspace:
    workspace = Workspace(make_workspace(tmp_path / "site"))
    for number, version in enumerate("abc", 1):
        keep(workspace, version, f"2026-03-0{number}T00:00:00+00:00")
    return workspace


def keep(workspace: Workspace, version: str, made_at: str, **card: Any) -> None:
    workspace.registry.save("classifier", FIGHTS, version, {"made_at": made_at, **card}, {}, author="ada")


def fights(workspace: Workspace) -> NamedModel:
    return model_named(workspace, FIGHTS)


def serve(workspace: Workspace, version: str, **options: str) -> Review:
    return put_into_service(workspace, fights(workspace), version, "ada", **options)


def serving(workspace: Workspace) -> str | None:
    return in_service(workspace.ledger, "classifier", EVERY_CAMERA).get(FIGHTS)


def test_the_first_version_of_a_name_needs_no_review(site: Workspace) -> None:
    assert serve(site, "b") == Review()
    assert serving(site) == "b"
    assert [fights(site).state(version) for version in "abc"] == ["candidate", "in service", "candidate"]


def test_another_is_refused_until_a_report_between_the_two_is_signed(site: Workspace) -> None:
    serve(site, "a")
    with pytest.raises(ConfigurationError, match="nobody has signed a flip report") as refused:
        serve(site, "b")
    assert f"afterwatch models compare {FIGHTS}/a {FIGHTS}/b --kind classifier --campaign" in str(refused.value)
    assert "afterwatch models sign REPORT" in str(refused.value) and '--unreviewed "REASON"' in str(refused.value)
    # Of others, of the other way round, or of another name it is none of these two.
    for name, current, candidate in ((FIGHTS, "a", "c"), (FIGHTS, "b", "a"), ("falls", "a", "b")):
        signed(site, name, current, candidate)
    with pytest.raises(ConfigurationError, match="nobody has signed"):
        serve(site, "b", unreviewed="  ")
    assert serving(site) == "a" and len(fights(site).words) == 1
    signature = signed(site, FIGHTS, "a", "b")
    assert serve(site, "b") == Review(signature.report_id, "grace")
    word = fights(site).words[-1]
    assert (word.before, word.after, word.review.signed_by, word.review.report) == (
        "a",
        "b",
        "grace",
        signature.report_id,
    )
    assert [fights(site).state(version) for version in "abc"] == ["retired", "in service", "candidate"]


def test_an_altered_report_lets_nothing_through(site: Workspace) -> None:
    serve(site, "a")
    report = site.site.models_folder / "flips" / f"{signed(site, FIGHTS, 'a', 'b').report_id}.json"
    report.write_text(report.read_text().replace('"learnt": 0', '"learnt": 1'))
    with pytest.raises(ConfigurationError, match="nobody has signed"):
        serve(site, "b")


def test_why_it_was_not_reviewed_is_kept(site: Workspace) -> None:
    serve(site, "a")
    serve(site, "b", unreviewed=" the camera was replaced ")
    assert fights(site).words[-1].review == Review(unreviewed="the camera was replaced")


def test_retiring_is_no_way_round_a_review(site: Workspace) -> None:
    serve(site, "a")
    take_out_of_service(site, fights(site), "ada", reason="a pause")
    assert serving(site) is None and fights(site).words[-1].reason == "a pause"
    with pytest.raises(ConfigurationError, match="take the place of a"):
        serve(site, "b")
    serve(site, "a")
    assert serving(site) == "a", "what served last is put back without one"


def test_put_into_service_again_nothing_is_said(site: Workspace) -> None:
    serve(site, "a")
    serve(site, "a")
    assert len(fights(site).words) == 1


def test_rolling_back_goes_one_further_each_time_and_needs_no_review(site: Workspace) -> None:
    with pytest.raises(ConfigurationError, match="none was ever in service"):
        roll_back(site, fights(site), "ada")
    serve(site, "a")
    with pytest.raises(ConfigurationError, match="a is the first"):
        roll_back(site, fights(site), "ada")
    serve(site, "b", unreviewed="x")
    serve(site, "c", unreviewed="x")
    assert fights(site).before == "b"
    assert roll_back(site, fights(site), "bob", reason="too loud") == serving(site) == "b"
    word = fights(site).words[-1]
    assert (word.author, word.action, word.before, word.after, word.reason) == (
        "bob",
        "rolled back",
        "c",
        "b",
        "too loud",
    )
    assert roll_back(site, fights(site), "bob") == "a"
    with pytest.raises(ConfigurationError, match="a is the first"):
        roll_back(site, fights(site), "bob")
    take_out_of_service(site, fights(site), "bob")
    assert roll_back(site, fights(site), "bob") == "a", "what was retired is put back"


def test_what_is_gone_is_not_rolled_back_to(site: Workspace) -> None:
    serve(site, "a")
    serve(site, "b", unreviewed="x")
    (site.registry.folder("classifier", FIGHTS, "a") / "card.json").unlink()
    with pytest.raises(ConfigurationError, match="not in the registry any more"):
        roll_back(site, fights(site), "ada")
    assert serving(site) == "b"


def test_a_word_has_an_author_and_a_version_that_is_there(site: Workspace) -> None:
    with pytest.raises(ConfigurationError, match="say who you are"):
        put_into_service(site, fights(site), "a", " ")
    with pytest.raises(UnknownNameError, match='"z"'):
        serve(site, "z")
    site.registry.save("novelty", "hall", "n", {}, {}, author="night")
    with pytest.raises(ConfigurationError, match="the night chooses novelty heads"):
        put_into_service(site, model_named(site, "hall"), "n", "ada")
    with pytest.raises(ConfigurationError, match="the night chooses novelty heads"):
        roll_back(site, model_named(site, "hall"), "ada")
    assert model_named(site, "hall").state("n") == "kept"


def test_lineage_tells_what_a_version_came_from_and_what_became_of_it(site: Workspace) -> None:
    keep(site, "d", "2026-03-05T00:00:00+00:00", refit={"from": "a"}, inputs=[{"encoder": "handcrafted/motion"}])
    serve(site, "a")
    serve(site, "d", unreviewed="x")
    serve(site, "b", unreviewed="x")
    told = lineage_of(site, fights(site), "d")
    assert (told.trained_from, told.reads) == ("a", ("handcrafted/motion",))
    assert (told.replaced, told.replaced_by, told.led_to) == (("a",), ("b",), ())
    assert lineage_of(site, fights(site), "a").led_to == ("d",)
    assert told.words == ["trained from: a", "reads: handcrafted/motion", "replaced: a", "replaced by: b"]


@pytest.fixture
def hall(site: Workspace) -> tuple[Workspace, list[str]]:
    """Two versions of an autoencoder."""
    folder, versions = site.site.weights_folder, []
    folder.mkdir(exist_ok=True)
    for content in (b"one", b"two"):
        digest = sha256(content).hexdigest()
        versions.append(digest[:12])
        (folder / f"autoencoder-hasan-hall-{digest[:12]}.safetensors").write_bytes(content)
        card = {"encoder": "autoencoder/hasan/hall", "architecture": "hasan", "settings": {}, "weights": digest}
        site.registry.save("autoencoder", "hasan.hall", digest[:12], card, {}, author="ada")
    return site, versions


def test_an_autoencoder_is_promoted_with_a_signed_report_and_rolled_back(hall: tuple[Workspace, list[str]]) -> None:
    site, (first, second) = hall

    def model() -> NamedModel:
        return model_named(site, "hasan.hall")

    put_into_service(site, model(), first, "ada")
    with pytest.raises(ConfigurationError, match="nobody has signed a flip report") as refused:
        put_into_service(site, model(), second, "ada")
    assert f"models compare hasan.hall/{first} hasan.hall/{second} --kind autoencoder" in str(refused.value)
    report = signed(site, "hasan.hall", first, second, kind="autoencoder").report_id
    assert put_into_service(site, model(), second, "ada").report == report
    assert versions_in_service(site, "autoencoder") == {"hasan.hall": second}
    with pytest.raises(ConfigurationError, match="is not retired") as refused:
        take_out_of_service(site, model(), "ada")
    assert f"to go back to {first}" in str(refused.value) and "models rollback hasan.hall" in str(refused.value)
    assert '[[encoders]] named "autoencoder/hasan/hall"' in str(refused.value)
    assert roll_back(site, model(), "ada") == first
    assert read_weights(site.site.weights_folder)["autoencoder/hasan/hall"].sha256.startswith(first)
    assert [word.action for word in model().words] == ["promoted", "promoted", "rolled back"]


def test_a_report_on_no_camera_day_cannot_be_signed_and_one_that_was_counts_no_more(site: Workspace) -> None:
    with pytest.raises(ConfigurationError, match="on no camera-day") as refused:
        signed(site, FIGHTS, "a", "b", days=0)
    assert f"models compare {FIGHTS}/a {FIGHTS}/b" in str(refused.value)
    (report_id,) = report_ids(site)
    told = {"kind": "classifier", "name": FIGHTS, "current": "a", "candidate": "b", "campaign": "demo"}
    site.ledger.say(TABLE, [Statement(report_id, "grace", {**told, "sha256": report_hash(site, report_id)})])
    assert signature_of(site, report_id) is None
    assert signed_report(site, "classifier", FIGHTS, "a", "b") is None
    assert signed(site, FIGHTS, "a", "b") == signed_report(site, "classifier", FIGHTS, "a", "b")


def test_an_autoencoder_whose_weights_are_gone_is_not_said_to_serve(hall: tuple[Workspace, list[str]]) -> None:
    site, (first, second) = hall
    put_into_service(site, model_named(site, "hasan.hall"), first, "ada")
    next(site.site.weights_folder.glob(f"*-{second}.safetensors")).unlink()
    with pytest.raises(LakeError, match="not in"):
        put_into_service(site, model_named(site, "hasan.hall"), second, "ada", unreviewed="x")
    assert len(model_named(site, "hasan.hall").words) == 1
    assert versions_in_service(site, "autoencoder") == {"hasan.hall": first}


def test_who_may_not_promote_changes_no_weights(
    hall: tuple[Workspace, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    site, (first, second) = hall
    put_into_service(site, model_named(site, "hasan.hall"), first, "ada")

    def refuse(*_: object) -> None:
        raise LakeError("not allowed")

    monkeypatch.setattr(site.ledger, "say", refuse)
    with pytest.raises(LakeError, match="not allowed"):
        put_into_service(site, model_named(site, "hasan.hall"), second, "ada", unreviewed="x")
    assert versions_in_service(site, "autoencoder") == {"hasan.hall": first}
