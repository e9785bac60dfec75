"""Arguments of commands: what cannot be taken is answered like all bad input."""

import argparse
from typing import NoReturn

from engine.errors import BadInput


class Parser(argparse.ArgumentParser):
    """Raises BadInput ``usage`` instead of ending the process."""

    def error(self, message: str) -> NoReturn:
        raise BadInput("usage", "arguments", message, " ".join(self.format_usage().split()))
