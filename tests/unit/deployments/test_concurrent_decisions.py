"""Two people at the same moment: one wins, the other is told, and the trail has one row."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from types import SimpleNamespace

import pytest
from django.db import connection

from control.accounts.models import User
from control.approvals.services import version_approve
from control.audit.models import AuditRow
from control.audit.selectors import verify_table
from control.audit.services import seal
from control.deployments.models import Deployment, Node
from control.deployments.services import deployment_create, deployment_pause, deployment_resume
from control.desks.services import desk_create
from control.errors import Conflict
from control.strategies.models import StrategyVersion

pytestmark = pytest.mark.django_db(transaction=True)


def at_once(*calls: Callable[[], object]) -> list[object]:
    """Run the calls in threads of their own from one starting line; each answer, or its ``Conflict``."""
    line = Barrier(len(calls))

    def run(call: Callable[[], object]) -> object:
        try:
            line.wait(timeout=30)
            return call()
        except Conflict as conflict:
            return conflict
        finally:
            connection.close()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


def conflicts(answers: list[object]) -> list[str]:
    return [answer.code for answer in answers if isinstance(answer, Conflict)]


def test_a_version_is_approved_once(
    people: SimpleNamespace, submitted: StrategyVersion, backtest_success: Callable, admin_user: User, desk: object
) -> None:
    backtest_success(submitted)

    def approve() -> object:
        return version_approve(actor=people.risk_officer, version=submitted, content_hash=submitted.content_hash)

    assert conflicts(at_once(approve, approve)) == ["state"]
    assert AuditRow.objects.filter(action="version.approve").count() == 1


def test_a_strategy_is_deployed_once_on_a_node(people: SimpleNamespace, approved: StrategyVersion, node: Node) -> None:
    def deploy() -> object:
        return deployment_create(actor=people.trader, version=approved, node=node, capital=1000)

    assert conflicts(at_once(deploy, deploy, deploy)) == ["already_deployed", "already_deployed"]
    assert Deployment.objects.count() == 1
    assert Node.objects.get(pk=node.pk).revision == 1


def test_each_change_gets_a_revision_of_its_own(people: SimpleNamespace, approved: StrategyVersion, node: Node) -> None:
    deployment = deployment_create(actor=people.trader, version=approved, node=node, capital=1000)
    answers = at_once(
        lambda: deployment_pause(actor=people.trader, deployment=deployment),
        lambda: deployment_resume(actor=people.trader, deployment=deployment),
    )
    changes = len(answers) - len(conflicts(answers))
    assert changes >= 1
    assert Node.objects.get(pk=node.pk).revision == 1 + changes


def test_sealers_and_writers_at_once_leave_a_whole_chain(admin_user: User) -> None:
    def write(name: str) -> Callable[[], object]:
        return lambda: desk_create(actor=admin_user, name=name)

    at_once(write("One"), seal, write("Two"), seal, write("Three"), seal)
    seal()
    verdict, unsealed = verify_table()
    assert (verdict.broken, unsealed) == (None, 0)
    assert verdict.rows == AuditRow.objects.count() == 4
