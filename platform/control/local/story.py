"""What the setup and the demo say while they work: one line at a time on stderr."""

import sys


def tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
