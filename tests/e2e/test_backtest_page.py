"""The backtest's pages in a real Chromium: the progress as it goes, and the result's chart, tables and filter."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from control.accounts.models import User
from control.backtests.models import BacktestRun
from control.strategies.models import StrategyVersion
from tests.backtest_result import write_result

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def result(approved: StrategyVersion, tmp_path: Path, settings: Any) -> BacktestRun:
    """A run with a result of three days over two months, two trades and one round trip."""
    settings.BACKTEST_ROOT = tmp_path
    run = approved.backtests.get()
    run.statistics = write_result(tmp_path / "run") | {"sharpe": None}
    run.save()
    return run


def test_a_result_is_drawn_and_its_trades_are_filtered_by_symbol(
    result: BacktestRun, page_of: Callable[[User], Page], people: SimpleNamespace, server: Any
) -> None:
    page = page_of(people.viewer)
    page.goto(f"{server.url}/backtests/{result.pk}/")
    expect(page.locator("#trades-body tr")).to_have_count(2)
    expect(page.locator("#round-trips-body tr")).to_contain_text(["+1,234.50"])
    # January ends 1 % above the capital, February 1 % below January's end
    expect(page.locator("#monthly-body tr")).to_contain_text(["+1.00−1.00"])
    expect(page.locator(".tile").filter(has_text="Sharpe").first).to_contain_text("—")
    page.wait_for_function("window.heliographCharts.chart('backtest-curve')?.data[0].y.length === 3")
    page.locator("#trades-symbol").click()
    page.locator(".dash-dropdown-content").get_by_text("PEP", exact=True).click()
    expect(page.locator("#trades-body tr")).to_have_count(1)
    expect(page.locator("#trades-body tr")).to_contain_text(["68.50"])
    assert page.errors == []  # type: ignore[attr-defined]


def test_progress_moves_and_the_result_follows_by_itself(
    result: BacktestRun, page_of: Callable[[User], Page], people: SimpleNamespace, server: Any
) -> None:
    going = {"state": "running", "worker": "w", "lease_until": datetime.now(UTC)}
    runs = BacktestRun.objects.filter(pk=result.pk)
    runs.update(**going, progress=0.25, progress_note="Forming pairs as of 20130102")
    page = page_of(people.quant)
    page.goto(f"{server.url}/backtests/{result.pk}/")
    expect(page.locator("[data-progress-figure]")).to_have_text("25.00%")
    runs.update(progress=0.5, progress_note="Trading 2013")
    expect(page.locator("[data-progress-figure]")).to_have_text("50.00%")
    expect(page.locator("[data-progress-note]")).to_have_text("Trading 2013")
    runs.update(state="succeeded", progress=1.0)
    expect(page.locator("#trades-body tr")).to_have_count(2)


def test_tables_sort_filter_and_remember_hidden_columns(
    result: BacktestRun, page_of: Callable[[User], Page], people: SimpleNamespace, server: Any
) -> None:
    page = page_of(people.viewer)
    page.goto(f"{server.url}/backtests/{result.pk}/")
    panel = page.locator(".panel").filter(has=page.locator("#trades-body"))
    expect(panel.locator(".table-count")).to_have_text("2 trades")
    first = page.locator("#trades-body tr").first
    panel.get_by_role("columnheader", name="Quantity").click()
    expect(first).to_contain_text("100")
    panel.get_by_role("columnheader", name="Quantity").click()
    expect(first).to_contain_text("50")
    panel.get_by_role("searchbox").fill("ko")
    expect(panel.locator(".table-count")).to_have_text("1 of 2 trades")
    panel.locator("summary").click()
    panel.get_by_label("Fee, USD").uncheck()
    expect(panel.get_by_role("columnheader", name="Fee, USD")).to_be_hidden()
    page.reload()
    expect(page.locator("#trades-body tr")).to_have_count(2)
    expect(panel.get_by_role("columnheader", name="Fee, USD")).to_be_hidden()
