"""Is every object there as planned: columns, types, keys, constraints, indexes, sequences ahead of the data."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass

from sensei import catalog
from sensei.catalog import types
from sensei.engines import base, comparing
from sensei.validation import advice, model, scope

_PERSPECTIVE = model.Perspective.STRUCTURAL
_CRITICAL, _WARNING, _INFO = model.Severity.CRITICAL, model.Severity.WARNING, model.Severity.INFO


@dataclass(frozen=True)
class Found:
    """One thing that is not as planned."""

    table: str | None
    severity: model.Severity
    says: str
    object: str


def check(scoped: scope.Scope) -> model.Outcome:
    """Hold the target's catalog against the plan."""
    scoped.pause()
    plan = scoped.plan
    named = [t.target.name for t in plan.tables]
    with scoped.both() as ends:
        source, target = ends.ask(
            lambda engine, session: (
                engine.introspect.catalog(session, plan.schemas),
                scope.survey(engine).asleep(session, [t.source.name for t in plan.tables]),
            ),
            lambda engine, session: (
                engine.introspect.catalog(session, [s for s in plan.target_schemas if s] or None),
                scope.survey(engine).asleep(session, named),
            ),
        )
        there = {t.name: t for t in target[0].tables}
        found: list[Found] = []
        for n, planned in enumerate(plan.tables, 1):
            scoped.progress(_PERSPECTIVE, planned.id, n, len(plan.tables))
            table = there.get(planned.target.name)
            if table is None:
                found.append(Found(planned.id, _CRITICAL, f"the table {planned.target.name} is gone", "table"))
                scoped.gone[planned.id] = found[-1].says
                continue
            told = compare(planned, table, plan.same_engine)
            lost = [f.says for f in told if f.object == "column" and f.severity is _CRITICAL]
            scoped.gone |= {planned.id: lost[0]} if lost else {}
            found += told
        found += _asleep(plan, target[1], source[1])
        engine = ends.target.engine
        found += _sequences(plan, source[0], target[0], scope.survey(engine), ends.target_session)
    failures = [
        model.Failure(
            _PERSPECTIVE,
            f.table,
            f.severity,
            model.Cause.MISSING_OBJECT,
            advice.action(model.Cause.MISSING_OBJECT, scoped.migration, f.table),
            f.says,
            {"object": f.object},
        )
        for f in found
    ]
    objects = sum(
        1 + len(t.target.columns) + len(t.target.uniques) + len(t.target.foreign_keys) + len(t.target.checks)
        + len(t.target.indexes) + (t.target.primary is not None)
        for t in plan.tables
    ) + len(plan.sequences)  # fmt: skip
    return scope.outcome(
        _PERSPECTIVE,
        f"{len(plan.tables)} tables, {objects} objects as planned"
        if not found
        else f"{len(found)} of {objects} objects are not as planned",
        failures,
        {"objects": objects, "tables": len(plan.tables), "share": 1.0},
    )


def compare(planned: scope.Planned, found: catalog.Table, same_engine: bool) -> list[Found]:
    """Return what is not as planned in one table that is there."""
    want = planned.target
    return [
        Found(planned.id, severity, says, kind)
        for kind, severity, says in (
            *_columns(want, found, same_engine),
            *_keys(want, found),
            *_foreign_keys(want, found),
            *_checks(want, found, {c.sql for c in planned.source.checks} if same_engine else set()),
            *_indexes(want, found, same_engine),
        )
    ]


_Told = Iterator[tuple[str, model.Severity, str]]


