"""MariaDB and MySQL as two flavours of one engine, put together from its parts."""

from __future__ import annotations

from sensei.engines import base
from sensei.engines.mysql import (
    ask,
    ddl,
    digests,
    fence,
    hazards,
    introspect,
    keep,
    load,
    merge,
    names,
    rows,
    session,
    survey,
    undo,
    weigh,
)  # fmt: skip

CAPABILITIES = base.Capabilities(
    transactional_ddl=False,
    keys_after_load=True,
    single_writer=False,
    has_schemas=True,
    enforced_types=True,
    reads=(base.Form.NATIVE, base.Form.TEXT),
    loads=(base.Form.NATIVE, base.Form.TEXT),
    max_identifier_bytes=None,
    case_sensitive_names=True,  # of tables; each server says for itself
    max_identifier_characters=names.MAX_NAME,
    index_names_per_table=True,
    foreign_key_names_per_table=False,
    counts_up=True,
    one_identity=True,
    set_default=False,
    deferrable=False,
    partial_indexes=False,
    free_computed=False,
    expression_indexes=False,  # MySQL 8 has them, and MariaDB does not
    case_sensitive_columns=False,
    max_comment=1024,
    views_by_name=True,
    equal_key_types=True,
    seconds_per_row_back=1e-5,  # measured 5 µs of the server's CPU for an added row, 8 µs for an overwritten one
)

#: Two of the longest names and three numbers fit into a key's 3,072 bytes. Names compare by their bytes.
LEDGER_WORDS = base.LedgerWords(
    identifier="VARCHAR(128)",
    name="VARCHAR(600)",
    text="LONGTEXT",
    options=f" ENGINE=InnoDB ROW_FORMAT=DYNAMIC {ddl.BINARY}",
    share=" LOCK IN SHARE MODE",  # both flavours know it; FOR SHARE is MySQL's alone
)

DIALECT = base.Dialect(
    analyze="ANALYZE TABLE {table}",
    delete="DELETE c FROM {table} AS c WHERE {condition}",
    update="UPDATE {table} AS c JOIN {other} AS s ON {match} SET {sets}",
    set_alias="c.",
    shown="CAST({column} AS CHAR CHARACTER SET utf8mb4)",
    shown_bytes=r"CONCAT('\\x', LOWER(HEX({column})))",
    # InnoDB carries out the actions of foreign keys without a word, but not while it does not check them.
    alone=("SET SESSION foreign_key_checks = 0",),
    serial=("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE",),
    together=("SET SESSION foreign_key_checks = 1",),
)


def engine() -> base.Engine:
    """Return the engine behind mysql:// and mariadb:// URLs."""
    return base.Engine(
        name="mysql",
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
        ledger_words=LEDGER_WORDS,
        dialect=DIALECT,
        fence=fence.Fence(),
        notes=load.notes,
        keep=keep.Keep(),
        bind=keep.Bind(),
        merge=merge.Merge(),
        script_command="mariadb DATABASE < {script}",
    )
