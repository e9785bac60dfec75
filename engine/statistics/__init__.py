"""Figures of equity curves, trades and trials: each defined once. Light enough for the pages: numpy, and scipy where a
normal distribution is needed.
"""
