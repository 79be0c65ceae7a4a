"""The questions put to MariaDB before its own tables are set aside or added to."""

from __future__ import annotations

#: name, type, storage engine of the tables of one database
HEADS = "SELECT TABLE_NAME, TABLE_TYPE, ENGINE FROM information_schema.TABLES WHERE TABLE_SCHEMA = ?"

#: Foreign keys into one database: its table, then database, table and name of the key, on update, on delete
POINTING = """
SELECT REFERENCED_TABLE_NAME, CONSTRAINT_SCHEMA, TABLE_NAME, CONSTRAINT_NAME, UPDATE_RULE, DELETE_RULE
FROM information_schema.REFERENTIAL_CONSTRAINTS WHERE UNIQUE_CONSTRAINT_SCHEMA = ?
ORDER BY CONSTRAINT_SCHEMA, TABLE_NAME, CONSTRAINT_NAME
"""

#: Foreign keys of one table: name, column, table and column that it points at, on update, on delete. The database that
#: it points into is left out, as it is another one while the table lies elsewhere.
KEYS_OF = """
SELECT k.CONSTRAINT_NAME, k.COLUMN_NAME, k.REFERENCED_TABLE_NAME, k.REFERENCED_COLUMN_NAME, r.UPDATE_RULE,
       r.DELETE_RULE
FROM information_schema.KEY_COLUMN_USAGE k JOIN information_schema.REFERENTIAL_CONSTRAINTS r
  ON r.CONSTRAINT_SCHEMA = k.TABLE_SCHEMA AND r.TABLE_NAME = k.TABLE_NAME AND r.CONSTRAINT_NAME = k.CONSTRAINT_NAME
WHERE k.TABLE_SCHEMA = ? AND k.TABLE_NAME = ? AND k.REFERENCED_TABLE_NAME IS NOT NULL
ORDER BY k.CONSTRAINT_NAME, k.ORDINAL_POSITION
"""

#: database, name, text, and what else a view is bound by
VIEWS = """
SELECT TABLE_SCHEMA, TABLE_NAME, VIEW_DEFINITION, MD5(CONCAT_WS(CHAR(0), VIEW_DEFINITION, CHECK_OPTION, DEFINER,
       SECURITY_TYPE, ALGORITHM)) FROM information_schema.VIEWS ORDER BY 1, 2
"""
VIEW_MARK = """
SELECT MD5(CONCAT_WS(CHAR(0), VIEW_DEFINITION, CHECK_OPTION, DEFINER, SECURITY_TYPE, ALGORITHM))
FROM information_schema.VIEWS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?
"""

#: Triggers on the tables of one database, in the order in which they are to be made: table, name, who defined it,
#: modes, character set, collation, collation of the database when it was made
TRIGGERS = """
SELECT EVENT_OBJECT_TABLE, TRIGGER_NAME, DEFINER, SQL_MODE, CHARACTER_SET_CLIENT, COLLATION_CONNECTION,
       DATABASE_COLLATION
FROM information_schema.TRIGGERS WHERE EVENT_OBJECT_SCHEMA = ?
ORDER BY EVENT_OBJECT_TABLE, EVENT_MANIPULATION, ACTION_TIMING, ACTION_ORDER
"""

#: Every trigger: database, name, its table's database and name, what it does
BODIES = """
SELECT TRIGGER_SCHEMA, TRIGGER_NAME, EVENT_OBJECT_SCHEMA, EVENT_OBJECT_TABLE, ACTION_STATEMENT
FROM information_schema.TRIGGERS ORDER BY 1, 2
"""
BODY = "SELECT MD5(ACTION_STATEMENT) FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = ? AND TRIGGER_NAME = ?"

DATABASE_COLLATION = "SELECT DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = ?"

COLUMNS = "SELECT COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?"
