"""A proxy before a PostgreSQL server that cuts the wire around a COMMIT: its answer, or the COMMIT itself, is lost."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Self

#: An SSLRequest or GSSENCRequest: answered with "no", so that what follows can be read.
_WANTS_ENCRYPTION = {80877103, 80877104}
_CANCEL = 80877102


class WireProxy:
    """Listens on a free port of 127.0.0.1 and passes everything on to ``port``, until told to cut.

    ``cut(answers=True)``: the next COMMIT of a transaction that loaded rows reaches the server, and the wire is cut
    when the answer comes; with ``answers=False`` it is cut before the COMMIT is passed on. Each call cuts once.
    """

    def __init__(self, port: int) -> None:
        self._server_port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._wanted: list[bool] = []
        self.cuts = 0
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._listener.close()
        for one in self._open:
            _end(one)

    def cut(self, *, answers: bool) -> None:
        with self._lock:
            self._wanted.append(answers)

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
        # Set while the answer to a COMMIT is on its way: nothing of it may pass.
        hold = threading.Event()
        back = threading.Thread(target=self._backward, args=(server, client, hold), daemon=True)
        try:
            self._forward(client, server, hold, back)
        except OSError:
            pass
        finally:
            _end(server)
            _end(client)

    def _forward(
        self, client: socket.socket, server: socket.socket, hold: threading.Event, back: threading.Thread
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
            if head[:1] == b"d":
                loaded = True
            committing = head[:1] == b"Q" and body.rstrip(b"\0") == b"COMMIT"
            if committing and loaded and (answers := self._take()) is not None:
                if answers:
                    hold.set()
                    server.sendall(head + body)
                    back.join(30)  # ends with the answer
                return
            if committing:
                loaded = False
            server.sendall(head + body)

    def _take(self) -> bool | None:
        with self._lock:
            if not self._wanted:
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


def _exactly(of: socket.socket, count: int) -> bytes:
    parts = b""
    while len(parts) < count:
        block = of.recv(count - len(parts))
        if not block:
            raise OSError("closed")
        parts += block
    return parts


def _end(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()
