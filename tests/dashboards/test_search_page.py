"""Search by an event: the one that a link names, however old it is."""

from typing import Any

import pytest

from dashboards import queries
from dashboards.snapshot import LakeReader
from infra.site import Site
from lake.store import Store
from tests.dashboards.small_site import CAMERA, Workspace
from tests.dashboards.test_review_page import page


@pytest.fixture
def site(full_site: Workspace, shown: Any, monkeypatch: pytest.MonkeyPatch) -> LakeReader:
    """A site of which only the newest event is offered by itself."""
    shown(full_site)
    right = queries.newest_events
    monkeypatch.setattr(queries, "newest_events", lambda lake: right(lake, 1))
    opened = Site.open(full_site.root)
    return LakeReader(Store(opened.lake_location, opened.settings.lake_options))


def test_an_older_event_is_found_by_its_link(site: LakeReader) -> None:
    names = list(site.rows("SELECT event_id FROM events ORDER BY peak_at DESC")["event_id"])
    app = page("search", event=names[-1])
    box = app.selectbox(key="search_event")
    assert box.value == names[-1]
    assert len(box.options) == 2
    assert page("search", event=names[0]).selectbox(key="search_event").value == names[0]
    # Without a link it is the newest.
    assert page("search", by="event").selectbox(key="search_event").value == names[0]


def test_an_event_that_is_gone_is_told_and_not_replaced(site: LakeReader) -> None:
    app = page("search", event=f"{CAMERA}-event-99")
    assert "There is no event" in app.error[0].value
    assert app.selectbox(key="search_event").value is None
    assert len(app.error) == 1
