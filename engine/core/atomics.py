"""Words that several threads or processes share, stored with release and loaded with acquire; memory by its address."""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from engine.core.compiled import njit


@intrinsic
def store_release(typingctx, address, value):
    """Stores an int64 where others see it only after everything that was written before."""

    def codegen(context, builder, signature, arguments):
        pointer = builder.inttoptr(arguments[0], ir.IntType(64).as_pointer())
        builder.store_atomic(arguments[1], pointer, ordering="release", align=8)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


@intrinsic
def load_acquire(typingctx, address):
    """The int64 that ``store_release`` stored at an address."""

    def codegen(context, builder, signature, arguments):
        pointer = builder.inttoptr(arguments[0], ir.IntType(64).as_pointer())
        return builder.load_atomic(pointer, ordering="acquire", align=8)

    return types.int64(types.int64), codegen


@intrinsic
def record_at(typingctx, address, dtype):
    """The record of a numpy dtype (a global) that lies at an address: what an element of an array of records is too."""
    record = dtype.dtype

    def codegen(context, builder, signature, arguments):
        return builder.inttoptr(arguments[0], context.get_value_type(record))

    return record(types.int64, dtype), codegen


@intrinsic
def copy_record(typingctx, to, source):
    """Copies all bytes of a record to another of the same type."""
    if to != source:
        return None

    def codegen(context, builder, signature, arguments):
        cgutils.raw_memcpy(builder, arguments[0], arguments[1], ir.Constant(ir.IntType(64), to.size), 1)
        return context.get_dummy_value()

    return types.void(to, source), codegen


@njit(cache=True)
def publish(header, word, value):
    """Stores ``value`` where readers in other processes see it only after everything written before."""
    store_release(header.ctypes.data + word * 8, value)  # type: ignore[call-arg]


@njit(cache=True)
def observe(header, word):
    """Loads what ``publish`` stored."""
    return load_acquire(header.ctypes.data + word * 8)  # type: ignore[call-arg]
