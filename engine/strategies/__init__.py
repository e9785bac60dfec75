"""Strategies: one module each, with its parameters, its preparation from history and its compiled kernel."""
