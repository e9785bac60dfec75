"""Measures one part of the engine beside its peer: ``bench NAME``, with the options of that benchmark.

Prints the figure, the peer's in the same run and their ratio, and says on which machine and commit. See
docs/performance.md.
"""

import argparse
import pkgutil
from importlib import import_module
from typing import Any

from engine import benchmarks
from engine.arguments import Parser
from engine.errors import BadInput


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="a module of engine/benchmarks; its own options follow")
    parser.add_argument("options", nargs=argparse.REMAINDER, help="--help for those of this benchmark")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Raises BadInput for a name that is no benchmark's, and for options that it does not take. No other benchmark is
    imported: memory is measured too.
    """
    module = _benchmark(arguments.name)
    own = Parser(prog=f"python -m engine bench {arguments.name}", description=module.__doc__)
    module.add_arguments(own)
    return module.run(own.parse_args(arguments.options))


def _benchmark(name: str) -> Any:
    modules = [one.name for one in pkgutil.iter_modules(benchmarks.__path__)]
    found = import_module(f"engine.benchmarks.{name.replace('-', '_')}") if name.replace("-", "_") in modules else None
    if hasattr(found, "run"):
        return found
    loaded = (import_module(f"engine.benchmarks.{one}") for one in modules)
    names = [one.__name__.rsplit(".", 1)[1].replace("_", "-") for one in loaded if hasattr(one, "run")]
    raise BadInput("unknown_benchmark", "NAME", name, ", ".join(names))
