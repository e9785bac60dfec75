"""Measurements behind ``python -m engine bench NAME``: a module each, with ``add_arguments`` and ``run``.

Each runs the functions that the product runs, beside a peer in the same run: absolute figures drift from day to day and
from machine to machine, ratios far less. Nothing of the product imports this.
"""
