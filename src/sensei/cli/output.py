"""One place that prints: results to stdout, everything else to stderr, secrets nowhere."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from sensei import errors


@dataclass
class Mode:
    """What the words --json, --quiet, --yes and --debug, found anywhere on the command line, ask for."""

    json: bool = False
    quiet: bool = False
    yes: bool = False
    debug: bool = False


MODE = Mode()

_PASSWORD_IN_URL = re.compile(r"([a-z+]+://[^\s:/@]*:)([^@\s]+)(@)")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def safe(text: str) -> str:
    """Mask passwords in URLs, and make control characters of hostile names visible instead of obeyed."""
    text = _PASSWORD_IN_URL.sub(r"\1***\3", text)
    return _CONTROL.sub(lambda m: repr(m.group())[1:-1], text)


def one_line(text: str) -> str:
    """As `safe`, for a text that must stay one line: names with a line break must not forge another."""
    return safe(text).replace("\n", "\\n").replace("\t", "\\t")


def document(data: Mapping[str, Any]) -> None:
    """Print the one JSON document."""
    sys.stdout.write(json.dumps(data, ensure_ascii=False, indent=2, default=str) + "\n")
    sys.stdout.flush()


def line(text: str = "") -> None:
    """Print one line of a result."""
    sys.stdout.write(one_line(text) + "\n")


def say(text: str) -> None:
    """Tell what goes on, on stderr."""
    if not MODE.quiet:
        sys.stderr.write(one_line(text) + "\n")
        sys.stderr.flush()


def result(data: Mapping[str, Any], text: Iterable[str], quiet: Sequence[str] = ()) -> None:
    """Print a result in the form that was asked for; `quiet` is what --quiet leaves of it: ids."""
    if MODE.json:
        document(data)
    elif MODE.quiet:
        for one in quiet:
            line(one)
    else:
        for one in text:
            line(one)


def confirm(question: str) -> bool:
    """Ask on a terminal; --yes answers; without either the answer is no."""
    if MODE.yes:
        return True
    if not sys.stdin.isatty():
        return False
    sys.stderr.write(f"{safe(question)} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def failure(error: errors.SenseiError) -> int:
    """Print an error with its causes and hint; return its exit code."""
    if MODE.json:
        details: dict[str, Any] = dict(error.details)
        if error.hint:
            details["hint"] = error.hint
        if error.outcome_unknown:
            details["outcome_unknown"] = True
        document({"error": {"code": error.code, "message": safe(error.message), "details": _masked(details)}})
    else:
        sys.stderr.write(f"error: {_multi(error.message)}\n")
        cause = error.__cause__
        while cause is not None:
            text = str(cause).strip()
            if text and text not in error.message and isinstance(cause, errors.SenseiError):
                sys.stderr.write(f"  because: {_multi(text)}\n")
            cause = cause.__cause__
        if error.hint:
            sys.stderr.write(f"next: {_multi(error.hint)}\n")
    if MODE.debug:
        import traceback

        traceback.print_exception(error)
    return error.exit_code


def _multi(text: str) -> str:
    return "\n".join(safe(part) for part in text.split("\n"))


def _masked(value: Any) -> Any:
    if isinstance(value, str):
        return _multi(value)
    if isinstance(value, Mapping):
        return {str(k): _masked(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_masked(v) for v in value]
    return value if isinstance(value, int | float | bool) or value is None else safe(str(value))


def not_yet(what: str) -> NoReturn:
    """Refuse what is parsed but not carried out."""
    raise errors.NotYet(f"{what} is not carried out by this version yet")


def table(rows: Sequence[Sequence[str]], head: Sequence[str]) -> list[str]:
    """Lay out rows in columns."""
    everything = [list(head), *[[one_line(str(c)) for c in row] for row in rows]]
    widths = [max(len(row[i]) for row in everything) for i in range(len(head))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in everything
    ]


def amount(number: float) -> str:
    """Write a number of bytes as people do."""
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"


def count(number: int, thing: str) -> str:
    """Write a number of things: 1 table, 2 tables."""
    return f"{number:,} {thing}" + ("" if number == 1 else "s")


def duration(seconds: float) -> str:
    """Write seconds as people do."""
    if seconds < 120:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def write_private(path: Path, body: str) -> None:
    """Write a file that only its owner reads; over one that is there only where --yes was said. Raises BadInput."""
    try:
        # 0600: it may hold rows of production, and nobody else's umask decides who reads it.
        flags = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if MODE.yes else os.O_EXCL)
        with os.fdopen(os.open(path, flags, 0o600), "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(body)
    except FileExistsError as error:
        raise errors.BadInput(
            f"{path} is already there", hint="name another file, or say --yes to write over it"
        ) from error
    except OSError as error:
        raise errors.BadInput(
            f"{path} can't be written: {error.strerror}", hint="name a file in a folder that you can write to"
        ) from error


def silence_stdout() -> None:
    """Point stdout at nothing, after a reader closed the pipe."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
