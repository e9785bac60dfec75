"""The embedded PostgreSQL comes back after every way of going down, with its data."""

import os
import signal
from pathlib import Path

import psycopg
import pytest

from control.local.ports import free_port
from control.local.postgres import Postgres
from control.local.processes import wait_until


@pytest.fixture
def var(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A var folder that an ordinary account may not be able to enter: pytest's folders are private."""
    return tmp_path_factory.mktemp("var")


def server(var: Path) -> Postgres:
    return Postgres(var, free_port(), durable=False, echo=False)


def test_data_survive_an_orderly_stop_and_kill_minus_nine(var: Path) -> None:
    first = server(var)
    first.start()
    with psycopg.connect(first.url) as connection:
        connection.execute("create table kept (n int)")
        connection.execute("insert into kept values (42)")
    first.stop()
    second = server(var)
    second.start()
    assert _kept(second) == [(42,)]
    assert second.child is not None
    os.kill(second.child.pid, signal.SIGKILL)
    third = server(var)
    third.start()  # at once: postmaster.pid is stale, the old shared memory may still be attached
    assert _kept(third) == [(42,)]
    third.destroy()
    assert not (var / "postgres").exists()


def test_a_server_that_a_killed_run_left_is_ended_first(var: Path) -> None:
    left = server(var)
    left.start()
    next_run = server(var)
    next_run.start()
    assert left.child is not None
    assert wait_until(lambda: not left.child.alive, 5)
    assert next_run.ready()
    next_run.destroy()


def test_a_pid_file_whose_pid_another_program_has_is_forgotten(var: Path) -> None:
    first = server(var)
    first.start()
    first.stop()
    pid_file = (var / "postgres").resolve() / "data" / "postmaster.pid"
    pid_file.write_text(f"{os.getpid()}\n{pid_file.parent}\n0\n{first.port}\n\n127.0.0.1\n\nready\n")
    second = server(var)
    second.start()
    assert second.ready()
    second.destroy()


def test_no_password_no_connection(var: Path) -> None:
    running = server(var)
    running.start()
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(running.url.replace(running.password, "wrong"))
    running.destroy()


def _kept(postgres: Postgres) -> list[tuple[int]]:
    with psycopg.connect(postgres.url) as connection:
        return connection.execute("select n from kept").fetchall()
