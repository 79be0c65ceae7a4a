"""PostgreSQL, from version 13 on."""

from __future__ import annotations

from sensei.engines import base
from sensei.engines.postgres import (
    ask,
    ddl,
    digests,
    hazards,
    introspect,
    keep,
    merge,
    rows,
    session,
    survey,
    undo,
    weigh,
)


def engine() -> base.Engine:
    """Return the PostgreSQL engine, put together from its parts."""
    return base.Engine(
        name="postgres",
        capabilities=base.Capabilities(
            transactional_ddl=True,
            keys_after_load=True,
            index_element_bytes=2600,  # of 2,704, some of which its own head takes
            single_writer=False,
            has_schemas=True,
            enforced_types=True,
            reads=(base.Form.BINARY, base.Form.TEXT),
            loads=(base.Form.BINARY, base.Form.TEXT),
            max_identifier_bytes=ddl.MAX_NAME,
            case_sensitive_names=True,
            locking_together=undo.TOGETHER,
        ),
        connect=session.connect,
        introspect=introspect.Introspect(),
        ddl=ddl.DDL(),
        undo=undo.Undo(),
        rows=rows.Rows(),
        digests=digests.Digests(),
        survey=survey.Survey(),
        ask=ask.Ask(),
        weigh=weigh.Weigh(),
        hazards=hazards.Hazards(),
        dialect=base.Dialect(overriding="OVERRIDING SYSTEM VALUE "),
        ledger_prefix='"sensei_".',
        script_command="psql -X -f {script}",
        ledger_words=base.LedgerWords(share=" FOR SHARE"),
        # Not IF NOT EXISTS: that asks for the right to create even where the schema is there.
        ledger_setup=(
            # Two migrations into one database may come here at once, and IF NOT EXISTS does not keep them apart.
            "SELECT pg_catalog.pg_advisory_xact_lock(7310576853)",
            "DO $$ BEGIN IF NOT EXISTS (SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = 'sensei_')"
            ' THEN CREATE SCHEMA "sensei_"; END IF; END $$',
        ),
        keep=keep.Keep(),
        bind=keep.Bind(),
        merge=merge.Merge(),
    )