def _columns(want: catalog.Table, found: catalog.Table, same_engine: bool) -> _Told:
    there = {c.name: c for c in found.columns}
    primary = set(want.primary.columns) if want.primary else set()
    for column in want.columns:
        name = f"{want.name}.{column.name}"
        is_ = there.get(column.name)
        if is_ is None:
            yield "column", _CRITICAL, f"the column {name} is gone"
            continue
        # A file makes one integer column that is the key an INTEGER, whatever it was planned as: the number of the row.
        is_row_number = is_.native.upper() == "INTEGER" and is_.type.bits == 64 and primary == {column.name}
        if not is_row_number and native(column.native) != native(is_.native):
            yield "type", _CRITICAL, f"the column {name} is {is_.native}, planned was {column.native}"
        if column.name not in primary and column.nullable != is_.nullable:
            yield (
                "nullability",
                _CRITICAL,
                f"the column {name} {'takes NULL' if is_.nullable else 'refuses NULL'}, planned was that it"
                f" {'takes' if column.nullable else 'refuses'} it",
            )
        yield from _default(name, column, is_, same_engine)
        if (column.generated is None) != (is_.generated is None):
            yield "column", _CRITICAL, f"the column {name} is {'not computed' if column.generated else 'computed'}"
        if same_engine and column.collation and column.collation != is_.collation:
            yield "collation", _CRITICAL, f"the column {name} has collation {is_.collation}, not {column.collation}"
    wanted = {c.name for c in want.columns}
    for column in found.columns:
        if column.name not in wanted:
            yield "column", _WARNING, f"the column {want.name}.{column.name} is there and was not planned"


def _default(name: str, column: catalog.Column, is_: catalog.Column, same_engine: bool) -> _Told:
    if column.identity and not is_.identity and not (is_.default and is_.default.kind == "nextval"):
        # A single integer key numbers itself in some engines, without a word in its definition.
        if is_.type.kind is not types.Kind.INTEGER or is_.native.lower() != "integer" or same_engine:
            yield "identity", _CRITICAL, f"the column {name} no longer numbers itself"
        return
    want, have = _meaningful(column.default), _meaningful(is_.default)
    if want is None and have is None:
        return
    if want is not None and have is None:
        if not is_.identity:
            yield "default", _CRITICAL, f"the column {name} has lost its default {want.sql}"
    elif want is None and have is not None:
        if not column.identity and not is_.identity:
            yield "default", _WARNING, f"the column {name} has a default that was not planned: {have.sql}"
    elif want is not None and have is not None and _bare(want.sql) != _bare(have.sql):
        literal = want.kind == have.kind == "literal"
        if (literal and want.value != have.value and same_engine) or (want.kind == "literal") != (
            have.kind == "literal"
        ):
            yield "default", _CRITICAL, f"the column {name} has the default {have.sql}, planned was {want.sql}"


def _meaningful(default: catalog.Default | None) -> catalog.Default | None:
    return None if default is None or default.kind == "null" else default


def _keys(want: catalog.Table, found: catalog.Table) -> _Told:
    if want.primary is not None:
        if found.primary is None:
            yield "primary key", _CRITICAL, f"the primary key of {want.name} is gone"
        elif found.primary.columns != want.primary.columns:
            yield (
                "primary key",
                _CRITICAL,
                f"the primary key of {want.name} is over {_list(found.primary.columns)}, planned was"
                f" {_list(want.primary.columns)}",
            )
    unique = {frozenset(k.columns) for k in found.uniques}
    unique |= {frozenset(found.primary.columns)} if found.primary else set()
    unique |= {
        frozenset(c.name or "" for c in i.columns) for i in found.indexes if i.unique and i.valid and not i.where
    }
    for key in want.uniques:
        if frozenset(key.columns) not in unique:
            yield "unique", _CRITICAL, f"nothing keeps {_list(key.columns)} of {want.name} unique: {key.name} is gone"


def _foreign_keys(want: catalog.Table, found: catalog.Table) -> _Told:
    there = {(fk.columns, fk.table, fk.references): fk for fk in found.foreign_keys}
    for fk in want.foreign_keys:
        label = f"the foreign key {fk.name or _list(fk.columns)} of {want.name}"
        is_ = there.get((fk.columns, fk.table, fk.references))
        if is_ is None:
            yield "foreign key", _CRITICAL, f"{label} to {fk.table} is gone"
            continue
        for event, planned, now in (
            ("ON DELETE", fk.on_delete, is_.on_delete), ("ON UPDATE", fk.on_update, is_.on_update)
        ):  # fmt: skip
            if _rule(planned) != _rule(now):
                yield "foreign key", _CRITICAL, f"{label} says {event} {now}, planned was {planned}"
        if fk.validated and not is_.validated:
            yield "foreign key", _CRITICAL, f"{label} was never checked against the rows: it is NOT VALID"


