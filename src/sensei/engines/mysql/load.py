"""Loading a chunk: COPY text through LOAD DATA LOCAL, or through INSERTs where the server takes no local rows."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from sensei import errors
from sensei.catalog import rowtext, types
from sensei.engines import base, escaping
from sensei.engines.mysql import facts, failures, insert, names, wire
from sensei.engines.mysql.session import MysqlSession

Kind = types.Kind

_TAKES_ANY_TEXT = frozenset({Kind.TEXT, Kind.BYTES, Kind.ANY, Kind.NATIVE})
_REFUSED = "sensei-refuses"
_REFUSAL = re.compile(rf"'{_REFUSED} (\d+): (.*)", re.DOTALL)
_MISFIT = rowtext.MISFIT.encode()

# COPY writes \v and \f, which LOAD DATA and string literals read as the letters.
_LETTERS = re.compile(rb"\\([\\vf])")
_BYTES = {b"\\": b"\\\\", b"v": b"\v", b"f": b"\f"}


def load(found: base.Session, spec: base.LoadSpec, form: base.Form, blocks: Iterable[base.Block]) -> int:
    """Write rows inside the caller's transaction; return how many. Raises DataRejected.

    LOCAL means IGNORE to the server: what it can't hold becomes a warning and something else, and a duplicate
    vanishes. So it must have loaded as many rows as were sent, without a single warning or note.
    """
    if form not in (base.Form.TEXT, base.Form.NATIVE):
        raise errors.Fault(f"MySQL does not take rows in the form {form}")
    mine = facts.own(found)
    known = facts.of(mine, spec.table)
    columns = [(known.column(name), type) for name, type in spec.columns]
    lines = Lines(blocks, len(columns), spec, whole=not mine.local_infile)
    if not mine.local_infile:
        return insert.load(mine, spec, columns, form, lines, known)
    done = wire.load(mine, _statement(spec, columns, own=form is base.Form.NATIVE), lines)
    if (done.warnings and not known.only_rounded(mine, done.warnings)) or done.rows != lines.rows:
        raise _rejected(mine, columns, f"{spec.table}: {lines.rows} rows were sent and {done.rows} loaded")
    return done.rows


def notes(found: base.Session) -> list[str]:
    """Say by which way rows will come in, where it is not the fast one."""
    if facts.own(found).local_infile:
        return []
    return [
        "the server forbids LOAD DATA LOCAL (local_infile is off): rows are loaded by INSERTs of many rows, which takes"
        " about twice as long"
    ]


class Lines:
    """Blocks of whole lines, as the server reads them, and pieces of a large one unless `whole`; counts the rows."""

    def __init__(self, blocks: Iterable[base.Block], columns: int, spec: base.LoadSpec, *, whole: bool) -> None:
        self.blocks, self.columns, self.spec, self.whole = blocks, columns, spec, whole
        self.rows = 0
        #: The large line that is under way.
        self._large: _LargeLine | None = None
        #: Some column takes any text, so that a misfit in it has to be found here.
        self.loose = any(type.kind in _TAKES_ANY_TEXT for _, type in spec.columns)

    def __iter__(self) -> Iterator[bytes]:
        waiting: list[bytes] = []
        for block in self.blocks:
            if not isinstance(block, bytes):
                raise errors.Fault("MySQL was handed rows as values")
            if self._large is not None:
                first = block.find(b"\n") + 1
                yield self._large.piece(block[: first or None])
                if not first:
                    continue
                self.rows += 1
                self._large, block = None, block[first:]
            end = block.rfind(b"\n") + 1
            if end == len(block) and not waiting:
                yield self._checked(block)
                continue
            if end:
                yield self._checked(b"".join((*waiting, memoryview(block)[:end])))
                waiting = []
            if end < len(block):
                waiting.append(block[end:])
                if not self.whole and sum(map(len, waiting)) > escaping.LARGE:
                    self._large = _LargeLine(self)
                    for piece in waiting:
                        yield self._large.piece(piece)
                    waiting = []
        if waiting or self._large is not None:
            raise errors.Fault("the last row of a chunk came without its end")

    def _checked(self, block: bytes) -> bytes:
        self.rows += block.count(b"\n")
        if self.loose and _MISFIT in block:
            # Made loud by one field too many, which the server passes over in silence where it is empty.
            for line in block[:-1].split(b"\n"):
                if _MISFIT in line and line.count(b"\t") != self.columns - 1:
                    raise _misfit(line)
        return _lettered(block)


class _LargeLine:
    """One line on its way in pieces: what `Lines` looks for in a line as a whole, over their boundaries."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._tabs = 0
        self._first = b""
        self._strange = False
        #: End of the piece before, which may be the beginning of the word that is looked for.
        self._before = b""
        #: A backslash whose letter comes with the next piece.
        self._open = b""

    def piece(self, piece: bytes) -> bytes:
        """Return what is sent of it; the end of the line is not, where a misfit is in it."""
        self._first = self._first or piece[:200]
        self._tabs += piece.count(b"\t")
        seen = self._before + piece
        self._strange = self._strange or (self._lines.loose and _MISFIT in seen)
        self._before = seen[1 - len(_MISFIT) :]
        if piece.endswith(b"\n") and self._strange and self._tabs != self._lines.columns - 1:
            raise _misfit(self._first)
        piece = self._open + piece
        opened = (len(piece) - len(piece.rstrip(b"\\"))) % 2
        self._open = piece[len(piece) - opened :]
        return _lettered(piece[: len(piece) - opened])


