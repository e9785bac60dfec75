"""What stands before the processes: the schema, the users, the node's token, the history, the configurations."""

import os
from decimal import Decimal

from django.conf import settings
from django.core.management import call_command

from control.accounts.models import User
from control.deployments.models import Node
from control.limits.models import Allotment, Limit
from control.limits.services import allotment_set, limit_agree, limit_ask, public_key_write
from control.local.layout import NODE, Layout, day_seconds
from control.local.people import node_ready, people_ready
from control.local.ports import PORTS
from control.local.story import tell
from control.marketdata.models import Dataset
from control.marketdata.services import dataset_import
from engine.history import open_history
from engine.history.panel import PANEL, PANEL_DATASET, skfolio_panel_path

FIRM = {
    "max_order_qty": 100_000,
    "max_order_notional": Decimal(5_000_000),
    "max_position_qty": 1_000_000,
    "max_gross_notional": Decimal(100_000_000),
}


def set_up(layout: Layout) -> None:
    """Repeatable: does what is missing."""
    call_command("migrate", interactive=False, verbosity=0)
    users = people_ready(layout.credentials)
    node_ready(users["ada"], NODE, layout.token_file)
    limits_ready(users)
    history_ready(users["ada"])
    symbols = list(open_history(settings.HISTORY_ROOT).describe(PANEL_DATASET).symbols)
    ports = {name: int(os.environ[name]) for name in PORTS}
    layout.write_configs(ports, symbols, day_seconds(os.environ))


def limits_ready(users: dict[str, User]) -> None:
    """The firm's limit, by two risk officers, and all of it with the one node; its bundles come by the link."""
    public_key_write()
    firm = Limit.objects.filter(desk__isnull=True).first()
    if firm is None:
        limit_agree(actor=users["rory"], change=limit_ask(actor=users["rhea"], desk=None, values=FIRM, reason="demo"))
        firm = Limit.objects.get(desk__isnull=True)
        tell("Limits: rhea asked for the firm's, rory agreed")
    node = Node.objects.get(name=NODE)
    if not Allotment.objects.filter(limit=firm, node=node).exists():
        allotment_set(
            actor=users["rhea"],
            limit=firm,
            node=node,
            position_qty=firm.max_position_qty,
            gross_notional=firm.max_gross_notional,
        )
        tell(f"Limits: rhea told node {NODE} that all of it is its part")


def history_ready(admin: User) -> None:
    """The panel that the product ships with, imported by the service that every import goes through."""
    stored = PANEL_DATASET in [meta.name for meta in open_history(settings.HISTORY_ROOT).datasets()]
    if stored and Dataset.objects.filter(name=PANEL_DATASET).exists():
        tell(f"History: {PANEL_DATASET} is there")
        return
    run = dataset_import(actor=admin, path=skfolio_panel_path(), dataset=PANEL_DATASET, description=PANEL)
    tell(f"History: ada imported {PANEL_DATASET}, {run.accepted:,} daily closes of {len(run.dataset.symbols)} symbols")
