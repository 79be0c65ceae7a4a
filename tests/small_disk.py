"""A small file system of one's own, that fills up soon and can be made larger."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def mounted(folder: Path, size: str) -> Iterator[bool]:
    """A file system of ``size`` at ``folder``; False where nobody lets us mount one."""
    folder.mkdir()
    folder.chmod(0o777)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size},mode=777", "tmpfs", str(folder)], capture_output=True, check=False
    )
    try:
        yield done.returncode == 0
    finally:
        if done.returncode == 0:
            subprocess.run(["umount", "-l", str(folder)], check=True)


def grow(folder: Path, size: str = "64m") -> None:
    """Let there be room."""
    subprocess.run(["mount", "-o", f"remount,size={size}", str(folder)], check=True)
