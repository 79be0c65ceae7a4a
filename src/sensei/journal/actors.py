"""Who did something, from where and with which command, with no secret in it."""

from __future__ import annotations

import re
from dataclasses import dataclass

MASK = "***"

# Greedy up to the last @: a password may itself hold an unescaped @, / or :, and masking too much is safe.
_URL_PASSWORD = re.compile(r"(://[^\s:@/?#]*):.*@", re.DOTALL)
_NAMED_SECRET = re.compile(
    r"(?i)((?:^|[^a-z0-9])[a-z0-9_-]*(?:password|passwd|passphrase|pwd|secret|token|api[_-]?key)[a-z0-9_]*\s*=\s*)"
    r"('[^']*'|\"[^\"]*\"|[^\s&;]+)"
)
_SECRET_FLAG = re.compile(r"(?i)^--?[a-z0-9-]*(?:password|passwd|passphrase|pwd|secret|token|api-key)$")


@dataclass(frozen=True)
class Actor:
    """Who acted: account, host name, and the command line with its secrets masked."""

    user: str
    host: str
    command: str


def mask(text: str) -> str:
    """Return one word of a command line with passwords in URLs and in ``name=value`` pairs masked."""
    return _NAMED_SECRET.sub(rf"\g<1>{MASK}", _URL_PASSWORD.sub(rf"\1:{MASK}@", text))


def masked_command(words: list[str]) -> str:
    """Return a command line as one would type it, with every secret in it masked."""
    import shlex

    shown: list[str] = []
    for i, word in enumerate(words):
        after_flag = i > 0 and _SECRET_FLAG.match(words[i - 1])
        shown.append(MASK if after_flag else mask(word))
    return plain(" ".join(w if w == MASK else shlex.quote(w) for w in shown))


def plain(text: str) -> str:
    """Return text that every store can hold: undecodable bytes and NUL are written as escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\x00")


def current_actor(command: str | None = None) -> Actor:
    """Return the actor behind this process; ``command`` replaces its own command line."""
    import getpass
    import os
    import socket
    import sys
    from pathlib import Path

    try:
        user = getpass.getuser()
    except (KeyError, OSError, ImportError):  # an account without a name, as in many containers
        user = f"uid {os.getuid()}"
    if command is None:
        command = masked_command([Path(sys.argv[0]).name or "python", *sys.argv[1:]])
    return Actor(plain(user), plain(socket.gethostname()), plain(command))
