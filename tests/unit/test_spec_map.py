"""docs/spec.md maps each line of the specification to a test that is there, or owes it; what is owed only shrinks."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from types import SimpleNamespace

import pytest

import documents
from sensei import states
from sensei.runner import status

#: Lines of the specification that this version does not carry out. May only shrink.
OWED = 80

SPEC = (documents.ROOT / "tests" / "data" / "spec.md").read_text(encoding="utf-8").splitlines()
_DOCS = "tests/cli/test_docs_commands.py::test_the_commands_of_a_document_print_what_it_shows"


@dataclass(frozen=True)
class Mapped:
    """One row of the map."""

    first: int  #: line of the specification, counted from 1
    last: int
    begins: str
    state: str
    by: str

    @property
    def lines(self) -> list[tuple[int, str]]:
        """Number and text of each line that says something."""
        return [(n, SPEC[n - 1]) for n in range(self.first, self.last + 1) if _says_something(SPEC[n - 1])]

    @property
    def tests(self) -> list[str]:
        return [re.sub(r"^docs(?=\[)", _DOCS, one) for one in re.findall(r"`([^`]+)`", self.by)]


def _says_something(line: str) -> bool:
    return bool(line.strip()) and not line.startswith("```")


def _map() -> list[Mapped]:
    found = []
    for line in (documents.ROOT / "docs" / "spec.md").read_text(encoding="utf-8").splitlines():
        row = re.fullmatch(r"\| (\d+)(?:-(\d+))? \| `(.*?)` \| (\w+) \| (.*?) ?\|", line)
        if row:
            found.append(Mapped(int(row[1]), int(row[2] or row[1]), row[3], row[4], row[5]))
    return found


MAP = _map()


def _fenced() -> set[int]:
    inside, found = False, set()
    for n, line in enumerate(SPEC, 1):
        if line.startswith("```"):
            inside = not inside
        elif inside:
            found.add(n)
    return found


def test_every_line_of_the_specification_is_mapped_once() -> None:
    covered = [n for row in MAP for n in range(row.first, row.last + 1)]
    assert len(covered) == len(set(covered))
    missing = [f"{n}: {line}" for n, line in enumerate(SPEC, 1) if line.strip() and n not in covered]
    assert not missing, "\n".join(missing)


@pytest.mark.parametrize("row", MAP, ids=lambda r: str(r.first))
def test_a_row_begins_as_its_first_line_does_and_names_its_proof(row: Mapped) -> None:
    assert row.lines[0][1].removeprefix("| ").strip().startswith(row.begins)
    assert row.state in ("tested", "owed", "words")
    if row.state == "tested":
        assert row.tests


def test_only_headings_and_plain_text_are_taken_for_words() -> None:
    fenced = _fenced()
    for row in MAP:
        if row.state == "words":
            for n, line in row.lines:
                assert n not in fenced, f"{n}: {line}"
                assert not re.match(r"\s*(\||- |\d+\. )", line), f"{n}: {line}"


def test_every_test_that_the_map_names_is_there() -> None:
    for row in MAP:
        for one in row.tests:
            path, _, name = one.partition("::")
            name, _, parameter = name.partition("[")
            tree = ast.parse((documents.ROOT / path).read_text(encoding="utf-8"))
            assert any(isinstance(node, ast.FunctionDef) and node.name == name for node in tree.body), one
            if path in _DOCS:
                document = documents.ROOT / "docs" / parameter.rstrip("]")
                assert documents.blocks(document, "console"), one


def test_what_is_owed_only_shrinks() -> None:
    owed = sum(len(row.lines) for row in MAP if row.state == "owed")
    assert owed <= OWED
    assert owed == OWED, f"fewer lines are owed than OWED says: write {owed} there"


def test_every_command_that_is_tested_stands_in_a_document_as_printed() -> None:
    """Each command of the specification that is carried out is run from a document, word for word but for the id."""
    shown = "\n".join(
        re.sub(r"mig_[0-9a-z_]+", "ID", block.text)
        for document in documents.DOCUMENTS
        for block in documents.blocks(document, "console")
    )
    commands = 0
    for row in MAP:
        if row.state != "tested":
            continue
        for n, line in row.lines:
            if line.startswith("sensei ") or (line.startswith("  --") and n in _fenced()):
                commands += 1
                assert re.sub(r"mig_[0-9a-z_]+", "ID", line.rstrip(" \\")) in shown, f"{n}: {line}"
    assert commands >= 11


def test_the_decision_matrix_of_status_is_the_specifications() -> None:
    rows = [[c.strip() for c in line.strip("|").split("|")] for line in SPEC[22:27]]
    assert {situation: (action, pressure) for situation, action, pressure in rows} == status.MATRIX


@pytest.mark.parametrize(
    ("state", "exit_code", "rejected", "situation"),
    [
        ("failed", 2, 0, "Validation failure during testing"),
        ("completed", None, 3, "Validation failure during testing"),
        ("paused", None, 0, "Performance issue during execution"),
        ("failed", 4, 0, "Data corruption detected"),
        ("failed", 5, 0, "External system dependency failure"),
        ("completed", None, 0, None),
    ],
)
def test_status_advises_the_row_of_the_matrix_that_fits(
    state: str, exit_code: int | None, rejected: int, situation: str | None
) -> None:
    row = SimpleNamespace(status=states.State(state))
    failure = {"exit_code": exit_code} if exit_code else None
    advice = status._advice(row, failure, rejected)  # type: ignore[arg-type]
    assert (advice["situation"] if advice else None) == situation
    if advice:
        assert (advice["recommended_action"], advice["time_pressure"]) == status.MATRIX[advice["situation"]]
