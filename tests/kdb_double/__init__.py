"""A double of a kdb+ server at the level of its wire, for tests where no q is at hand.

``wire`` is the IPC protocol, ``server`` the connections, ``functions`` a plain and slow reference of the functions
that ``deploy/kdb`` defines in q. Nothing here is part of the product, and nothing here has executed q.
"""
