"""The calls of the C library that the compiled loop makes, by their names, so that what calls them can be cached.

Sockets are never waited for here. Each answer below 0 is a negated errno.
"""

import platform
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import typing
from numba.extending import intrinsic

from engine.core.compiled import njit

EAGAIN, EINTR = 11, 4
EPOLLIN, EPOLLOUT = 0x001, 0x004
CLOCK_MONOTONIC = 1
MSG_DONTWAIT, MSG_NOSIGNAL = 0x40, 0x4000
SECOND = 1_000_000_000

_X86 = platform.machine() in ("x86_64", "AMD64")
# struct epoll_event, which is packed on x86-64 alone. Of its data only the low half is the descriptor.
EPOLL_EVENT = np.dtype(
    {
        "names": ["events", "descriptor"],
        "formats": ["<u4", "<i4"],
        "offsets": [0, 4 if _X86 else 8],
        "itemsize": 12 if _X86 else 16,
    }
)

_int, _address, _size = types.int32, types.int64, types.int64
_recv: Any = types.ExternalFunction("recv", typing.signature(types.int64, _int, _address, _size, _int))
_send: Any = types.ExternalFunction("send", typing.signature(types.int64, _int, _address, _size, _int))
_epoll_wait: Any = types.ExternalFunction("epoll_wait", typing.signature(_int, _int, _address, _int, _int))
_clock_gettime: Any = types.ExternalFunction("clock_gettime", typing.signature(_int, _int, _address))
_errno_location: Any = types.ExternalFunction("__errno_location", typing.signature(_address))


@intrinsic
def _load_int(typingctx, address):  # type: ignore[no-untyped-def]
    """The C int at an address."""

    def codegen(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        pointer = builder.inttoptr(arguments[0], ir.IntType(32).as_pointer())
        return builder.sext(builder.load(pointer), ir.IntType(64))

    return types.int64(types.int64), codegen


@njit(cache=True, nogil=True)
def _answer(result):
    return result if result >= 0 else -_load_int(_errno_location())  # type: ignore[call-arg]


@njit(cache=True, nogil=True)
def receive(descriptor, buffer, start, size):
    """Up to ``size`` bytes of a socket into ``buffer[start:]`` (uint8); how many."""
    return _answer(_recv(descriptor, buffer.ctypes.data + start, size, MSG_DONTWAIT))


@njit(cache=True, nogil=True)
def send(descriptor, buffer, start, size):
    """``buffer[start:start + size]`` (uint8) to a socket, or as much of it as fits; how many bytes."""
    return _answer(_send(descriptor, buffer.ctypes.data + start, size, MSG_DONTWAIT | MSG_NOSIGNAL))


@njit(cache=True, nogil=True)
def wait(epoll, ready, milliseconds):
    """Descriptors that are ready into ``ready`` (EPOLL_EVENT[n]); how many, 0 when the time is over."""
    return _answer(_epoll_wait(epoll, ready.ctypes.data, len(ready), milliseconds))


@njit(cache=True, nogil=True)
def steady_ns(times):
    """CLOCK_MONOTONIC in ns, as ``time.monotonic_ns``; ``times`` is int64[3]: two to work in, and the time that it is
    while a simulation holds the clock (0: nobody does)."""
    if times[2]:
        return times[2]
    _clock_gettime(CLOCK_MONOTONIC, times.ctypes.data)
    return times[0] * SECOND + times[1]
