"""The rail: which pages exist, in which order, and who sees them."""

from dataclasses import dataclass
from typing import Any

from django.urls import reverse

from control.accounts.permissions import allowed
from control.approvals.selectors import decisions_waiting


@dataclass(frozen=True)
class Entry:
    label: str
    icon: str
    url_name: str
    permission: str  # "" for everyone who is signed in
    sections: tuple[str, ...]  # first parts of the paths that belong to it


ENTRIES = (
    Entry("Overview", "overview", "home", "", ("",)),
    Entry("Strategies", "strategy", "strategy-list", "strategies.view_strategy", ("strategies", "versions")),
    Entry("Approvals", "approval", "approval-list", "approvals.view_approval", ("approvals",)),
    Entry("Backtests", "backtest", "backtest-list", "backtests.view_backtestrun", ("backtests",)),
    Entry("Trading", "deployment", "deployment-list", "deployments.view_deployment", ("deployments", "dash")),
    Entry("Limits", "limit", "limit-list", "limits.view_limit", ("limits",)),
    Entry("Kill", "stop", "kill-list", "deployments.view_kill", ("kills",)),
    Entry("Nodes", "node", "node-list", "deployments.view_node", ("nodes",)),
    Entry("Data", "dataset", "dataset-list", "marketdata.view_dataset", ("datasets",)),
    Entry("Audit", "audit", "audit-list", "audit.view_auditrow", ("audit",)),
)


def items_for(user: Any, path: str) -> list[dict[str, Any]]:
    """The rail's items that ``user`` may open; ``current`` marks the one that ``path`` belongs to."""
    section = path.strip("/").split("/")[0]
    items = [
        {
            "label": entry.label,
            "icon": entry.icon,
            "url": reverse(entry.url_name),
            "current": section in entry.sections,
            "count": decisions_waiting(user) if entry.url_name == "approval-list" else 0,
        }
        for entry in ENTRIES
        if not entry.permission or allowed(user, entry.permission)
    ]
    if user.is_staff:
        items.append({"label": "Admin", "icon": "admin", "url": reverse("admin:index"), "current": False, "count": 0})
    return items
