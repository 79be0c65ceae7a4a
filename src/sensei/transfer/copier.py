"""Copies one chunk: claim it in the ledger, stream it, hash it as it passes, commit both together."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from sensei import crashpoints, errors
from sensei.catalog import rowtext, types
from sensei.engines import base, ledger, ledger_quarantine
from sensei.transfer.checksum import Digest
from sensei.work import sides

#: Bytes of row text, and rows, that are tried at once while looking for rows that can't be carried.
CAREFUL_BYTES = 1 << 20
CAREFUL_ROWS = 5_000


@dataclass(frozen=True)
class ChunkTask:
    """Everything a worker needs to copy one chunk; plain and picklable."""

    migration: str
    epoch: int
    source: sides.Side
    target: sides.Side
    chunk: ledger.Chunk
    read: base.ReadSpec
    load: base.LoadSpec
    form: base.Form
    quarantine: bool  #: False: a row that can't be carried stops the migration
    #: Columns (positions in `read.columns`) that name a row in the quarantine; empty: its position in the chunk.
    key_positions: tuple[int, ...] = ()


@dataclass(frozen=True)
class ChunkResult:
    """What became of a chunk."""

    table: str
    number: int
    rows_read: int
    rows_quarantined: int
    applied_before: bool = False  #: the ledger knew it already


@dataclass
class _Sessions:
    opened: dict[tuple[str, str], base.Session] = field(default_factory=dict)

    def get(self, side: sides.Side, application: str) -> base.Session:
        key = (side.role.value, side.url)
        if key not in self.opened:
            self.opened[key] = side.open(application)
        return self.opened[key]

    def drop_all(self) -> None:
        for session in self.opened.values():
            session.close()
        self.opened.clear()


# One worker process runs one task at a time: its sessions outlive the task, connecting costs more than a small chunk.
_SESSIONS = _Sessions()


def ready() -> None:
    """Do nothing: a worker that was asked to has imported this module."""


def session(side: sides.Side, application: str) -> base.Session:
    """Return this worker's session on a side, which outlives the task."""
    return _SESSIONS.get(side, application)


def drop_sessions() -> None:
    """Close this worker's sessions: the next task opens its own."""
    _SESSIONS.drop_all()


def ordered(key: base.ChunkKey, form: base.Form) -> bool:
    """Tell whether a chunk's rows come in an order that lasts."""
    return key.kind in ("columns", "rowid") or form is base.Form.BINARY


def copy_chunk(task: ChunkTask) -> ChunkResult:
    """Copy one chunk, or find in the ledger that it is there.

    Safe to call again after any error: a lost answer to COMMIT is settled by claiming, which reads the ledger.
    Raises TakenOver, StoppedByRule, ServerFailed; transient errors are retried within a budget.
    """
    budget = sides.Budget()
    careful = False
    while True:
        try:
            return _attempt(task, careful)
        except errors.DataRejected as error:
            if careful:
                raise errors.Fault(f"{task.chunk.table}: a rejected row could not be isolated: {error}") from error
            careful = True
        except (errors.Transient, errors.ConnectFailed) as error:
            _SESSIONS.drop_all()
            # The coordinator had a connection when it handed the chunk out.
            if not budget.again(error, connected=True):
                raise
        except BaseException:
            _SESSIONS.drop_all()
            raise


def _attempt(task: ChunkTask, careful: bool) -> ChunkResult:
    application = f"sensei {task.migration}"
    source = _SESSIONS.get(task.source, application)
    target = _SESSIONS.get(task.target, application)
    book = ledger.Ledger(task.target.engine, task.migration)
    with sides.told("target", task.target.name):
        target.begin()
    try:
        with sides.told("target", task.target.name):
            if not book.claim_chunk(target, task.epoch, task.chunk):
                target.rollback()
                return ChunkResult(task.chunk.table, task.chunk.number, 0, 0, applied_before=True)
        crashpoints.reach("chunk:claimed")
        if careful:
            read, rejected, form, checksum = _load_carefully(task, source, target)
        else:
            read, rejected, form, checksum = _load(task, source, target)
        crashpoints.reach("chunk:loaded")
        with sides.told("target", task.target.name):
            book.quarantine(target, task.chunk.attempt, rejected)
            book.close_chunk(target, task.chunk, read, len(rejected), form.value, checksum)
            target.confirm_pinned()
    except BaseException:
        target.rollback()
        raise
    with sides.told("source", task.source.name):
        source.confirm_pinned()
    crashpoints.reach("chunk:commit:before")
    with sides.told("target", task.target.name):
        target.commit()
    crashpoints.reach("chunk:commit:after")
    return ChunkResult(task.chunk.table, task.chunk.number, read, len(rejected))


