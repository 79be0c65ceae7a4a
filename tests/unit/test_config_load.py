"""What loading a migration file promises: exact places, plain words, no secrets, no surprises."""

# ruff: noqa: E501 - a complaint is one line, and so is each row of the tables of them
from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensei import config, errors

BASE = """\
name: shop
source: {connection: prod-source, schemas: [shop]}
target: {connection: prod-target, schema: shop}
"""
STAGED = BASE + (
    "connections:\n"
    "  prod-source: postgresql://app@db.example.com/shop\n"
    "environments:\n"
    "  staging:\n"
    "    source: {connection: st-source}\n"
    "    target: {connection: st-target}\n"
    "    options: {parallelism: 4}\n"
    "  half:\n"
    "    source: {connection: st-source}\n"
)


def complaints(text: str, environment: str | None = None) -> list[str]:
    with pytest.raises(errors.ConfigError) as caught:
        config.loads(text, "m.yaml", environment)
    lines = caught.value.message.splitlines()
    details = caught.value.details["complaints"]
    assert len(lines) == len(details)
    for line, detail in zip(lines, details, strict=True):
        assert line == f"{detail['file']}:{detail['line']}:{detail['column']}: {detail['message']}"
    assert caught.value.exit_code == 2
    return lines


def test_defaults_are_those_of_the_contract() -> None:
    options = config.loads(BASE).config.options
    assert options.model_dump() == {
        "mode": "full",
        "capture": "auto",
        "parallelism": 2,
        "executor": "local",
        "chunk_rows": 100_000,
        "on_existing": "fail",
        "on_row_error": "quarantine",
        "evidence": "keep",
        "accept_lossy": (),
        "zero_dates": "fail",
    }
    assert config.loads(BASE).config.validation.auto == "none"
    assert config.not_yet(config.loads(BASE)) == []


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ("options: {chunk_row: 5}", "4:11: unknown key 'chunk_row' in 'options'; did you mean 'chunk_rows'?"),
        ("option: {}", "4:1: unknown key 'option'; did you mean 'options'?"),
        ("environment: {}", "4:14: 'environment': expected text, found a map"),
        ("options: {mode: fast}", "4:17: 'options.mode': expected full or live, found text 'fast'"),
        ("options:\n  parallelism: two", "5:16: 'options.parallelism': expected a whole number, found text 'two'"),
        ("options:\n  parallelism: 0", "5:16: 'options.parallelism': expected at least 1, found the number 0"),
        ("options: {chunk_rows: true}", "4:23: 'options.chunk_rows': expected a whole number, found true"),
        ("options: {accept_lossy: total}", "4:25: 'options.accept_lossy': expected a list, found text 'total'"),
        ("tables: {a: {columns: {b: {typ: int}}}}", "4:28: unknown key 'typ' in 'tables.a.columns.b'; did you mean 'type'?"),
        ("tables: [a]", "4:9: 'tables': expected a map, found a list"),
        ("tables: {a: {target: 5}}", "4:22: 'tables.a.target': expected text, found the number 5; put it in quotes"),
        ("pre_migration_checks:\n  - {type: backups}", "5:12: 'pre_migration_checks[0].type': expected backup_verification, found text 'backups'"),
        ("auto_rollback: {enabled: yes}", "4:26: 'auto_rollback.enabled': expected true or false, found text 'yes'"),
        ("auto_rollback: {triggers: []}", "4:1: the key 'enabled' is missing in 'auto_rollback'"),
        ("rollback_verification: [{target_cleaned: false}]", "4:42: 'rollback_verification[0].target_cleaned': expected true, found false"),
        ("rollback_verification: [{target_cleaned: true}, {target_cleaned: true}]", "4:66: 'rollback_verification[1].target_cleaned': the line 'target_cleaned' stands here twice"),
        ("validation: {max_age: 24}", "4:23: 'validation.max_age': expected a duration such as 30s, 15m, 4h or 7d, found the number 24 without a unit"),
        ("big_bang_rollback: {steps: ''}", "4:28: 'big_bang_rollback.steps': the text is empty, expected steps such as '1. Stop the application 2. ...'"),
    ],
)  # fmt: skip
def test_a_complaint_names_place_fault_and_what_was_expected(more: str, expected: str) -> None:
    assert complaints(BASE + more + "\n") == [f"m.yaml:{expected}"]


