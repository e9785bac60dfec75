"""Compiled functions as other compiled functions call them: linked into their caller, and not machine code themselves.

numba makes of every function a complete one, optimised and translated to machine code with all that it calls, and then
again of its caller with all that that calls, and so on upwards: 60 % of the time that compiling the engine took. Here
a function that is called by another one stays LLVM's intermediate code, which its callers link, inline, optimise and
translate; only what Python itself calls becomes machine code. The cache holds such functions as bitcode.
"""

from typing import Any

import llvmlite.binding
from numba.core import compiler, sigutils
from numba.core.caching import Cache, CodeLibraryCacheImpl
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler_lock import global_compiler_lock
from numba.core.dispatcher import Dispatcher
from numba.core.registry import cpu_target


class LinkedLibrary(JITCodeLibrary):  # type: ignore[misc]
    """Code to be linked by others, which optimise it with their own."""

    def _optimize_final_module(self) -> None:
        """Nothing: that is done where it is called."""

    def _finalize_final_module(self) -> None:
        """Without LLVM's execution engine, which would translate it."""
        self._finalize_dynamic_globals()
        self._verify_declare_only_symbols()
        self._finalized = True

    def load(self, bitcode: bytes) -> None:
        """What `serialize_using_bitcode` gave."""
        self._final_module = llvmlite.binding.parse_bitcode(bitcode)
        self._finalize_final_module()


class Linked:
    """One signature of a function. Callers know it by this object, as they know others by their C entry point."""

    def __init__(self, library: LinkedLibrary, fndesc: Any, signature: Any, environment: Any) -> None:
        self.library, self.fndesc, self.signature = library, fndesc, signature
        self.environment = environment  # kept for as long as the code that refers to it
        self.objectmode = False
        self.entry_point = self

    @property
    def codegen(self) -> Any:
        return self.library.codegen


class LinkedImpl(CodeLibraryCacheImpl):  # type: ignore[misc]
    """How the cache holds a `Linked`."""

    _filename_prefix = "linked"

    def reduce(self, linked: Linked) -> tuple[Any, ...]:
        linked.fndesc.typemap = linked.fndesc.calltypes = None
        library = linked.library.serialize_using_bitcode()
        return library, linked.fndesc, linked.signature, linked.environment

    def rebuild(self, target_context: Any, reduced: tuple[Any, ...]) -> Linked:
        (name, _, bitcode), *rest = reduced
        library = LinkedLibrary(target_context.codegen(), name)
        library.load(bitcode)
        return Linked(library, *rest)

    def check_cachable(self, linked: Linked) -> bool:
        return not linked.library.has_dynamic_globals


class LinkedCache(Cache):  # type: ignore[misc]
    _impl_class = LinkedImpl


class LinkedDispatcher(Dispatcher):  # type: ignore[misc]
    """Compiles a function for its compiled callers. Python cannot call it."""

    targetdescr = cpu_target

    def enable_caching(self) -> None:
        self._cache = LinkedCache(self.py_func)

    def add_overload(self, linked: Linked) -> None:
        self.targetctx.insert_user_function(linked.entry_point, linked.fndesc, [linked.library])
        self.overloads[tuple(linked.signature.args)] = linked

    def compile(self, sig: Any) -> Linked:  # type: ignore[override]
        with global_compiler_lock, self._compiling_counter:
            args, return_type = sigutils.normalize_signature(sig)
            known: Linked | None = self.overloads.get(tuple(args))
            if known is not None:
                return known
            linked: Linked | None = self._cache.load_overload(sig, self.targetctx)
            if linked is None:
                linked = self._compile(args, return_type)
                self._cache.save_overload(sig, linked)
            self.add_overload(linked)
            return linked

    def _compile(self, args: tuple[Any, ...], return_type: Any) -> Linked:
        flags = compiler.Flags()
        self.targetdescr.options.parse_as_flags(flags, self.targetoptions)
        flags.no_compile = flags.no_cpython_wrapper = flags.no_cfunc_wrapper = True
        library = LinkedLibrary(self.targetctx.codegen(), self.py_func.__qualname__)
        made = compiler.compile_extra(
            self.typingctx, self.targetctx, self.py_func, args, return_type, flags, self.locals, library=library
        )
        return Linked(library, made.fndesc, made.signature, made.environment)