def _rule(word: str) -> str:
    # One engine's RESTRICT is another's NO ACTION, unless keys are checked at the end of a transaction.
    return "NO ACTION" if word.upper() in ("RESTRICT", "") else word.upper()


def _checks(want: catalog.Table, found: catalog.Table, verbatim: Set[str]) -> _Told:
    """`verbatim` are those in the very words in which this engine prints them; of others the constants can be told."""
    named = {c.name: c for c in found.checks if c.name}
    worded = {_bare(c.sql) for c in found.checks}
    for check in want.checks:
        is_ = named.get(check.name)
        if is_ is None:
            if _bare(check.sql) not in worded:
                yield "check", _CRITICAL, f"the check {check.name} of {want.name} is gone: {check.sql}"
            continue
        meaning = _bare if check.sql in verbatim else _constants
        if meaning(check.sql) != meaning(is_.sql):
            yield "check", _CRITICAL, f"the check {check.name} of {want.name} says {is_.sql}, planned was {check.sql}"
        elif check.validated and not is_.validated:
            yield "check", _CRITICAL, f"the check {check.name} of {want.name} was never checked against the rows"


def _indexes(want: catalog.Table, found: catalog.Table, same_engine: bool) -> _Told:
    named = {i.name: i for i in found.indexes}
    shapes = {_shape(i) for i in found.indexes if i.valid}
    keys = {k.columns for k in (*found.uniques, *([found.primary] if found.primary else []))}
    for index in want.indexes:
        is_ = named.get(index.name)
        if is_ is None:
            columns = tuple(c.name or "" for c in index.columns)
            if _shape(index) not in shapes and columns not in keys:
                yield "index", _CRITICAL, f"the index {index.name} on {want.name} ({_described(index)}) is gone"
        elif not is_.valid:
            yield "index", _CRITICAL, f"the index {index.name} on {want.name} is invalid: its build failed"
        elif _shape(is_) != _shape(index):
            yield (
                "index",
                _CRITICAL,
                f"the index {index.name} on {want.name} is over {_described(is_)}, planned was {_described(index)}",
            )


def _shape(index: catalog.Index) -> tuple[object, ...]:
    columns = tuple((c.name, c.expression is not None, c.descending) for c in index.columns)
    return (columns, index.unique, index.where is not None)


def _described(index: catalog.Index) -> str:
    columns = ", ".join((c.name or f"({c.expression})") + (" DESC" if c.descending else "") for c in index.columns)
    return ("unique " if index.unique else "") + columns + (f" WHERE {index.where}" if index.where else "")


def _asleep(
    plan: scope.Plan,
    target: Sequence[tuple[catalog.TableName, str, str]],
    source: Sequence[tuple[catalog.TableName, str, str]],
) -> Iterator[Found]:
    ids = {t.target.name: t for t in plan.tables}
    same = {(table, kind, name) for table, kind, name in source}
    for table, kind, name in target:
        planned = ids[table]
        if (planned.source.name, kind, name) in same:
            continue  # the source has it switched off as well
        yield Found(
            planned.id, _CRITICAL,
            f"the {kind} {name} on {table} is switched off"
            + (": rows that point at nothing are let in" if kind == "foreign key" else ""),
            kind,
        )  # fmt: skip


