"""The Summaries page in a real browser: a card plays its segment, a slider brings other segments in."""

import pytest

from tests.dashboards.measured_site import summarise_site
from tests.dashboards.small_site import CAMERA, Workspace
from tests.dashboards.test_dashboard_browser import CHROMIUM, FLAGS, PATIENCE_MS, address

__all__ = ["address"]  # a fixture

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.is_file(), reason=f"Debian's chromium is not installed ({CHROMIUM})"),
]


@pytest.fixture
def measured(full_site: Workspace) -> Workspace:
    summarise_site(full_site)
    return full_site


@pytest.mark.usefixtures("measured")
def test_a_card_plays_and_a_slider_brings_segments_in(address: str) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS.split())
        page = browser.new_page(viewport={"width": 1400, "height": 1200})
        page.set_default_timeout(PATIENCE_MS)
        page.goto(f"{address}/summaries?camera={CAMERA}")
        page.wait_for_selector("[data-testid=stVegaLiteChart] svg")
        page.locator("[class*=st-key-summaries_story_]").nth(3).get_by_role("button").first.click()
        page.wait_for_url("**segment=4**")
        video = "document.querySelector('video')"
        page.wait_for_function(f"{video} && {video}.currentTime > 12.5 && !{video}.paused && !{video}.error")

        # The mark that lies on top is the last segment's: a click on the timeline plays that one.
        page.locator("[data-testid=stVegaLiteChart] svg g.mark-symbol path").last.click()
        page.wait_for_url("**segment=6**")
        page.wait_for_function(f"{video}.currentTime > 20.5 && !{video}.error")

        page.goto(f"{address}/summaries?view=weights&camera={CAMERA}")
        slider = page.get_by_role("slider").first
        slider.focus()
        slider.press("Home")
        page.locator("[class*=st-key-summaries_tick_in_]").first.wait_for()
        browser.close()
