"""CRC32C (Castagnoli), the checksum of RFC 3720 appendix B.4, eight bytes at a time.

On x86-64 with SSE 4.2 it is the processor's own instruction; elsewhere a table, both compiled.
"""

import platform

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from engine.core.compiled import njit

_POLYNOMIAL = 0x82F63B78  # 0x1EDC6F41 with its bits reversed
HARDWARE = platform.machine() in ("x86_64", "AMD64") and llvm.get_host_cpu_features().get("sse4.2", False)


def _table() -> np.ndarray:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(_POLYNOMIAL), table >> 1).astype(np.uint32)
    return table


_TABLE = _table()


@intrinsic
def _crc32_instruction(typingctx, crc, word):
    def codegen(context, builder, signature, arguments):
        word_type = ir.IntType(64)
        function_type = ir.FunctionType(word_type, [word_type, word_type])
        function = builder.module.declare_intrinsic("llvm.x86.sse42.crc32.64.64", (), function_type)
        return builder.call(function, arguments)

    return types.uint64(types.uint64, types.uint64), codegen


@njit(cache=True)
def _word_by_table(crc, word):
    crc = np.uint64(crc)
    word = np.uint64(word)
    for _ in range(8):
        crc = np.uint64(_TABLE[(crc ^ word) & np.uint64(0xFF)]) ^ (crc >> np.uint64(8))
        word >>= np.uint64(8)
    return crc


@njit(cache=True, inline="always")
def _word_by_instruction(crc, word):
    return _crc32_instruction(np.uint64(crc), np.uint64(word))  # type: ignore[call-arg]


# One more little-endian 64-bit word into a running (not yet inverted) checksum.
crc32c_word = _word_by_instruction if HARDWARE else _word_by_table


@njit(cache=True)
def _of_words(words, crc):
    for index in range(len(words)):
        crc = crc32c_word(crc, words[index])
    return crc


def crc32c(content: bytes) -> int:
    """Checksum of ``content``, whose length must be a multiple of eight bytes (ValueError otherwise)."""
    words = np.frombuffer(content, np.uint64)
    return int(_of_words(words, np.uint64(0xFFFFFFFF))) ^ 0xFFFFFFFF
