"""Makes docs/terminal.svg from a real run: a migration, its rollback with proof, and a damage that the proof finds."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

import servers  # noqa: E402 - found through the line above
from sensei.demo import shop  # noqa: E402

CONFIG = """\
name: shop
connections:
  shop-old: sqlite:///shop.db
  shop-new: postgresql://{user}:${{{variable}}}@127.0.0.1:{port}/shop
source: {{connection: shop-old}}
target: {{connection: shop-new, schema: shop}}
"""
STYLES = {"$ ": "bold cyan", "next:": "dim", "passed": "bold green", "FAILED": "bold red", "difference:": "red"}


def show(console: Console, line: str) -> None:
    """Print one line; colour marks what a reader should find first."""
    style = next((s for start, s in STYLES.items() if line.startswith(start)), "")
    console.print(Text(line, style=style), soft_wrap=False)


def main() -> None:
    """Run the commands and write the picture."""
    console = Console(record=True, width=112, file=io.StringIO(), force_terminal=True)
    server = servers.PostgresServer()
    server.start()
    try:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            server.create_db("shop")
            shop.write(folder / "shop.db")
            config = CONFIG.format(user=servers.USER, variable=servers.PASSWORD_ENV, port=server.port)
            (folder / "shop.yaml").write_text(config)
            (folder / "sensei").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m sensei "$@"\n')
            (folder / "sensei").chmod(0o755)
            env = {
                **os.environ,
                "SENSEI_HOME": str(folder / "home"),
                "PYTHONPATH": str(ROOT / "src"),
                "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
                "COLUMNS": "112",
            }

            def run(command: str) -> str:
                show(console, f"$ {command}")
                done = subprocess.run(
                    ["bash", "-c", command], cwd=folder, env=env, text=True, stdout=-1, stderr=subprocess.STDOUT
                )
                for line in done.stdout.splitlines():
                    show(console, line)
                show(console, "")
                return done.stdout

            made = run("sensei migrations create --config shop.yaml").split()[-1]
            run(f"sensei migrations start {made} 2>progress.log")
            run(f"sensei migrations rollback {made} --full --verify 2>>progress.log")
            run("sqlite3 shop.db \"UPDATE customers SET name = name || ' ' WHERE id = 42\"")
            run(f'sensei migrations verify-rollback {made}; echo "exit code $?"')
    finally:
        server.close()
    # Without the font that it would fetch from elsewhere: a picture in a document should call nobody.
    picture = re.sub(r"\s*@font-face \{.*?\}\n", "\n", console.export_svg(title="sensei"), flags=re.DOTALL)
    (ROOT / "docs" / "terminal.svg").write_text(picture, encoding="utf-8")


if __name__ == "__main__":
    main()
