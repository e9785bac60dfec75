"""What stands before the processes: the schema, the users, the node's token, the history, the configurations."""

import os

from django.conf import settings
from django.core.management import call_command

from control.accounts.models import User
from control.local.layout import NODE, Layout, day_seconds
from control.local.people import node_ready, people_ready
from control.local.ports import PORTS
from control.local.story import tell
from control.marketdata.models import Dataset
from control.marketdata.services import dataset_import
from engine.history import open_history
from engine.history.panel import PANEL, PANEL_DATASET, skfolio_panel_path


def set_up(layout: Layout) -> None:
    """Repeatable: does what is missing."""
    call_command("migrate", interactive=False, verbosity=0)
    users = people_ready(layout.credentials)
    node_ready(users["ada"], NODE, layout.token_file)
    history_ready(users["ada"])
    symbols = list(open_history(settings.HISTORY_ROOT).describe(PANEL_DATASET).symbols)
    ports = {name: int(os.environ[name]) for name in PORTS}
    layout.write_configs(ports, symbols, day_seconds(os.environ))


def history_ready(admin: User) -> None:
    """The panel that the product ships with, imported by the service that every import goes through."""
    stored = PANEL_DATASET in [meta.name for meta in open_history(settings.HISTORY_ROOT).datasets()]
    if stored and Dataset.objects.filter(name=PANEL_DATASET).exists():
        tell(f"History: {PANEL_DATASET} is there")
        return
    run = dataset_import(actor=admin, path=skfolio_panel_path(), dataset=PANEL_DATASET, description=PANEL)
    tell(f"History: ada imported {PANEL_DATASET}, {run.accepted:,} daily closes of {len(run.dataset.symbols)} symbols")
