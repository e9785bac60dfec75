"""Signed-in clients, and the objects whose pages are asked for."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest
from django.test import Client

from control.accounts.models import User
from control.deployments.models import Deployment, Node
from control.deployments.services import deployment_create
from control.strategies.models import StrategyVersion


@pytest.fixture
def signed_in() -> Callable[..., Client]:
    """A client of a user; ``csrf`` makes it as strict as a browser's."""

    def make(user: User, csrf: bool = False) -> Client:
        client = Client(enforce_csrf_checks=csrf)
        client.force_login(user)
        return client

    return make


@pytest.fixture
def deployment(people: SimpleNamespace, approved: StrategyVersion, node: Node) -> Deployment:
    return deployment_create(actor=people.trader, version=approved, node=node, capital=1_000_000)
