"""The two conversations that the driver has no fast words for: rows as they come, and LOAD DATA fed from memory."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import Any

import pymysql
from pymysql.constants import COMMAND, CR
from pymysql.protocol import LoadLocalPacketWrapper, MysqlPacket, OKPacketWrapper

from sensei import errors
from sensei.engines.mysql.session import MysqlSession

#: Bytes that are taken from the socket at once, and bytes of one packet of LOAD DATA.
READ = 1 << 18
PIECE = 1 << 18
#: The file that LOAD DATA LOCAL names: there is none, and nothing but what was handed in is ever sent.
FILE = "sensei"

#: A packet of this length goes on in the next one.
_LONGEST = 0xFFFFFF
_NULL, _TWO, _END, _ERROR = 0xFB, 0xFC, 0xFE, 0xFF
_WIDTHS = {_TWO: 2, 0xFD: 3, 0xFE: 8}


class TooWide(Exception):
    """A value came as NULL that is none: the server could not build it within max_allowed_packet."""


def lines(session: MysqlSession, sql: str) -> Generator[list[bytes], None, None]:
    """Run a SELECT of one column and yield its values, some hundred kilobytes at a time; raises TooWide for NULL.

    The driver makes an object of each row and of each of its fields. Here a row costs four steps of the interpreter.
    """
    stream = _Stream(session, sql)
    try:
        while not stream.ended:
            found: list[bytes] = []
            add = found.append
            data, at = stream.data, stream.at
            size = len(data)
            while at + 6 < size:
                # Three bytes of length and one of number; then the value's length in one byte, or in two behind a mark.
                head = data[at + 4]
                if head < _NULL:
                    start = at + 5
                    end = start + head
                elif head == _TWO:
                    start = at + 7
                    end = start + (data[at + 5] | data[at + 6] << 8)
                else:
                    break
                if end > size:
                    break
                add(data[start:end])
                at = end
            stream.at = at
            if found:
                yield found
            left = size - at
            if 4 < left <= 6 or (left > 6 and data[at + 4] >= _NULL and data[at + 4] != _TWO):
                payload = stream.packet()
                if payload is not None:
                    yield [_value(payload)]
            else:
                stream.more()
    finally:
        stream.close()


def fields(session: MysqlSession, sql: str) -> Generator[list[memoryview | None], None, None]:
    """Run a SELECT and yield its rows, one by one; values of any size are views of the one copy of their row."""
    stream = _Stream(session, sql)
    try:
        while (payload := stream.packet()) is not None:
            yield _split(memoryview(payload), stream.columns)
    finally:
        stream.close()


def _split(payload: memoryview, columns: int) -> list[memoryview | None]:
    found: list[memoryview | None] = []
    at = 0
    for _ in range(columns):
        size = payload[at]
        at += 1
        if size == _NULL:
            found.append(None)
            continue
        if size > _NULL:  # the length follows, in so many bytes
            width = _WIDTHS[size]
            size = int.from_bytes(payload[at : at + width], "little")
            at += width
        found.append(payload[at : at + size])
        at += size
    return found


def _value(payload: bytes | bytearray) -> bytes:
    packet: Any = MysqlPacket(bytes(payload), "latin1")
    value: bytes | None = packet.read_length_coded_string()
    if value is None:
        raise TooWide
    return value


class _Stream:
    """The rows of one statement, as packets from the socket."""

    def __init__(self, session: MysqlSession, sql: str) -> None:
        self.session = session
        self.conn: Any = session.connection
        self.ended = False
        self.data = b""  #: what has come and is not taken yet, from `at` on
        self.at = 0
        with session.translated():
            self.conn._execute_command(COMMAND.COM_QUERY, sql)
            self.columns = int(self.conn._read_packet().read_length_encoded_integer())
            for _ in range(self.columns + 1):  # what they are called, and the end of that
                self.conn._read_packet()

    def more(self, least: int = 1) -> None:
        """Wait for at least so many bytes, and take what has come."""
        with self.session.translated():
            try:
                rfile = self.conn._rfile
                found: bytes = rfile.read1(READ) if least <= READ else rfile.read(least)
                while len(found) < least:
                    part = rfile.read1(READ)
                    if not part:
                        raise EOFError("the server closed it")
                    found += part
            except BaseException as exc:
                self.conn._force_close()
                if isinstance(exc, (OSError, EOFError, ValueError, AttributeError)):
                    raise pymysql.OperationalError(
                        CR.CR_SERVER_LOST, f"lost connection during a query ({exc})"
                    ) from exc
                raise
        self.data = self.data[self.at :] + found
        self.at = 0

    def packet(self) -> bytes | bytearray | None:
        """Take one packet, however large; None at the end of the rows."""
        payload: bytes | bytearray = b""
        while True:
            if len(self.data) - self.at < 4:
                self.more(4 - (len(self.data) - self.at))
            data, at = self.data, self.at
            length = data[at] | data[at + 1] << 8 | data[at + 2] << 16
            if len(data) - at < 4 + length:
                self.more(4 + length - (len(data) - at))
                data, at = self.data, self.at
            part = data[at + 4 : at + 4 + length]
            self.at = at + 4 + length
            if length < _LONGEST and not payload:
                payload = part
                break
            # Grown in place: parts put together at the end would be there twice.
            payload = payload or bytearray()
            payload += part
            if length < _LONGEST:
                break
        if payload[0] == _ERROR:
            self.ended = True
            with self.session.translated():
                pymysql.err.raise_mysql_exception(bytes(payload))
        if payload[0] == _END and len(payload) < 9:
            self.ended = True
            self.conn.server_status = int.from_bytes(payload[3:5], "little")
            return None
        return payload

    def close(self) -> None:
        """Leave the connection fit for the next statement, also where nobody wants the rest of the rows."""
        if self.ended or not self.conn.open:
            return
        try:
            self.session.interrupt()
            while self.packet() is not None:
                pass
        except errors.SenseiError:
            if not self.ended:
                self.session.close()
                return
        # The interruption may have come too late, and meet this instead.
        with contextlib.suppress(errors.SenseiError):
            self.session.run("DO 0")


@dataclass(frozen=True)
class Loaded:
    """What the server says of a LOAD DATA."""

    rows: int
    warnings: int


def load(session: MysqlSession, sql: str, blocks: Iterable[bytes]) -> Loaded:
    """Run a LOAD DATA LOCAL INFILE of `FILE` and send it the blocks.

    An error that ends the blocks is raised when the server is done with those before.

    Whatever file a server may ask for instead: only the blocks are sent.
    """
    conn: Any = session.connection
    with session.translated():
        conn._execute_command(COMMAND.COM_QUERY, sql)
        answer = conn._read_packet()
        if not answer.is_load_local_packet():
            raise errors.Fault("the server answered LOAD DATA LOCAL without asking for rows")
        asked = LoadLocalPacketWrapper(answer).filename
    failed: BaseException | None = None
    # A packet beyond what the server takes would end the connection.
    piece = min(PIECE, session.max_packet // 2)
    if asked not in (FILE, FILE.encode()):
        failed = errors.Refused(f"the server asked for the file {asked!r}, which nobody spoke of")
    try:
        for block in () if failed else blocks:
            for at in range(0, len(block), piece):
                with session.translated():
                    conn.write_packet(block[at : at + piece])
    except BaseException as exc:
        failed = exc
        if not conn.open or not isinstance(exc, Exception):
            session.close()
            raise
    with session.translated():
        conn.write_packet(b"")
        try:
            packet = conn._read_packet()
        except pymysql.MySQLError:
            if failed is not None and conn.open:
                raise failed from None
            raise
        done = OKPacketWrapper(packet)
        conn.server_status = done.server_status
    if failed is not None:
        raise failed
    return Loaded(int(done.affected_rows), int(done.warning_count))
