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
from sensei import config, engines, errors, states
from sensei.catalog import types
from sensei.config import complaints, migration
from sensei.engines.mysql import typemap
from sensei.engines.sqlite import declared
from sensei.plan import own_types

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


# -- type mappings

_FROM_POSTGRES = {
    "smallint": types.LogicalType(types.Kind.INTEGER, bits=16),
    "integer": types.LogicalType(types.Kind.INTEGER, bits=32),
    "bigint": types.LogicalType(types.Kind.INTEGER, bits=64),
    "numeric(12,2)": types.LogicalType(types.Kind.DECIMAL, precision=12, scale=2),
    "numeric(38,10)": types.LogicalType(types.Kind.DECIMAL, precision=38, scale=10),
    "numeric": types.LogicalType(types.Kind.DECIMAL),
    "real": types.LogicalType(types.Kind.FLOAT, bits=32),
    "double precision": types.LogicalType(types.Kind.FLOAT, bits=64),
    "boolean": types.LogicalType(types.Kind.BOOLEAN),
    "text": types.LogicalType(types.Kind.TEXT),
    "character varying(80)": types.LogicalType(types.Kind.TEXT, length=80),
    "character(3)": types.LogicalType(types.Kind.TEXT, length=3, fixed=True),
    "bytea": types.LogicalType(types.Kind.BYTES),
    "date": types.LogicalType(types.Kind.DATE),
    "time": types.LogicalType(types.Kind.TIME),
    "timestamp": types.LogicalType(types.Kind.TIMESTAMP),
    "timestamp with time zone": types.LogicalType(types.Kind.TIMESTAMPTZ),
    "uuid": types.LogicalType(types.Kind.UUID),
    "json": types.LogicalType(types.Kind.JSON),
    "jsonb": types.LogicalType(types.Kind.JSONB),
    "an enum": types.LogicalType(types.Kind.TEXT, length=1, labels=("a", "b")),
    "integer[]": types.LogicalType(types.Kind.NATIVE, native="integer[]", elsewhere=types.Kind.TEXT),
    "interval": types.LogicalType(types.Kind.NATIVE, native="interval", elsewhere=types.Kind.TEXT),
    "hstore": types.LogicalType(types.Kind.UNSUPPORTED, native="hstore", elsewhere=types.Kind.TEXT),
}
#: MariaDB's json is a longtext whose check says so.
_MARKS = {"json": types.Kind.JSON}
_FROM_SQLITE = (
    "INTEGER", "SMALLINT", "DECIMAL(10,2)", "NUMERIC", "REAL", "DOUBLE", "BOOLEAN", "TEXT", "VARCHAR(80)", "CHAR(3)",
    "BLOB", "DATE", "TIME", "TIMESTAMP", "DATETIME", "TIMESTAMPTZ", "UUID", "JSON", "JSONB",
)  # fmt: skip

#: COLUMN_TYPE -> length, precision, scale, digits of a second, as information_schema tells them beside it.
_MYSQL: dict[str, tuple[int | None, int | None, int | None, int | None]] = {
    "tinyint(1)": (None, 3, 0, None),
    "tinyint unsigned": (None, 3, 0, None),
    "smallint": (None, 5, 0, None),
    "mediumint": (None, 7, 0, None),
    "int": (None, 10, 0, None),
    "int unsigned": (None, 10, 0, None),
    "bigint": (None, 19, 0, None),
    "bigint unsigned": (None, 20, 0, None),
    "decimal(12,2)": (None, 12, 2, None),
    "decimal(65,30)": (None, 65, 30, None),
    "float": (None, 12, None, None),
    "double": (None, 22, None, None),
    "bit(1)": (None, 1, None, None),
    "bit(8)": (None, 8, None, None),
    "char(3)": (3, None, None, None),
    "varchar(80)": (80, None, None, None),
    "text": (65535, None, None, None),
    "enum('a','b')": (1, None, None, None),
    "set('a','b')": (3, None, None, None),
    "binary(16)": (16, None, None, None),
    "blob": (65535, None, None, None),
    "date": (None, None, None, None),
    "time": (None, None, None, 0),
    "datetime(6)": (None, None, None, 6),
    "timestamp": (None, None, None, 0),
    "year": (None, None, None, None),
    "json": (None, None, None, None),
    "uuid": (None, None, None, None),
    "inet6": (None, None, None, None),
    "point": (None, None, None, None),
}
_FROM_MYSQL = {
    full: typemap.logical(typemap.Declared(re.split(r"[ (]", full)[0], full, *limits, None), _MARKS.get(full))
    for full, limits in _MYSQL.items()
}


def _mapping(said: str, mapped: types.Mapped) -> list[str]:
    native = f"`{mapped.native}`" if mapped.native else "not carried"
    return [f"`{said}`", native, str(mapped.there), str(mapped.back), mapped.reason]


def test_the_tables_of_types_are_what_the_engines_choose() -> None:
    postgres, sqlite, mysql = (engines.by_name(name) for name in ("postgres", "sqlite", "mysql"))
    expected = [_mapping(t, own_types.mapped(of, t, postgres, sqlite, None)) for t, of in _FROM_POSTGRES.items()]
    expected += [_mapping(t, postgres.ddl.map_type(declared.logical(t), "sqlite", None)) for t in _FROM_SQLITE]
    expected += [_mapping(t, own_types.mapped(of, t, postgres, mysql, None)) for t, of in _FROM_POSTGRES.items()]
    expected += [_mapping(t, own_types.mapped(of, t, mysql, postgres, None)) for t, of in _FROM_MYSQL.items()]
    expected += [_mapping(t, own_types.mapped(of, t, mysql, sqlite, None)) for t, of in _FROM_MYSQL.items()]
    expected += [_mapping(t, mysql.ddl.map_type(declared.logical(t), "sqlite", None)) for t in _FROM_SQLITE]
    said = [row for row in _rows("engines.md") if len(row) == 5 and row[2] in set(types.Verdict)]
    assert said == expected, "\n" + "\n".join("| " + " | ".join(row) + " |" for row in expected)


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
