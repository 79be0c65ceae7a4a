"""A private MariaDB server with the settings of a server that has work to do, and the table in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import server_mariadb
import servers_mysql
from benchmarks import lineitem, measure  # server puts the tests' harness on the path

# As in `server.SETTINGS`: same for all sides; the disk of a shared machine is the noisiest part of it.
SETTINGS = {
    "innodb_buffer_pool_size": "1G",
    "innodb_log_file_size": "1G",
    "innodb_log_buffer_size": "64M",
    "character_set_server": "utf8mb4",
    # myloader stops at the first deadlock, which two of its threads run into under the default.
    "transaction_isolation": "READ-COMMITTED",
    "local_infile": "ON",
    "max_allowed_packet": "64M",
}


class Server(servers_mysql.MysqlServer):
    """Life cycle as in the tests: a context, or start() and close()."""

    def __init__(self) -> None:
        super().__init__(SETTINGS, awkward=False)
        # myloader writes no binary log unless asked to: with one, the others would carry a load that it does not.
        for name in ("log_bin", "binlog_format", "sync_binlog", "expire_logs_days"):
            self._settings.pop(name, None)

    def __enter__(self) -> Server:
        self.start()
        return self

    @property
    def pid(self) -> int:
        """Of the server: its threads are within."""
        return int((self.folder / self.pid_file).read_text())

    def plain_url(self, database: str) -> str:
        """For tools that read no ``${NAME}``."""
        return f"mysql://{server_mariadb.USER}:{server_mariadb.password()}@127.0.0.1:{self.port}/{database}"

    def options(self, folder: Path) -> Path:
        """A file with address and password for the tools that read one; only the owner may."""
        path = folder / "mariadb.cnf"
        path.touch(0o600)
        said = f"host=127.0.0.1\nport={self.port}\nuser={server_mariadb.USER}\npassword={server_mariadb.password()}\n"
        path.write_text(f"[client]\nprotocol=tcp\n{said}[mydumper]\n{said}[myloader]\n{said}")
        return path

    def sql(self, database: str, *statements: str) -> list[tuple[Any, ...]]:
        """Run statements; the rows of the last one."""
        with closing(self.connect(database, local_infile=True)) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return list(cursor.fetchall() or ())


_SUMS = (
    ", ".join(
        f"sum({name})"
        if kind[0] in "ID" and not kind.startswith("DATE")
        else f"sum(char_length(rtrim({f'CAST({name} AS CHAR)' if kind == 'DATE' else name})))"
        for name, kind in lineitem.COLUMNS
    )
    + ", CAST(min(l_shipdate) AS CHAR), CAST(max(l_receiptdate) AS CHAR)"
)


def into_mariadb(source: Path, my: Server, database: str) -> None:
    """Load the CSV into a new database, key and statistics included."""
    my.create_db(database)
    my.sql(
        database,
        lineitem.schema()[:-1] + f", {lineitem.KEY}) ENGINE=InnoDB",
        f"LOAD DATA LOCAL INFILE '{source}' INTO TABLE lineitem FIELDS TERMINATED BY ',' OPTIONALLY ENCLOSED BY '\"'"
        " IGNORE 1 LINES",
        "ANALYZE TABLE lineitem",
    )


def summary(my: Server, database: str) -> tuple[Any, ...]:
    """Count, sums and extremes: what both sides have to agree on after a move."""
    return my.sql(database, f"SELECT count(*), {_SUMS} FROM lineitem")[0]


class Target:
    """MariaDB as the side that is moved into; see `rounds.Target`."""

    def __init__(self, my: Server) -> None:
        self.my = my
        self.pid = my.pid
        self.schema = ""  #: the URL's database is the place

    def url(self, database: str) -> str:
        """As Sensei takes it."""
        return self.my.url(database)

    def fresh(self, database: str) -> None:
        """Make an empty database, after what others left behind is written."""
        self.drop(database)
        self.my.create_db(database)
        self.my.sql(database, "FLUSH TABLES")

    def drop(self, database: str) -> None:
        """Drop it, and what a rollback has set aside."""
        for (name,) in self.my.sql("mysql", "SHOW DATABASES"):
            if name == database or str(name).startswith("sensei_"):
                self.my.drop_db(str(name))

    def analyze(self, database: str, folder: Path) -> measure.Cost | None:
        """Every side does it itself here."""
        return None

    def complaints(self, database: str, wanted: tuple[Any, ...]) -> Iterator[str]:
        """What is wrong with a target, in words; nothing where it is whole."""
        found = summary(self.my, database)
        if [str(v) for v in found] != [str(v) for v in wanted]:
            yield f"the sums over the rows differ: {found} instead of {wanted}"
        key = self.my.sql(
            database,
            "SELECT COLUMN_NAME FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = DATABASE()"
            " AND TABLE_NAME = 'lineitem' AND INDEX_NAME = 'PRIMARY' ORDER BY SEQ_IN_INDEX",
        )
        if [name for (name,) in key] != ["l_orderkey", "l_linenumber"]:
            yield f"the primary key is {key}"

    def is_gone(self, database: str) -> bool:
        """Whether the database that it was moved to holds it no more."""
        return not self.my.sql(database, "SHOW TABLES LIKE 'lineitem'")
