"""The sample databases of tests/data, loaded once and copied from then on."""

from __future__ import annotations

import atexit
import lzma
import re
import shutil
import sqlite3
import tempfile
import weakref
from pathlib import Path

import servers
import servers_mysql

DATA = Path(__file__).resolve().parent / "data"
#: Data sets by the engine that they exist for.
NAMES = ("chinook", "pagila", "adventureworks")
MYSQL_NAMES = ("chinook", "sakila")

#: Template databases that each server has, by data set.
_templates: weakref.WeakKeyDictionary[servers.PostgresServer, dict[str, str]] = weakref.WeakKeyDictionary()
_files: dict[str, Path] = {}


def script(name: str, engine: str) -> str:
    """The SQL text that makes the data set; engine "postgres" or "sqlite"."""
    path = DATA / name / f"{engine}.sql.xz"
    if not path.exists():
        raise LookupError(f"{name} does not exist for {engine}")
    with lzma.open(path, "rt", encoding="utf-8") as text:
        return text.read()


def counts(name: str, engine: str) -> dict[str, int]:
    """Rows of each table as its README states them, partitions and filled views included."""
    readme = (DATA / name / "README.md").read_text(encoding="utf-8")
    section = re.split(r"^## ", readme, flags=re.MULTILINE)
    mine = next(s for s in section if s.startswith(engine + ":"))
    return {t: int(n) for t, n in re.findall(r"^\| `([^`]+)` \| (\d+)", mine, flags=re.MULTILINE)}


def load_postgres(name: str, server: servers.PostgresServer, database: str | None = None) -> servers.Database:
    """A fresh database with the data set in it. The caller drops it."""
    made = _templates.setdefault(server, {})
    if name not in made:
        template = server.create_db(f"template_{name}")
        # The scripts were frozen with this owner.
        template.execute(
            "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'postgres')"
            " THEN CREATE ROLE postgres SUPERUSER NOLOGIN; END IF; END $$"
        )
        template.psql(script(name, "postgres"))
        template.execute("VACUUM ANALYZE")
        made[name] = template.name
    return server.create_db(database, template=made[name])


def load_sqlite(name: str, path: Path) -> Path:
    """Write the data set to a new file at ``path``."""
    if name not in _files:
        folder = Path(tempfile.mkdtemp(prefix="sensei-data-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        cached = folder / f"{name}.db"
        connection = sqlite3.connect(cached)
        try:
            connection.executescript("PRAGMA synchronous = OFF; BEGIN;" + script(name, "sqlite") + "; COMMIT;")
        finally:
            connection.close()
        _files[name] = cached
    if path.exists():
        raise FileExistsError(path)
    shutil.copyfile(_files[name], path)
    return path


def load_mysql(name: str, server: servers.MysqlServer, database: str | None = None) -> servers.MysqlDatabase:
    """A fresh database with the data set in it. The caller drops it."""
    with lzma.open(DATA / name / "mariadb.sql.xz", "rb") as text:  # sakila holds a picture as it is
        made = text.read()
    # The view actor_info names the database in which it was made.
    made = made.replace(b"sakila.", b"")
    found = server.create_db(database)
    path = server.folder / f"{found.name}.sql"
    try:
        path.write_bytes(servers_mysql.PREAMBLE.encode() + made)
        found.mariadb(path)
    finally:
        path.unlink()
    return found


def load(
    name: str, engine: str, where: servers.PostgresServer | servers.MysqlServer | Path
) -> servers.Database | servers.MysqlDatabase | Path:
    """A fresh copy of a data set on a server, or in a new SQLite file."""
    if isinstance(where, servers.MysqlServer):
        if engine != "mysql":
            raise LookupError(f"a {engine} data set does not load into MariaDB")
        return load_mysql(name, where)
    if isinstance(where, servers.PostgresServer):
        if engine != "postgres":
            raise LookupError(f"a {engine} data set does not load into PostgreSQL")
        return load_postgres(name, where)
    if engine != "sqlite":
        raise LookupError(f"a {engine} data set does not load into a file")
    return load_sqlite(name, where)