def test_all_complaints_are_made_at_once_in_the_order_of_the_file() -> None:
    found = complaints(BASE + "options: {mode: fast, parallelism: x}\nnotification: {}\n")
    assert [line.split(":")[1:3] for line in found] == [["4", "17"], ["4", "36"], ["5", "1"]]


@pytest.mark.parametrize(("quote", "column"), [("", 18), ("'", 19)])
def test_a_wrong_condition_is_pointed_at_within_its_text(quote: str, column: int) -> None:
    text = f"{quote}duration > planed_duration{quote}"
    more = f"auto_rollback:\n  enabled: true\n  triggers:\n    - condition: {text}\n      action: pause_and_alert\n"
    (line,) = complaints(BASE + more)
    assert line.startswith(f"m.yaml:7:{column + 11}: ")
    assert "did you mean 'planned_duration'?" in line


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "1:1: the file is empty"),
        ("# only a comment\n", "1:1: the file is empty"),
        ("- a\n", "1:1: a list, expected a map"),
        ("hello\n", "1:1: a single value, expected a map"),
        ("name: a: b\n", "1:8: this is not valid YAML: mapping values are not allowed"),
        ("name: 'x\n", "this is not valid YAML"),
        ("a: 1\nb: 2\na: 3\n", "3:1: the key 'a' stands here twice, first on line 1"),
        ("a: 1\n---\nb: 2\n", "this is not valid YAML: expected a single document"),
        ("a: &x [*x]\n", "1:4: the value contains itself"),
        ("a: " + "[" * 3000, "nested deeper"),
        (
            "a: !!python/object/apply:os.system [x]\n",
            "1:4: the tag '!!python/object/apply:os.system' is not used",
        ),
        ("a: 1\nb: \x00\n", "2:4: the file contains a control character"),
        ("a: .inf\n", "1:4: this is not a number"),
    ],
)
def test_what_is_no_migration_file_is_said_plainly(text: str, says: str) -> None:
    assert says in complaints(text)[0]


def test_aliases_of_aliases_do_not_exhaust_memory() -> None:
    bomb = "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
    for i in range(8):
        bomb += f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 10)}]\n"
    assert "stands for more than" in complaints(bomb)[0]


def test_missing_unreadable_and_binary_files_are_said_plainly(tmp_path: Path) -> None:
    binary, large = tmp_path / "binary.yaml", tmp_path / "large.yaml"
    binary.write_bytes(b"name: shop\nsource: \xff\xfe\n")
    large.write_bytes(b"#" * 2_000_000)
    for path, says in (
        (tmp_path / "none.yaml", "1:1: there is no such file"),
        (tmp_path, "1:1: this is a folder"),
        (binary, "2:9: the file is not UTF-8 text"),
        (large, "1:1: the file has more than"),
        (tmp_path / "x\0y", "can't be the name of a file"),
    ):
        with pytest.raises(errors.ConfigError, match=says):
            config.load(path)


def test_load_reads_a_file_with_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "m.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + BASE.encode())
    loaded = config.load(path)
    assert loaded.path == path
    assert loaded.text == BASE
    assert loaded.digest == config.loads(BASE).digest


@given(st.text(max_size=80))
def test_any_text_loads_or_is_a_config_error(text: str) -> None:
    with pytest.raises(errors.ConfigError):
        config.loads(text)


@pytest.mark.parametrize(
    ("window", "says"),
    [
        ("window_start: 2026-02-15T02:00:00, window_end: 2026-02-15T03:00:00Z", "lacks an offset"),
        ("window_start: 2026-02-15, window_end: 2026-02-15T03:00:00Z", "lacks an offset"),
        ("window_start: tomorrow, window_end: 2026-02-15T03:00:00Z", "expected a time with an offset"),
        ("window_start: 2026-02-15T02:00:00Z", "needs 'window_end'"),
        ("window_start: 2026-02-15T04:00:00Z, window_end: 2026-02-15T03:00:00Z", "must end after it starts"),
        ("rollback_decision_point: 2026-02-15T04:00:00Z", "needs 'window_start'"),
        ("strategy: phased", "needs 'phases'"),
        ("phases: [{name: a, tables: [x]}]", "need 'strategy: phased'"),
        ("strategy: phased, phases: [{name: a, tables: []}]", "the list is empty"),
        ("strategy: phased, phases: [{name: a, tables: [x]}, {name: b, tables: [y, x]}]", "is in phase 'a' already"),
        ("strategy: phased, phases: [{name: a, tables: [x]}, {name: a, tables: [y]}]", "two phases are called 'a'"),
        ("contacts: {decision_maker: cto}", "expected a mail address"),
    ],
)  # fmt: skip
def test_a_cutover_plan_that_contradicts_itself_is_refused(window: str, says: str) -> None:
    assert says in complaints(BASE + f"cutover_plan: {{{window}}}\n")[0]


