"""Describes a whole database of MariaDB, rows included, so that "nothing changed" can be measured."""

from __future__ import annotations

import re
from typing import Any

from reader_mysql import Mysql, quote

Snapshot = dict[str, dict[str, Any]]

#: Facts by kind: each query names what it describes ("name"), the table that leads to it ("of"), and properties. What
#: only tells when something was made or read is left out. {db} is the database, bound.
_QUERIES = {
    "table": """
        SELECT table_name AS `name`, table_name AS `of`, table_type, engine, row_format, table_collation,
        auto_increment, create_options, table_comment FROM information_schema.tables
        WHERE table_schema = {db} AND table_type <> 'VIEW'""",
    "column": """
        SELECT CONCAT(table_name, '.', column_name) AS `name`, table_name AS `of`, ordinal_position, column_default,
        is_nullable, column_type, character_set_name, collation_name, extra, is_generated, generation_expression,
        column_comment FROM information_schema.columns WHERE table_schema = {db}""",
    "index": """
        SELECT CONCAT(table_name, '.', index_name) AS `name`, table_name AS `of`, non_unique, index_type,
        GROUP_CONCAT(CONCAT_WS(' ', column_name, sub_part, collation, nullable) ORDER BY seq_in_index) AS parts,
        MAX(ignored) AS ignored, MAX(index_comment) AS comment
        FROM information_schema.statistics WHERE table_schema = {db}
        GROUP BY table_name, index_name, non_unique, index_type""",
    "constraint": """
        SELECT CONCAT(table_name, '.', constraint_name, ' ', constraint_type) AS `name`, table_name AS `of`,
        constraint_type, (SELECT GROUP_CONCAT(CONCAT_WS(' ', column_name, referenced_table_schema,
            referenced_table_name, referenced_column_name) ORDER BY ordinal_position)
            FROM information_schema.key_column_usage k WHERE k.constraint_schema = c.constraint_schema
            AND k.table_name = c.table_name AND k.constraint_name = c.constraint_name) AS columns,
        (SELECT CONCAT_WS(' ', update_rule, delete_rule, match_option) FROM information_schema.referential_constraints r
            WHERE r.constraint_schema = c.constraint_schema AND r.table_name = c.table_name
            AND r.constraint_name = c.constraint_name) AS rules
        FROM information_schema.table_constraints c WHERE table_schema = {db}""",
    "check": """
        SELECT CONCAT(table_name, '.', constraint_name) AS `name`, table_name AS `of`, level, check_clause
        FROM information_schema.check_constraints WHERE constraint_schema = {db}""",
    "view": """
        SELECT table_name AS `name`, table_name AS `of`, view_definition, check_option, is_updatable, definer,
        security_type, algorithm FROM information_schema.views WHERE table_schema = {db}""",
    "trigger": """
        SELECT trigger_name AS `name`, event_object_table AS `of`, event_manipulation, event_object_table,
        action_order, action_statement, action_timing, sql_mode, definer, character_set_client,
        collation_connection, database_collation
        FROM information_schema.triggers WHERE trigger_schema = {db}""",
    "routine": """
        SELECT CONCAT(routine_type, ' ', routine_name) AS `name`, '' AS `of`, dtd_identifier, routine_definition,
        is_deterministic, sql_data_access, security_type, sql_mode, routine_comment, definer,
        (SELECT GROUP_CONCAT(CONCAT_WS(' ', parameter_mode, parameter_name, dtd_identifier) ORDER BY ordinal_position)
            FROM information_schema.parameters p WHERE p.specific_schema = r.routine_schema
            AND p.specific_name = r.specific_name AND p.routine_type = r.routine_type) AS parameters
        FROM information_schema.routines r WHERE routine_schema = {db}""",
    "event": """
        SELECT event_name AS `name`, '' AS `of`, definer, time_zone, event_definition, event_type, execute_at,
        interval_value, interval_field, sql_mode, starts, ends, status, on_completion, event_comment
        FROM information_schema.events WHERE event_schema = {db}""",
    "partition": """
        SELECT CONCAT_WS('.', table_name, partition_name, subpartition_name) AS `name`, table_name AS `of`,
        partition_ordinal_position, partition_method, partition_expression, subpartition_method,
        subpartition_expression, partition_description FROM information_schema.partitions
        WHERE table_schema = {db} AND partition_name IS NOT NULL""",
    "grant on the database": """
        SELECT CONCAT(user, '@', host) AS `name`, '' AS `of`, CONCAT_WS('', select_priv, insert_priv, update_priv,
        delete_priv, create_priv, drop_priv, grant_priv, references_priv, index_priv, alter_priv,
        create_tmp_table_priv, lock_tables_priv, create_view_priv, show_view_priv, create_routine_priv,
        alter_routine_priv, execute_priv, event_priv, trigger_priv, delete_history_priv) AS privileges
        FROM mysql.db WHERE db = {db}""",
    "grant on a table": """
        SELECT CONCAT(table_name, ' ', user, '@', host) AS `name`, table_name AS `of`, table_priv, column_priv
        FROM mysql.tables_priv WHERE db = {db}""",
    "grant on a column": """
        SELECT CONCAT(table_name, '.', column_name, ' ', user, '@', host) AS `name`, table_name AS `of`, column_priv
        FROM mysql.columns_priv WHERE db = {db}""",
    "grant on a routine": """
        SELECT CONCAT(routine_name, ' ', user, '@', host) AS `name`, '' AS `of`, routine_type, proc_priv
        FROM mysql.procs_priv WHERE db = {db}""",
}

#: Where the numbering stands is a property of its own; the rest of the definition must not hang on it.
_COUNTER = re.compile(r" AUTO_INCREMENT=\d+")


def describe(reader: Mysql, ignored: tuple[str, ...]) -> Snapshot:
    """Everything but the rows; tables, and databases beside this one, whose names begin so are left out."""
    found: Snapshot = {}
    for kind, sql in _QUERIES.items():
        for entry in reader.named(sql.format(db="%(db)s"), {"db": reader.database}):  # type: ignore[arg-type]
            of, name = entry.pop("of"), entry.pop("name")
            if not of.startswith(ignored):
                found[f"{kind} {name}"] = entry
    for full, entry in found.items():
        kind, _, name = full.partition(" ")
        if kind == "table" and entry["table_type"] == "SEQUENCE":
            entry.update(reader.named(f"SELECT * FROM {reader.sql_name(name)}")[0])
        if kind == "table":
            made = reader.query(f"SHOW CREATE TABLE {reader.sql_name(name)}")[0][1]
            columns, ending, options = made.rpartition("\n) ")
            entry["definition"] = columns + ending + _COUNTER.sub("", options)
    (facts,) = reader.named(
        "SELECT default_character_set_name, default_collation_name, schema_comment FROM information_schema.schemata"
        " WHERE schema_name = %s",
        [reader.database],
    )
    found["database"] = facts
    # What was left beside it; the databases that a server begins with never change.
    for (name,) in reader.query("SELECT schema_name FROM information_schema.schemata"):
        if not name.startswith(ignored):
            own = name in (reader.database, "mysql", "sys", "information_schema", "performance_schema")
            tables = reader.query("SELECT table_name FROM information_schema.tables WHERE table_schema = %s", [name])
            shown = sorted(table for (table,) in tables if not table.startswith(ignored))
            found[f"beside {quote(name)}"] = {} if own else {"tables": shown}
    return found
