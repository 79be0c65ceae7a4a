"""Runs command lines in forked processes: the same code and a real kill, without an interpreter's start each time."""

from __future__ import annotations

import importlib
import json
import os
import select
import signal
import subprocess
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class ForkServer:
    """One warm process that forks for each command. Life cycle: make, `run` (one at a time), `close`."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._server = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=dict(env),
            text=True,
            start_new_session=True,
        )

    def run(
        self, args: list[str], env: Mapping[str, str], folder: Path, out: Path, err: Path, timeout: float = 600
    ) -> int:
        """Run one command line to its end; returns its exit code, or minus the signal that killed it.

        ``env`` is its whole environment. Raises TimeoutError, after which the server is of no more use.
        """
        assert self._server.stdin and self._server.stdout
        order = {"args": args, "env": dict(env), "folder": str(folder), "out": str(out), "err": str(err)}
        self._server.stdin.write(json.dumps(order) + "\n")
        self._server.stdin.flush()
        if not select.select([self._server.stdout], [], [], timeout)[0]:
            os.killpg(self._server.pid, signal.SIGKILL)
            raise TimeoutError(f"{args} not done after {timeout} s: {err.read_text()[-2000:]}")
        answer = self._server.stdout.readline()
        if not answer:
            raise RuntimeError(f"the fork server ended with {self._server.wait(10)}")
        return int(answer)

    def close(self) -> None:
        assert self._server.stdin and self._server.stdout
        self._server.stdin.close()
        self._server.stdout.close()
        self._server.wait(30)


def _child(order: dict[str, Any]) -> int:
    os.chdir(order["folder"])
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(os.open(order["out"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 1)
    os.dup2(os.open(order["err"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 2)
    os.environ.clear()
    os.environ.update(order["env"])
    from sensei import crashpoints
    from sensei.cli import app

    importlib.reload(crashpoints)  # it reads the environment once, when it is imported
    return app.run(order["args"])


def _serve() -> None:
    # What a command imports, imported once.
    import sensei.cli.app
    import sensei.cli.running
    import sensei.cli.words
    import sensei.engines.mysql
    import sensei.engines.postgres
    import sensei.engines.sqlite
    import sensei.runner.back
    import sensei.runner.create
    import sensei.runner.execute  # noqa: F401

    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            code = 70
            try:
                code = _child(json.loads(line))
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    _serve()
