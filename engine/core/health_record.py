"""What is kept of a feed's health, for the feed as a whole and for each instrument: fixed size, part of the state."""

import numpy as np

# Latencies in half octaves: bucket 0 is below 1 ns, bucket 2k + 1 holds [2**k, 1.5 * 2**k), bucket 2k + 2 the rest of
# that octave; the last one, from about 9 minutes, everything beyond.
BUCKETS = 80

INSTRUMENT_HEALTH = np.dtype(
    [
        ("messages", "<i8"),
        ("recovered", "<i8"),
        ("crossed_ns", "<i8"),
        ("crossed_since", "<i8"),  # 0 while bid < ask
        ("outliers", "<i8"),
        ("price", "<i8"),  # the last trade that was believed, 0 for none yet
        ("deviation", "<i8"),  # mean absolute move from trade to trade, in 1/16 ppm
        ("doubted", "<i8"),  # outliers in a row
        ("latency_max", "<i8"),
        ("reported", "<i8"),  # ``messages`` at the last report
        ("latencies", "<u4", (BUCKETS,)),
    ]
)


def health_dtype(instruments: int) -> np.dtype:
    return np.dtype(
        [
            ("messages", "<i8"),
            ("gaps", "<i8"),
            ("recovered", "<i8"),
            ("duplicates", "<i8"),
            ("stale_ns", "<i8"),
            ("stale_since", "<i8"),
            ("crossed_ns", "<i8"),
            ("crossed_now", "<i8"),  # instruments
            ("crossed_since", "<i8"),  # sum over those
            ("outliers", "<i8"),
            ("latency_max", "<i8"),
            ("next_report", "<i8"),  # instrument
            ("latencies", "<i8", (BUCKETS,)),
            ("instruments", INSTRUMENT_HEALTH, (instruments,)),
        ]
    )