def _sequences(
    plan: scope.Plan, source: base.Catalog, target: base.Catalog, survey: comparing.Survey, session: base.Session
) -> Iterator[Found]:
    there = {s.name: s for s in target.sequences}
    at_source = {str(s.name): s for s in source.sequences}
    for want in plan.sequences:
        if want.name not in there:
            yield Found(None, _CRITICAL, f"the sequence {want.name} is gone", "sequence")
    origins: dict[tuple[catalog.TableName, str], catalog.Sequence] = {}
    for s in source.sequences:
        if s.owner is not None:
            origins[s.owner] = s
    tables = {t.target.name: t for t in plan.tables}
    existing = {t.name for t in target.tables}
    for now in target.sequences:
        owner = tables.get(now.owner[0]) if now.owner is not None else None
        origin: catalog.Sequence | None = None
        if owner is not None and now.owner is not None:
            column = now.owner[1]
            at = next((n for n, c in enumerate(owner.target.columns) if c.name == column), None)
            if at is None or owner.target.name not in existing:
                continue
            origin = origins.get((owner.source.name, owner.source.columns[at].name))
            if now.increment > 0 and not now.cycle:
                highest = survey.highest(session, owner.target.name, column)
                if highest is not None and (now.last_value is None or now.last_value < highest):
                    yield Found(
                        owner.id, _CRITICAL,
                        f"the numbering of {owner.target.name}.{column} stands at {_stand(now)}, behind the data"
                        f" ({highest}): the next rows would get numbers that are taken",
                        "sequence position",
                    )  # fmt: skip
                    continue
        elif now.owner is None and str(now.name) in plan.sequence_sources:
            origin = at_source.get(plan.sequence_sources[str(now.name)])
        if origin is None or origin.last_value is None or now.increment <= 0 or now.cycle:
            continue
        if now.last_value is None or now.last_value < origin.last_value:
            yield Found(
                owner.id if owner else None, _CRITICAL,
                f"the sequence {now.name} stands at {_stand(now)}, behind the source's ({origin.last_value}): it would"
                " give numbers again that were given already",
                "sequence position",
            )  # fmt: skip


def _stand(sequence: catalog.Sequence) -> str:
    return "its start" if sequence.last_value is None else str(sequence.last_value)


def _list(names: Sequence[str]) -> str:
    return ", ".join(names)


_ALIASES = {
    "int": "integer", "int4": "integer", "int8": "bigint", "int2": "smallint", "bool": "boolean",
    "varchar": "character varying", "character varying": "character varying", "char": "character",
    "bpchar": "character", "decimal": "numeric", "float8": "double precision", "double": "double precision",
    "double precision": "double precision", "float4": "real", "timestamptz": "timestamp with time zone",
    "timetz": "time with time zone", "timestamp": "timestamp without time zone", "time": "time without time zone",
    "timestamp with time zone": "timestamp with time zone", "time with time zone": "time with time zone",
    "timestamp without time zone": "timestamp without time zone",
    "time without time zone": "time without time zone",
}  # fmt: skip
_NATIVE = re.compile(r"([^(]*)(?:\(([^()]*)\)(.*))?")
#: Integers whose number in parentheses only says how wide they are shown.
_WIDTHS = frozenset({"integer", "bigint", "smallint", "tinyint", "mediumint", "year"})


def native(text: str) -> str:
    """Return a declared type in a form of its own: lower case, one space, one name for those that have several."""
    found = _NATIVE.fullmatch(" ".join(text.split()))
    if found is None or "'" in text:
        return text  # labels keep their case
    name, size, rest = (" ".join((g or "").lower().split()) for g in found.groups())
    # The words of a time's zone follow its digits: timestamp(3) with time zone.
    name, rest = (f"{name} {rest}", "") if rest in ("with time zone", "without time zone") else (name, rest)
    head, _, tail = name.partition(" ")
    name = _ALIASES.get(name) or " ".join(p for p in (_ALIASES.get(head, head), tail) if p)
    if name.split(" ")[0] in _WIDTHS:
        size = ""
    elif name in ("numeric", "decimal") and size and "," not in size:
        size += ",0"
    size = size.replace(" ", "")
    return " ".join(p for p in (f"{name}({size})" if size else name, rest) if p)


def _bare(sql: str) -> str:
    """Return an expression without what servers add when they print it: casts, parentheses, spaces, quotes."""
    text = re.sub(r"::[a-z_ ]+(\(\d+(,\d+)?\))?(\[\])?", "", sql.lower())
    return re.sub(r"[\s()\"`]", "", text)


_CONSTANT = re.compile(r"'((?:[^']|'')*)'|(?<![\w\"`.])(\d+(?:\.\d*)?(?:e[+-]?\d+)?|\.\d+)", re.IGNORECASE)


def _constants(sql: str) -> str:
    """Return the constants of an expression, sorted: whatever else a server changes in its words, it keeps these."""
    bare = re.sub(r"::[a-z_ ]+(\(\d+(,\d+)?\))?", "", sql, flags=re.IGNORECASE)
    found = set()
    for quoted, number in _CONSTANT.findall(bare):
        text = number or quoted
        try:
            text = repr(abs(float(text)))
        except ValueError:
            pass
        found.add(text)
    return "\n".join(sorted(found))
