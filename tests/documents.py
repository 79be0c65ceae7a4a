"""Reads fenced blocks out of the documents, and runs those that show commands as an operator would type them."""

from __future__ import annotations

import difflib
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
#: Everything that readers are pointed to, with the README first.
DOCUMENTS = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md")

#: A line that stands for any number of lines, or for the end of a line.
ANYTHING = "…"

_FENCE = re.compile(r"^( *)```(\w*)[ \t]*\n(.*?)^\1```[ \t]*$", re.MULTILINE | re.DOTALL)
#: What differs between two runs of the same commands.
_VARIABLE = (
    (re.compile(r"\bmig_((?:[a-z]+_)?)[0-9a-f]{8}\b"), r"mig_\1ID"),
    (re.compile(r"\b\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d)?(\.\d+)?(Z|[+-]\d\d:\d\d)?"), "TIME"),
    (re.compile(r"\b\d+(\.\d+)? s\b"), "N s"),
    (re.compile(r"\b[\d,]+ rows/s"), "N rows/s"),
    (re.compile(r"\b\d+(\.\d+)? [kMG]?B\b"), "N B"),
    (re.compile(r"process \d+( on \S+)?"), "process PID"),
    (re.compile(r"\S+@\S+(?= (planned|running|completed|step|lease|rolling|created|rollback|evidence|paused))"), "WHO"),
    (re.compile(r"\b[0-9a-f]{16,64}\b"), "HASH"),
    (re.compile(r"answers: (\w+) [\d.]+( \([^)]*\))?"), r"answers: \1 VERSION"),
    (re.compile(r"\bsensei \d+\.\d+\.\d+\b"), "sensei VERSION"),
    (re.compile(r"[ \t]+"), " "),
)


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    document: Path
    line: int  #: of its first line, counted from 1
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.document.relative_to(ROOT)}:{self.line}"


def blocks(document: Path, language: str | None = None) -> list[Block]:
    """The fenced blocks of a document in order, all or of one language."""
    text = document.read_text(encoding="utf-8")
    return [
        Block(document, text.count("\n", 0, m.start()) + 2, m[2], re.sub(rf"(?m)^{m[1]}", "", m[3]))
        for m in _FENCE.finditer(text)
        if language is None or m[2] == language
    ]


def steady(text: str) -> str:
    """The text without what differs from run to run."""
    for pattern, instead in _VARIABLE:
        text = pattern.sub(instead, text)
    return text.rstrip()


def differences(shown: str, found: str) -> str:
    """How what a document shows differs from what a command printed; empty where it does not."""
    wanted = [steady(line) for line in shown.rstrip("\n").splitlines()]
    pattern = "".join(
        r"(?:.*\n)*?" if line == ANYTHING else ".*".join(map(re.escape, line.split(ANYTHING))) + r"\n"
        for line in wanted
    )
    real = [steady(line) for line in found.rstrip("\n").splitlines()]
    if re.fullmatch(pattern, "".join(line + "\n" for line in real)):
        return ""
    return "\n".join(difflib.unified_diff(wanted, real, "shown", "printed", lineterm="", n=100))


def _rewrite(block: Block, shown: str, printed: str) -> None:
    """Replace, in the document, each line that is no longer printed by the one that it most likely became."""
    real = {steady(line): line for line in printed.splitlines()}
    fresh = []
    for line in shown.splitlines():
        wanted = steady(line)
        near = (
            difflib.get_close_matches(wanted, real, n=1, cutoff=0.5) if wanted.strip() and ANYTHING not in line else []
        )
        fresh.append(real[near[0]] if near and wanted not in real else line)
    text = block.document.read_text(encoding="utf-8")
    block.document.write_text(text.replace(shown.rstrip("\n"), "\n".join(fresh), 1), encoding="utf-8")


@dataclass
class Session:
    """A shell in a folder of its own, with names of the documents standing for what is really there."""

    folder: Path
    env: Mapping[str, str]
    #: What a document says -> what it is here, such as a host's name.
    names: Mapping[str, str]
    _id: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        tools = self.folder / "bin"
        tools.mkdir()
        (tools / "sensei").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m sensei "$@"\n')
        (tools / "sensei").chmod(0o755)

    def write(self, block: Block) -> None:
        """Write a block whose first line is a comment that names a file."""
        first = re.match(r"(?:#|--) (\S+\.(?:yaml|sql))", block.text)
        if first:
            (self.folder / first[1]).write_text(self._here(block.text), encoding="utf-8")

    def run(self, block: Block) -> list[str]:
        """Run every command of a console block; returns what differs from what it shows."""
        wrong = []
        for part in re.split(r"(?m)^\$ ", block.text)[1:]:
            command, shown = self._split(part)
            if setting := re.fullmatch(r"export (\w+)=(\S+)\s*", command):
                self.env = {**self.env, setting[1]: self._here(setting[2])}
                continue
            done = subprocess.run(
                ["bash", "-c", self._here(command)],
                cwd=self.folder,
                env={**self.env, "PATH": f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=120,
            )
            self._learn(shown, done.stdout)
            printed = self._there(done.stdout)
            difference = differences(shown, printed)
            if difference and os.environ.get("SENSEI_REWRITE_DOCS"):
                _rewrite(block, shown, printed)
            elif difference:
                wrong.append(f"{block}: $ {command}\n{difference}")
        return wrong

    @staticmethod
    def _split(part: str) -> tuple[str, str]:
        lines = part.split("\n")
        end = 1
        while lines[end - 1].endswith("\\"):
            end += 1
        return "\n".join(lines[:end]), "\n".join(lines[end:])

    def _learn(self, shown: str, found: str) -> None:
        """Pair ids of the document with those of this run, in the order in which they come."""
        pattern = r"\bmig_(?:[a-z]+_)?[0-9a-f]{8}\b"
        new = [i for i in dict.fromkeys(re.findall(pattern, found)) if i not in self._id.values()]
        for said in dict.fromkeys(re.findall(pattern, shown)):
            if said not in self._id and new:
                self._id[said] = new.pop(0)

    def _here(self, text: str) -> str:
        for said, real in {**self.names, **self._id}.items():
            text = text.replace(said, real)
        return text

    def _there(self, text: str) -> str:
        for said, real in sorted({**self.names, **self._id}.items(), key=lambda pair: -len(pair[1])):
            text = text.replace(real, said)
        return text
