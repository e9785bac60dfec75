"""Bytes to protocol messages and events, and back. No sockets, no clocks: bytes and time come in as arguments."""
