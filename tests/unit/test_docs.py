"""The documents say what the code says: floors, states, errors, keys, types, dependencies, and no private places."""

from __future__ import annotations

import inspect
import json
import os
import re
import subprocess
import tomllib
from importlib import metadata

import pydantic

import documents
from sensei import config, errors, states
from sensei.config import complaints, migration

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


def test_files_and_names_of_the_code_that_documents_point_to_are_there() -> None:
    checked = 0
    for document in documents.DOCUMENTS:
        for path, name in re.findall(
            r"`([\w./-]+\.(?:py|toml|txt))(?:: (\w+))?`", document.read_text(encoding="utf-8")
        ):
            places = [
                base / path for base in (ROOT, ROOT / "src" / "sensei", ROOT / "src" / "sensei" / "engines" / "sqlite")
            ]
            found = next((place for place in places if place.is_file()), None)
            assert found, f"{document.name}: {path}"
            assert not name or re.search(rf"\bdef {name}\b", found.read_text(encoding="utf-8")), f"{path}: {name}"
            checked += 1
    assert checked > 20


# -- dependencies


def _rows(document: str) -> list[list[str]]:
    """The cells of every table row of a document, without heads and rules."""
    lines = (ROOT / "docs" / document).read_text(encoding="utf-8").splitlines()
    rows: list[list[str]] = []
    for at, line in enumerate(lines):
        head = at + 1 < len(lines) and lines[at + 1].startswith("| ---")
        if line.startswith("| ") and not line.startswith("| ---") and not head:
            rows.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip()[1:-1])])
    return rows


def _bare(requirement: str) -> str:
    return re.split(r"[<>=!~\[; ]", requirement.strip())[0].lower()


def test_every_dependency_is_explained_and_nothing_else() -> None:
    asked = {_bare(r) for r in PROJECT["project"]["dependencies"]}
    for extra in PROJECT["project"]["optional-dependencies"].values():
        asked |= {_bare(r) for r in extra}
    asked |= {_bare(r) for r in PROJECT["build-system"]["requires"]}
    for file in (ROOT / "requirements").glob("*.in"):
        asked |= {_bare(line) for line in file.read_text().splitlines() if line and line[0] not in "-#"}
    assert {row[0] for row in _rows("dependencies.md")} == asked


def _licence(name: str) -> str:
    about = metadata.metadata(name)
    classifiers = [c for c in about.get_all("Classifier") or [] if c.startswith("License")]
    return " ".join([about.get("License-Expression") or "", about.get("License") or "", *classifiers])


#: What a licence is called here -> a word of what the package's own metadata says.
_WORDS = {
    "MIT": "MIT",
    "Apache-2.0": "Apache",
    "BSD-3-Clause": "BSD",
    "BSD-2-Clause": "BSD",
    "MPL-2.0": "MPL",
    "LGPL with exceptions": "LGPL",
    "any OSI-approved (`any-OSI`)": "any-OSI",
    "Apache-2.0 or BSD-3-Clause": "Apache-2.0 OR BSD-3-Clause",
}


def test_licences_of_dependencies_are_those_that_the_packages_declare() -> None:
    for row in _rows("dependencies.md"):
        said = next(cell for cell in row[1:] if cell in _WORDS)
        assert _WORDS[said] in _licence(row[0]), row[0]


def test_health_of_dependencies_is_what_the_packages_declare() -> None:
    for row in _rows("dependencies.md"):
        status = [
            c for c in metadata.metadata(row[0]).get_all("Classifier") or [] if c.startswith("Development Status")
        ]
        said = row[-2]
        assert (said in status[0].lower()) if status else said == "no status declared", row[0]


# -- errors


def _tree(of: type[errors.SenseiError]) -> list[type[errors.SenseiError]]:
    return [of, *(found for child in of.__subclasses__() for found in _tree(child))]


