"""One look through a real browser: the published day opens, an event's proxy plays, nobody outside is asked."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dashboards.small_site import CAMERA, CAMPAIGN, CLIP_PEAK_S, DAY, Workspace

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)
ROOT = Path(__file__).resolve().parents[2]
PATIENCE_MS = 90_000

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.is_file(), reason=f"Debian's chromium is not installed ({CHROMIUM})"),
]


@pytest.fixture
def address(full_site: Workspace) -> Iterator[str]:
    """Where `dashboards.serve` serves the workspace; on leaving it is terminated as an operator would."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    root = str(full_site.root)
    code = f"from pathlib import Path; from dashboards.serve import serve; serve(Path({root!r}), port={port})"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    server = subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.DEVNULL)
    try:
        _wait_for(port, server)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(30)
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0, "the server outlived the one who started it"


def _wait_for(port: int, server: "subprocess.Popen[bytes]") -> None:
    for _ in range(150):
        assert server.poll() is None, "the server ended before it served"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise AssertionError(f"nothing serves on port {port}")


def test_a_published_day_opens_and_an_event_plays(address: str) -> None:
    from playwright.sync_api import sync_playwright

    asked: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS.split())
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.set_default_timeout(PATIENCE_MS)
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{address}/day?campaign={CAMPAIGN}&camera={CAMERA}&day={DAY.isoformat()}")
        page.wait_for_selector("[data-testid=stVegaLiteChart] svg")
        page.get_by_role("button", name="play_arrow").nth(1).click()
        page.wait_for_url("**event=gate-event-1**")
        video = "document.querySelector('video')"
        page.wait_for_function(f"{video} && {video}.currentTime > {CLIP_PEAK_S} + 0.5 && !{video}.paused")
        before = page.evaluate(f"{video}.currentTime")
        page.wait_for_function(f"{video}.currentTime > {before} + 0.5")
        assert page.evaluate(f"{video}.error") is None
        assert page.evaluate(f"{video}.videoWidth") == 320

        # The mark of the alarm, which lies on top: a click on the timeline plays that one.
        page.locator("[data-testid=stVegaLiteChart] svg g.mark-symbol path").last.click()
        page.wait_for_url("**event=gate-event-0**")
        page.wait_for_function(f"{video}.currentTime > {CLIP_PEAK_S} + 0.5 && !{video}.paused && !{video}.error")
        browser.close()
    foreign = [url for url in asked if not url.startswith((address, "data:", "blob:"))]
    assert foreign == []
