"""The Anomalies page in a real browser: keys judge and go on, the slider tells before and after."""

import pytest

from lake.labels import labels_now
from tests.dashboards.judged_site import keep_reasons
from tests.dashboards.small_site import CAMERA, Workspace
from tests.dashboards.test_dashboard_browser import CHROMIUM, FLAGS, PATIENCE_MS, address

__all__ = ["address"]  # a fixture

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.is_file(), reason=f"Debian's chromium is not installed ({CHROMIUM})"),
]


@pytest.fixture
def judged(full_site: Workspace) -> Workspace:
    keep_reasons(full_site)
    return full_site


def test_keys_judge_and_the_slider_tells(judged: Workspace, address: str) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS.split())
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.set_default_timeout(PATIENCE_MS)
        page.goto(f"{address}/anomalies?camera={CAMERA}")
        page.wait_for_selector("[data-testid=stVegaLiteChart] svg >> nth=1")
        page.keyboard.press("y")
        page.wait_for_url(f"**event={CAMERA}-event-1**")
        page.get_by_text("1 confirmed · 0 dismissed · 2 open").wait_for()
        page.keyboard.press("n")
        page.wait_for_url(f"**event={CAMERA}-event-2**")
        page.get_by_text("1 confirmed · 1 dismissed · 1 open").wait_for()
        page.keyboard.press("u")
        page.wait_for_url(f"**event={CAMERA}-event-1**")
        page.get_by_text("1 confirmed · 0 dismissed · 2 open").wait_for()
        assert [label.relevant for label in labels_now(judged.ledger)] == [True]

        page.get_by_role("button", name="Threshold of this camera").click()
        slider = page.get_by_role("slider")
        slider.focus()
        for _ in range(16):
            page.keyboard.press("ArrowRight")
        page.get_by_text("3.0 → 2.0").first.wait_for()  # two of the three peaks are above 17 deviations
        browser.close()
