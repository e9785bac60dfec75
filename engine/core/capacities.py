"""How much the engine's state holds of each thing. All of it is fixed: memory is bounded, and a dump is a dump."""

INSTRUMENTS = 512  # a multiple of 64: a bit each in a level's list of instruments
STRATEGIES = 16
DESKS = 8
VENUES = 16  # that limits and fees can name
MARKETS = 4  # venues that one engine trades at: each has a book table of its own
LOTS = 16  # of one strategy's position in one instrument
RECENT_ORDERS = 256  # of each strategy, to find equal ones; a power of two
