"""The demo walks the managed path once, and goes on from what is there.

A backtest's success is put down as a worker would leave it; everything else is the services.
"""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from control.approvals.services import version_approve
from control.audit.models import AuditRow
from control.deployments.models import Deployment, Node
from control.deployments.services import deployment_create
from control.desks.models import Desk
from control.local import demo as module
from control.local.demo import Demo
from control.strategies.models import StrategyVersion
from control.strategies.services import version_create, version_submit

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


def a_draft_of_quinns(of: Deployment) -> StrategyVersion:
    version = of.version
    return version_create(
        actor=version.created_by,
        strategy=version.strategy,
        parameters=version.parameters | {"entry": 2.0},
        envelope=version.envelope,
        dataset=version.dataset,
        capital=version.capital,
        note="wider entry",
    )


def test_a_persons_draft_is_neither_submitted_nor_approved_nor_deployed(demo: Demo) -> None:
    first = demo.walk()
    assert first is not None
    draft = a_draft_of_quinns(first)
    assert demo.walk() == first
    draft = StrategyVersion.objects.get(pk=draft.pk)
    assert draft.state == "draft"
    assert Deployment.objects.count() == 1


def test_what_a_person_has_deployed_goes_on_and_is_not_replaced_by_the_demos(
    demo: Demo, backtest_success: Callable[[StrategyVersion], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = demo.walk()
    assert first is not None
    Deployment.objects.filter(pk=first.pk).update(desired="stopped", state="stopped")
    Deployment.objects.filter(pk=first.pk).update(stopped_at=first.created_at)
    version = version_submit(actor=demo.users["quinn"], version=a_draft_of_quinns(first))
    backtest_success(version)
    version_approve(actor=demo.users["rhea"], version=version, content_hash=version.content_hash)
    theirs = deployment_create(actor=demo.users["tess"], version=version, node=first.node, capital=1_000)
    assert demo.walk() == theirs
    monkeypatch.setattr(module, "present_hash", lambda version: "0" * 64)
    assert demo.walk() is None
    theirs.refresh_from_db()
    assert (theirs.desired, theirs.stopped_at) == ("running", None)
    assert StrategyVersion.objects.count() == 2


def test_what_somebody_has_stopped_stays_stopped(demo: Demo) -> None:
    first = demo.walk()
    assert first is not None
    Deployment.objects.filter(pk=first.pk).update(desired="stopped", state="stopped")
    Deployment.objects.filter(pk=first.pk).update(stopped_at=first.created_at)
    assert demo.walk() is None
    assert Deployment.objects.count() == 1
