"""What the rounds amount to: tables for a terminal and for the documentation, and plain data."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import measure, rounds

MEGABYTE = 1 << 20


@dataclass(frozen=True)
class Table:
    """A heading, column names and rows of text."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def text(self) -> str:
        widths = [max(map(len, column)) for column in zip(self.header, *self.rows, strict=True)]

        def line(cells: Sequence[str]) -> str:
            return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()

        return "\n".join([self.title, "", line(self.header), *map(line, self.rows)])

    def markdown(self) -> str:
        def line(cells: Sequence[str]) -> str:
            return f"| {' | '.join(cells)} |"

        rule = line(["---"] * len(self.header))
        return "\n".join([f"## {self.title}", "", line(self.header), rule, *map(line, self.rows)])


def spread(values: Sequence[float], digits: int = 2, unit: str = "") -> str:
    """Median and range as text, a dash for nothing."""
    if not values:
        return "–"
    low, middle, high = min(values), statistics.median(values), max(values)
    if len(values) == 1:
        return f"{middle:.{digits}f}{unit}"
    return f"{middle:.{digits}f}{unit} ({low:.{digits}f}–{high:.{digits}f})"


def _good(results: Sequence[rounds.Result], pair: str, side: str, scale: float) -> list[rounds.Result]:
    return [
        one
        for one in results
        if (one.pair, one.side, one.scale) == (pair, side, scale) and one.phases and not one.complaints
    ]


def _pairs(results: Sequence[rounds.Result], scale: float) -> list[str]:
    return list(dict.fromkeys(one.pair for one in results if one.scale == scale))


def _sides(results: Sequence[rounds.Result], pair: str) -> list[str]:
    return list(dict.fromkeys(one.side for one in results if one.pair == pair))


def ratios(results: Sequence[rounds.Result], pair: str, scale: float, peer: str, *, create: bool) -> list[float]:
    """How many times faster Sensei was than the peer, round by round."""
    ours = {one.round: one for one in _good(results, pair, "sensei", scale)}
    theirs = {one.round: one for one in _good(results, pair, peer, scale)}
    both = sorted(ours.keys() & theirs.keys())
    return [theirs[n].cost().wall / ours[n].cost(create=create).wall for n in both]


def cpu_ratios(results: Sequence[rounds.Result], pair: str, scale: float, peer: str) -> list[float]:
    """How many times the peer's CPU, tool and server, was Sensei's: hardly moved by busy neighbours."""
    ours = {one.round: one.cost() for one in _good(results, pair, "sensei", scale)}
    theirs = {one.round: one.cost() for one in _good(results, pair, peer, scale)}
    both = sorted(ours.keys() & theirs.keys())
    spent = [(theirs[n].cpu_tool + theirs[n].cpu_server, ours[n].cpu_tool + ours[n].cpu_server) for n in both]
    return [peers / sensei for peers, sensei in spent if sensei]


def costs(results: Sequence[rounds.Result], scale: float) -> Table:
    """What a move of all rows cost each side."""
    lines = []
    for pair in _pairs(results, scale):
        for side in _sides(results, pair):
            good = _good(results, pair, side, scale)
            cost = [one.cost() for one in good]
            create = [one.phases["create"].wall for one in good if "create" in one.phases]
            lines.append(
                (
                    pair,
                    side,
                    spread([each.wall for each in cost]),
                    spread(create) if create else "",
                    spread([one.rows / one.cost().wall / 1000 for one in good], 0),
                    spread([each.cpu_tool for each in cost]),
                    spread([each.cpu_server for each in cost]),
                    spread([each.peak_process / MEGABYTE for each in cost], 0),
                    spread([each.peak_sum / MEGABYTE for each in cost], 0),
                    spread([each.cpu_foreign + each.steal for each in cost]),
                )
            )
    names = ("pair", "tool", "move, s", "create, s", "thousand rows/s", "CPU of the tool, s")
    more = (
        "CPU of the server, s",
        "peak of one process, MB",
        "peak of all processes, MB",
        "CPU of neighbours, s",
    )
    return Table("Cost of a move: median (range)", names + more, tuple(lines))


def comparison(results: Sequence[rounds.Result], scale: float) -> Table:
    """Ratios, from the same rounds only."""
    lines = []
    for pair in _pairs(results, scale):
        for peer in [side for side in _sides(results, pair) if side != "sensei"]:
            plain = ratios(results, pair, scale, peer, create=False)
            if plain:
                planned = ratios(results, pair, scale, peer, create=True)
                used = cpu_ratios(results, pair, scale, peer)
                each = [spread(values, 2, "×") for values in (plain, planned, used)]
                lines.append((pair, peer, *each, str(len(plain))))
    names = ("pair", "peer", "how many times faster: start", "create and start", "peer's CPU", "rounds")
    return Table("Sensei beside its peers", names, tuple(lines))


def sizes(results: Sequence[rounds.Result]) -> Table:
    """Whether rollback and memory grow with the rows."""
    lines = []
    for pair in dict.fromkeys(one.pair for one in results):
        for scale in sorted({one.scale for one in results}):
            good = _good(results, pair, "sensei", scale)
            if not good:
                continue
            undone = [one.phases["rollback"] for one in good if "rollback" in one.phases]
            lines.append(
                (
                    pair,
                    f"{good[0].rows:,}",
                    spread([each.wall for each in undone]),
                    spread([each.cpu_server for each in undone]),
                    spread([one.cost().peak_process / MEGABYTE for one in good], 0),
                    spread([one.cost().peak_sum / MEGABYTE for one in good], 0),
                )
            )
    names = ("pair", "rows", "full rollback, s", "of that CPU of the server, s")
    more = ("peak of one process during start, MB", "peak of all, MB")
    return Table("Sensei at two sizes", names + more, tuple(lines))


def start_up(seconds: Sequence[float]) -> Table:
    """What it costs to ask for help."""
    return Table("Start-up", ("command", "CPU, s"), (("sensei --help", spread(seconds, 3)),))


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    model = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
    }


def disturbed(results: Sequence[rounds.Result]) -> str:
    """One sentence on the neighbours."""
    runs: list[measure.Cost] = [one.cost() for one in results if one.phases and not one.complaints]
    busy = sum(run.disturbed for run in runs)
    return f"In {busy} of {len(runs)} moves neighbours took more than a twentieth of the machine."


def write(document: Path, text: str) -> None:
    """Put a section, which begins with its title, where it stands in the document, or at the end."""
    title = text.partition("\n")[0]
    kept = document.read_text() if document.exists() else "# Performance\n"
    head, there, rest = kept.partition(f"{title}\n")
    _, more, after = rest.partition("\n## ") if there else ("", "", "")
    document.write_text(f"{head.rstrip()}\n\n{text}" + (f"\n## {after}" if more else ""))
