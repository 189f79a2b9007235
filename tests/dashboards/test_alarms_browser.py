"""The Alarms and the Models page in a real browser: keys judge, the slider re-draws, a threshold is kept."""

import re

import pytest

from lake.labels import labels_now
from lake.operating_points import operating_points_now
from tests.dashboards.alarmed_site import FIGHTS, OLD, find_alarms, keep_classifiers, set_alarms
from tests.dashboards.small_site import Workspace
from tests.dashboards.test_dashboard_browser import CHROMIUM, FLAGS, PATIENCE_MS, address

__all__ = ["address"]  # a fixture

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.is_file(), reason=f"Debian's chromium is not installed ({CHROMIUM})"),
]


@pytest.fixture
def alarmed(full_site: Workspace) -> Workspace:
    workspace = set_alarms(full_site)
    keep_classifiers(workspace)
    find_alarms(workspace)
    return workspace


def test_keys_judge_an_alarm_and_its_threshold_is_moved(alarmed: Workspace, address: str) -> None:
    from playwright.sync_api import expect, sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS.split())
        page = browser.new_page(viewport={"width": 1400, "height": 1200})
        page.set_default_timeout(PATIENCE_MS)
        page.goto(f"{address}/alarms?event=fight-other")
        page.wait_for_selector("[data-testid=stVegaLiteChart] svg")
        page.wait_for_function("document.querySelector('video')?.videoWidth === 320")
        page.keyboard.press("n")
        page.wait_for_url("**event=fight-low**")
        page.get_by_text("0 confirmed · 1 dismissed · 4 open").wait_for()
        page.keyboard.press("y")
        page.get_by_text("1 confirmed · 1 dismissed · 3 open").wait_for()
        page.keyboard.press("u")
        page.wait_for_url("**event=fight-low**")
        page.get_by_text("0 confirmed · 1 dismissed · 4 open").wait_for()
        assert [label.relevant for label in labels_now(alarmed.ledger)] == [False]

        page.get_by_role("link", name="Threshold of its classifier").click()
        page.wait_for_url(f"**/models?**name={FIGHTS}**")
        page.wait_for_selector("[data-testid=stVegaLiteChart] svg >> nth=3")
        page.get_by_role("button", name="Recall at least 0.8").click()
        page.get_by_text("→").first.wait_for()
        use = page.get_by_role("button", name=re.compile(r"Use 0\.\d+"))
        at_recall = use.inner_text()
        page.get_by_role("slider").focus()
        page.keyboard.press("ArrowRight")
        expect(use).not_to_have_text(at_recall)
        use.click()
        page.get_by_text("put there by hand").wait_for()
        assert operating_points_now(alarmed.ledger)[FIGHTS, OLD, "fight"].criterion == "chosen"
        browser.close()
