"""What the server says about one table's columns and indexes, as far as reading and loading rows depends on it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from sensei import catalog, errors
from sensei.catalog import sight
from sensei.engines import base
from sensei.engines.mysql.session import MysqlSession

#: Character sets whose bytes are those of UTF-8. A column in ascii may hold others, which no target takes for text.
UTF8 = frozenset({"utf8mb4", "utf8mb3", "utf8", "ascii"})
GEOMETRIES = frozenset(
    {
        "geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon",
        "geometrycollection", "geomcollection",
    }
)  # fmt: skip
#: Character sets in which whatever a column takes is characters.
WHOLE = frozenset({"utf8mb4", "utf8mb3", "utf8", "latin1", "ucs2", "utf16", "utf16le", "utf32"})
INTEGERS = frozenset({"tinyint", "smallint", "mediumint", "int", "bigint", "year"})
TIMES = frozenset({"time", "datetime", "timestamp"})
_TEXTS = frozenset({"char", "varchar", "tinytext", "text", "mediumtext", "longtext"})
#: What may hold more than a packet's usual size.
ENDLESS = frozenset({"mediumtext", "longtext", "mediumblob", "longblob", "json"})
BLOBS = frozenset({"binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob"})
_ROUNDED = re.compile(r"column '(.*)' at row \d+$", re.DOTALL)


@dataclass(frozen=True)
class Column:
    """One column as information_schema tells it."""

    name: str
    word: str  #: DATA_TYPE in lower case: int, varchar, enum …
    full: str  #: COLUMN_TYPE: int(11) unsigned, enum('a','b') …
    nullable: bool
    charset: str
    collation: str
    digits: int  #: of a second's fraction
    numbered: bool = False  #: AUTO_INCREMENT
    generated: bool = False  #: the server computes it

    @property
    def zerofill(self) -> bool:
        """Numbers are printed with leading zeros."""
        return "zerofill" in self.full.lower()


@dataclass(frozen=True)
class Facts:
    """One table."""

    name: catalog.TableName
    columns: dict[str, Column]  #: by name in lower case: names of columns are not case-sensitive
    #: Name of each index that holds whole columns in ascending order -> its columns in lower case.
    indexes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    view: sight.Sight | None = None  #: how the migration sees it

    def only_rounded(self, session: MysqlSession, warnings: int) -> bool:
        """Tell whether all that the last statement was warned of is that computed columns round what they compute.

        Of columns that are loaded, such a note means that a value is not what it was.
        """
        rounded = {c.name for c in self.columns.values() if c.generated}
        if not rounded:
            return False
        found = session.rows("SHOW WARNINGS")
        return len(found) == warnings and all(
            level == "Note" and code == 1265 and (told := _ROUNDED.search(str(text))) is not None and told[1] in rounded
            for level, code, text in found
        )

    def column(self, name: str) -> Column:
        """Return a column; raises UnknownName."""
        found = self.columns.get(name.lower())
        if found is None:
            raise errors.UnknownName(f"the table {self.name} has no column {name}")
        return found

    def index(self, columns: Sequence[str]) -> str | None:
        """Return the name of an index over exactly these columns."""
        wanted = tuple(c.lower() for c in columns)
        return next((name for name, has in self.indexes.items() if has == wanted), None)


def own(session: base.Session) -> MysqlSession:
    """Return the session as this package's own."""
    if not isinstance(session, MysqlSession):
        raise errors.Fault("a session of another engine was handed to MySQL")
    return session


def of(session: base.Session, table: catalog.TableName) -> Facts:
    """Return a table's facts, asked for once a session; raises UnknownName."""
    mine = own(session)
    if table not in mine.known:
        mine.known[table] = _ask(mine, table)
    found: Facts = mine.known[table]
    return found


def _ask(session: MysqlSession, table: catalog.TableName) -> Facts:
    where = [table.schema or session.database, table.name]
    columns = session.rows(
        "SELECT COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, IS_NULLABLE, CHARACTER_SET_NAME, COLLATION_NAME,"
        " DATETIME_PRECISION, EXTRA FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?"
        " ORDER BY ORDINAL_POSITION",
        where,
    )
    if not columns:
        raise errors.UnknownName(f"there is no table {table}")
    indexes: dict[str, list[str | None]] = {}
    for name, column, prefix, order in session.rows(
        "SELECT INDEX_NAME, COLUMN_NAME, SUB_PART, COLLATION FROM information_schema.STATISTICS"
        " WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? AND INDEX_TYPE = 'BTREE' ORDER BY INDEX_NAME, SEQ_IN_INDEX",
        where,
    ):
        whole = column is not None and prefix is None and order == "A"
        indexes.setdefault(str(name), []).append(str(column).lower() if whole else None)
    view = session.seen.get(table)
    return Facts(
        table,
        {
            str(name).lower(): Column(
                str(name), str(word).lower(), str(full), nullable == "YES", str(charset or ""), str(collation or ""),
                int(digits or 0), "auto_increment" in str(extra).lower(), "generated" in str(extra).lower().split(),
            )
            for name, word, full, nullable, charset, collation, digits, extra in columns
        }
        | {name.lower(): _computed(c) for name, c in (view.computed() if view is not None else {}).items()},
        {name: tuple(c for c in has if c is not None) for name, has in indexes.items() if None not in has},
        view,
    )  # fmt: skip


def _computed(column: sight.SightColumn) -> Column:
    """Return what a computed column is: the server's own type for its native one."""
    word = re.split(r"[ (]", column.native.lower())[0]
    digits = re.search(r"\((\d)\)", column.native) if word in TIMES else None
    charset, collation = ("utf8mb4", "utf8mb4_bin") if word in _TEXTS else ("", "")
    return Column(column.name, word, column.native, True, charset, collation, int(digits[1]) if digits else 0)
