"""``python -m control.local COMMAND``: run, smoke, drill, clean; setup, demo and browse are their steps.

The last line on stdout is one JSON object; everything else goes to stderr. Exit 0 fine, 1 a step or a check failed,
2 bad input, 3 a prerequisite is missing.
"""

import argparse
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from control.local.failures import Parser, Refusal
from control.local.layout import layout_from_environ
from control.local.placement import remove_home
from control.local.processes import say
from control.local.stack import Stack, Stopped, stop_on_signals


def run(_: argparse.Namespace) -> dict[str, Any]:
    """Bring everything up, walk the demo, then watch over the processes until somebody stops them."""
    stack = Stack(layout_from_environ())
    with stop_on_signals(stack), stack:
        try:
            stack.start()
            _walk_the_demo(stack)
            stack.supervise()
        except Stopped:
            say("heliograph", "stopped while starting")
    return {"stopped": True}


def _walk_the_demo(stack: Stack) -> None:
    """A demo that cannot go on is said and leaves the platform up: that is where one can see why."""
    try:
        stack.end(stack.begin("demo", "--url", stack.url))
    except Refusal as refusal:
        say("heliograph", f"the demo could not go on ({refusal}); everything else keeps running at {stack.url}")


def setup(_: argparse.Namespace) -> dict[str, Any]:
    _django()
    from control.local.setup import set_up

    set_up(layout_from_environ())
    return {"ok": True}


def demo(arguments: argparse.Namespace) -> dict[str, Any]:
    _django()
    from control.accounts.models import User
    from control.local.demo import Demo
    from control.local.people import PEOPLE

    users = {user.username: user for user in User.objects.filter(username__in=PEOPLE)}
    story = Demo(users, arguments.url)
    deployment = story.walk()
    if deployment is not None:
        story.watch(deployment)
    return {"deployment": str(deployment.pk) if deployment else None}


def smoke(arguments: argparse.Namespace) -> dict[str, Any]:
    from control.local.smoke import smoke_test

    return smoke_test(arguments.screenshots, keep=os.environ.get("KEEP", "") not in ("", "0"))


def drill(arguments: argparse.Namespace) -> dict[str, Any]:
    """Kill -9 of one process after another while orders work, compared after each with the exchange's record."""
    from control.local.drill import drill as run_drill

    return run_drill(arguments.kills, arguments.seed, arguments.minutes, arguments.var)


def browse(arguments: argparse.Namespace) -> dict[str, Any]:
    from control.local.browser import look

    return look(layout_from_environ(), arguments.url, arguments.deployment, arguments.screenshots)


def clean(_: argparse.Namespace) -> dict[str, Any]:
    """Remove the var folder, and what lies outside it for PostgreSQL's sake; refused while a run uses it."""
    layout = layout_from_environ()
    if layout.var.exists():
        with Stack(layout) as stack:
            stack.take_lock()
            stack.clean_up()
        remove_home(layout.var, "postgres")
        shutil.rmtree(layout.var)
    return {"removed": str(layout.var)}


def _django() -> None:
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "control.settings")
    django.setup()


def main(argv: list[str] | None = None) -> int:
    parser = Parser(prog="python -m control.local", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for function in (run, setup, demo, smoke, drill, browse, clean):
        command = commands.add_parser(function.__name__, help=function.__doc__)
        command.set_defaults(function=function)
        if function in (demo, browse):
            command.add_argument("--url", required=True)
        if function is browse:
            command.add_argument("--deployment", required=True)
        if function is drill:
            command.add_argument("--kills", type=int, default=200, help="in all, as many of each target")
            command.add_argument("--seed", type=int, default=1, help="of the order of kills and their moments")
            command.add_argument("--minutes", type=float, default=60.0, help="after which no other kill begins")
            command.add_argument("--var", type=Path, help="a folder to go on in; otherwise a temporary one")
        if function in (smoke, browse):
            command.add_argument("--screenshots", type=Path, default=layout_from_environ().var / "smoke")
    try:
        arguments = parser.parse_args(argv)
        answer = arguments.function(arguments)
    except Refusal as refusal:
        say("heliograph", str(refusal))
        print(json.dumps(refusal.as_json()))
        return refusal.exit_code
    except Stopped:
        print(json.dumps({"ok": False, "stopped": True}))
        return 1
    print(json.dumps(answer), flush=True)
    return 0 if answer.get("ok", True) else 1


if __name__ == "__main__":
    sys.exit(main())