@pytest.mark.parametrize(
    ("hour", "good"), [("02:00:00Z", False), ("02:00:01Z", True), ("06:00:00Z", True), ("06:00:01Z", False)]
)
def test_the_decision_point_lies_after_the_start_and_not_after_the_end(hour: str, good: bool) -> None:
    # The end is given in another offset: times compare as moments.
    text = BASE + (
        "cutover_plan:\n"
        "  window_start: 2026-02-15T02:00:00Z\n"
        "  window_end: 2026-02-15T07:00:00+01:00\n"
        f"  rollback_decision_point: 2026-02-15T{hour}\n"
    )
    if good:
        assert config.loads(text).config.cutover_plan is not None
    else:
        assert complaints(text)[0].startswith("m.yaml:7:28: 'cutover_plan.rollback_decision_point'")


def test_two_tables_or_columns_can_not_become_one() -> None:
    assert "would both become 'c'" in complaints(BASE + "tables: {a: {target: c}, b: {target: c}}\n")[0]
    more = "tables: {a: {columns: {x: {target: y}, y: {type: int}}}}\n"
    assert "would both become 'y'" in complaints(BASE + more)[0]


def test_an_environment_is_laid_over_the_rest() -> None:
    loaded = config.loads(STAGED, environment="staging")
    assert loaded.config.environment == "staging"
    assert loaded.config.source.connection == "st-source"
    assert loaded.config.source.schemas == ("shop",)
    assert loaded.config.target.connection == "st-target"
    assert loaded.config.options.parallelism == 4
    assert loaded.digest != config.loads(STAGED).digest


def test_an_unknown_environment_is_refused_with_the_known_ones() -> None:
    (line,) = complaints(STAGED, "stagin")
    assert line == "m.yaml:6:1: there is no environment 'stagin'; did you mean 'staging'? (known: half, staging)"
    assert "(known: none)" in complaints(BASE, "staging")[0]


def test_an_environment_that_keeps_a_database_needs_yes() -> None:
    with pytest.raises(errors.Refused, match="target stays 'prod-target'") as caught:
        config.loads(STAGED, environment="half")
    assert caught.value.exit_code == 3
    assert caught.value.details["unchanged"] == ["target"]
    assert config.loads(STAGED, environment="half", yes=True).config.target.connection == "prod-target"
    with pytest.raises(errors.Refused, match="source stays 'prod-source' and target stays 'prod-target'"):
        config.loads(BASE + "environments: {staging: {}}\n", environment="staging")


def test_another_name_for_the_same_url_is_the_same_database() -> None:
    text = STAGED + "    connections: {st-source: 'postgresql://app@db.example.com/shop'}\n"
    with pytest.raises(errors.Refused, match="source stays 'st-source'"):
        config.loads(text + "    target: {connection: st-target}\n", environment="half")


def test_another_url_for_the_same_name_is_another_database() -> None:
    text = BASE + (
        "connections: {prod-source: 'sqlite:///a.db', prod-target: 'sqlite:///b.db'}\n"
        "environments:\n"
        "  staging: {connections: {prod-source: 'sqlite:///c.db', prod-target: 'sqlite:///d.db'}}\n"
    )
    assert config.loads(text, environment="staging").config.connections["prod-source"] == "sqlite:///c.db"


def test_an_environment_is_checked_though_it_is_not_chosen() -> None:
    more = "environments: {staging: {source: {conection: x}}}\n"
    assert complaints(BASE + more) == ["m.yaml:4:35: unknown key 'conection' in 'source'; did you mean 'connection'?"]
    assert "can't be changed by an environment" in complaints(BASE + "environments: {a: {name: b}}\n")[0]
    assert "expected a map" in complaints(BASE + "environments: {a: 5}\n")[0]


def test_a_file_that_is_complete_only_with_its_environment_loads_with_it() -> None:
    text = "name: shop\nenvironments: {dev: {source: {connection: a}, target: {connection: b}}}\n"
    assert config.loads(text, environment="dev").config.source.connection == "a"
    assert "the key 'source' is missing" in complaints(text)[0]


def test_an_environment_that_is_named_but_not_laid_over_is_warned_of() -> None:
    (warning,) = config.loads("environment: staging\n" + STAGED).warnings
    assert "takes --environment staging" in warning


