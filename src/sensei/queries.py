"""Reads queries and conditions that somebody else wrote, and refuses all that could do more than read."""

from __future__ import annotations

import re
from typing import Any

from sensei import errors

#: Longer texts are somebody's mistake, and deeper ones could exhaust the stack.
MAX_LENGTH = 50_000
#: Dialects that a text may be in, by the parser's names; the first is what they share.
PORTABLE = ""
DIALECTS = (PORTABLE, "postgres", "mysql", "sqlite")

#: Functions that a session that only reads carries out all the same: they wait, lock, end other sessions, write or
#: read files of the server, ask other servers, run text as a statement, or change settings and counters.
_HARMFUL = re.compile(
    r"pg_sleep.*|sleep|benchmark|waitfor|"
    r"get_lock|release_lock|release_all_locks|is_free_lock|is_used_lock|pg_(try_)?advisory_.*|"
    r"pg_(terminate|cancel)_backend|pg_reload_conf|pg_rotate_logfile|pg_promote|pg_switch_wal|pg_create_.*|pg_drop_.*|"
    r"pg_replication_.*|pg_logical_.*|pg_start_.*|pg_stop_.*|pg_backup_.*|pg_notify|pg_stat_reset.*|pg_import_.*|"
    r"pg_read_.*|pg_ls_.*|pg_stat_file|pg_file_.*|pg_export_snapshot|pg_log_.*|"
    r"load_file|readfile|writefile|fsdir|edit|load_extension|lo_.*|loread|lowrite|"
    r"dblink.*|postgres_fdw_.*|(query|table|schema|database|cursor)_to_xml.*|xpath_table|crosstab.*|"
    r"set_config|setval|nextval|lastval|sys_exec|sys_eval|sys_set|master_pos_wait|master_gtid_wait|wait_for_.*|"
    r"source_pos_wait|next_value_for|nextvalue",
    re.IGNORECASE,
)
#: What is another value each time.
_CHANCE = re.compile(r"rand|random|randomblob|random_normal|setseed|uuid|uuid_short|gen_random_uuid|uuid_generate_.*",
                     re.IGNORECASE)  # fmt: skip


def condition(text: str, dialect: str = PORTABLE) -> Any:
    """Return the tree of a condition, true of each row that is right, or of any other expression; raises BadInput."""
    tree = _one(f"SELECT 1 WHERE ({text}\n)", dialect, shift=len("SELECT 1 WHERE ("))
    where = tree.args.get("where")
    names = [key for key, value in tree.args.items() if value]
    # Anything but one pair of parentheses means that the text closed ours.
    if where is None or set(names) != {"expressions", "where"} or type(where.this).__name__ != "Paren":
        raise errors.BadInput("this is no condition, such as total >= 0")
    _refuse(tree)
    return where.this.this


def query(text: str, dialect: str) -> Any:
    """Return the tree of one query that only reads; raises BadInput."""
    from sqlglot import exp

    tree = _one(text, dialect)
    if not isinstance(tree, exp.Select | exp.SetOperation):
        raise errors.BadInput(f"expected one SELECT, found {_named(tree)}")
    _refuse(tree)
    return tree


def any_query(text: str) -> None:
    """Raise BadInput where a text is a query that only reads in no dialect that is known."""
    first: errors.BadInput | None = None
    for dialect in DIALECTS:
        try:
            query(text, dialect)
            return
        except errors.BadInput as problem:
            first = first or problem
    assert first is not None
    raise first


def by_chance(tree: Any) -> str:
    """Return the name of a function that gives another value each time; empty where there is none."""
    from sqlglot import exp

    for node in tree.find_all(exp.Func):
        if _CHANCE.fullmatch(name := _function(node)):
            return name
    return ""


def _one(text: str, dialect: str, shift: int = 0) -> Any:
    import sqlglot
    from sqlglot import errors as glot

    if len(text) > MAX_LENGTH:
        raise errors.BadInput(f"the text has {len(text)} characters, expected at most {MAX_LENGTH}")
    if "\0" in text:
        raise errors.BadInput("the text contains a NUL character")
    try:
        # The parser logs what it can't make out of other statements than queries; those are refused anyway.
        import logging

        logging.getLogger("sqlglot").setLevel(logging.CRITICAL)
        found = [t for t in sqlglot.parse(text, dialect=dialect or None) if t is not None]
    except glot.ParseError as problem:
        raise errors.BadInput(_complaint(problem, shift)) from None
    except glot.SqlglotError as problem:
        raise errors.BadInput(f"this is not SQL that can be read: {_plain(str(problem))}") from None
    except RecursionError:
        raise errors.BadInput("the text is nested too deeply") from None
    found = [t for t in found if type(t).__name__ != "Semicolon"]
    if len(found) != 1:
        raise errors.BadInput(f"expected one statement, found {len(found)}")
    return found[0]


def _complaint(problem: Any, shift: int) -> str:
    first = problem.errors[0] if problem.errors else {}
    line, column = first.get("line") or 1, first.get("col") or 1
    if line == 1:
        column = max(1, column - shift)
    said = _plain(str(first.get("description") or "it can't be read")).rstrip(".")
    near = _plain(str(first.get("highlight") or "")).strip()
    return f"this is not SQL that can be read: {said}, at line {line}, column {column}" + (
        f", near {near!r}" if near else ""
    )


def _plain(text: str) -> str:
    """Return the first line of a parser's words without its colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text).strip().split("\n")[0]


def _named(tree: Any) -> str:
    from sqlglot import exp

    if isinstance(tree, exp.Command):
        return str(tree.this).upper()
    return type(tree).__name__.upper()


def _function(node: Any) -> str:
    from sqlglot import exp

    return str(node.name if isinstance(node, exp.Anonymous) else node.sql_name()).lower()


def _refuse(tree: Any) -> None:
    """Raise BadInput for all that is more than reading."""
    from sqlglot import exp

    writes = (
        exp.Insert, exp.Update, exp.Delete, exp.Merge, exp.Create, exp.Drop, exp.Alter, exp.Command, exp.Set, exp.Use,
        exp.Pragma, exp.Copy, exp.LoadData, exp.Attach, exp.Detach, exp.Kill, exp.Transaction, exp.Analyze,
    )  # fmt: skip
    for node in tree.walk():
        if isinstance(node, writes):
            raise errors.BadInput(f"{_named(node)} does more than read")
        if isinstance(node, exp.Into):
            raise errors.BadInput("SELECT INTO writes")
        if isinstance(node, exp.Lock):
            raise errors.BadInput("FOR UPDATE and FOR SHARE lock rows")
        if isinstance(node, exp.PropertyEQ | exp.NextValueFor):
            raise errors.BadInput("this changes a variable or a counter")
        if isinstance(node, exp.Func) and _HARMFUL.fullmatch(name := _function(node)):
            raise errors.BadInput(f"the function {name} does more than read")
