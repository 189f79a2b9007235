"""Links made by somebody else: whatever an address says, a page shows what it may show, and nothing from elsewhere."""

from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from dashboards.app_pages.asking import PAGES
from tests.dashboards.small_site import Workspace

APP = Path(__file__).resolve().parents[2] / "dashboards" / "app.py"
PARAMETERS = (
    "campaign",
    "camera",
    "day",
    "event",
    "at",
    "segment",
    "weights",
    "view",
    "region",
    "by",
    "version",
    "report",
)
VALUES = ("../../evil", "a\0b\n\x1b[2J")


@pytest.mark.parametrize("page", PAGES)
def test_an_address_leads_nowhere_else(page: str, full_site: Workspace, shown: Callable[[Workspace], None]) -> None:
    outside = full_site.root.parent / "evil"
    outside.mkdir()
    (outside / "summary.json").write_text('{"entries": [{"reason": "only its owner reads this"}]}', encoding="utf-8")
    shown(full_site)
    for value in VALUES:
        app = AppTest.from_file(str(APP), default_timeout=60)
        app.switch_page(f"app_pages/{page}.py")
        for name in PARAMETERS:
            app.query_params[name] = value
        app.run()
        assert not app.exception and not app.error, (page, value)
        assert not any("only its owner" in str(element.value) for element in (*app.markdown, *app.caption))
