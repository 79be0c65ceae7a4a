"""SQLite, put together from its parts."""

from __future__ import annotations

from sensei.engines import base
from sensei.engines.sqlite import (
    ask,
    ddl,
    digests,
    hazards,
    introspect,
    keep,
    merge,
    names,
    rows,
    session,
    survey,
    undo,
    weigh,
)

CAPABILITIES = base.Capabilities(
    transactional_ddl=True,
    keys_after_load=False,
    single_writer=True,
    has_schemas=False,
    counts_up=True,
    enforced_types=False,
    reads=(base.Form.VALUES, base.Form.TEXT),
    loads=(base.Form.VALUES, base.Form.TEXT),
    max_identifier_bytes=None,
    case_sensitive_names=False,
)


def engine() -> base.Engine:
    """Return the engine behind sqlite:/// URLs."""
    return base.Engine(
        name="sqlite",
        capabilities=CAPABILITIES,
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
        ledger_prefix=names.OWN_PREFIX,
        script_command="sqlite3 DATABASE < {script}",
        keep=keep.Keep(),
        bind=keep.Bind(),
        merge=merge.Merge(),
    )
