"""sensei validations certificate and verify-certificate: a signed document of what was proven."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from sensei.cli import output


def certificate(
    migration: str = typer.Argument(..., metavar="ID", help="The migration's id, or a unique beginning of it."),
    output_file: Path = typer.Option(..., "--output", metavar="FILE", help="Where to write it."),
) -> None:
    """Sign what was compared and found; refused while something critical stands, or the target was written since."""
    from sensei import errors
    from sensei.runner import certify, desk

    if output_file.exists() and not output.MODE.yes:
        raise errors.BadInput(f"{output_file} is already there", hint="name another file, or say --yes")
    with desk.open_desk() as here:
        loaded = here.load(migration)
        issued = certify.issue(here, loaded.id)
    output.write_private(output_file, issued.text)
    output.result(
        {"id": loaded.id, "run": issued.run, "written": str(output_file), "sha256": issued.digest, "key": issued.key},
        [
            *_text(issued.content),
            f"signed by key {issued.key}; written to {output_file}",
            "whoever gets it needs your public key (sensei keys export --output sensei.pub), by another way than this"
            " file, and then:",
            f"next: sensei validations verify-certificate {output_file} --key sensei.pub",
        ],
        [str(output_file)],
    )


def verify_certificate(
    file: Path = typer.Argument(..., metavar="FILE", help="The certificate."),
    key: Path = typer.Option(..., "--key", metavar="PUBLIC_KEY_FILE", help="The issuer's public key."),
) -> None:
    """Check a certificate with nothing but the issuer's public key; exit code 4 where it is not what was issued."""
    from sensei import errors
    from sensei.journal import certificate as sealed
    from sensei.journal import keys

    pem = _read(key, 1_000_000).decode("utf-8", "replace")
    name = keys.fingerprint(sealed.read_key(pem))
    data = _read(file, sealed.LONGEST)
    try:
        content = sealed.open_sealed(data, pem)
    except errors.SenseiError as error:
        error.message = f"{file}: {error.message}"
        raise
    output.result(
        {"valid": True, "key": name, "certificate": content},
        [f"{file} was signed by key {name}, and not changed since", "", *_text(content)],
        [name],
    )


def _read(path: Path, most: int) -> bytes:
    from sensei import errors

    try:
        with path.open("rb") as file:
            return file.read(most + 1)
    except OSError as error:
        raise errors.BadInput(f"{path} can't be read: {error.strerror}", hint="name a file that is there") from error


def _text(content: Mapping[str, Any]) -> list[str]:
    """Show a certificate to a person: what, how much of it, and everything that it does not cover."""
    from sensei.cli import words
    from sensei.validation import model

    order = [str(p) for p in model.Perspective]
    looked = sorted(content["coverage"]["perspectives"].items(), key=lambda of: (*order, of[0]).index(of[0]))
    moved, run = content["migration"], content["validation"]
    tables = content["coverage"]["tables"]
    rows, compared = sum(t["rows_source"] for t in tables), sum(t["rows_compared"] for t in tables)
    lines = [
        f"{moved['id']} ({moved['name']}): {moved['source']['connection']} -> {moved['target']['connection']}",
        f"validation {run['run']} ({run['type']}) is {run['status']}, {words.moment(run['finished_at'])}",
        f"{compared:,} of {rows:,} rows of {output.count(len(tables), 'table')} were compared",
        "",
        *output.table(
            [(name, of["verdict"].replace("_", " "), of["looked_at"]) for name, of in looked],
            ("perspective", "verdict", "what was looked at"),
        ),
        "",
    ]
    return lines + _exceptions(content["exceptions"])


def _exceptions(of: Mapping[str, Any]) -> list[str]:
    lines = [f"{f['severity']}: {f['detail']}" for f in of["failures"]]
    lines += [
        f"in quarantine, and not on the target: {output.count(q['rows'], 'row')} of {q['table']}"
        for q in of["quarantine"]
    ]
    for one in of.get("repairs", ()):
        rows = sum(n for counts in one["tables"].values() for n in counts.values())
        back = f", which took repair {one['undoes']} back" if one["undoes"] else ""
        lines.append(f"repair {one['number']} of {output.count(rows, 'row')} after the copy{back}")
    lines += [
        f"{c['values']:,} of {c['rows']:,} values of {c['table']}.{c['column']}, by {c['decision']}: {c['says']}"
        for c in of.get("coerced", ())
    ]
    if of["accepted_lossy"]:
        lines.append(f"agreed to be lossy, and not compared: {', '.join(of['accepted_lossy'])}")
    lines += [f"tolerance: {name} {value}" for name, value in of["tolerances"].items()]
    lines += [f"not migrated: {n['kind']} {n['object']}: {n['reason']}" for n in of["not_migrated"]]
    shown = ["exceptions:", *(f"  {line}" for line in lines[:40])] if lines else ["no exceptions"]
    if len(lines) > 40:
        shown.append(f"  and {len(lines) - 40} more: --json shows all")
    return shown