_Loaded = tuple[int, list[ledger_quarantine.Rejected], base.Form, str]


def _source_blocks(task: ChunkTask, session: base.Session, form: base.Form) -> Iterator[base.Block]:
    with sides.told("source", task.source.name):
        yield from task.source.engine.rows.read(session, task.read, form)


def _load(task: ChunkTask, source: base.Session, target: base.Session) -> _Loaded:
    digest = Digest(ordered(task.read.key, task.form))
    blocks = _source_blocks(task, source, task.form)
    try:
        with sides.told("target", task.target.name):
            count = task.target.engine.rows.load(target, task.load, task.form, digest.passing(blocks))
    finally:
        blocks.close()  # type: ignore[attr-defined]
    return count, [], task.form, digest.text()


def _load_carefully(task: ChunkTask, source: base.Session, target: base.Session) -> _Loaded:
    """Load in small batches behind savepoints and halve what is rejected, down to single rows."""
    form = base.Form.TEXT if task.form is base.Form.BINARY else task.form
    digest = Digest(ordered(task.read.key, form))
    rejected: list[ledger_quarantine.Rejected] = []
    position = 0
    blocks = _source_blocks(task, source, form)
    try:
        for batch in batches(digest.passing(blocks)):
            with sides.told("target", task.target.name):
                _place(task, target, form, batch, position, rejected)
            position += len(batch)
    finally:
        blocks.close()  # type: ignore[attr-defined]
    return position, rejected, form, digest.text()


Batch = list[bytes] | list[base.Row]


def batches(blocks: Iterable[base.Block]) -> Iterator[Batch]:
    """Cut blocks into batches of whole rows, bounded in bytes and rows."""
    lines: list[bytes] = []
    size, rest = 0, bytearray()
    for block in blocks:
        if isinstance(block, list):
            for at in range(0, len(block), CAREFUL_ROWS):
                yield block[at : at + CAREFUL_ROWS]
            continue
        *ends, last = block.split(b"\n")
        for end in ends:
            line, rest = bytes(rest) + end if rest else end, bytearray()
            lines.append(line)
            size += len(line)
            if size >= CAREFUL_BYTES or len(lines) >= CAREFUL_ROWS:
                yield lines
                lines, size = [], 0
        rest += last
    if rest:
        raise errors.Fault("a chunk's text did not end with a whole row")
    if lines:
        yield lines


def _place(
    task: ChunkTask,
    target: base.Session,
    form: base.Form,
    batch: Batch,
    position: int,
    rejected: list[ledger_quarantine.Rejected],
) -> None:
    if not batch:
        return
    block: base.Block
    if isinstance(batch[0], bytes):
        block = b"\n".join(batch) + b"\n"
    else:
        block = batch
    target.run("SAVEPOINT sensei_batch")
    try:
        task.target.engine.rows.load(target, task.load, form, [block])
    except errors.DataRejected as error:
        target.run("ROLLBACK TO SAVEPOINT sensei_batch")
        target.run("RELEASE SAVEPOINT sensei_batch")
        if len(batch) == 1:
            rejected.append(_reject(task, batch[0], position, error))
            return
        half = len(batch) // 2
        _place(task, target, form, batch[:half], position, rejected)
        _place(task, target, form, batch[half:], position + half, rejected)
        return
    target.run("RELEASE SAVEPOINT sensei_batch")


