"""A proxy before a server that cuts the wire around a statement: its answer, or the statement itself, is lost."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Self

#: An SSLRequest or GSSENCRequest: answered with "no", so that what follows can be read.
_WANTS_ENCRYPTION = {80877103, 80877104}
_CANCEL = 80877102

#: What begins to send rows of a table to MariaDB, Sensei's own tables aside.
_LOADS = re.compile(rb"\s*(LOAD\s+DATA|INSERT\s+INTO\s+(?!`?sensei_|`[^`]*`\.`sensei_))", re.IGNORECASE)


@dataclass(frozen=True)
class _Cut:
    """What is to be cut: None stands for the COMMIT of a transaction that loaded rows."""

    at: re.Pattern[bytes] | None
    answers: bool


class WireProxy:
    """Listens on a free port of 127.0.0.1 and passes everything on to ``port``, until told to cut.

    ``cut(answers=True)``: the next COMMIT of a transaction that loaded rows reaches the server, and the wire is cut
    when the answer comes; with ``answers=False`` it is cut before the COMMIT is passed on. ``at`` names another
    statement, by a regular expression that is searched in its text. Each call cuts once.
    """

    def __init__(self, port: int, speaks: Literal["postgres", "mysql"] = "postgres") -> None:
        self._server_port = port
        self._forward = {"postgres": self._postgres, "mysql": self._mysql}[speaks]
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._wanted: list[_Cut] = []
        self.cuts = 0
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._listener.close()
        for one in self._open:
            _end(one)

    def cut(self, *, answers: bool, at: str | None = None) -> None:
        with self._lock:
            self._wanted.append(_Cut(re.compile(at.encode(), re.IGNORECASE) if at else None, answers))

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._session, args=(client,), daemon=True).start()

    def _session(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(("127.0.0.1", self._server_port))
        except OSError:
            _end(client)
            return
        self._open += [client, server]
        # Set while the answer to what is cut is on its way: nothing of it may pass.
        hold = threading.Event()
        back = threading.Thread(target=self._backward, args=(server, client, hold), daemon=True)

        def cut(message: bytes, answers: bool) -> None:
            if answers:
                hold.set()
                server.sendall(message)
                back.join(60)  # ends with the answer

        try:
            self._forward(client, server, back, cut)
        except OSError:
            pass
        finally:
            _end(server)
            _end(client)

    def _postgres(
        self,
        client: socket.socket,
        server: socket.socket,
        back: threading.Thread,
        cut: Callable[[bytes, bool], None],
    ) -> None:
        while True:  # start-up messages have no type
            head = _exactly(client, 8)
            code = int.from_bytes(head[4:], "big")
            if code in _WANTS_ENCRYPTION:
                client.sendall(b"N")
                continue
            server.sendall(head + _exactly(client, int.from_bytes(head[:4], "big") - 8))
            break
        back.start()
        if code == _CANCEL:
            return
        loaded = False
        while True:
            head = _exactly(client, 5)
            body = _exactly(client, int.from_bytes(head[1:], "big") - 4)
            loaded |= head[:1] == b"d"
            if head[:1] == b"Q":
                wanted = self._take(body.rstrip(b"\0"), loaded)
                if wanted is not None:
                    cut(head + body, wanted.answers)
                    return
                loaded &= not _commits(body)
            server.sendall(head + body)

    def _mysql(
        self,
        client: socket.socket,
        server: socket.socket,
        back: threading.Thread,
        cut: Callable[[bytes, bool], None],
    ) -> None:
        back.start()  # the server speaks first
        loaded = False
        while True:
            head = _exactly(client, 4)
            body = _exactly(client, int.from_bytes(head[:3], "little"))
            # A command begins to count anew; what else the client sends answers the server.
            if head[3] == 0 and body[:1] == b"\3":
                statement = body[1:]
                loaded |= _LOADS.match(statement) is not None
                wanted = self._take(statement, loaded)
                if wanted is not None:
                    cut(head + body, wanted.answers)
                    return
                loaded &= not _commits(statement)
            server.sendall(head + body)

    def _take(self, statement: bytes, loaded: bool) -> _Cut | None:
        """The first thing wanted, if this is it."""
        with self._lock:
            if not self._wanted:
                return None
            at = self._wanted[0].at
            if not (loaded and _commits(statement) if at is None else at.search(statement)):
                return None
            self.cuts += 1
            return self._wanted.pop(0)

    def _backward(self, server: socket.socket, client: socket.socket, hold: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while block := server.recv(65536):
                if hold.is_set():
                    return
                client.sendall(block)
        _end(client)


def _commits(statement: bytes) -> bool:
    return statement.rstrip(b"\0; \n").upper() == b"COMMIT"


def _exactly(of: socket.socket, count: int) -> bytes:
    parts = bytearray()
    while len(parts) < count:
        block = of.recv(count - len(parts))
        if not block:
            raise OSError("closed")
        parts += block
    return bytes(parts)


def _end(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()
