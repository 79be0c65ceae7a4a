"""Named points at which a test may kill this process, to prove that what follows a crash is sound."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

# Read once: an unset environment costs one comparison a point, and nothing can arm a running process.
_AT, _, _NTH = os.environ.get("SENSEI_CRASH_AT", "").rpartition(":")
if not _NTH.isdigit():  # names hold colons themselves; only a number at the end is a count
    _AT, _NTH = os.environ.get("SENSEI_CRASH_AT", ""), "1"
_LOG = os.environ.get("SENSEI_CRASH_LOG", "")
_ARMED = bool(_AT or _LOG)
_passed = 0
_lock = threading.Lock()


def reach(name: str) -> None:
    """Pass the point ``name``: nothing happens unless a test armed it.

    ``SENSEI_CRASH_AT=NAME`` or ``NAME:n`` kills this process without warning at the first or n-th passing;
    ``SENSEI_CRASH_LOG=FILE`` appends each name passed, so that a test can list the points of a run.
    """
    if not _ARMED:
        return
    global _passed
    with _lock:
        if _LOG:
            with Path(_LOG).open("a", encoding="utf-8") as log:
                log.write(name + "\n")
        if name == _AT:
            _passed += 1
            if _passed == int(_NTH):
                os.kill(os.getpid(), signal.SIGKILL)
