"""The demo walks the managed path once, and goes on from what is there.

A backtest's success is put down as a worker would leave it; everything else is the services.
"""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from control.audit.models import AuditRow
from control.deployments.models import Deployment, Node
from control.desks.models import Desk
from control.local import demo as module
from control.local.demo import Demo
from control.strategies.models import StrategyVersion

pytestmark = pytest.mark.django_db


@pytest.fixture
def demo(
    people: SimpleNamespace,
    desk: Desk,
    node: Node,
    dataset: str,
    backtest_success: Callable[[StrategyVersion], Any],
    monkeypatch: pytest.MonkeyPatch,
) -> Demo:
    monkeypatch.setattr(module, "DATASET", dataset)

    def backtest(*, actor: Any, version: StrategyVersion) -> Any:
        run = backtest_success(version)
        run.statistics = {"trades": 10, "sharpe": 0.5, "max_drawdown": -0.1}
        run.save()
        return run

    monkeypatch.setattr(module, "backtest_request", backtest)
    users = {user.username: user for user in (people.quant, people.trader, people.risk_officer, people.admin)}
    return Demo(users, "http://127.0.0.1:8000/")


def test_each_step_is_done_by_the_person_whose_step_it_is(demo: Demo) -> None:
    deployment = demo.walk()
    assert deployment is not None
    version = deployment.version
    assert (version.created_by.username, version.submitted_by.username) == ("quinn", "quinn")
    assert version.approvals.get().reviewer.username == "rhea"
    assert deployment.created_by.username == "tess"
    done = list(AuditRow.objects.order_by("id").values_list("action", flat=True))
    path = ["strategy.create", "version.create", "version.submit", "version.approve", "deployment.create"]
    assert [action for action in done if action in path] == path


def test_a_second_run_goes_on_with_the_same_version_and_deployment(demo: Demo) -> None:
    first = demo.walk()
    assert demo.walk() == first
    assert StrategyVersion.objects.count() == 1
    assert Deployment.objects.count() == 1


def test_changed_code_means_a_new_version_that_says_why(demo: Demo, monkeypatch: pytest.MonkeyPatch) -> None:
    first = demo.walk()
    assert first is not None
    monkeypatch.setattr(module, "present_hash", lambda version: "0" * 64)

    def engine_ends(self: Demo, live: Deployment) -> None:
        Deployment.objects.filter(pk=live.pk).update(desired="stopped", state="refused")
        Deployment.objects.filter(pk=live.pk).update(stopped_at=live.created_at)

    monkeypatch.setattr(Demo, "_stop", engine_ends)
    second = demo.walk()
    assert second is not None
    assert second.version.number == 2
    assert second.version.parameters == first.version.parameters
    assert "changed since PAIRS-US v1" in second.version.note


def test_what_somebody_has_stopped_stays_stopped(demo: Demo) -> None:
    first = demo.walk()
    assert first is not None
    Deployment.objects.filter(pk=first.pk).update(desired="stopped", state="stopped")
    Deployment.objects.filter(pk=first.pk).update(stopped_at=first.created_at)
    assert demo.walk() is None
    assert Deployment.objects.count() == 1
