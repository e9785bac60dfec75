"""What code stands in which sources: a module's own, and those of every engine module that it imports.

The build is the whole package; a module's closure is what it can call, and so what its compiled code is made of.
"""

import re
import sys
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
_IMPORT = re.compile(
    rb"^[ \t]*(?:from[ \t]+(engine[\w.]*)[ \t]+import[ \t]+(\([^)]*\)|[^\n]*)|import[ \t]+(engine[^\n]*))", re.MULTILINE
)


@cache
def engine_build() -> str:
    """SHA-256 (hex) of every engine source file and of the versions that shape the compiled code."""
    return _digest({path.relative_to(PACKAGE).as_posix(): _sha256(path) for path in PACKAGE.rglob("*.py")})


@cache
def module_build(path: Path) -> str:
    """As `engine_build`, of the import closure of one source file of the engine."""
    return _digest(import_closure(path.relative_to(PACKAGE).as_posix()))


@cache
def import_closure(relative: str) -> dict[str, str]:
    """Path in the engine -> SHA-256 (hex) of every source that this one imports, itself and packages included."""
    waiting, found = [relative], dict[str, str]()
    while waiting:
        path = waiting.pop()
        if path not in found:
            found[path] = _sha256(PACKAGE / path)
            waiting += _imported(PACKAGE / path)
    return dict(sorted(found.items()))


@cache
def _imported(path: Path) -> list[str]:
    """Engine sources that run when this one is imported, or when a function of it imports: packages too."""
    names = [path.relative_to(PACKAGE.parent).with_suffix("").as_posix().replace("/", ".")]
    for module, chosen, plain in _IMPORT.findall(_source(path)):
        names += [f"{module.decode()}.{name.decode()}" for name in re.findall(rb"\w+", chosen)]
        names += [name.decode() for name in re.findall(rb"engine[\w.]*", plain)]
    stems = {Path(*name.split(".")[1:stop]) for name in names for stop in range(1, name.count(".") + 2)}
    files = [file for stem in stems for file in (stem / "__init__.py", stem.parent / f"{stem.name}.py")]
    return [file.as_posix() for file in files if (PACKAGE / file).is_file()]


@cache
def _source(path: Path) -> bytes:
    return path.read_bytes()


@cache
def _sha256(path: Path) -> str:
    return sha256(_source(path)).hexdigest()


def _digest(files: dict[str, str]) -> str:
    lines = [f"{name}={content}\n" for name, content in sorted(files.items())]
    return sha256("".join([*lines, *_toolchain()]).encode()).hexdigest()


@cache
def _toolchain() -> list[str]:
    return [f"{package}={version(package)}\n" for package in ("numba", "llvmlite", "numpy")] + [sys.version]
