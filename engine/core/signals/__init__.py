"""Signals on the stream, computed in the step: records of fixed size that a strategy's kernel keeps in its memory, and
the compiled functions that move them on, event by event.

- `moments`: mean and deviation over the last n values and with exponential weights; speed of reversion
- `pairs`: spread, hedge ratio (static, Kalman), z-score, half-life, stance, for hundreds of pairs at once
- `instruments`: microprice, imbalance, VWAP, EMA, realised volatility, trade flow
- `patterns`: windows and sequences of conditions ("A, then B within t, unless C"), declared and compiled to a table

None of them allocates, reads a clock, or looks at anything but its arguments. Prices are float here: no signal is
a price or a quantity that goes into a book, an order or a position.
"""
