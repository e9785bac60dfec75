"""People, a desk, a dataset, versions, a node and a deployment, for every test of the control plane.

Everything is made through the services that the product uses, except a backtest's success, which only a
worker can bring about.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from control.accounts.models import User
from control.accounts.services import user_create
from control.approvals.services import version_approve
from control.backtests.models import BacktestRun
from control.deployments.models import Deployment, Node
from control.deployments.services import deployment_create, node_register
from control.desks.models import Desk
from control.desks.services import desk_create
from control.strategies.models import Strategy, StrategyVersion
from control.strategies.services import strategy_create, version_create, version_submit
from engine.history import BARS, open_history
from engine.messages import LimitEnvelope

PASSWORD = "correct horse battery staple"
ENVELOPE = LimitEnvelope(
    max_order_qty=2_000,
    max_order_notional=100_000 * 10_000,
    max_position_qty=5_000,
    max_gross_notional=1_000_000 * 10_000,
)
DATASET = "unit_panel"
# Closes in 1/10,000: two symbols over four trading days.
CLOSES = {"KO": [400_000, 402_500, 401_000, 405_000], "PEP": [800_000, 803_000, 801_500, 808_000]}
DAYS = [20130102, 20130103, 20130104, 20130107]


@pytest.fixture
def password() -> str:
    """Every fixture user's password."""
    return PASSWORD


@pytest.fixture(scope="session")
def history_root(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A history store with the dataset ``unit_panel`` of KO and PEP."""
    root = tmp_path_factory.mktemp("history")
    bars = [
        {"date": day, "symbol": symbol, "open": None, "high": None, "low": None, "close": close, "volume": None}
        for symbol, closes in CLOSES.items()
        for day, close in zip(DAYS, closes, strict=True)
    ]
    open_history(root).append_bars(DATASET, pa.Table.from_pylist(bars, schema=BARS))
    return str(root)


@pytest.fixture
def dataset(history_root: str, settings: Any) -> str:
    """The name of a small dataset that the control plane finds."""
    settings.HISTORY_ROOT = history_root
    return DATASET


@pytest.fixture
def admin_user(db: None, settings: Any) -> User:
    """``ada``, made the way an installation makes its first user."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # the real one is slow on purpose
    return user_create(actor="setup", username="ada", role="admin", desks=[], password=PASSWORD)


@pytest.fixture
def desk(admin_user: User) -> Desk:
    return desk_create(actor=admin_user, name="Statistical arbitrage")


@pytest.fixture
def people(admin_user: User, desk: Desk) -> SimpleNamespace:
    """One user a role: ``admin``; ``quant``, ``trader``, ``risk_officer``, ``viewer`` on the desk."""
    names = {"quant": "quinn", "trader": "tess", "risk_officer": "rhea", "viewer": "vic"}
    seated = {
        role: user_create(actor=admin_user, username=name, role=role, desks=[desk], password=PASSWORD)
        for role, name in names.items()
    }
    return SimpleNamespace(admin=admin_user, **seated)


@pytest.fixture
def outsider(admin_user: User) -> Callable[[str], User]:
    """Makes a user of a role who sits on no desk."""
    return lambda role: user_create(actor=admin_user, username=f"other_{role}", role=role, desks=[], password=PASSWORD)


@pytest.fixture
def strategy(people: SimpleNamespace, desk: Desk) -> Strategy:
    return strategy_create(actor=people.quant, desk=desk, name="Pairs US", kernel="pairs")


@pytest.fixture
def draft(people: SimpleNamespace, strategy: Strategy, dataset: str) -> StrategyVersion:
    return version_create(
        actor=people.quant,
        strategy=strategy,
        parameters={},
        envelope=ENVELOPE,
        dataset=dataset,
        capital=Decimal(1_000_000),
    )


@pytest.fixture
def submitted(people: SimpleNamespace, draft: StrategyVersion) -> StrategyVersion:
    return version_submit(actor=people.quant, version=draft)


@pytest.fixture
def backtest_success(people: SimpleNamespace) -> Callable[[StrategyVersion], BacktestRun]:
    """Puts down a succeeded run of a version, as a worker would have left it."""

    def put(version: StrategyVersion) -> BacktestRun:
        now = datetime.now(UTC)
        return BacktestRun.objects.create(
            version=version,
            content_hash=version.content_hash,
            state="succeeded",
            progress=1.0,
            requested_by=people.quant,
            dispatched_at=now,
            started_at=now,
            finished_at=now,
            result_sha256="ab" * 32,
            result_dir="run",
        )

    return put


@pytest.fixture
def approved(
    people: SimpleNamespace, submitted: StrategyVersion, backtest_success: Callable[[StrategyVersion], BacktestRun]
) -> StrategyVersion:
    backtest_success(submitted)
    version_approve(actor=people.risk_officer, version=submitted, content_hash=submitted.content_hash)
    return StrategyVersion.objects.get(pk=submitted.pk)


@pytest.fixture
def node(admin_user: User) -> Node:
    node_register(actor=admin_user, name="sim-1")
    return Node.objects.get(name="sim-1")


@pytest.fixture
def deployment(people: SimpleNamespace, approved: StrategyVersion, node: Node) -> Deployment:
    return deployment_create(actor=people.trader, version=approved, node=node, capital=1_000_000)
