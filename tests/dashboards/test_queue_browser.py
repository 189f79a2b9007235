"""The Queue page in a real browser: keys answer, each once, and the next video comes without loading the page again."""

from typing import Any

import pytest

from dashboards.app_pages.queue_answers import GLANCE_S
from lake.labels import labels_now
from tests.dashboards.judged_site import give_footage
from tests.dashboards.small_site import Workspace
from tests.dashboards.test_dashboard_browser import CHROMIUM, FLAGS, PATIENCE_MS, address
from tests.dashboards.test_queue_page import ask, items, queue_rows
from workspace.queue_items import skips_now

__all__ = ["address"]  # a fixture

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.is_file(), reason=f"Debian's chromium is not installed ({CHROMIUM})"),
]


@pytest.fixture
def asked(full_site: Workspace) -> Workspace:
    give_footage(full_site)
    ask(full_site, queue_rows(6))
    return full_site


def test_keys_answer_and_a_key_pressed_twice_answers_once(asked: Workspace, address: str) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS.split())
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.set_default_timeout(PATIENCE_MS)
        page.goto(f"{address}/queue")
        page.evaluate("window.stays = true")
        page.get_by_text("0 of 6 done").wait_for()
        seen = look(page)
        page.keyboard.press("y")
        page.wait_for_timeout(150)  # a hand that presses twice
        page.keyboard.press("y")
        page.get_by_text("1 of 6 done: 1 yes, 0 no, 0 skipped").wait_for()
        page.get_by_role("heading", name="Is this fight?").wait_for()
        seen = look(page, seen)
        page.keyboard.press("s")
        page.get_by_text("2 of 6 done: 1 yes, 0 no, 1 skipped").wait_for()
        page.get_by_role("heading", name="Is this hatch open?").wait_for()
        look(page, seen)
        page.keyboard.press("u")
        page.get_by_text("Taken back: skipped").wait_for()
        page.wait_for_url(f"**item={items(asked)[1].queue_id}**")
        assert page.evaluate("window.stays"), "the page was loaded again"
        browser.close()
    assert [label.relevant for label in labels_now(asked.ledger)] == [True]
    assert skips_now(asked.ledger) == ()


def look(page: Any, seen: str = "") -> str:
    """Until all of a snippet is on the page, after the video `seen`, and as long as it has to be there before it can be
    answered; returns the address of its video."""
    video = "document.querySelector('video')"
    page.wait_for_function(f"seen => {video}?.videoWidth === 320 && {video}.currentSrc !== seen", arg=seen)
    page.wait_for_selector("[data-test-script-state=notRunning]", state="attached")
    page.wait_for_timeout(1000 * GLANCE_S + 300)
    return str(page.evaluate(f"{video}.currentSrc"))
