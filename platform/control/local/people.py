"""The demo's users and node: made through the services that the pages use, found again on a second run.

Passwords are random, printed once and kept in ``var/credentials`` (mode 0600, one JSON object a line).
"""

import json
import secrets
import string
from pathlib import Path

from control.accounts.models import Role, User
from control.accounts.services import user_create, user_set_password
from control.deployments.models import Node
from control.deployments.services import node_register, node_renew_token
from control.desks.models import Desk
from control.desks.services import desk_create
from control.local.processes import write_atomically
from control.local.story import tell

DESK = "Statistical arbitrage"
PEOPLE = {
    "ada": "admin",
    "quinn": "quant",
    "tess": "trader",
    "rhea": "risk_officer",
    "rory": "risk_officer",  # two re-arm what a third has killed
    "vic": "viewer",
}


def people_ready(credentials: Path) -> dict[str, User]:
    """The six users; who is missing is created, whose password is lost gets a new one."""
    known = _read(credentials)
    fresh: dict[str, str] = {}
    users: dict[str, User] = {}
    for username, role in PEOPLE.items():
        user = User.objects.filter(username=username).first()
        admin = users.get("ada", user)
        if user is None:
            fresh[username] = _password()
            desks = [] if role == "admin" else [_desk(users["ada"])]
            user = user_create(
                actor=admin or "setup", username=username, role=role, desks=desks, password=fresh[username]
            )
        elif username not in known:
            fresh[username] = _password()
            user_set_password(actor=admin or user, user=user, password=fresh[username])
        users[username] = user
    if fresh:
        _write(credentials, {name: fresh.get(name) or known[name] for name in PEOPLE})
        tell("Users (kept in var/credentials; shown this once):")
        for username, password in fresh.items():
            tell(f"    {username:<6} {Role(PEOPLE[username]).label:<13} {password}")
    else:
        tell(f"Users: {', '.join(PEOPLE)} are there; passwords in var/credentials")
    return users


def node_ready(admin: User, name: str, token_file: Path) -> None:
    """The node and its token; a token file that is lost means a new token, and the old one is refused."""
    node = Node.objects.filter(name=name).first()
    if node is not None and token_file.exists():
        return
    token = node_register(actor=admin, name=name) if node is None else node_renew_token(actor=admin, node=node)
    write_atomically(token_file, token)
    tell(f"Node: {name} {'registered' if node is None else 'has a new token, its old one was lost'}")


def _password() -> str:
    """16 letters and digits (95 bits), easy to select with a double click."""
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(16))


def _desk(admin: User) -> Desk:
    return Desk.objects.filter(name=DESK).first() or desk_create(actor=admin, name=DESK)


def _read(credentials: Path) -> dict[str, str]:
    if not credentials.exists():
        return {}
    rows = [json.loads(line) for line in credentials.read_text().splitlines() if line.strip()]
    return {row["username"]: row["password"] for row in rows}


def _write(credentials: Path, passwords: dict[str, str]) -> None:
    rows = [
        {"username": name, "role": PEOPLE[name], "password": password, "totp_secret": None}
        for name, password in passwords.items()
    ]
    write_atomically(credentials, "".join(json.dumps(row) + "\n" for row in rows))
