"""``python -m engine COMMAND``: each module of ``engine.commands`` is one command.

The last line on stdout is one JSON object. Exit 0 fine, 1 a check failed (the object has ``"ok": false``),
2 bad input, 3 a prerequisite is missing.
"""

import json
import pkgutil
import sys
from importlib import import_module

from engine import commands
from engine.arguments import Parser
from engine.errors import BadInput, MissingPrerequisite


def main(argv: list[str] | None = None) -> int:
    names = sorted(module.name.replace("_", "-") for module in pkgutil.iter_modules(commands.__path__))
    parser = Parser(prog="python -m engine", description="The Heliograph engine.")
    parser.add_argument("command", choices=names)
    arguments = sys.argv[1:] if argv is None else argv
    try:
        chosen = parser.parse_args(arguments[:1]).command
        command = import_module(f"engine.commands.{chosen.replace('-', '_')}")
        command_parser = Parser(prog=f"python -m engine {chosen}", description=command.__doc__)
        command.add_arguments(command_parser)
        result = command.run(command_parser.parse_args(arguments[1:]))
    except BadInput as error:
        print(json.dumps(error.as_json()))
        return 2
    except MissingPrerequisite as error:
        print(json.dumps({"error": {"code": "missing", "field": error.missing, "expected": error.remedy}}))
        return 3
    print(json.dumps(result))
    return 1 if result.get("ok") is False else 0


if __name__ == "__main__":
    sys.exit(main())
