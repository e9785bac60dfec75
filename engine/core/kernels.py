"""Strategy kernels: compiled functions behind one raw signature, called through their address.

A table of addresses lets several strategies run in one engine, and one be loaded while it runs, without
compiling the step again. A kernel returns 1 + the number of records it wrote to ``out``; 0 is a fault
(numba's answer to an exception) and disables the strategy.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from engine.core.capacities import STRATEGIES

# The table of kernels, int64[KERNELS]: an address for each strategy (0: none), behind them the address of the OUTBOX
# (``outbox``) of each that runs outside the engine, and last how many of those have one.
OUTSIDE = 1  # in an address's place: what would wake the kernel is posted to the strategy's outbox
BOXES = STRATEGIES
BOXED = 2 * STRATEGIES
KERNELS = 2 * STRATEGIES + 1

# (event, market, number of instruments, parameters, artifact, memory, out) -> 1 + records written
SIGNATURE = types.int64(
    types.voidptr,
    types.voidptr,
    types.int64,
    types.voidptr,
    types.voidptr,
    types.voidptr,
    types.voidptr,
)


@intrinsic
def call_kernel(typingctx, address, event, market, instruments, parameters, artifact, memory, out):
    """Calls the kernel at ``address``; every other argument but ``instruments`` is an address too."""
    signature = types.int64(*([types.int64] * 8))

    def codegen(context, builder, sig, arguments):
        byte_pointer = cgutils.voidptr_t
        integer = ir.IntType(64)
        kernel_type = ir.FunctionType(
            integer, [byte_pointer, byte_pointer, integer, byte_pointer, byte_pointer, byte_pointer, byte_pointer]
        )
        kernel = builder.inttoptr(arguments[0], kernel_type.as_pointer())
        passed = [
            argument if position == 2 else builder.inttoptr(argument, byte_pointer)
            for position, argument in enumerate(arguments[1:])
        ]
        return builder.call(kernel, passed)

    return signature, codegen