def _reject(
    task: ChunkTask, row: bytes | base.Row, position: int, error: errors.DataRejected
) -> ledger_quarantine.Rejected:
    table = task.chunk.table
    names = [c.name for c in task.read.columns]
    values = readable(row, names)
    key = {names[i]: values[names[i]] for i in task.key_positions} or {"position": str(position)}
    key_text = json.dumps(key, ensure_ascii=False)
    column, reason = _misfit(task, values) or (str(error.details.get("column") or ""), error.message)
    if error.duplicate:
        # What the ledger says is not there can't be a duplicate of our own making, unless the target holds a row
        # of this key that no chunk of the ledger explains. Losing a row to that would be losing it in silence.
        raise errors.Fault(
            f"{table}: the target already holds a row with the key {key_text}, which the source has once",
            hint=f"sensei migrations rollback {task.migration} --full, then look at who else writes to {table}",
        )
    if not task.quarantine:
        raise errors.StoppedByRule(
            f"{table}: the row {key_text} can't be carried: {f'{column}: ' if column else ''}{reason}",
            hint=f"sensei migrations rollback {task.migration} --full --verify, then mend the row or set"
            " on_row_error: quarantine, and create anew: mode full needs a source that stays as it was",
            table=table,
            key=key,
            column=column,
            reason=reason,
        )
    return ledger_quarantine.Rejected(
        table,
        task.chunk.number,
        position,
        key_text,
        column,
        reason,
        json.dumps(values, ensure_ascii=False),
    )


def _misfit(task: ChunkTask, values: dict[str, str | None]) -> tuple[str, str] | None:
    """Return (column, reason) of a value that its source's column does not promise; shows it bare in `values`."""
    found = None
    for column in task.read.columns:
        text = values[column.name]
        if text is not None and text.startswith(rowtext.MISFIT):
            kind, _, shown = text.removeprefix(rowtext.MISFIT + " ").partition(" ")
            values[column.name] = shown
            found = found or (column.name, f"stored as {kind}, which does not conform to {column.type}")
    return found


def readable(row: bytes | base.Row, names: list[str]) -> dict[str, str | None]:
    """Return a row's values by column as canonical text."""
    if isinstance(row, bytes):
        fields = rowtext.split_line(row)
        at = 0
        while len(fields) > len(names) and at < len(fields) - 1:
            # Where a column takes any text, a misfit is made loud by one field too many behind it.
            if (fields[at] or b"").startswith(rowtext.MISFIT.encode()) and not fields[at + 1]:
                del fields[at + 1]
            at += 1
        return {
            name: None if value is None else value.decode("utf-8", "backslashreplace")
            for name, value in zip(names, fields, strict=False)
        }
    return {name: value_text(value) for name, value in zip(names, row, strict=True)}


def value_text(value: object) -> str | None:
    """Return one native value as text for an operator."""
    if value is None:
        return None
    if isinstance(value, bytes):
        return rowtext.format_value(value, types.LogicalType(types.Kind.BYTES))
    return str(value)


@dataclass(frozen=True)
class CheckTask:
    """One chunk of the source to read again and compare with its checksum."""

    source: sides.Side
    read: base.ReadSpec
    form: base.Form
    table: str
    number: int
    checksum: str


def check_chunk(task: CheckTask) -> str | None:
    """Return None where the source's chunk has the bytes that were copied, else a sentence."""

    def look() -> str:
        session = _SESSIONS.get(task.source, "sensei verify")
        digest = Digest(task.checksum.startswith("seq:"))
        with sides.told("source", task.source.name):
            for block in task.source.engine.rows.read(session, task.read, task.form):
                digest.add(block)
        return digest.text()

    budget = sides.Budget()
    while True:
        try:
            found = look()
            break
        except (errors.Transient, errors.ConnectFailed) as error:
            _SESSIONS.drop_all()
            if not budget.again(error, connected=True):
                raise
    return None if found == task.checksum else not_as_copied(task.table, task.number, task.read)


def not_as_copied(table: str, number: int, read: base.ReadSpec) -> str:
    """Say that a chunk's rows on the source are not those that were copied."""
    span = f"{base.key_text(read.lower) or 'start'} to {base.key_text(read.upper) or 'end'}"
    return f"source table {table}: rows in chunk {number} (keys {span}) are not what was copied"
