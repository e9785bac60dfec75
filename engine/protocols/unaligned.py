"""Big-endian integers at any byte of an array, compiled to one load or store and a byte swap.

The bounds are the caller's to check: these read and write where they are told.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic


def _pointer(context: Any, builder: Any, array_type: Any, array: Any, offset: Any, bits: int) -> Any:
    """Address of byte `offset` of a contiguous uint8 array, as a pointer to an integer of `bits`."""
    base = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(base, [offset]), ir.IntType(bits).as_pointer())


def _check(array: Any, offset: Any) -> None:
    if not (isinstance(array, types.Array) and array.dtype == types.uint8 and array.layout == "C"):
        raise TypeError(f"expected a contiguous uint8 array, got {array}")
    if not isinstance(offset, types.Integer):
        raise TypeError(f"expected an integer offset, got {offset}")


def _load(bits: int, array: Any, offset: Any) -> Any:
    _check(array, offset)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        where = context.cast(builder, args[1], signature.args[1], types.int64)
        value = builder.load(_pointer(context, builder, signature.args[0], args[0], where, bits))
        value.align = 1
        swapped = builder.bswap(value)
        return swapped if bits == 64 else builder.zext(swapped, ir.IntType(64))

    return types.int64(array, offset), codegen


def _store(bits: int, array: Any, offset: Any, value: Any) -> Any:
    _check(array, offset)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        where = context.cast(builder, args[1], signature.args[1], types.int64)
        wide = context.cast(builder, args[2], signature.args[2], types.int64)
        narrow = wide if bits == 64 else builder.trunc(wide, ir.IntType(bits))
        pointer = _pointer(context, builder, signature.args[0], args[0], where, bits)
        builder.store(builder.bswap(narrow), pointer).align = 1
        return cgutils.get_null_value(context.get_value_type(types.none))

    return types.void(array, offset, value), codegen


@intrinsic
def _load_u16(typingctx, array, offset):  # type: ignore[no-untyped-def]
    """int64 of the 2 bytes at `offset`."""
    return _load(16, array, offset)


@intrinsic
def _load_u32(typingctx, array, offset):  # type: ignore[no-untyped-def]
    """int64 of the 4 bytes at `offset`."""
    return _load(32, array, offset)


@intrinsic
def _load_u64(typingctx, array, offset):  # type: ignore[no-untyped-def]
    """int64 with the bits of the 8 bytes at `offset`."""
    return _load(64, array, offset)


@intrinsic
def _store_u16(typingctx, array, offset, value):  # type: ignore[no-untyped-def]
    return _store(16, array, offset, value)


@intrinsic
def _store_u32(typingctx, array, offset, value):  # type: ignore[no-untyped-def]
    return _store(32, array, offset, value)


@intrinsic
def _store_u64(typingctx, array, offset, value):  # type: ignore[no-untyped-def]
    return _store(64, array, offset, value)


# Any: mypy sees the intrinsics with their typing context as first argument, kernels call them without it.
load_u16: Any = _load_u16
load_u32: Any = _load_u32
load_u64: Any = _load_u64
store_u16: Any = _store_u16
store_u32: Any = _store_u32
store_u64: Any = _store_u64
