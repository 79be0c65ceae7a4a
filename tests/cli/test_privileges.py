"""What an account lacks is named with the statement that grants it; once granted, the same command works."""

from __future__ import annotations

from collections.abc import Iterator

import cli_case
import pytest
from cli_case import Case, refusal

import servers


@pytest.fixture
def role(between_postgres: Case) -> Iterator[str]:
    """A role that may log in and nothing else, with a name that has to be quoted."""
    assert isinstance(between_postgres.source, servers.Database)
    server = between_postgres.source.server
    name = server.create_role('Op "x" %s;--')
    for end in (between_postgres.source, between_postgres.target):
        assert isinstance(end, servers.Database)
        end.execute("REVOKE ALL ON SCHEMA public FROM public")
        end.execute(f"REVOKE ALL ON DATABASE {servers.quote(end.name)} FROM public")
        end.execute(f"GRANT CONNECT ON DATABASE {servers.quote(end.name)} TO {servers.quote(name)}")
    yield name
    for end in (between_postgres.source, between_postgres.target):
        assert isinstance(end, servers.Database)
        end.execute(f"REASSIGN OWNED BY {servers.quote(name)} TO {servers.USER}")
        end.execute(f"DROP OWNED BY {servers.quote(name)} CASCADE")
    server.drop_role(name)


def as_role(case: Case, end: str, role: str) -> None:
    """Let one end's connection log in as the role."""
    where = getattr(case, end)
    name = {"source": "here", "target": "there"}[end]
    encoded = "".join(c if c.isalnum() else f"%{ord(c):02X}" for c in role)
    case.config["connections"][name] = where.server.url(where.name, user=encoded)


def grants_until_it_works(case: Case, where: servers.Database, words: list[object]) -> list[str]:
    """Run what each refusal says, and the command again, until it is carried out; return the privileges named."""
    named: list[str] = []
    for _ in range(6):
        result = case.run(*words, json=True, expect=None)
        if result.returncode == 0:
            return named
        error = result.data["error"]
        assert (result.returncode, error["code"]) == (3, "missing_privilege"), result
        cli_case.readable(error["message"])
        missing = error["details"]["missing"]
        assert missing
        for one in missing:
            assert one["what"] in error["message"]
            assert one["grant"] in error["details"]["hint"]
            where.execute(one["grant"])
        named += [one["what"] for one in missing]
    pytest.fail(f"the statements that were said do not help: {named}")


def test_a_source_that_may_not_be_read_says_what_to_grant(between_postgres: Case, role: str) -> None:
    case = between_postgres
    assert isinstance(case.source, servers.Database)
    as_role(case, "source", role)
    words: list[object] = ["migrations", "create", "--config", case.file()]
    error = refusal(case, [str(w) for w in words], "missing_privilege", 3, "source here", "GRANT USAGE ON SCHEMA")
    assert "public" in error["message"]
    named = grants_until_it_works(case, case.source, words)
    assert any("customers" in n for n in named)
    assert any("orders" in n for n in named)
    migration = case.run(*words, "--quiet").stdout.strip()
    case.run("migrations", "start", migration)
    case.run("migrations", "rollback", migration, "--full", "--verify")


def test_one_table_that_may_not_be_read_is_named_alone(between_postgres: Case, role: str) -> None:
    case = between_postgres
    assert isinstance(case.source, servers.Database)
    quoted = servers.quote(role)
    case.source.execute(f"GRANT USAGE ON SCHEMA public TO {quoted}; GRANT SELECT ON customers TO {quoted}")
    as_role(case, "source", role)
    words = ["migrations", "create", "--config", case.file()]
    error = refusal(case, words, "missing_privilege", 3, "orders", "GRANT SELECT ON", "orders")
    assert "customers" not in error["message"]


def test_a_target_that_may_not_be_written_says_what_to_grant(between_postgres: Case, role: str) -> None:
    case = between_postgres
    assert isinstance(case.target, servers.Database)
    as_role(case, "target", role)
    words: list[object] = ["migrations", "create", "--config", case.file()]
    refusal(case, [str(w) for w in words], "missing_privilege", 3, "target there", "GRANT CREATE ON")
    grants_until_it_works(case, case.target, words)
    migration = case.run(*words, "--quiet").stdout.strip()
    case.run("migrations", "start", migration)
    result = case.run("migrations", "rollback", migration, "--full", "--verify", json=True)
    assert result.data["passed"] is True


def test_a_privilege_taken_away_after_the_plan_is_named_by_start(between_postgres: Case, role: str) -> None:
    case = between_postgres
    assert isinstance(case.source, servers.Database)
    quoted = servers.quote(role)
    case.source.execute(f"GRANT USAGE ON SCHEMA public TO {quoted}; GRANT SELECT ON customers, orders TO {quoted}")
    as_role(case, "source", role)
    migration = case.create()
    case.source.execute(f"REVOKE SELECT ON orders FROM {quoted}")
    result = case.run("migrations", "start", migration, json=True, expect=3)
    assert result.data["error"]["code"] == "missing_privilege"
    told = result.data["error"]["message"] + result.data["error"]["details"].get("hint", "")
    assert "orders" in told
    assert "GRANT SELECT ON" in told, result
    case.source.execute(f"GRANT SELECT ON orders TO {quoted}")
    verb = "start" if case.run("migrations", "status", migration, json=True).data["status"] == "planned" else "resume"
    case.run("migrations", verb, migration)