def test_the_digest_is_of_what_is_in_force() -> None:
    digest = config.loads(BASE).digest
    assert config.loads("# a comment\n" + BASE + "options: {parallelism: 2}\n").digest == digest
    assert config.loads(BASE + "environments: {a: {options: {mode: live}}}\n").digest == digest
    assert config.loads(BASE + "options: {parallelism: 3}\n").digest != digest


@pytest.mark.parametrize(
    "more",
    [
        "connections: {prod-source: 'postgresql://app:hunter2@h/db'}\n",
        "connections: {prod-source: 'postgresql://h/db?user=app&password=hunter2'}\n",
        "connections: {prod-source: 'postgresql://app:hun/hunter2@h/db'}\n",
        "connections: {'postgresql://app:hunter2@h/db': x}\n",
        "connections: 'postgresql://app:hunter2@h/db'\n",
        "connections: {prod-source: {password: hunter2, port: 5}}\n",
        "'postgresql://app:hunter2@h/db': 5\n",
        "environment: postgresql://app:hunter2@h/db\n",
        "options: postgresql://app:hunter2@h/db\n",
        "notifications: {urls: ['mailto://app:hunter2@h']}\n",
        "notifications: {mail: 'slack://hunter2'}\n",
        "environments: {dev: {connections: {a: 'mysql://app:hunter2@h/db'}}}\n",
        "# postgresql://app:hunter2@h/db\n",
    ],
)
def test_a_password_in_clear_is_refused_and_never_repeated(more: str) -> None:
    with pytest.raises(errors.ConfigError) as caught:
        config.loads(BASE + more)
    assert "hunter2" not in f"{caught.value} {caught.value.hint} {caught.value.details}"


def test_variables_are_not_expanded_by_loading(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DB_PASSWORD", "hunter2")
    loaded = config.loads(BASE + "connections: {prod-source: 'postgresql://app:${DB_PASSWORD}@h/db'}\n")
    assert loaded.config.connections == {"prod-source": "postgresql://app:${DB_PASSWORD}@h/db"}
    assert "hunter2" not in repr(loaded) + loaded.config.canonical_json()
    (line,) = complaints(BASE + "connections: {prod-source: 'postgresql://app:${DB-PASSWORD}@h/db'}\n")
    assert "does not begin a variable" in line


@pytest.mark.parametrize(
    ("more", "path", "required"),
    [
        ("options: {mode: live}", "options.mode", True),
        ("options: {capture: log}", "options.capture", True),
        ("options: {executor: 'dask://h:8786'}", "options.executor", True),
        ("validation: {max_age: 1h}", "validation.max_age", False),
        ("notifications: {mail: '${MAIL}'}", "notifications", False),
        ("cutover_plan: {strategy: parallel}", "cutover_plan", False),
    ],
)
def test_what_is_not_carried_out_yet_is_never_silent(more: str, path: str, required: bool) -> None:
    loaded = config.loads(BASE + more + "\n")
    (owed,) = config.not_yet(loaded)
    assert (owed.path, owed.line, owed.required) == (path, 4, required)
    assert config.not_yet(loaded.config)[0].line == 0


@pytest.mark.parametrize(
    "more",
    [
        "options: {parallelism: 8, chunk_rows: 10, on_row_error: stop, evidence: drop, accept_lossy: [a.b]}",
        "options: {on_existing: replace}",
        "options: {on_existing: append}",
        "tables: {a: {target: b, columns: {c: {target: d, type: text}}}}",
        "rollback_verification: [{target_cleaned: true}]",
        "auto_rollback: {enabled: false}",
        "validation: {auto: full, relationships: [{table: a, columns: [b], references: c}]}",
        "connections: {a: 'sqlite:///a.db'}",
    ],
)
def test_what_is_carried_out_is_not_owed(more: str) -> None:
    assert config.not_yet(config.loads(BASE + more + "\n")) == []


@pytest.mark.parametrize("written", ["null", "'null'", "~", ""])
def test_null_for_zero_dates_is_the_word_however_yaml_reads_it(written: str) -> None:
    assert config.loads(f"{BASE}options: {{zero_dates: {written}}}\n").config.options.zero_dates == "null"


def test_importing_the_package_does_not_import_pydantic() -> None:
    import subprocess
    import sys

    code = "import sys, sensei.config.home; sys.exit('pydantic' in sys.modules or 'ruamel.yaml' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0
