"""The browser's number formats, on the same table of cases as Python's."""

import json
from pathlib import Path

import pytest
from playwright.sync_api import Browser

pytestmark = pytest.mark.browser


def test_the_browser_writes_every_figure_as_python_does(browser: Browser, root: Path) -> None:
    cases = json.loads((root / "tests" / "unit" / "dashboards" / "format_cases.json").read_text())
    page = browser.new_page()
    page.add_script_tag(path=root / "dashboards" / "assets" / "formats.js")
    written = page.evaluate("cases => cases.map(([rule, given]) => window.heliographFormats[rule](...given))", cases)
    page.close()
    differing = [(case, text) for case, text in zip(cases, written, strict=True) if text != case[2]]
    assert differing == []
