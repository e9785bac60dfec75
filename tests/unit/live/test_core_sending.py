"""What the core sends of the orders that one step makes, and of those that the venues' refusals make."""

from types import SimpleNamespace

import numpy as np
from live_world import record

from engine.core.events import Kind
from engine.live.core import Core
from engine.live.pipeline import joined


def new(order_id: int) -> np.ndarray:
    return record(Kind.ORDER_NEW, order_id=order_id)


class Orders:
    """A session that can encode no order below 10; ``went`` are those that it was given."""

    def __init__(self) -> None:
        self.went: list[int] = []

    def send(self, orders: np.ndarray, now: int, ts: int) -> list[np.ndarray]:
        self.went += orders["order_id"].tolist()
        return [record(Kind.REJECTED, order_id=number) for number in orders["order_id"].tolist() if number < 10]


def test_what_is_ordered_because_of_each_refused_order_is_sent():
    session = Orders()
    core = SimpleNamespace(
        _clocks=SimpleNamespace(monotonic_ns=lambda: 0),
        _now=lambda: 0,
        venues=[SimpleNamespace(orders=session)],
        pipeline=SimpleNamespace(take=lambda refused: new(int(refused[0]["order_id"]) + 10)),
    )
    Core._send(core, joined([new(1), new(2)]))
    assert session.went == [1, 2, 11, 12]
