"""The questions put to information_schema: a fixed number of them for each database, however many tables it has.

One database at a time and with `=`: the server then looks into that one only. Nothing is joined here, as these tables
have no indexes.
"""

from __future__ import annotations

SCHEMAS = "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA ORDER BY SCHEMA_NAME"

#: name, type, storage engine, rows, bytes, next number, collation, options, comment
TABLES = """
SELECT TABLE_NAME, TABLE_TYPE, ENGINE, TABLE_ROWS, DATA_LENGTH, AUTO_INCREMENT, TABLE_COLLATION, CREATE_OPTIONS,
       TABLE_COMMENT
FROM information_schema.TABLES WHERE TABLE_SCHEMA = ? ORDER BY TABLE_NAME
"""

#: table, name, default, nullable, type, full type, length, precision, scale, digits of a second, collation, extra,
#: generation, comment
COLUMNS = """
SELECT TABLE_NAME, COLUMN_NAME, COLUMN_DEFAULT, IS_NULLABLE, DATA_TYPE, COLUMN_TYPE, CHARACTER_MAXIMUM_LENGTH,
       NUMERIC_PRECISION, NUMERIC_SCALE, DATETIME_PRECISION, COLLATION_NAME, EXTRA, GENERATION_EXPRESSION,
       COLUMN_COMMENT
FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ? ORDER BY TABLE_NAME, ORDINAL_POSITION
"""


def indexes(mariadb: bool) -> str:
    """One row for each element: table, index, not unique, column, direction, prefix, method, comment, expression,
    whether the planner ignores it."""
    expression, ignored = ("NULL", "IGNORED") if mariadb else ("EXPRESSION", "IF(IS_VISIBLE = 'NO', 'YES', 'NO')")
    return f"""
SELECT TABLE_NAME, INDEX_NAME, NON_UNIQUE, COLUMN_NAME, COLLATION, SUB_PART, INDEX_TYPE, INDEX_COMMENT, {expression},
       {ignored}
FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = ? ORDER BY TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX
"""


#: table, constraint, column, referenced database, table, column; each element a row
KEY_COLUMNS = """
SELECT TABLE_NAME, CONSTRAINT_NAME, COLUMN_NAME, REFERENCED_TABLE_SCHEMA, REFERENCED_TABLE_NAME,
       REFERENCED_COLUMN_NAME
FROM information_schema.KEY_COLUMN_USAGE WHERE TABLE_SCHEMA = ? AND REFERENCED_TABLE_NAME IS NOT NULL
ORDER BY TABLE_NAME, CONSTRAINT_NAME, ORDINAL_POSITION
"""

#: table, constraint, on update, on delete
RULES = """
SELECT TABLE_NAME, CONSTRAINT_NAME, UPDATE_RULE, DELETE_RULE
FROM information_schema.REFERENTIAL_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = ?
"""


def checks(mariadb: bool) -> tuple[str, ...]:
    """table, constraint, expression, whether it belongs to a column. MySQL keeps the table's name elsewhere: there,
    constraint and expression come first, and then table, constraint and whether it is enforced."""
    if mariadb:
        return (
            """
SELECT TABLE_NAME, CONSTRAINT_NAME, CHECK_CLAUSE, LEVEL = 'Column' FROM information_schema.CHECK_CONSTRAINTS
WHERE CONSTRAINT_SCHEMA = ? ORDER BY TABLE_NAME, CONSTRAINT_NAME
""",
        )
    return (
        "SELECT CONSTRAINT_NAME, CHECK_CLAUSE FROM information_schema.CHECK_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = ?",
        "SELECT TABLE_NAME, CONSTRAINT_NAME, ENFORCED FROM information_schema.TABLE_CONSTRAINTS"
        " WHERE CONSTRAINT_SCHEMA = ? AND CONSTRAINT_TYPE = 'CHECK' ORDER BY TABLE_NAME, CONSTRAINT_NAME",
    )


