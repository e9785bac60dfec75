"""What the pages say of a deployment's equity: its newest close, and the profit on the capital it was given."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from control.deployments.models import Deployment
from control.trading.models import EquityPoint
from control.trading.selectors import with_newest_equity

pytestmark = pytest.mark.django_db


def close(deployment: Deployment, day: int, equity: str) -> EquityPoint:
    at = datetime(2013, 1, day, 21, tzinfo=UTC)
    return EquityPoint.objects.create(
        deployment=deployment, ts=at, equity=Decimal(equity), unrealised=0, realised=0, gross=Decimal("250000")
    )


def test_the_newest_close_counts_whichever_was_written_last(deployment: Deployment) -> None:
    newest = close(deployment, 3, "1000120.5")
    close(deployment, 2, "999000")
    found = with_newest_equity(Deployment.objects.all()).get(pk=deployment.pk)
    assert (found.equity, found.gross, found.equity_at) == (Decimal("1000120.5"), Decimal("250000"), newest.ts)
    assert found.profit == Decimal("120.5")  # 1,000,120.50 less the 1,000,000 of capital


def test_before_the_first_close_nothing_is_claimed(deployment: Deployment) -> None:
    found = with_newest_equity(Deployment.objects.all()).get(pk=deployment.pk)
    assert (found.equity, found.gross, found.equity_at, found.profit) == (None, None, None, None)
