"""The Models page: a refit's candidate beside the version in service, and autoencoders put into service."""

from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest
import streamlit as st

from infra.weights import read_weights
from lake.promotions import promote
from lake.registry import Registry
from tests.dashboards.small_site import CAMERA, Workspace
from tests.dashboards.test_anomalies_page import press
from tests.dashboards.test_dashboard_pages import words
from tests.dashboards.test_models_page import page, serve_unreviewed
from workspace.comparisons import Comparison, HeldOut, MetricPair

Show = Callable[[Workspace], None]
HEAD = f"{CAMERA}.frame.busy"
METRICS = (
    MetricPair("auc", 0.8, 0.9, 0.05, 0.15),
    MetricPair("recall", 0.5, 0.4, -0.3, 0.1),
    MetricPair("fight precision", 0.9, float("nan"), float("nan"), float("nan")),
    MetricPair("mean_error", 3.0, 4.0, 0.5, 1.5, "lower"),
)


@pytest.fixture
def kept(empty_site: Workspace, shown: Show) -> Workspace:
    st.cache_data.clear()
    st.cache_resource.clear()
    registry, case = Registry(empty_site.site.models_folder), {"camera": CAMERA, "region": "frame", "name": "busy"}
    held = HeldOut({f"spring/{CAMERA}/{hour}.mp4": hour for hour in "abcdefg"}, 40, 12)
    cards: dict[str, dict[str, Any]] = {
        "v1": {},
        "v2": {
            "comparison": Comparison("v1", held, METRICS).to_card(),
            "drift": {"words": "scores of normal footage rose by 1.8 deviations"},
        },
        "v4": {
            "comparison": Comparison(
                "v1",
                HeldOut({f"{hour}.mp4": hour for hour in "abcdefg"}, 40, 12, chosen=9),
                METRICS[:1],
                thresholds={"": (0.25, 0.75)},
            ).to_card()
        },
        "v3": {"comparison": Comparison("v0", None, (), "nothing could be held out").to_card()},
    }
    for version, card in cards.items():
        registry.save("retrieval", HEAD, version, {"use_case": case, **card}, {}, author="ada")
    promote(empty_site.ledger, "retrieval", HEAD, "v1", "ada", CAMERA)
    shown(empty_site)
    return empty_site


def test_a_candidate_stands_beside_the_version_in_service(kept: Workspace) -> None:
    app = page(kind="retrieval", version="v2")
    text = words(app).replace("\\", "")
    assert "Beside v1" in text and "rose by 1.8 deviations" in text
    assert "40 samples, 12 of them what it looks for, of 7 recordings" in text and "and 2 more" in text
    table = next(one.value for one in app.dataframe if "95 % of the difference" in one.value.columns)
    assert list(table.columns)[1:3] == ["v1", "this version"], "whichever of them serves by now"
    assert table["metric"].tolist() == ["AUC", "recall", "fight precision", "mean error"]
    assert table[""].tolist() == ["better", "no clear difference", "too few recordings to tell", "worse"]
    assert table["95 % of the difference"].tolist()[0] == "+0.050 … +0.150"
    serve_unreviewed(app)
    assert ":green-badge[in service]" in words(app) and "Beside v1" in words(app)


def test_where_scores_chose_the_labels_it_is_said_and_nothing_is_called_better(kept: Workspace) -> None:
    app = page(kind="retrieval", version="v4")
    text = words(app).replace("\\", "")
    assert "9 of the 40 held-out samples were labelled because" in text and "favours the candidate" in text
    assert "0.2500 in service, 0.7500 of the candidate" in text
    table = next(one.value for one in app.dataframe if "95 % of the difference" in one.value.columns)
    assert table[""].tolist() == ["cannot be told: labels chosen by scores"]


def test_where_nothing_was_compared_it_is_said(kept: Workspace) -> None:
    text = words(page(kind="retrieval", version="v3")).replace("\\", "")
    assert "nothing could be held out" in text and "v1 is in service now, not the one" in text
    assert "Beside" not in words(page(kind="retrieval", version="v1"))


def test_an_autoencoder_is_put_into_service_and_none_is_retired(kept: Workspace) -> None:
    folder = kept.site.weights_folder
    folder.mkdir(exist_ok=True)
    for content in (b"one", b"two"):
        digest = sha256(content).hexdigest()
        (folder / f"autoencoder-hasan-hall-{digest[:12]}.safetensors").write_bytes(content)
        card = {"encoder": "autoencoder/hasan/hall", "architecture": "hasan", "settings": {}, "weights": digest}
        Registry(kept.site.models_folder).save("autoencoder", "hasan.hall", digest[:12], card, {}, author="ada")
    for content in (b"one", b"two"):
        version = sha256(content).hexdigest()[:12]
        app = page(kind="autoencoder", version=version)
        assert ":blue-badge[candidate]" in words(app)
        assert "embeds the footage anew" in words(app) and "reads its vectors" in words(app)
        assert not [one for one in app.button if one.label == "Retire"]
        if content == b"one":
            press(app, "Put into service")
        else:
            serve_unreviewed(app, "its refit measured it")
        assert ":green-badge[in service]" in words(app)
        assert read_weights(folder)["autoencoder/hasan/hall"].sha256.startswith(version)
