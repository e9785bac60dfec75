"""The services that tests run on."""

import pytest
import redis
from django.db import connection


@pytest.mark.django_db
def test_a_database_test_runs_on_postgresql() -> None:
    with connection.cursor() as cursor:
        cursor.execute("select version()")
        assert cursor.fetchone()[0].startswith("PostgreSQL")


def test_valkey_answers(valkey: str) -> None:
    with redis.Redis.from_url(valkey) as client:
        assert client.ping()
