"""Whatever PostgreSQL holds beside what is carried is listed by name, never passed over."""

from __future__ import annotations

import fix_sensei
import moves
import servers

AWKWARD = """
CREATE TABLE a (id integer PRIMARY KEY, t text) WITH (fillfactor = 70);
ALTER TABLE a REPLICA IDENTITY FULL;
ALTER TABLE a CLUSTER ON a_pkey;
ALTER TABLE a ALTER t SET STORAGE EXTERNAL, ALTER t SET STATISTICS 50;
CREATE INDEX a_t ON a (t) WITH (fillfactor = 60);
COMMENT ON INDEX a_pkey IS 'x';
COMMENT ON CONSTRAINT a_pkey ON a IS 'y';
CREATE UNLOGGED TABLE u (id integer);
GRANT SELECT (id) ON a TO public;
SELECT lo_create(0);
CREATE COLLATION c (locale = 'C');
ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO public;
CREATE TEXT SEARCH CONFIGURATION tc (COPY = simple);
CREATE FOREIGN DATA WRAPPER w;
CREATE SERVER far FOREIGN DATA WRAPPER w;
"""

LISTED = {
    ("cluster mark", "public.a"),
    ("collation", "public.c"),
    ("column settings", "public.a.t on public.a"),
    ("comment", "constraint a_pkey on public.a"),
    ("comment", "index public.a_pkey"),
    ("foreign server", "far"),
    ("grant", "column public.a.id on public.a"),
    ("large objects", "of the whole database"),
    ("replica identity", "public.a"),
    ("storage parameters", "public.a"),
    ("storage parameters", "index public.a_t on public.a"),
    ("text search configuration", "public.tc"),
    ("unlogged table", "public.u"),
}


def test_settings_marks_comments_and_large_objects_are_listed_by_name(
    sensei: fix_sensei.Sensei, pg_db: servers.Database, pg_db2: servers.Database
) -> None:
    pg_db.execute(AWKWARD)
    move = moves.plan_move(sensei, pg_db, pg_db2)
    listed = {(kind, name) for kind, name, _ in move.left()}
    assert listed - {(k, n) for k, n in listed if k == "default privileges"} == LISTED
    assert any(kind == "default privileges" for kind, _ in listed)
    assert all(reason and "ss are" not in reason for _, _, reason in move.left())
