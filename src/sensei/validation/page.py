"""A report as one page of HTML that needs nothing else: no script, no font, no picture from anywhere."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sensei.validation import advice, model

#: More of these than this are not drawn: the page says how many are left out.
_BARS = 25
_SAMPLES = 20

_STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1d2330; --soft: #5c6575; --line: #d9dee7; --card: #f6f8fb;
  --good: #1a7f4b; --bad: #c0322b; --warn: #9a6700; --none: #7b8494; --bar: #3b6fd4; }
@media (prefers-color-scheme: dark) { :root { --paper: #14171d; --ink: #e6e9ef; --soft: #a2abba; --line: #333a47;
  --card: #1c212a; --good: #4cc38a; --bad: #ff7b72; --warn: #e3b341; --none: #8b95a5; --bar: #79a7ff; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1.5rem; margin: 0 0 .25rem; } h2 { font-size: 1.15rem; margin: 2.25rem 0 .75rem; }
p { margin: .25rem 0; overflow-wrap: anywhere; } .chart { margin-top: 1.2rem; } .soft { color: var(--soft); }
code { font: .9em/1.4 ui-monospace, monospace; background: var(--card); padding: .1em .35em; border-radius: 4px;
  overflow-wrap: anywhere; }
.mark { display: inline-block; padding: .05rem .55rem; border-radius: 1rem; border: 1px solid; font-size: .85rem;
  white-space: nowrap; }
.passed { color: var(--good); } .failed, .critical { color: var(--bad); } .warning { color: var(--warn); }
.not_asked_for, .info { color: var(--none); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .93rem; }
th, td { text-align: left; padding: .4rem .7rem .4rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { font-weight: 600; color: var(--soft); } td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: .8rem 1rem;
  margin: .7rem 0; }
.card h3 { margin: 0 0 .4rem; font-size: 1rem; } .card ul { margin: .3rem 0; padding-left: 1.2rem; }
svg { display: block; max-width: 100%; height: auto; } svg text { fill: var(--ink); font: 13px system-ui, sans-serif; }
svg .soft { fill: var(--soft); }
td.value { font-family: ui-monospace, monospace; white-space: pre-wrap; overflow-wrap: anywhere; max-width: 20rem; }
"""


def page(found: Mapping[str, Any]) -> str:
    """Return the page of a report."""
    title = f"{found['id']}: validation {found['run']}"
    body = "\n".join(
        (
            *_head(found),
            *_perspectives(found),
            *_failures(found),
            *_tables(found),
            *_divergence(found),
            *_queries(found),
        )
    )
    # The policy holds a browser to what the page promises: whatever a value on it says, nothing is run or fetched.
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_text(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n{body}\n</main>\n</body>\n"
        "</html>\n"
    )


def _head(found: Mapping[str, Any]) -> Iterable[str]:
    good = found["status"] == "validated"
    yield f"<h1>{_text(found['name'])} {_mark('passed' if good else 'failed', found['status'])}</h1>"
    yield (
        f'<p class="soft">{_text(found["id"])}, validation {found["run"]} ({_text(found["type"])}), begun'
        f" {_moment(found['begun_at'])}"
        + (f", finished {_moment(found['finished_at'])}" if found.get("finished_at") else "")
        + f"; {found.get('duration_seconds', 0):,.1f} s</p>"
    )
    yield f'<p class="soft">from {_text(found["source"])}<br>to {_text(found["target"])}</p>'
    if found.get("void"):
        yield '<p class="failed">Void: tables were taken back or copied again since. Run it again.</p>'


def _perspectives(found: Mapping[str, Any]) -> Iterable[str]:
    yield "<h2>Perspectives</h2>"
    rows = [
        (f"<strong>{_text(name)}</strong>", _mark(of["verdict"]), _text(of["summary"]), f"{of['seconds']:,.1f} s")
        for name, of in found["perspectives"].items()
    ]
    yield _table(("perspective", "verdict", "what was looked at", "time"), rows, numbers=(3,))
    if any(of["seconds"] for of in found["perspectives"].values()):
        bars = [(name, float(of["seconds"]), of["verdict"]) for name, of in found["perspectives"].items()]
        yield _bars("Seconds by perspective", bars, "s")


