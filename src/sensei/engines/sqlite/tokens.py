"""SQLite's SQL cut into tokens, so that stored definitions can be read without being fooled by names."""

from __future__ import annotations

import re
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""
      (?P<space>\s+|--[^\n]*(?:\n|\Z)|/\*.*?(?:\*/|\Z))
    | (?P<blob>[xX]'[0-9A-Fa-f]*')
    | (?P<string>'(?:[^']|'')*')
    | (?P<quoted>"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\])
    | (?P<number>0[xX][0-9A-Fa-f_]+|(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][+-]?[0-9]+)?)
    | (?P<word>[A-Za-z_\x80-\U0010ffff$][\w$\x80-\U0010ffff]*)
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL | re.ASCII,
)


@dataclass(frozen=True)
class Token:
    """One token: its kind, its text and where it stands in the statement."""

    kind: str  #: "word", "quoted", "string", "blob", "number" or "other" (one character)
    text: str
    start: int
    end: int

    @property
    def name(self) -> str:
        """The name that an identifier or a string in a name's place means."""
        if self.kind == "quoted" or self.kind == "string":
            inner, mark = self.text[1:-1], self.text[0]
            return inner if mark == "[" else inner.replace(mark * 2, mark)
        return self.text

    def is_word(self, *words: str) -> bool:
        """Tell whether this is one of these bare words (upper case)."""
        return self.kind == "word" and self.text.upper() in words


def tokenize(sql: str) -> list[Token]:
    """Cut a statement into tokens; comments and white space are left out."""
    found = []
    for m in _TOKEN.finditer(sql):
        kind = m.lastgroup or "other"
        if kind != "space":
            found.append(Token(kind, m[0], m.start(), m.end()))
    return found


def mentioned(sql: str) -> set[str]:
    """Return every name that a statement could mean, strings in the place of names included."""
    return {t.name for t in tokenize(sql) if t.kind in ("word", "quoted", "string")}
