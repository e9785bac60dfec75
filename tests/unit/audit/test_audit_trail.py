"""The trail: append-only rows, sealed into a chain that shows the first broken link."""

import json
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import DatabaseError, OperationalError, connection, transaction

from control.accounts.models import User
from control.audit.models import AuditRow, ChainHead
from control.audit.selectors import rows_visible_to, sealed_rows, verify_table
from control.audit.services import record, seal

pytestmark = pytest.mark.django_db


@pytest.fixture
def trail(admin_user: User) -> list[AuditRow]:
    """Five rows, sealed: the admin's own creation and four more."""
    with transaction.atomic():
        for number in range(4):
            record(actor=admin_user, action="test.act", target=admin_user, detail={"n": number, "note": "naïve €"})
    assert seal() == 5
    return list(AuditRow.objects.order_by("sequence"))


@pytest.fixture
def tamper() -> Callable[[str, list[Any]], None]:
    """Runs SQL on the trail as somebody would who owns the database and switches the triggers off."""

    def run(sql: str, parameters: list[Any]) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL session_replication_role = replica")
            cursor.execute(sql, parameters)
            cursor.execute("SET LOCAL session_replication_role = origin")

    return run


def command(name: str, *arguments: str) -> tuple[int, dict[str, Any]]:
    """Exit code and the last line's JSON."""
    out = StringIO()
    code = 0
    try:
        call_command(name, *arguments, stdout=out)
    except SystemExit as stop:
        code = int(stop.code or 0)
    return code, json.loads(out.getvalue().strip().splitlines()[-1])


def test_sealed_rows_form_a_gapless_chain(trail: list[AuditRow]) -> None:
    assert [row.sequence for row in trail] == [1, 2, 3, 4, 5]
    assert [row.previous_hash for row in trail] == ["0" * 64, *[row.hash for row in trail[:-1]]]
    verdict, unsealed = verify_table()
    assert (verdict.rows, verdict.broken, unsealed) == (5, None, 0)


def test_sealing_again_only_chains_what_is_new(admin_user: User, trail: list[AuditRow]) -> None:
    assert seal() == 0
    with transaction.atomic():
        record(actor="node:sim-1", action="test.act", target=admin_user, detail={})
    assert verify_table()[1] == 1
    assert seal() == 1
    assert ChainHead.objects.get().sequence == 6


@pytest.mark.django_db(transaction=True)
def test_a_row_is_refused_outside_a_transaction(admin_user: User) -> None:
    rows = AuditRow.objects.count()
    with pytest.raises(RuntimeError, match="inside the transaction"):
        record(actor=admin_user, action="test.act", target=admin_user, detail={})
    assert AuditRow.objects.count() == rows


@pytest.mark.parametrize("sealed", [True, False])
def test_the_database_refuses_to_change_or_delete_a_row(admin_user: User, sealed: bool) -> None:
    if sealed:
        seal()
    for sql in [
        "UPDATE audit_auditrow SET detail = '{}'",
        "UPDATE audit_auditrow SET hash = repeat('0', 64)",
        "UPDATE audit_auditrow SET actor_name = 'eve', hash = 'x', sequence = 9, previous_hash = 'y'",
        "DELETE FROM audit_auditrow",
    ]:
        with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(sql)


def test_truncating_is_refused_outside_of_test_databases() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT prosrc FROM pg_proc WHERE proname LIKE 'pgtrigger_append_only_truncate%'")
        (source,) = cursor.fetchone()
    assert "cannot be emptied" in source
    assert r"LIKE 'test\_%'" in source


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("UPDATE audit_auditrow SET detail = '{\"n\": 99}' WHERE sequence = 3", "content"),
        ("UPDATE audit_auditrow SET actor_name = 'eve' WHERE sequence = 3", "content"),
        ("UPDATE audit_auditrow SET at = at + interval '1 second' WHERE sequence = 3", "content"),
        ("UPDATE audit_auditrow SET hash = repeat('a', 64) WHERE sequence = 3", "content"),
        ("UPDATE audit_auditrow SET previous_hash = repeat('a', 64) WHERE sequence = 3", "previous_hash"),
        ("DELETE FROM audit_auditrow WHERE sequence = 3", "missing"),
    ],
)
def test_verify_names_the_first_broken_link(trail: list[AuditRow], tamper: Callable, sql: str, said: str) -> None:
    tamper(sql, [])
    code, answer = command("audit_verify")
    assert code == 1
    assert (answer["ok"], answer["rows"], answer["first_broken"]) == (False, 2, 3)
    assert said in answer["reason"]


def test_a_rehashed_row_breaks_the_next_link(trail: list[AuditRow], tamper: Callable) -> None:
    from control.audit.chain import link_hash

    forged = next(row for row in sealed_rows() if row["sequence"] == 3) | {"actor": "eve"}
    tamper("UPDATE audit_auditrow SET actor_name = 'eve', hash = %s WHERE sequence = 3", [link_hash(forged)])
    code, answer = command("audit_verify")
    assert (code, answer["first_broken"]) == (1, 4)


def test_rows_cut_off_at_the_end_are_noticed(trail: list[AuditRow], tamper: Callable) -> None:
    tamper("DELETE FROM audit_auditrow WHERE sequence >= 4", [])
    code, answer = command("audit_verify")
    assert (code, answer["rows"], answer["first_broken"]) == (1, 3, 4)


def test_an_intact_trail_verifies_here_and_from_its_file(trail: list[AuditRow], tmp_path: Path) -> None:
    assert command("audit_verify")[1]["ok"] is True
    file = tmp_path / "trail.jsonl"
    assert command("audit_export", str(file)) == (0, {"rows": 5, "file": str(file)})
    code, answer = command("audit_verify", "--file", str(file))
    assert (code, answer["ok"], answer["rows"], answer["head"]) == (0, True, 5, trail[-1].hash)


def test_a_changed_file_names_its_first_broken_link(trail: list[AuditRow], tmp_path: Path) -> None:
    file = tmp_path / "trail.jsonl"
    command("audit_export", str(file))
    lines = file.read_text().splitlines()
    file.write_text("\n".join([lines[0], lines[1].replace("ada", "eve"), *lines[2:]]) + "\n")
    code, answer = command("audit_verify", "--file", str(file))
    assert (code, answer["first_broken"]) == (1, 2)


@pytest.mark.parametrize("content", ["no json\n", "[1, 2]\n", None])
def test_a_bad_file_is_refused_with_its_place(content: str | None, tmp_path: Path) -> None:
    file = tmp_path / "trail.jsonl"
    if content is not None:
        file.write_text(content)
    code, answer = command("audit_verify", "--file", str(file))
    assert code == 2
    assert str(file) in answer["error"]["field"] + answer["error"]["value"]


def test_admins_read_all_risk_officers_their_desks_and_others_nothing(people: Any, strategy: Any) -> None:
    assert rows_visible_to(people.admin).count() == AuditRow.objects.count()
    assert set(rows_visible_to(people.risk_officer).values_list("action", flat=True)) == {
        "desk.create",
        "strategy.create",
    }
    for role in ["quant", "trader", "viewer"]:
        assert not rows_visible_to(getattr(people, role)).exists()


def test_without_a_database_verification_says_what_brings_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise OperationalError("connection refused")

    monkeypatch.setattr("control.audit.management.commands.audit_verify.verify_table", refuse)
    code, answer = command("audit_verify")
    assert code == 3
    assert "make run" in answer["error"]["expected"]
