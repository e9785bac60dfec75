"""Fuzzes the feed: mutated ITCH messages through decoder, step and books, mutated packets through the protocols.

    python tests/bench/fuzz_feed.py [--count 10000000] [--seed 7] [--boundscheck]

Prints one JSON line: how many of each mutation went in, and under which named reason each came out. ``ok`` (and exit
code 0) means that nothing crashed, that everything is accounted for, and that

- the books of instruments that no mutated message names equal plain reference books that saw the clean feed alone;
- the books of the others equal plain reference books that got the same events;
- streams whose packets were lost, doubled, cut, replayed and shuffled come out whole;
- what a decoder accepts encodes to the same bytes.

Every mutated block ends at a page that may not be read: one byte beyond its end would kill the process. With
``--boundscheck`` the compiled code checks every index too (slower, and compiled apart).
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
sys.path[:0] = [str(Path(__file__).resolve().parent), str(ROOT / "tests")]

CHECKED_CACHE = ROOT / ".cache" / "boundscheck"
PACKET_SHARE, PROTOCOL_SHARE = 0.03, 0.03  # the rest are messages


def main() -> int:
    arguments = parse()
    if arguments.boundscheck and os.environ.get("NUMBA_BOUNDSCHECK") != "1":
        environment = os.environ | {"NUMBA_BOUNDSCHECK": "1", "HELIOGRAPH_CACHE": str(CHECKED_CACHE)}
        return subprocess.run([sys.executable, *sys.argv], env=environment, check=False).returncode

    import fuzz_messages  # after the environment is set: numba reads it once
    import fuzz_packets

    from engine.benchmarks.surroundings import commit, machine

    began = time.perf_counter()
    packets, protocols = int(arguments.count * PACKET_SHARE), int(arguments.count * PROTOCOL_SHARE)
    parts = {
        "messages": fuzz_messages.run(arguments.count - packets - protocols, arguments.seed),
        "packets": fuzz_packets.run_streams(packets, arguments.seed),
        "protocols": fuzz_packets.run_protocols(protocols, arguments.seed),
    }
    answer = {
        "bench": "fuzz_feed",
        "ok": all(not part["failures"] for part in parts.values()),
        "mutated": sum(part["mutated"] for part in parts.values()),
        "seed": arguments.seed,
        **parts,
        "seconds": round(time.perf_counter() - began, 1),
        "boundscheck": arguments.boundscheck,
        "commit": commit(),
        "machine": machine(),
    }
    print(json.dumps(answer, default=as_plain))
    return 0 if answer["ok"] else 1


def as_plain(value: object) -> dict:
    if isinstance(value, Counter):
        return dict(sorted(value.items()))
    raise TypeError(type(value).__name__)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000_000, help="mutated messages and packets")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--boundscheck", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
