"""As a newcomer would: the demonstration, a region drawn, a few answers, every hatch opening, a head in the next night."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

pytest.importorskip("playwright", reason="playwright drives the browser; it is a development requirement")

from playwright.sync_api import Page, expect, sync_playwright

from footage.synthetic.truth import CameraTruth, read_truth
from tests.dashboards.test_dashboard_browser import CHROMIUM, FLAGS
from tests.dashboards.test_regions_browser import _at
from tests.e2e.command import afterwatch, environment

pytestmark = [
    pytest.mark.browser,
    pytest.mark.serial,
    pytest.mark.usefixtures("server"),
    pytest.mark.timeout(600),
    pytest.mark.skipif(not CHROMIUM.is_file(), reason=f"Debian's chromium is not installed ({CHROMIUM})"),
]
CAMERA, REGION, USE_CASE = "hall-east", "pit", "hatch open"
PATIENCE_MS = 90_000
ANSWERS = 10
SECOND = timedelta(seconds=1)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, finished: Path, server: str) -> Path:
    root = tmp_path_factory.mktemp("review") / "site"
    shutil.copytree(finished, root, symlinks=True)
    return root


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "afterwatch", "dashboard", "--site", str(site), "--port", str(port)]
    process = subprocess.Popen(command, env={**os.environ, **environment()}, stdout=subprocess.DEVNULL)
    try:
        for _ in range(300):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert process.poll() is None, "the dashboard ended before it served"
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def test_from_the_demonstration_to_the_list_of_hatch_openings(site: Path, address: str) -> None:
    truth = next(camera for camera in read_truth(site / "footage" / "demo").cameras if camera.name == CAMERA)
    openings = [(event.began_at, event.ended_at) for event in truth.events if event.kind == "cask"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS.split())
        page = browser.new_page(viewport={"width": 1400, "height": 1300})
        page.set_default_timeout(PATIENCE_MS)
        expect.set_options(timeout=PATIENCE_MS)
        _draw_and_embed(page, address, truth)
        _answer(page, address, openings)
        shown = _moments_shown(page)
        page.get_by_role("tab", name="Head").click()
        page.get_by_role("button", name="Save and put into service").click()
        page.get_by_text("is in service").first.wait_for()
        browser.close()
    assert len(shown) == len(openings)

    _run_when_the_backfill_is_over(site)
    events = afterwatch("events", "list", "--site", site, "--head", USE_CASE, "--json").json["events"]
    assert len(events) == len(openings)
    for event in events:
        peak = datetime.fromisoformat(event["peak_at"])
        assert any(began - SECOND <= peak <= ended + SECOND for began, ended in openings)
        assert (site / event["clip"]).is_file()


def _run_when_the_backfill_is_over(site: Path) -> None:
    for _ in range(60):
        done = afterwatch("run", "--site", site, "--camera", CAMERA)
        if "already running" not in done.err:
            break
        time.sleep(1)
    assert done.code == 0, done.err


def _draw_and_embed(page: Page, address: str, truth: CameraTruth) -> None:
    page.goto(f"{address}/regions?camera={CAMERA}")
    expect(page.locator(".stage img")).to_have_js_property("naturalWidth", 192)
    hatch = next(region for region in truth.regions if region.name == "hatch")
    xs, ys = zip(*hatch.polygon, strict=True)
    page.mouse.move(*_at(page, (min(xs), min(ys))))
    page.mouse.down()
    page.mouse.move(*_at(page, (max(xs), max(ys))), steps=5)
    page.mouse.up()
    page.get_by_label("Name", exact=True).fill(REGION)
    page.get_by_label("Name", exact=True).press("Enter")
    expect(page.locator(".stage .names")).to_contain_text(REGION)
    page.get_by_role("button", name="Save").click()
    page.get_by_text(f"{REGION} is saved").wait_for()
    page.get_by_role("button", name="Embed it now").click()
    # The region's own row says when it is ready, and where to go on.
    page.get_by_text(re.compile("all .* recordings embedded")).last.wait_for()


def _answer(page: Page, address: str, openings: list[tuple[datetime, datetime]]) -> None:
    """Answer what is suggested, as somebody who knows a hatch when they see one."""
    page.goto(f"{address}/review?camera={CAMERA}&region={REGION}")
    name = page.get_by_label("Use case")
    name.click()
    name.fill(USE_CASE)
    name.press("Enter")
    heading = page.locator("h3").first
    heading.wait_for()
    heading.click()  # keys go to the page and no more to the field
    for _ in range(ANSWERS):
        told = heading.inner_text()
        clock, day = re.search(r"(\d\d:\d\d:\d\d)", told), re.search(r"(\d+) (\w{3}) (\d{4})", told)
        assert clock is not None and day is not None
        moment = datetime.strptime(f"{day[0]} {clock[0]} +0000", "%d %b %Y %H:%M:%S %z")
        # The heading shows whole seconds.
        relevant = any(began - SECOND / 2 <= moment + SECOND / 2 <= ended for began, ended in openings)
        page.keyboard.press("y" if relevant else "n")
        expect(heading).not_to_have_text(told)
        page.wait_for_timeout(300)


def _moments_shown(page: Page) -> list[str]:
    page.get_by_role("tab", name="Moments").click()
    found = page.locator("[data-testid=stMetric]").filter(has_text="Moments found")
    count = int(re.sub(r"\D", "", found.inner_text()))
    _wait_until_drawn(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="JSON").click()
    told = json.loads(Path(download.value.path()).read_text(encoding="utf-8"))
    assert len(told["events"]) == count
    return [event["started_at"] for event in told["events"]]


def _wait_until_drawn(page: Page) -> None:
    """Until no run of the page has been under way for a second: a download's content is forgotten by the server at each run."""
    app = page.locator("[data-testid=stApp]")
    still = 0
    while still < 10:
        expect(app).to_have_attribute("data-test-script-state", "notRunning")
        page.wait_for_timeout(100)
        still = still + 1 if app.get_attribute("data-test-script-state") == "notRunning" else 0
