"""What the documents show is what really happens: their commands are run and their output is compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import documents
import fix_sensei
import servers
from fix_postgres import MakeDatabase
from sensei.demo import shop

GRANTS = documents.ROOT / "docs" / "engines.md"


@pytest.fixture
def shell(
    sensei: fix_sensei.Sensei,
    pg_server: servers.PostgresServer,
    make_pg_db: MakeDatabase,
    pg_dataset: Callable[[str], servers.Database],
) -> Iterator[documents.Session]:
    """A shell in which the documents' hosts, files and accounts exist, with the privileges that they name."""
    role = pg_server.create_role("sensei")
    target, source = make_pg_db(), pg_dataset("chinook")
    for block in (b for b in documents.blocks(GRANTS, "sql") if "GRANT" in b.text):
        database = target if "-- on the target" in block.text else source
        database.psql(block.text.replace("DATABASE shop", f"DATABASE {database.name}"))
    shop.write(sensei.folder / "shop.db", rows=20_000)
    yield documents.Session(
        sensei.folder,
        sensei.environment({"SHOP_PASSWORD": servers.password()}),
        {
            "db.example.com/shop": f"127.0.0.1:{pg_server.port}/{target.name}",
            "db.example.com/music": f"127.0.0.1:{pg_server.port}/{source.name}",
            "/srv/shop": str(sensei.folder),
        },
    )
    for database in (target, source):
        pg_server.drop_db(database.name)
    pg_server.drop_role(role)


@pytest.fixture
def maria(request: pytest.FixtureRequest, shell: documents.Session) -> Iterator[Callable[[], None]]:
    """Called, it lets the documents' MariaDB server exist too, with the privileges that they name."""
    made: list[servers.MysqlServer] = []

    def be_there() -> None:
        database: servers.MysqlDatabase = request.getfixturevalue("make_mysql_db")("shop")
        made.append(database.server)
        database.server.create_user(name="sensei")
        grants = [b.text for b in documents.blocks(GRANTS, "") if "GRANT SELECT, INSERT" in b.text]
        assert grants
        database.mariadb("".join(grants))
        shell.names = {**shell.names, "maria.example.com": f"127.0.0.1:{database.server.port}"}

    yield be_there
    for server in made:
        server.drop_user("sensei")


@pytest.mark.parametrize(
    "document",
    [d for d in documents.DOCUMENTS if documents.blocks(d, "console")],
    ids=lambda d: d.name,
)
def test_the_commands_of_a_document_print_what_it_shows(
    document: Path, shell: documents.Session, maria: Callable[[], None]
) -> None:
    if "maria.example.com" in document.read_text(encoding="utf-8"):
        maria()
    wrong: list[str] = []
    ran = 0
    for block in documents.blocks(document):
        shell.write(block)
        if block.language == "console":
            wrong += shell.run(block)
            ran += 1
    assert ran
    assert not wrong, "\n\n".join(wrong)
