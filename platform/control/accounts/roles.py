"""What each role may do: the permission matrix, in one table.

The table is the truth. Services ask ``accounts.permissions``, which reads it; Django's groups, which the
admin reads, are filled from it after each migrate. A permission is ``app.action_model``. Apart from
admins, people act only on the desks they sit on.

Admins run the place and never trade: they approve nothing and deploy nothing. Who writes a strategy does
not approve it, and who approves does not deploy.
"""

from typing import Any

from django.apps import AppConfig

from control.accounts.models import Role

_A, _Q, _T, _R, _V = map(Role, ("admin", "quant", "trader", "risk_officer", "viewer"))
EVERYONE = (_A, _Q, _T, _R, _V)

# permission                                 what it allows                                    roles
_TABLE: list[tuple[str, str, tuple[Role, ...]]] = [
    ("accounts.manage_user", "create users, set roles, passwords and desks", (_A,)),
    ("accounts.view_user", "see users", (_A,)),
    ("desks.manage_desk", "create desks", (_A,)),
    ("desks.view_desk", "see desks", EVERYONE),
    ("desks.view_membership", "see who sits on a desk", EVERYONE),
    ("deployments.manage_node", "register engine nodes, renew their tokens", (_A,)),
    ("deployments.view_node", "see engine nodes", EVERYONE),
    ("marketdata.import_dataset", "import history", (_A,)),
    ("marketdata.view_dataset", "see datasets", EVERYONE),
    ("strategies.view_strategy", "see strategies", EVERYONE),
    ("strategies.view_strategyversion", "see versions", EVERYONE),
    ("strategies.create_strategy", "create a strategy", (_Q,)),
    ("strategies.create_strategyversion", "create a version", (_Q,)),
    ("strategies.submit_strategyversion", "submit a version, withdraw it", (_Q,)),
    ("strategies.retire_strategyversion", "retire an approved version", (_Q, _R)),
    ("backtests.view_backtestrun", "see backtests", EVERYONE),
    ("backtests.request_backtestrun", "run a backtest", (_Q, _T, _R)),
    ("backtests.cancel_backtestrun", "cancel a backtest", (_Q, _T, _R)),
    ("backtests.export_backtestrun", "download a backtest's tear sheet", (_Q, _T, _R)),
    ("backtests.annotate_backtestrun", "note and tag a backtest", (_Q, _T, _R)),
    ("backtests.view_study", "see sweeps and walk-forwards", EVERYONE),
    ("backtests.request_study", "sweep parameters, walk forward", (_Q,)),
    ("backtests.cancel_study", "cancel a sweep or a walk-forward", (_Q, _T, _R)),
    ("backtests.view_trial", "see the trial ledger", EVERYONE),
    ("approvals.view_approval", "see approvals", EVERYONE),
    ("approvals.decide_approval", "approve or reject what another submitted", (_R,)),
    ("deployments.view_deployment", "see deployments", EVERYONE),
    ("deployments.run_deployment", "deploy, resume", (_T,)),
    ("deployments.halt_deployment", "pause, flatten, stop", (_T, _R)),
    ("deployments.view_kill", "see what is killed", EVERYONE),
    ("deployments.give_kill", "kill the firm, a desk, a strategy, a symbol or a venue", (_T, _R)),
    ("deployments.rearm_kill", "re-arm what others have killed", (_T, _R)),
    ("limits.view_limit", "see limits", EVERYONE),
    ("limits.view_limitchange", "see how limits have changed", EVERYONE),
    ("limits.view_allotment", "see what nodes have of the limits", EVERYONE),
    ("limits.ask_limitchange", "change a limit; looser ones when another agrees", (_R,)),
    ("limits.agree_limitchange", "agree to a change of limits that another asked for, or decline it", (_R,)),
    ("limits.set_allotment", "split a limit over the nodes", (_R,)),
    ("trading.view_reportbatch", "see what engines reported", EVERYONE),
    ("trading.view_order", "see orders", EVERYONE),
    ("trading.view_fill", "see fills", EVERYONE),
    ("trading.view_position", "see positions", EVERYONE),
    ("trading.view_equitypoint", "see equity", EVERYONE),
    ("trading.view_signalpoint", "see signals", EVERYONE),
    ("trading.view_reject", "see rejects", EVERYONE),
    ("trading.view_incident", "see incidents", EVERYONE),
    ("trading.resolve_incident", "resolve a break", (_R,)),
    ("monitoring.view_nodestatus", "see the health of nodes", EVERYONE),
    ("audit.view_auditrow", "read the audit trail", (_A, _R)),
]

MATRIX: dict[str, frozenset[Role]] = {permission: frozenset(roles) for permission, _, roles in _TABLE}
DESCRIPTION: dict[str, str] = {permission: description for permission, description, _ in _TABLE}

# Who may open the Django admin at all: admins to run the place, risk officers to approve.
STAFF_ROLES = frozenset({Role.ADMIN, Role.RISK_OFFICER})


def role_allows(role: str, permission: str) -> bool:
    """Whether ``role`` has ``permission``. An unknown permission is a programming error: ``KeyError``."""
    return role in MATRIX[permission]


def install_permissions(app_config: AppConfig, **_: Any) -> None:
    """Put one app's permissions and the roles' groups in place (after each migrate, repeatable).

    A permission that a role no longer has is taken off its group.
    """
    from django.contrib.auth.models import Group, Permission
    from django.contrib.contenttypes.models import ContentType

    content_types = {ct.model: ct for ct in ContentType.objects.filter(app_label=app_config.label)}
    granted: dict[str, list[Permission]] = {name: [] for name in Role.values}
    for permission, roles in MATRIX.items():
        app_label, codename = permission.split(".")
        content_type = content_types.get(codename.partition("_")[2])
        if app_label != app_config.label or content_type is None:
            continue
        row, _created = Permission.objects.get_or_create(
            content_type=content_type, codename=codename, defaults={"name": f"Can {DESCRIPTION[permission]}"}
        )
        for role in roles:
            granted[role].append(row)
    if not content_types:
        return
    for name, permissions in granted.items():
        group, _created = Group.objects.get_or_create(name=name)
        group.permissions.remove(*group.permissions.filter(content_type__app_label=app_config.label))
        group.permissions.add(*permissions)