def _failures(found: Mapping[str, Any]) -> Iterable[str]:
    if not found["failures"]:
        yield "<h2>Failures</h2><p>None.</p>"
        return
    yield f"<h2>Failures: {len(found['failures'])}</h2>"
    counts: dict[str, int] = {}
    critical = set()
    for failure in found["failures"]:
        name = failure["table"] or "all"
        counts[name] = counts.get(name, 0) + 1
        critical |= {name} if failure["severity"] == "critical" else set()
    bars = [(name, float(n), "failed" if name in critical else "warning") for name, n in _largest(counts)]
    yield _bars("Failures by table", bars, "")
    grouped: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for failure in found["failures"]:
        issue = advice.TREE[model.Cause(failure["cause"])][0]
        grouped.setdefault((issue, failure["recommended_action"]), []).append(failure)
    for (issue, action), those in grouped.items():
        words, _, command = action.partition(": ")
        listed = "".join(
            f"<li>{_mark(f['severity'])} {_text(f['perspective'])}: {_text(f['detail'])}</li>" for f in those
        )
        hints = dict.fromkeys(str(f["facts"]["hint"]) for f in those if "hint" in f.get("facts", {}))
        yield (
            f'<div class="card"><h3>{_text(issue)}</h3><p>{_text(words)}</p>'
            + (f"<p>next: {_commands(command)}</p>" if command else "")
            + f"<ul>{listed}</ul>{''.join(f'<p>{_text(hint)}</p>' for hint in hints)}</div>"
        )


def _commands(text: str) -> str:
    """Set each command apart from the words between them."""
    parts = re.split(r"(, then: |; for a few rows: |, or: )", text)
    return "".join(_text(p) if n % 2 else f"<code>{_text(p)}</code>" for n, p in enumerate(parts))


def _tables(found: Mapping[str, Any]) -> Iterable[str]:
    if not found["tables"]:
        return
    yield f"<h2>Tables: {len(found['tables'])}</h2>"
    rows = {t["name"]: int(t["rows"]) for t in found["tables"]}
    bad = {f["table"] for f in found["failures"] if f["severity"] == "critical"}
    yield _bars("Rows by table", [(n, float(v), "failed" if n in bad else "") for n, v in _largest(rows)], "rows")


def _divergence(found: Mapping[str, Any]) -> Iterable[str]:
    tables = found["divergence"]["tables"]
    if not tables:
        return
    yield "<h2>Rows</h2>"
    keys = ("rows_source", "rows_target", "rows_compared", "missing", "extra", "different", "quarantined")
    rows = [(_text(t["name"]), *(f"{t[k]:,}" for k in keys)) for t in tables]
    head = ("table", "on the source", "on the target", "compared", "missing", "extra", "different", "quarantined")
    yield _table(head, rows, numbers=range(1, 8))
    for table in tables:
        if table["samples"] or table["patterns"]:
            yield f'<div class="card"><h3>{_text(table["name"])}</h3>'
            yield "".join(f"<p>{_text(p['says'])}</p>" for p in table["patterns"])
            yield f"<p>{_text(table['evidence'])}</p>" if table["evidence"] else ""
            yield _table(
                ("key", "column", "source", "target"),
                [_sample(s) for s in table["samples"][:_SAMPLES]],
                values=(2, 3),
            )
            left = len(table["samples"]) - _SAMPLES
            yield f'<p class="soft">and {left} more</p></div>' if left > 0 else "</div>"


def _sample(sample: Mapping[str, Any]) -> tuple[str, ...]:
    key = _text(", ".join(f"{k}={'NULL' if v is None else v}" for k, v in sample["key"].items()))
    if sample["kind"] == "missing":
        return (key, "", "a row", "<em>missing</em>")
    if sample["kind"] == "extra":
        return (key, "", "<em>no such row</em>", "a row")
    values = ("<em>NULL</em>" if sample[k] is None else _text(sample[k]) for k in ("source", "target"))
    return (key, _text(sample["column"] or ""), *values)


