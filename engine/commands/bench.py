"""Measures one part of the engine beside its peer: ``bench NAME``, with the options of that benchmark.

Prints the figure, the peer's in the same run and their ratio, and says on which machine and commit. See
docs/performance.md.
"""

import argparse
import pkgutil
from importlib import import_module
from typing import Any

from engine import benchmarks


def _modules() -> dict[str, Any]:
    modules = (import_module(f"engine.benchmarks.{one.name}") for one in pkgutil.iter_modules(benchmarks.__path__))
    return {module.__name__.rsplit(".", 1)[1].replace("_", "-"): module for module in modules if hasattr(module, "run")}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    names = parser.add_subparsers(dest="name", required=True, metavar="NAME")
    for name, module in _modules().items():
        one = names.add_parser(name, description=module.__doc__)
        module.add_arguments(one)
        one.set_defaults(run_benchmark=module.run)


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    return arguments.run_benchmark(arguments)