def _misfit(line: bytes) -> errors.DataRejected:
    return errors.DataRejected(f"a value does not conform to its type: {line[:200]!r}")


def _lettered(block: bytes) -> bytes:
    # One byte is looked for first: it is found several times as fast as two.
    if b"\\" in block and (b"\\v" in block or b"\\f" in block):
        return _LETTERS.sub(lambda m: _BYTES[m[1]], block)
    return block


def _statement(spec: base.LoadSpec, columns: list[tuple[facts.Column, types.LogicalType]], *, own: bool) -> str:
    listed, sets = [], []
    ways = [expression(column, type, n, own=own) for n, (column, type) in enumerate(columns)]
    for n, (column, _) in enumerate(columns):
        sql = ways[n]
        if sql is None and column.numbered and any(ways):
            # Where anything is SET, the server forgets that this column had a value, and numbers a 0 anew in silence.
            sql = f"@v{n}"
        name = names.quote(column.name)
        if sql is None:
            listed.append(name)
        else:
            listed.append(f"@v{n}")
            sets.append(f"{name} = {sql}")
    return (
        f"LOAD DATA LOCAL INFILE '{wire.FILE}' INTO TABLE {names.qualified(spec.table)} CHARACTER SET utf8mb4"
        r" FIELDS TERMINATED BY '\t' ENCLOSED BY '' ESCAPED BY '\\' LINES STARTING BY '' TERMINATED BY '\n'"
        f" ({', '.join(listed)}){' SET ' + ', '.join(sets) if sets else ''}"
    )


