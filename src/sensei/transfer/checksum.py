"""The checksum of a chunk, over its bytes as they pass."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from sensei.engines import base, escaping


class _Hash(Protocol):
    def update(self, data: bytes, /) -> None: ...

    def digest(self) -> bytes: ...

    def hexdigest(self) -> str: ...


def _line_hash() -> _Hash:
    return hashlib.blake2b(digest_size=16)


class Digest:
    """A chunk's checksum over its bytes as they pass.

    Keyed chunks are read in key order, so their bytes are hashed in sequence. Rows of a chunk without a key have no
    order that lasts: each line is hashed and the hashes are added, so that the sum does not depend on it.
    """

    def __init__(self, ordered: bool) -> None:
        self.ordered = ordered
        # SHA-256 runs in hardware nearly everywhere; twice as fast there as BLAKE2, and every byte passes here.
        self._hash: _Hash = hashlib.sha256()
        self._sum = 0
        self._line = _line_hash()
        self.rows = 0

    def passing(self, blocks: Iterable[base.Block]) -> Iterator[base.Block]:
        """Yield the blocks unchanged."""
        for block in blocks:
            self.add(block)
            yield block

    def add(self, block: base.Block) -> None:
        """Take a block into account."""
        if isinstance(block, list):
            self.rows += len(block)
            if self.ordered and len(block) == 1 and _is_large(block[0]):
                for value in block[0]:
                    for piece in _spelled(value):
                        self._hash.update(piece)
            elif self.ordered:
                self._hash.update(repr(block).encode("utf-8", "surrogatepass"))
            else:
                for row in block:
                    self._end(repr(row).encode("utf-8", "surrogatepass"))
        elif self.ordered:
            self._hash.update(block)
        else:
            *ends, rest = block.split(b"\n")
            for end in ends:
                self._end(end)
            self._line.update(rest)

    def _end(self, line: bytes) -> None:
        """Add a line whose beginning may have come before."""
        self._line.update(line)
        self._sum = (self._sum + int.from_bytes(self._line.digest(), "big")) % (1 << 128)
        self._line = _line_hash()

    def text(self) -> str:
        """Return the checksum with its method in front."""
        if self.ordered:
            return f"seq:{self._hash.hexdigest()[:32]}"
        return f"sum:{self._sum:032x}"


def _is_large(row: base.Row) -> bool:
    return any(isinstance(v, bytes | str) and len(v) > escaping.PIECE for v in row)


def _spelled(value: Any) -> Iterator[bytes]:
    """Yield a value as it is hashed; repr() makes four bytes of one, and bytes of that once more."""
    if isinstance(value, bytes | str):
        yield f"{type(value).__name__} {len(value)} ".encode()
        for at in range(0, len(value), escaping.PIECE):
            part = value[at : at + escaping.PIECE]
            yield part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
    else:
        yield repr(value).encode()