def _queries(found: Mapping[str, Any]) -> Iterable[str]:
    queries = found["divergence"]["queries"]
    timed = found["perspectives"].get("performance", {}).get("facts", {}).get("queries") or []
    if queries or timed:
        yield "<h2>Queries</h2>"
    for query in queries:
        yield f'<div class="card"><h3>{_text(query["query"])}</h3><p>{_text(query["says"])}</p>'
        rows = [
            (
                side,
                _text(query.get(f"{side}_sql", "")),
                _text("\n".join(query.get(f"only_{side}", ())[:_SAMPLES])),
                plan,
            )
            for side, plan in zip(("source", "target"), map(_text, query.get("plans") or ("", "")), strict=True)
        ]
        yield _table(("", "query", "rows of this side alone", "gets at"), rows, values=(1, 2)) + "</div>"
    if timed:
        most = sorted(timed, key=lambda q: -q["ratio"])[: _BARS // 2]
        bars = [
            (f"{q['query'][:22]}, {side}", float(q[f"{side}_p50_ms"]), "warning" if q["is_slower"] and n else "")
            for q in most
            for n, side in enumerate(("source", "target"))
        ]
        yield _bars("Median time of a query, the largest ratios first", bars, "ms")
        keys = ("source_p50_ms", "source_p95_ms", "target_p50_ms", "target_p95_ms", "ratio")
        head = ("query", "source p50, ms", "p95", "target p50, ms", "p95", "ratio")
        yield _table(head, [(_text(q["query"]), *(f"{q[k]:,.2f}" for k in keys)) for q in timed], numbers=range(1, 6))


def _largest(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _bars(title: str, bars: Sequence[tuple[str, float, str]], unit: str) -> str:
    """Draw horizontal bars; names and numbers are text beside them, so that colour alone says nothing."""
    shown = bars[:_BARS]
    most = max((value for _, value, _ in shown), default=0.0) or 1.0
    left, width, line = 220, 420, 22
    high = line * len(shown) + 8
    parts = [
        f'<svg viewBox="0 0 760 {high}" width="760" height="{high}" role="img" aria-label="{_text(title)}">'
        f"<title>{_text(title)}</title>"
    ]
    for n, (name, value, verdict) in enumerate(shown):
        y = n * line + 4
        long = max(1.0, width * value / most) if value else 0.0
        number = f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"
        colour = {"failed": "--bad", "warning": "--warn"}.get(verdict, "--bar")
        cut = name if len(name) <= 30 else name[:29] + "…"
        parts.append(
            f'<text x="{left - 8}" y="{y + 13}" text-anchor="end">{_text(cut)}</text>'
            f'<rect x="{left}" y="{y}" width="{long:.1f}" height="16" rx="3" style="fill: var({colour})"/>'
            f'<text class="soft" x="{left + long + 8:.1f}" y="{y + 13}">{number} {_text(unit)}</text>'
        )
    parts.append("</svg>")
    more = f'<p class="soft">and {len(bars) - _BARS} more</p>' if len(bars) > _BARS else ""
    return f'<p class="soft chart">{_text(title)}</p>' + "".join(parts) + more


def _table(
    head: Sequence[str], rows: Sequence[Sequence[str]], numbers: Iterable[int] = (), values: Iterable[int] = ()
) -> str:
    """Lay out cells that are HTML already."""
    classes = dict.fromkeys(numbers, ' class="n"') | dict.fromkeys(values, ' class="value"')
    top = "".join(f"<th{classes.get(n, '')}>{_text(h)}</th>" for n, h in enumerate(head))
    lines = "".join(
        "<tr>" + "".join(f"<td{classes.get(n, '')}>{cell}</td>" for n, cell in enumerate(row)) + "</tr>" for row in rows
    )
    return f'<div class="scroll"><table><thead><tr>{top}</tr></thead><tbody>{lines}</tbody></table></div>'


def _mark(verdict: str, words: str | None = None) -> str:
    return f'<span class="mark {_text(verdict)}">{_text((words or verdict).replace("_", " "))}</span>'


def _moment(at: str) -> str:
    return _text(at[:19].replace("T", " ") + " UTC")


def _text(value: object) -> str:
    return html.escape(_visible(str(value)), quote=True)


def _visible(text: str) -> str:
    """Make control characters, and those that turn a line around, visible instead of obeyed."""
    return "".join(
        repr(c)[1:-1] if (ord(c) < 32 and c not in "\n\t") or 0x7F <= ord(c) <= 0x9F or ord(c) in _TURNING else c
        for c in text
    )


_TURNING = frozenset({*range(0x2028, 0x202F), *range(0x2066, 0x206A), *range(0xD800, 0xE000)})
