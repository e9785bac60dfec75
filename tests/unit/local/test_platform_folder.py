"""`platform/` is a source root; the standard library owns the name."""

import subprocess
import sys
from pathlib import Path

import pytest


def test_platform_folder_is_no_package(root: Path) -> None:
    assert (root / "platform").is_dir()
    assert not (root / "platform" / "__init__.py").exists()


@pytest.mark.parametrize("first", [".", "platform"])
def test_import_platform_gives_the_standard_library_from_the_root(root: Path, first: str) -> None:
    code = "import sys; sys.path.insert(0, sys.argv[1]); import platform; print(platform.python_version())"
    done = subprocess.run([sys.executable, "-c", code, first], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ".".join(map(str, sys.version_info[:3]))


def test_import_platform_gives_the_standard_library_under_pytest() -> None:
    import platform

    assert Path(platform.__file__).name == "platform.py"
