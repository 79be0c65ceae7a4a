"""What an account lacks, and the statement that grants it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sensei import catalog, errors
from sensei.engines import base
from sensei.engines.mysql import names

#: What Sensei does in a database that it migrates into.
NEEDED = ("SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "ALTER", "DROP", "INDEX", "REFERENCES")
#: As GRANT writes the databases that keep evidence.
EVIDENCE_PATTERN = r"sensei\_evidence\_%"
#: What is needed besides where a target's own tables are set aside or added to: to see what hangs on them, and to make
#: their triggers again.
NEEDED_OF_OWN = (*NEEDED, "TRIGGER", "SHOW VIEW")
#: The databases that keep them, or rows for them.
PLACES = ("kept", "stage", "added")

_GRANT = re.compile(r"GRANT (?P<what>.+?) ON (?P<on>(?:`(?:[^`]|``)*`|\*)\.(?:`(?:[^`]|``)*`|\*)) TO ", re.DOTALL)


def missing_to_read(session: base.Session, tables: Sequence[catalog.TableName]) -> list[base.Missing]:
    """Return the tables that can't be read whole. Asked of each table itself: grants on columns and roles count too."""
    found = []
    for table in tables:
        try:
            session.rows(f"SELECT * FROM {names.qualified(table)} LIMIT 0")
        except errors.MissingPrivilege:
            found.append(
                base.Missing(
                    f"SELECT on table {table}", f"GRANT SELECT ON {names.qualified(table)} TO {account(session)}"
                )
            )
    return found


def missing_to_create(
    session: base.Session, schemas: Sequence[str], tables: Sequence[catalog.TableName] = ()
) -> list[base.Missing]:
    """Return what is lacking in the URL's database (the ledger), in the schemas, and in databases to come.

    `tables` are the target's own that make way or are added to, and those that hang on them.
    """
    home = str(session.rows("SELECT DATABASE()")[0][0])
    held = _held(session)
    who = account(session)
    found = []
    own = {t.schema for t in tables}
    for schema in dict.fromkeys([home, *schemas, *sorted(own)]):
        needed = NEEDED_OF_OWN if schema in own else NEEDED
        lacking = [p for p in needed if not any(p in what and _covers(pattern, schema) for pattern, what in held)]
        if lacking:
            # All that is needed, not only what is lacking: of two grants whose patterns match a database the server
            # heeds one alone.
            found.append(
                base.Missing(
                    f"{', '.join(lacking)} on database {schema}",
                    f"GRANT {', '.join(needed)} ON {names.quote(_escaped(schema))}.* TO {who}",
                )
            )
    places = {EVIDENCE_PATTERN: "that keep what a rollback sets aside"}
    if tables:
        places |= {rf"sensei\_{w}\_%": "that keep the target's own tables, or rows for them" for w in PLACES}
    for place, what_for in places.items():
        example = place.replace("\\", "").replace("%", "mig_00000000")
        lacking = [p for p in NEEDED if not any(p in what and _covers(pattern, example) for pattern, what in held)]
        if lacking:
            found.append(
                base.Missing(
                    f"{', '.join(lacking)} on the databases {place.replace(chr(92), '')[:-1]}… {what_for}",
                    f"GRANT {', '.join(NEEDED)} ON `{place}`.* TO {who}",
                )
            )
    return found


def require_own(session: base.Session, tables: Sequence[catalog.TableName]) -> None:
    """Raise MissingPrivilege, with the statements that grant it, where the account could not see all that is on tables
    of the target's own, or not set them aside."""
    missing = missing_to_create(session, [], tables)
    if missing:
        raise errors.MissingPrivilege(
            "the account lacks " + "; ".join(m.what for m in missing[:10]),
            hint="\n".join(dict.fromkeys(m.grant for m in missing)),
            missing=[{"what": m.what, "grant": m.grant} for m in missing],
        )


def everywhere(session: base.Session) -> frozenset[str]:
    """Return the privileges that the account has on the whole server."""
    lines = [str(r[0]) for r in session.rows("SHOW GRANTS")]
    found = [m["what"] for line in lines if (m := _GRANT.match(line)) and m["on"].replace("`", "") == "*.*"]
    held = frozenset(p.strip().upper() for what in found for p in what.split(","))
    return held | {"SUPER", "SET USER"} if held & {"ALL PRIVILEGES", "ALL"} else held


def account(session: base.Session) -> str:
    """Return the account that the server took us for, as GRANT writes it."""
    user, _, host = str(session.rows("SELECT CURRENT_USER()")[0][0]).rpartition("@")
    return f"{names.literal(user)}@{names.literal(host)}"


def _held(session: base.Session) -> list[tuple[str, frozenset[str]]]:
    """Return (pattern of databases, privileges) of every grant to this account and its active roles."""
    lines = [str(r[0]) for r in session.rows("SHOW GRANTS")]
    role = session.rows("SELECT CURRENT_ROLE()")[0][0]
    if role and str(role).upper() != "NONE":
        for one in str(role).split(","):
            wanted = one.strip() if "`" in one else names.quote(one.strip())
            try:
                lines += [str(r[0]) for r in session.rows(f"SHOW GRANTS FOR {wanted}")]
            except errors.SenseiError:
                pass  # of roles within roles MariaDB tells by itself
    found = []
    for line in lines:
        m = _GRANT.match(line)
        if m is None:
            continue
        schema, table = re.findall(r"`((?:[^`]|``)*)`|(\*)", m["on"])
        if not table[1]:
            continue  # on one table only
        what = frozenset(p.strip().upper() for p in re.sub(r"\([^)]*\)", "", m["what"]).split(","))
        if what & {"ALL PRIVILEGES", "ALL"}:
            what = frozenset(NEEDED_OF_OWN)
        found.append(("%" if schema[1] else schema[0].replace("``", "`"), what))
    return found


def _covers(pattern: str, schema: str) -> bool:
    r"""Tell whether a grant's pattern, with `%`, `_` and `\` before those that are meant, takes a database in."""
    parts = re.findall(r"\\.|.", pattern, re.DOTALL)
    regex = "".join(".*" if p == "%" else "." if p == "_" else re.escape(p[-1]) for p in parts)
    return re.fullmatch(regex, schema, re.DOTALL | re.IGNORECASE) is not None


def _escaped(schema: str) -> str:
    return re.sub(r"([\\%_])", r"\\\1", schema)
