"""Signed-in clients, and the objects whose pages are asked for."""

from collections.abc import Callable

import pytest
from django.test import Client

from control.accounts.models import User


@pytest.fixture
def signed_in() -> Callable[..., Client]:
    """A client of a user; ``csrf`` makes it as strict as a browser's."""

    def make(user: User, csrf: bool = False) -> Client:
        client = Client(enforce_csrf_checks=csrf)
        client.force_login(user)
        return client

    return make