#: kind, name, definition, table
OTHERS = (
    "SELECT 'view', TABLE_NAME, VIEW_DEFINITION, NULL FROM information_schema.VIEWS WHERE TABLE_SCHEMA = ?",
    "SELECT 'trigger', TRIGGER_NAME, CONCAT_WS(' ', ACTION_TIMING, EVENT_MANIPULATION, 'FOR EACH', ACTION_ORIENTATION,"
    " ACTION_STATEMENT), EVENT_OBJECT_TABLE FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = ?",
    "SELECT LOWER(ROUTINE_TYPE), ROUTINE_NAME, ROUTINE_DEFINITION, NULL FROM information_schema.ROUTINES"
    " WHERE ROUTINE_SCHEMA = ?",
    "SELECT 'event', EVENT_NAME, CONCAT_WS(' ', EVENT_TYPE, EXECUTE_AT, INTERVAL_VALUE, INTERVAL_FIELD, STATUS,"
    " EVENT_DEFINITION), NULL FROM information_schema.EVENTS WHERE EVENT_SCHEMA = ?",
)

PARTITIONS = """
SELECT TABLE_NAME, PARTITION_NAME, PARTITION_METHOD, PARTITION_EXPRESSION, PARTITION_DESCRIPTION, SUBPARTITION_NAME
FROM information_schema.PARTITIONS WHERE TABLE_SCHEMA = ? AND PARTITION_NAME IS NOT NULL
ORDER BY TABLE_NAME, PARTITION_ORDINAL_POSITION, SUBPARTITION_ORDINAL_POSITION
"""

# -- identity

#: A text of all columns of a table, in order: name, type, nullability; over rows `c` of COLUMNS. A sum of hashes needs
#: no session setting, as GROUP_CONCAT would, and fits into one expression.
SHAPE = (
    "CONCAT(COUNT(*), '-', COALESCE(SUM(CAST(CONV(LEFT(MD5(CONCAT_WS(CHAR(0), c.ORDINAL_POSITION, c.COLUMN_NAME,"
    " c.COLUMN_TYPE, c.IS_NULLABLE)), 15), 16, 10) AS UNSIGNED)), 0))"
)

SHAPES = f"""
SELECT c.TABLE_NAME, {SHAPE} FROM information_schema.COLUMNS c WHERE c.TABLE_SCHEMA = ? GROUP BY c.TABLE_NAME
"""


def shape(schema: str, table: str) -> str:
    """Write the shape of one table as a scalar; both arguments are SQL."""
    return (
        f"(SELECT {SHAPE} FROM information_schema.COLUMNS c WHERE c.TABLE_SCHEMA = {schema} AND c.TABLE_NAME = {table})"
    )


#: When a table was made, over a row `t` of TABLES; also moved by most ALTERs and by a rename.
MADE = "COALESCE(DATE_FORMAT(t.CREATE_TIME, '%Y-%m-%dT%H:%i:%s'), 'unknown')"


def identity(schema: str, table: str) -> str:
    """Write what identifies a table, NULL where there is none: when it was made, a blank, its shape."""
    return (
        f"(SELECT CONCAT({MADE}, ' ', {shape(schema, table)}) FROM information_schema.TABLES t"
        f" WHERE t.TABLE_SCHEMA = {schema} AND t.TABLE_NAME = {table} AND t.TABLE_TYPE IN"
        " ('BASE TABLE', 'SYSTEM VERSIONED', 'SEQUENCE'))"
    )


def view_identity(schema: str, view: str) -> str:
    """Write what identifies a view, NULL where there is none: what it says, and in whose name."""
    return (
        "(SELECT MD5(CONCAT_WS(CHAR(0), v.VIEW_DEFINITION, v.DEFINER, v.SECURITY_TYPE)) FROM information_schema.VIEWS v"
        f" WHERE v.TABLE_SCHEMA = {schema} AND v.TABLE_NAME = {view})"
    )


# -- what hangs on tables

#: Foreign keys into a database: its table, then database, table and name of the key
POINTING = """
SELECT REFERENCED_TABLE_NAME, CONSTRAINT_SCHEMA, TABLE_NAME, CONSTRAINT_NAME
FROM information_schema.REFERENTIAL_CONSTRAINTS WHERE UNIQUE_CONSTRAINT_SCHEMA = ?
ORDER BY CONSTRAINT_SCHEMA, TABLE_NAME, CONSTRAINT_NAME
"""

VIEWS = "SELECT TABLE_SCHEMA, TABLE_NAME, VIEW_DEFINITION FROM information_schema.VIEWS ORDER BY 1, 2"

TRIGGERS = """
SELECT EVENT_OBJECT_TABLE, TRIGGER_NAME FROM information_schema.TRIGGERS WHERE EVENT_OBJECT_SCHEMA = ? ORDER BY 1, 2
"""
