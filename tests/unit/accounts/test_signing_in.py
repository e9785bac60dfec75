"""The one door: sign-in, its audit rows, and the lock after five bad tries."""

from types import SimpleNamespace

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse

from control.accounts.services import user_set_active
from control.audit.models import AuditRow

pytestmark = pytest.mark.django_db


def sign_in(client: Client, username: str, password: str) -> object:
    return client.post(reverse("login"), {"username": username, "password": password})


def test_signing_in_and_out_is_on_the_trail(people: SimpleNamespace, client: Client, password: str) -> None:
    answer = sign_in(client, "quinn", password)
    assert answer.status_code == 302
    assert client.session["_auth_user_id"] == str(people.quant.pk)
    client.post(reverse("logout"))
    assert "_auth_user_id" not in client.session
    actions = AuditRow.objects.filter(actor=people.quant).order_by("id").values_list("action", flat=True)
    assert list(actions) == ["session.open", "session.close"]


def test_the_fifth_bad_try_locks_the_name_and_then_the_right_password_too(
    people: SimpleNamespace, client: Client, password: str
) -> None:
    codes = [sign_in(client, "quinn", "wrong").status_code for _ in range(5)]
    assert codes == [200, 200, 200, 200, 429]
    assert sign_in(client, "quinn", password).status_code == 429
    assert sign_in(client, "tess", password).status_code == 302, "others are not locked out"


def test_who_is_inactive_does_not_sign_in(people: SimpleNamespace, client: Client, password: str) -> None:
    user_set_active(actor=people.admin, user=people.quant, active=False)
    assert sign_in(client, "quinn", password).status_code == 200
    assert "_auth_user_id" not in client.session


def test_the_admins_sign_in_is_the_same_door(client: Client) -> None:
    answer = client.get("/admin/login/?next=/admin/")
    assert answer.status_code == 302
    assert answer.url == reverse("login") + "?next=/admin/"


def test_a_wrong_next_address_does_not_lead_away(people: SimpleNamespace, client: Client, password: str) -> None:
    answer = client.post(reverse("login") + "?next=https://evil.example/", {"username": "quinn", "password": password})
    assert answer.status_code == 302
    assert answer.url == reverse("home")


def test_cookies_are_out_of_reach_of_scripts_and_other_sites(
    people: SimpleNamespace, client: Client, password: str
) -> None:
    cookie = sign_in(client, "quinn", password).cookies[settings.SESSION_COOKIE_NAME]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"