def expression(column: facts.Column, type: types.LogicalType, n: int, *, own: bool) -> str | None:
    """Return SQL that makes the value of the text in @vN; None where the server does so, or refuses, by itself."""
    v = f"@v{n}"
    bad = f"CAST(CONCAT('{_REFUSED} {n}: ', {v}) AS SIGNED)"  # warns, whatever is in it

    def only(condition: str, value: str = v) -> str:
        return f"IF({v} IS NULL, NULL, IF({condition}, {value}, {bad}))"

    if column.word in facts.BLOBS or column.word in facts.GEOMETRIES:
        if type.kind in (Kind.BYTES, Kind.ANY) or own:
            return only(rf"LEFT({v}, 2) = '\\x' AND LENGTH({v}) % 2 = 0", f"IFNULL(UNHEX(SUBSTRING({v}, 3)), {bad})")
        return None
    if column.word == "bit":
        return only(
            f"{v} REGEXP '^(t|f|[0-9]+)$'", f"CASE {v} WHEN 't' THEN 1 WHEN 'f' THEN 0 ELSE CAST({v} AS UNSIGNED) END"
        )
    if own:
        return None
    if type.kind is Kind.BOOLEAN:
        return f"CASE {v} WHEN 't' THEN 1 WHEN 'f' THEN 0 ELSE {bad} END" if column.word in facts.INTEGERS else None
    if column.word == "year":
        # Of one or two digits the server makes a year of this century or the last, and of 0 the year 2000.
        return only(f"{v} REGEXP '^(0|[0-9]{{4}})$'", f"IF({v} = '0', '0000', {v})")
    if column.word in facts.INTEGERS:
        return None if type.kind is Kind.INTEGER else only(f"{v} REGEXP '^-?[0-9]+$'")
    if column.word in ("float", "double"):
        return _float(column, type, v, only)
    if column.word in facts.TIMES:
        return _moment(column, type, v, only)
    if column.word == "enum" and not type.labels:
        return only(f"{v} IN {column.full[4:]}")  # a number would be taken for a label's place
    if column.word == "char" and not type.fixed and type.kind is Kind.TEXT:
        return only(f"{v} NOT LIKE '% '")  # blanks at the end would be lost
    return None


def _float(column: facts.Column, type: types.LogicalType, v: str, only: Callable[..., str]) -> str | None:
    # A zero with a sign loses it, and digits that a float has no room for are lost without a word.
    if type.kind in (Kind.FLOAT, Kind.ANY) and (type.bits == 32 or column.word == "double"):
        largest = "3.4028235e+38"  # as the shortest text of it says, which is beyond it
        value = f"IF(TRIM(LEADING '-' FROM {v}) = '{largest}', REPLACE({v}, '8235e', '82346638528860e'), {v})"
        return only(f"{v} <> '-0'", value if column.word == "float" else v)
    exact = f"CAST({v} AS DECIMAL(65,30))"
    held = f"CAST({v} AS {column.word.upper()})"
    return only(f"{v} <> '-0' AND {exact} = CAST({held} AS DECIMAL(65,30))")


def _moment(column: facts.Column, type: types.LogicalType, v: str, only: Callable[..., str]) -> str | None:
    room = column.digits
    precise = 6 if type.precision is None else type.precision
    fits = f"(LOCATE('.', {v}) = 0 OR CHAR_LENGTH(SUBSTRING_INDEX({{}}, '.', -1)) <= {room})"
    if type.kind is Kind.TIMESTAMPTZ:
        bare = f"LEFT({v}, CHAR_LENGTH({v}) - 3)"
        condition = f"RIGHT({v}, 3) = '+00'" + (f" AND {fits.format(bare)}" if precise > room else "")
        return only(condition, bare)
    return only(fits.format(v)) if precise > room else None


def _rejected(
    mine: MysqlSession, columns: list[tuple[facts.Column, types.LogicalType]], said: str
) -> errors.SenseiError:
    """Return what the server's warnings mean: for a single row, why it can't be carried."""
    found = [(int(code), str(text)) for _, code, text in mine.rows("SHOW WARNINGS LIMIT 64")]
    for code, text in found:
        refusal = _REFUSAL.search(text)
        if refusal is not None:
            column = columns[int(refusal[1])][0]
            value = refusal[2].removesuffix("'")
            return errors.DataRejected(f"{value} can't be held by {column.full}", errno=code, column=column.name)
        error = failures.meaning(code, text)
        if isinstance(error, errors.DataRejected):
            return error
    return errors.DataRejected(found[0][1] if found else said, errno=found[0][0] if found else 0)
