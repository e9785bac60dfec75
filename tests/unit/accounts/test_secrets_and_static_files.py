"""A run's own secrets, and the static files that the process serves itself."""

import stat
from pathlib import Path

import pytest
from django.test import Client

from control.secrets import django_secrets
from engine.errors import BadInput


def test_secrets_are_made_once_and_readable_by_the_owner_only(tmp_path: Path) -> None:
    first = django_secrets(tmp_path)
    assert len(first["secret_key"]) >= 50
    assert django_secrets(tmp_path) == first
    file = tmp_path / "secrets" / "django.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert [path.name for path in file.parent.iterdir()] == ["django.json"]


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"secret_key": ""}'])
def test_a_damaged_secrets_file_is_refused_by_name(tmp_path: Path, content: str) -> None:
    django_secrets(tmp_path)
    file = tmp_path / "secrets" / "django.json"
    file.write_text(content)
    with pytest.raises(BadInput, match="django.json"):
        django_secrets(tmp_path)


@pytest.mark.django_db
def test_static_files_come_whole_in_part_and_not_at_all(client: Client) -> None:
    whole = client.get("/static/unfold/css/styles.css")
    assert whole.status_code == 200
    assert whole["content-type"].startswith("text/css")
    assert int(whole["content-length"]) == len(whole.content) > 10_000
    part = client.get("/static/unfold/css/styles.css", headers={"range": "bytes=0-9"})
    assert (part.status_code, part.content) == (206, whole.content[:10])
    assert client.get("/static/unfold/css/nothing.css").status_code == 404