def test_every_error_is_explained_with_its_code_exit_code_and_meaning() -> None:
    said = {row[0].strip("`"): (int(row[1]), row[2]) for row in _rows("errors.md")}
    tree = [one for one in _tree(errors.SenseiError) if one.__module__ == "sensei.errors"]
    real = {one("").code: (one.exit_code, inspect.getdoc(one)) for one in tree}
    assert said == real
    assert all(row[3] for row in _rows("errors.md"))


# -- the migration file


def _keys(model: type[pydantic.BaseModel], path: str = "") -> dict[str, str]:
    """Every key of the file -> its default as it would be written; sections and lists of sections hold more keys."""
    found: dict[str, str] = {}
    for name, field in model.model_fields.items():
        key = f"{path}{field.alias or name}"
        inner = next(complaints._models(field.annotation), None)
        if inner is not None:
            listed = "[]" if "tuple[" in str(field.annotation) else ""
            named = ".NAME" if "dict[" in str(field.annotation) else ""
            found |= _keys(inner, f"{key}{listed}{named}.")
        else:
            default = field.default_factory() if field.default_factory is not None else field.default  # type: ignore[call-arg]
            found[key + (".NAME" if "dict[" in str(field.annotation) else "")] = _written(field.is_required(), default)
    return found


def _written(required: bool, default: object) -> str:
    if required:
        return "required"
    if default is None or default == () or default == {}:
        return ""
    text = json.dumps(list(default) if isinstance(default, tuple) else default)
    return f"`{text}`" if text[0] in "[{" else f"`{text.strip(chr(34))}`"


def test_every_key_of_the_migration_file_is_explained_with_its_default() -> None:
    said = {row[0].strip("`"): row[1] for row in _rows("configuration.md") if len(row) == 4}
    real = _keys(migration.MigrationConfig)
    assert said == real, "\n" + "\n".join(f"| `{k}` | {v} |" for k, v in real.items())
    assert {row[3].split(":")[0] for row in _rows("configuration.md") if len(row) == 4} <= {"yes", "checked", "blocks"}


def test_migration_files_in_the_documents_are_valid() -> None:
    files = [b for d in documents.DOCUMENTS for b in documents.blocks(d, "yaml")]
    assert files
    for block in files:
        config.loads(block.text, str(block))


# -- private places

#: Written in pieces, so that this file does not hold what it looks for.
_PRIVATE = re.compile(
    "|".join(
        (
            r"(?<![\w.~})-])(?<!:/)/(?:" + "|".join(("ro" + "ot", "wo" + "rk", "fa" + "rm")) + r")(?:/|\b)",
            "py" + r"pi\.(?:org|python)",
            "python" + "hosted",
            r"--(?:extra-)?index" + "-url",
            "registry" + r"\.npm",
        )
    )
)


def test_no_file_names_a_package_registry_or_a_place_on_somebodys_machine() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout
    found = []
    for name in sorted(set(listed.decode().split("\0"))):
        path = ROOT / name
        if not name or not path.is_file() or path.suffix == ".xz":
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            if hit := _PRIVATE.search(line):
                found.append(f"{name}:{number}: {hit[0]}")
    assert not found, "\n".join(found)


# -- transcripts

_TRANSCRIPTS = """\
# Transcripts

What a terminal shows during the main jobs, command by command. The blocks are those that
`tests/cli/test_transcripts.py` compares with the real program: `$` leads a command, `!` a line on stderr,
`[exit code N]` stands where it is not 0, and `{ID}`, `{SECONDS}`, `{TIME}` and the like stand for what differs from run
to run.
"""


def test_the_transcripts_are_shown_as_they_are_tested() -> None:
    text = _TRANSCRIPTS
    for path in sorted((ROOT / "tests" / "cli" / "transcripts").glob("*.txt")):
        title = path.stem.replace("_", " ").capitalize()
        text += f"\n## {title}\n\n```transcript\n{path.read_text(encoding='utf-8').rstrip()}\n```\n"
    document = ROOT / "docs" / "transcripts.md"
    if os.environ.get("SENSEI_REWRITE_DOCS"):
        document.write_text(text, encoding="utf-8")
    assert document.read_text(encoding="utf-8") == text, "SENSEI_REWRITE_DOCS=1 writes it anew"
