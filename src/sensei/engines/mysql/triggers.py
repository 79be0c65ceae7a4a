"""Triggers of tables that are moved: MariaDB moves no table with triggers, so they are dropped and made again.

They are made by the words of SHOW CREATE TRIGGER, under the modes and character sets that they were made with, so that
the server has the same of them as before, but for the time.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

from sensei import errors
from sensei.engines import base, keeping
from sensei.engines.mysql import keep_queries, names, privileges
from sensei.engines.mysql.facts import own


def of_tables(session: base.Session, schema: str, tables: Collection[str]) -> Mapping[str, list[keeping.Part]]:
    """Return the triggers on each of these tables of a database, in the order in which they have to be made."""
    found: dict[str, list[keeping.Part]] = defaultdict(list)
    for table, name, _, modes, client, collation, _ in session.rows(keep_queries.TRIGGERS, [schema]):
        if str(table) not in tables:
            continue
        statement = str(session.rows(f"SHOW CREATE TRIGGER {names.quote(schema)}.{names.quote(str(name))}")[0][2])
        made = _make(own(session).database, schema, statement, str(modes), str(client), str(collation))
        found[str(table)].append(keeping.Part("trigger", str(name), made))
    return found


def hinders(session: base.Session, schema: str, tables: Iterable[str]) -> list[str]:
    """Say of each trigger on these tables that could not be made again exactly why not."""
    wanted, found = set(tables), []
    ((now,),) = session.rows(keep_queries.DATABASE_COLLATION, [schema])
    ((who, logged, trusted),) = session.rows("SELECT CURRENT_USER(), @@log_bin, @@log_bin_trust_function_creators")
    held: frozenset[str] | None = None
    for table, name, definer, *_, collation in session.rows(keep_queries.TRIGGERS, [schema]):
        if str(table) not in wanted:
            continue
        words = f"trigger {name} on table {schema}.{table}"
        held = privileges.everywhere(session) if held is None else held
        if str(collation) != str(now):
            found.append(f"{words} (the database's collation was {collation} when it was made, and is {now} now)")
        if definer != who and not held & {"SUPER", "SET USER"}:
            found.append(f"{words} (to make it again as {definer}'s the account needs SET USER)")
        if logged and not trusted and "SUPER" not in held:
            found.append(f"{words} (with a binary log, to make it again the account needs SUPER)")
    return found


def drop(schema: str, part: keeping.Part) -> str:
    """Write the statement that drops a trigger."""
    return f"DROP TRIGGER IF EXISTS {names.quote(schema)}.{names.quote(part.name)}"


def there(schema: str, name: str) -> str:
    """Write the condition that a database has a trigger of that name."""
    return (
        "EXISTS (SELECT 1 FROM information_schema.TRIGGERS g"
        f" WHERE g.TRIGGER_SCHEMA = {names.literal(schema)} AND g.TRIGGER_NAME = {names.literal(name)})"
    )


def _make(home: str, schema: str, statement: str, modes: str, client: str, collation: str) -> str:
    """Write the block that makes a trigger again, and leaves the session as it found it.

    The words are read when they are carried out, under the modes that are set by then, and the server turns them into
    the character set that is. Names without a database mean the one that is in use.
    """
    if not all(re.fullmatch(r"\w+", word, re.ASCII) for word in (client, collation)):
        raise errors.Fault(f"the character set {client!r} or the collation {collation!r} can't be named")
    back = (
        "SET SESSION sql_mode = @sensei_mode, character_set_client = @sensei_client,"
        " collation_connection = @sensei_collation;"
    )
    if home != schema:
        back += f" EXECUTE IMMEDIATE {names.literal(f'USE {names.quote(home)}')};"
    return (
        f"BEGIN NOT ATOMIC DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN {back} RESIGNAL; END;"
        " SET @sensei_mode = @@SESSION.sql_mode, @sensei_client = @@SESSION.character_set_client,"
        " @sensei_collation = @@SESSION.collation_connection;"
        + (f" EXECUTE IMMEDIATE {names.literal(f'USE {names.quote(schema)}')};" if home != schema else "")
        + f" SET SESSION sql_mode = {names.literal(modes)}, character_set_client = {client},"
        f" collation_connection = {collation};"
        f" EXECUTE IMMEDIATE {names.literal(statement)}; {back} END"
    )
