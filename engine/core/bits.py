"""Instructions that numba does not offer: the highest and lowest set bit of a word, and a cache prefetch."""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from engine.core.cache_lines import CACHE_LINE


@intrinsic
def _highest_bit(typingctx, word):  # type: ignore[no-untyped-def]
    """Index (0 to 63) of the highest set bit of an int64; -1 for 0."""

    def codegen(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        word_type = ir.IntType(64)
        leading = builder.ctlz(arguments[0], ir.Constant(ir.IntType(1), 0))
        return builder.sub(ir.Constant(word_type, 63), leading)

    return types.int64(types.int64), codegen


@intrinsic
def _lowest_bit(typingctx, word):  # type: ignore[no-untyped-def]
    """Index (0 to 63) of the lowest set bit of an int64; 64 for 0."""

    def codegen(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.int64), codegen


def _prefetch_line(context, builder, pointer):  # type: ignore[no-untyped-def]
    number = ir.IntType(32)
    function_type = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, number, number, number])
    function = cgutils.get_or_insert_function(builder.module, function_type, "llvm.prefetch.p0")
    # read access (0: a line is taken for writing when it is written), highest locality, data cache
    flags = [ir.Constant(number, value) for value in (0, 3, 1)]
    builder.call(function, [pointer, *flags])
    return cgutils.get_null_value(context.get_value_type(types.none))


@intrinsic
def _prefetch(typingctx, address):  # type: ignore[no-untyped-def]
    """Asks for the cache line at ``address`` (int64) to be brought near; nothing happens for a wrong address."""

    def codegen(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return _prefetch_line(context, builder, builder.inttoptr(arguments[0], cgutils.voidptr_t))

    return types.void(types.int64), codegen


@intrinsic
def _fetch(typingctx, record):  # type: ignore[no-untyped-def]
    """The same of all cache lines of a record, of an array or by itself."""

    def codegen(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        start = builder.bitcast(arguments[0], cgutils.voidptr_t)
        for offset in range(0, signature.args[0].size, CACHE_LINE):
            done = _prefetch_line(context, builder, builder.gep(start, [ir.Constant(ir.IntType(64), offset)]))
        return done

    return types.void(record), codegen


# Any: mypy sees the intrinsics with their typing context as first argument, kernels call them without it.
highest_bit: Any = _highest_bit
lowest_bit: Any = _lowest_bit
prefetch: Any = _prefetch
fetch: Any = _fetch

# Around an index that is never negative, where it counts: of a signed one numba asks at every access whether it is.
nonnegative = np.uint64
