"""A region is drawn on the canvas in a real browser: a box by dragging, a polygon by clicking its corners."""

import re
from collections.abc import Callable

import pytest

pytest.importorskip("playwright", reason="playwright drives the browser; it is a development requirement")

from playwright.sync_api import Page, expect, sync_playwright

from lake.ledger import Ledger
from lake.store import Store
from tests.dashboards.small_site import CAMERA, CAMPAIGN, DAY, Workspace, at
from tests.dashboards.test_dashboard_browser import CHROMIUM, FLAGS, PATIENCE_MS, address
from tests.dashboards.test_regions_page import bring_footage
from workspace.regions import SaidRegion, regions_now

__all__ = ["address"]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.is_file(), reason=f"Debian's chromium is not installed ({CHROMIUM})"),
]
DIGITS = 0.01
"""What a pixel of the canvas makes, generously."""

Point = tuple[float, float]


def test_a_box_and_a_polygon_are_drawn_and_found_in_the_ledger(full_site: Workspace, address: str) -> None:
    bring_footage(full_site)
    asked: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS.split())
        page = browser.new_page(viewport={"width": 1400, "height": 1200})
        page.set_default_timeout(PATIENCE_MS)
        expect.set_options(timeout=PATIENCE_MS)
        page.on("request", lambda request: asked.append(request.url))
        where = f"campaign={CAMPAIGN}&camera={CAMERA}&day={DAY.isoformat()}&at={at(1).isoformat().replace('+', '%2B')}"
        page.goto(f"{address}/regions?{where}")
        expect(page.locator(".stage img")).to_have_js_property("naturalWidth", 320)

        _drag(page, (0.2, 0.3), (0.5, 0.7))
        _drag(page, (0.3, 0.5), (0.4, 0.4))  # by its inside: moved by a tenth each way
        _drag(page, (0.6, 0.6), (0.8, 0.9))  # by its lower right corner
        expect(page.get_by_label("Width %")).to_have_value(re.compile(r"^(49|50)\.\d$"))
        (said,) = _save(page, full_site, "hatch", lambda found: len(found) == 1)
        assert said.name == "hatch" and said.region is not None and said.region.is_box
        assert said.drawn_on == at(1)
        (left, top), (right, bottom) = said.region.bounds
        assert (left, top, right, bottom) == pytest.approx((0.3, 0.2, 0.8, 0.9), abs=DIGITS)

        page.get_by_role("button", name="Polygon").click()
        corners = [(0.1, 0.1), (0.6, 0.1), (0.9, 0.1), (0.7, 0.8)]
        for corner in corners[:3]:
            page.mouse.click(*_at(page, corner))
        page.keyboard.press("Backspace")
        page.mouse.click(*_at(page, corners[3]))
        page.keyboard.press("Enter")
        told = [*corners[:2], corners[3]]
        said = next(one for one in _save(page, full_site, "door", lambda found: len(found) == 2) if one.name == "door")
        assert said.region is not None
        assert [value for point in said.region.outline for value in point] == pytest.approx(
            [value for point in told for value in point], abs=DIGITS
        )

        # Escape gives up a polygon, and a click that was no drag draws nothing.
        page.mouse.click(*_at(page, (0.05, 0.9)))
        page.keyboard.press("Escape")
        page.get_by_role("button", name="Box").click()
        page.mouse.click(*_at(page, (0.05, 0.9)))
        expect(page.locator(".stage .draft")).to_have_count(0)
        browser.close()
    assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []


def _at(page: Page, point: Point) -> Point:
    box = page.locator(".stage").bounding_box()
    assert box is not None
    return box["x"] + point[0] * box["width"], box["y"] + point[1] * box["height"]


def _drag(page: Page, start: Point, end: Point) -> None:
    page.mouse.move(*_at(page, start))
    page.mouse.down()
    page.mouse.move(*_at(page, end), steps=5)
    page.mouse.up()


def _save(page: Page, site: Workspace, name: str, there: Callable[[list[SaidRegion]], bool]) -> list[SaidRegion]:
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Name", exact=True).press("Enter")
    expect(page.locator(".stage .names")).to_contain_text(name)
    page.get_by_role("button", name="Save").click()
    page.get_by_text(f"{name} is saved").wait_for()
    found = regions_now(Ledger(Store(site.site.lake_location)), CAMERA)
    assert there(found)
    return found
