"""What can be said of the q scripts without a q: they name the tables, columns and functions that the client uses."""

import re
import subprocess
from hashlib import sha1
from pathlib import Path

from engine.history.tables import KEY, TABLES
from kdb_double.functions import Reference

ROOT = Path(__file__).resolve().parents[3]
KDB = ROOT / "deploy/kdb"


def test_schema_q_has_the_tables_and_columns_of_the_store() -> None:
    text = (KDB / "schema.q").read_text()
    found = dict(re.findall(r"^\.hg\.columns\[`(\w+)\]:(?:enlist)?`(\S+)$", text, re.MULTILINE))
    assert {name: tuple(columns.split("`")) for name, columns in found.items()} == {
        name: tuple(schema.names[len(KEY) :]) for name, schema in TABLES.items()
    }


def test_every_function_that_the_client_calls_is_defined_let_in_and_in_the_double() -> None:
    called = set(re.findall(r'"(\.hg\.\w+)"', (ROOT / "engine/history/kdb.py").read_text()))
    defined = set(re.findall(r"^(\.hg\.\w+):\{", (KDB / "store.q").read_text(), re.MULTILINE))
    let_in = set(re.findall(r"`(\.hg\.\w+)", (KDB / "access.q").read_text()))
    assert called
    assert called | {".hg.reset"} == set(Reference().functions())
    assert called <= defined
    assert called <= let_in


def test_brackets_of_every_script_close() -> None:
    for script in KDB.glob("*.q"):
        text = re.sub(r'"(?:[^"\\]|\\.)*"', "", script.read_text())
        text = re.sub(r"(^|\s)/.*", "", text)
        for opening, closing in ("()", "[]", "{}"):
            assert text.count(opening) == text.count(closing), (script.name, opening)


def test_a_user_is_added_with_a_salted_hash_and_no_password(tmp_path: Path) -> None:
    users = tmp_path / "users"
    command = [str(KDB / "add-user.sh"), str(users), "desk", "writer"]
    subprocess.run(command, input="a pass:word\n", text=True, check=True)
    assert users.stat().st_mode & 0o777 == 0o600
    name, role, salt, digest = users.read_text().strip().split(":")
    assert (name, role) == ("desk", "writer")
    assert digest == sha1(f"{salt}a pass:word".encode()).hexdigest()
    refused = subprocess.run([*command[:3], "owner"], input="x\n", text=True, capture_output=True, check=False)
    assert refused.returncode == 2
