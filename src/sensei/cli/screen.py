"""Draws progress: bars on a terminal, a line now and then elsewhere, nothing for --quiet and --json."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from typing import Any

from sensei.cli import output
from sensei.runner import desk


@contextlib.contextmanager
def open_screen() -> Iterator[desk.Screen]:
    """Yield a screen that fits what stderr is."""
    if output.MODE.quiet:
        yield desk.Screen()
    elif sys.stderr.isatty() and not output.MODE.json:
        with _bars() as show:
            yield show
    else:
        yield _lines()


def _lines() -> desk.Screen:
    last = [0.0]

    def progress(data: dict[str, Any]) -> None:
        if time.monotonic() - last[0] < 5 or not data.get("rows_copied"):
            return
        last[0] = time.monotonic()
        output.say(_line(data))

    return desk.Screen(say=output.say, progress=progress)


def _line(data: dict[str, Any]) -> str:
    eta = data.get("eta_seconds")
    return (
        f"{data['percent']:5.1f} %  {data['rows_copied']:,} of {data['rows_total']:,} rows"
        f"  {data.get('rate') or 0:,} rows/s" + (f"  {output.duration(eta)} left" if eta else "")
    )


#: Bars at once; the rest of many tables is told by the total.
_SHOWN = 12


@contextlib.contextmanager
def _bars() -> Iterator[desk.Screen]:
    from rich import console, live
    from rich.table import Table

    terminal = console.Console(stderr=True, highlight=False)
    rates: dict[str, tuple[float, int, float]] = {}

    def rate(name: str, rows: int) -> float:
        now = time.monotonic()
        began, first, _ = rates.setdefault(name, (now, rows, 0.0))
        return (rows - first) / (now - began) if now > began else 0.0

    def draw(data: dict[str, Any]) -> Table:
        from rich.progress_bar import ProgressBar
        from rich.text import Text

        grid = Table.grid(padding=(0, 2))
        tables = data.get("tables", [])
        order = {"copying": 0, "copied": 1, "pending": 2}
        for t in sorted(tables, key=lambda t: order.get(t["status"], 3))[:_SHOWN]:
            done = t["rows_copied"] + t["rows_quarantined"]
            speed = rate(t["name"], done) if t["status"] == "copying" else 0.0
            left = (t["rows_total"] - done) / speed if speed > 0 else 0.0
            note = f"  {t['rows_quarantined']} in quarantine" if t["rows_quarantined"] else ""
            grid.add_row(
                Text(output.safe(t["name"])),
                ProgressBar(total=max(1, t["rows_total"]), completed=done, width=30),
                Text(f"{done:,} / {t['rows_total']:,}"),
                Text(f"{speed:,.0f} rows/s, {output.duration(left)} left" if speed else t["status"] + note),
            )
        if len(tables) > _SHOWN:
            grid.add_row(Text(f"… and {len(tables) - _SHOWN} more tables"))
        grid.add_row(
            Text("in all", style="bold"),
            ProgressBar(total=100, completed=data.get("percent", 0), width=30),
            Text(f"{data['percent']} %"),
            Text(output.safe(data.get("current", "") or "")),
        )
        return grid

    with live.Live(console=terminal, refresh_per_second=4, transient=True) as area:

        def say(text: str) -> None:
            area.console.print(output.safe(text), markup=False)

        yield desk.Screen(say=say, progress=lambda data: area.update(draw(data)))
