"""The documents say what the code says: floors, states, errors, keys, types, dependencies, and no private places."""

from __future__ import annotations

import re
import subprocess
import tomllib

import documents
from sensei import states

ROOT = documents.ROOT
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def _only(name: str, language: str) -> documents.Block:
    (block,) = documents.blocks(ROOT / "docs" / name, language)
    return block


def test_the_floors_are_those_of_the_import_contract() -> None:
    shown = [re.split(r"\s{2,}", line)[0].split(" | ") for line in _only("architecture.md", "floors").text.splitlines()]
    layers = next(c for c in PROJECT["tool"]["importlinter"]["contracts"] if c["type"] == "layers")["layers"]
    assert shown == [[room.strip().removeprefix("sensei.") for room in layer.split("|")] for layer in layers]


def test_the_diagram_of_states_is_the_table_of_transitions() -> None:
    assert _only("architecture.md", "states").text.rstrip("\n") == states.diagram()


def test_links_between_documents_lead_somewhere() -> None:
    for document in documents.DOCUMENTS:
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", document.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (document.parent / target).exists(), f"{document.name}: {target}"
