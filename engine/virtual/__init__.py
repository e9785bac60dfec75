"""Deterministic simulation: engines, their agents' links, the control plane's ledger and exchanges in one process, in
virtual time, under one seed, which also draws what goes wrong. What runs is what runs live; only clocks, sockets and
the disk are handed in. The same seed is the same session, to the byte.
"""
