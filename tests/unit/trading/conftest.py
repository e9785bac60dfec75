"""A live deployment on ``node``, its open link, and reports about it."""

from collections.abc import Callable
from typing import Any

import pytest

from control.deployments.models import Deployment, Node
from control.trading import services
from engine import messages

JOURNAL = "journal-1"


@pytest.fixture
def link(deployment: Deployment, node: Node) -> services.Link:
    """The link that an agent of ``node`` has opened, on ``JOURNAL``."""
    hello = messages.Hello(node=node.name, journal=JOURNAL, build="b" * 64, core_pid=1, venue="SIM")
    return services.link_open(node=node, hello=hello)


@pytest.fixture
def fill(deployment: Deployment) -> Callable[..., messages.FillReport]:
    def make(**changed: Any) -> messages.FillReport:
        fields = {
            "record": 1,
            "ts": 1_357_137_000_000_000_000,  # 2013-01-02 14:30 UTC, the open in New York
            "deployment": str(deployment.pk),
            "order_id": 1,
            "execution_id": 77,
            "trade_date": 20130102,
            "symbol": "KO",
            "side": "buy",
            "price": 371_200,
            "qty": 100,
        }
        return messages.FillReport(**(fields | changed))

    return make


@pytest.fixture
def order(deployment: Deployment) -> Callable[..., messages.OrderReport]:
    def make(**changed: Any) -> messages.OrderReport:
        fields = {
            "record": 1,
            "ts": 1_357_137_000_000_000_000,
            "deployment": str(deployment.pk),
            "order_id": 1,
            "state": "sent",
            "symbol": "KO",
            "side": "buy",
            "price": 371_200,
            "qty": 100,
            "filled": 0,
            "parent_id": 1,
        }
        return messages.OrderReport(**(fields | changed))

    return make
