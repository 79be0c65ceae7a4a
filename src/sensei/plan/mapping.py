"""Shapes each source table for the target: names, types, defaults, keys, checks, indexes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from sensei import catalog, errors
from sensei.catalog import types
from sensei.config import migration as configuration
from sensei.config import tables as table_config
from sensei.engines import base
from sensei.plan import (
    bounds,
    carrying,
    computing,
    constraints,
    expressions,
    home,
    indexing,
    model,
    names,
    numbering,
    own_types,
    transformations,
    zero_dates,
)


class Mapper:
    """Turns source tables into target tables and notes every difference on the way."""

    def __init__(
        self,
        config: configuration.MigrationConfig,
        source: base.Engine,
        target: base.Engine,
        facts: Mapping[catalog.TableName, Mapping[str, base.ColumnFacts]],
        rows: Mapping[catalog.TableName, int],
        found: catalog.Catalog,
        there: catalog.Catalog,
        plans: Sequence[model.Plan] = (),
    ) -> None:
        self.config, self.source, self.target = config, source, target
        self.facts, self.rows = facts, rows
        self.known = there.names
        self.same = source.name == target.name
        self.names = names.Names(target, there.case_sensitive)
        self.dialect = expressions.Dialect(target.ddl.quote, self._literal)
        #: Where schemas are databases, one source schema alone goes to the one that the target's URL names.
        self.home = there.home if len(found.schemas) == 1 else ""
        self.there = there
        self.highest = bounds.highest(found)
        self.homes = home.remembered(found, plans, target.name)
        self.numbered = numbering.Numbered(found)
        self.probes: Mapping[tuple[catalog.TableName, str], transformations.Probe] = {}
        self.zeroed: Mapping[tuple[catalog.TableName, str], zero_dates.Zeroed] = {}
        self.judge: carrying.Judge | None = None
        self.risks: list[model.Risk] = []
        self.left: list[model.NotMigrated] = []
        self.table_names: dict[catalog.TableName, catalog.TableName] = {}
        self.column_names: dict[catalog.TableName, dict[str, str]] = {}
        self.sequence_names: dict[str, catalog.TableName] = {}

    def _literal(self, text: str) -> str:
        sql = self.target.ddl.translate_default(
            catalog.Default("literal", "", text), types.LogicalType(types.Kind.TEXT)
        )
        if sql is None:
            raise errors.Fault(f"{self.target.name} has no literal for a text")
        return sql

    # -- names

    def meaning(self, column: catalog.Column) -> types.LogicalType:
        return own_types.meaning(column.type, self.source, self.target)

    def _mapping(self, name: catalog.TableName) -> table_config.TableMapping | None:
        return self.config.tables.get(str(name)) or self.config.tables.get(name.name)

    def override(self, table: catalog.Table, column: catalog.Column) -> table_config.ColumnMapping | None:
        """Return what the configuration says of a column."""
        return self.override_named(table.name, column.name)

    def override_named(self, table: catalog.TableName, column: str) -> table_config.ColumnMapping | None:
        """Return what the configuration says of the column of that name."""
        mapped = self._mapping(table)
        return mapped.columns.get(column) if mapped else None

    def name_tables(self, tables: list[catalog.Table]) -> None:
        """Give every table and column its name on the target; refuses names that would merge or not fit."""
        taken: dict[tuple[str, str], catalog.TableName] = {}
        for table in tables:
            mapping = self._mapping(table.name)
            new = (mapping.target if mapping else None) or table.name.name
            name = catalog.TableName(self.target_schema(table.name.schema), new)
            key = (name.schema, self.names.fold(name.name))
            if key in taken:
                raise errors.Refused(
                    f"the tables {taken[key]} and {table.name} would both become {name}",
                    hint=f"give one of them another name: tables: {{{table.name}: {{target: …}}}}",
                )
            taken[key] = table.name
            self._must_fit(name.name, f"table {table.name}", f"tables: {{{table.name}: {{target: …}}}}")
            self.names.take(name.schema, name.name)
            self.table_names[table.name] = name
            self.column_names[table.name] = self._name_columns(table, mapping)
        planned = set(self.table_names.values())
        for own in self.there.tables:
            for foreign in own.foreign_keys if own.name not in planned else ():
                self.names.take_foreign_key(foreign.name)

    def _name_columns(self, table: catalog.Table, mapping: table_config.TableMapping | None) -> dict[str, str]:
        result: dict[str, str] = {}
        seen: dict[str, str] = {}
        for column in table.columns:
            override = mapping.columns.get(column.name) if mapping else None
            new = (override.target if override else None) or column.name
            self._must_fit(new, f"column {table.name}.{column.name}", "tables: …: columns: …: target")
            key = self.names.fold_column(new)
            if key in seen:
                raise errors.Refused(
                    f"{table.name}: the columns {seen[key]} and {column.name} would both become {new}",
                    hint=f"rename one: tables: {{{table.name}: {{columns: {{{column.name}: {{target: …}}}}}}}}",
                )
            seen[key] = column.name
            result[column.name] = new
        return result

    def _must_fit(self, name: str, what: str, how: str) -> None:
        if not self.names.fits(name):
            raise errors.Refused(
                f"the name of {what} is {len(name)} characters ({len(name.encode())} bytes) long; the target takes"
                f" {self.names.limit()} and would cut it",
                hint=f"give it a shorter name: {how}",
            )
        try:
            self.target.ddl.quote(name)
        except errors.BadInput as error:
            raise errors.Refused(
                f"the name of {what} can't be on the target: {error.message}", hint=f"give it another one: {how}"
            ) from error

    def target_schema(self, source_schema: str) -> str:
        """Return the target's schema for a source schema."""
        if not self.target.capabilities.has_schemas:
            return ""
        return self.config.target.schema_name or self.home or source_schema or "public"

    # -- one table

    def table(self, source: catalog.Table) -> model.TablePlan:
        """Return how a table is carried; its foreign keys to tables that stay behind are noted."""
        name = self.table_names[source.name]
        renamed = self.column_names[source.name]
        facts = self.facts.get(source.name, {})
        plans: list[model.ColumnPlan] = []
        columns: list[catalog.Column] = []
        for column in source.columns:
            mapped, guard = self._map(source, column, facts.get(column.name))
            numbered = any(c.identity for c in columns)
            shaped = self._column(source, column, mapped.native, numbered)
            columns.append(shaped)
            if shaped.generated is None:  # between two engines it is a plain column until better is proven
                plans.append(
                    model.ColumnPlan(
                        source=column.name,
                        target=renamed[column.name],
                        source_type=self.meaning(column),
                        source_native=column.native,
                        target_native=mapped.native,
                        there=mapped.there,
                        back=mapped.back,
                        reason=mapped.reason,
                        guard=guard,
                    )
                )
        plans, computed, columns = computing.shaped(self, source, plans, columns)
        target = catalog.Table(
            name=name,
            columns=tuple(columns),
            primary=constraints.key(self, source, source.primary, "pkey") if source.primary else None,
            uniques=tuple(constraints.key(self, source, key, "key") for key in source.uniques),
            checks=constraints.checks(self, source, [*plans, *computed], columns),
            comment=self._comment(source.comment, "table", str(source.name)),
            definition=source.definition if self.same else self.homes.definitions.get(source.name, ""),
        )
        target = dataclasses.replace(target, indexes=indexing.indexes(self, source, target, [*plans, *computed]))
        self._collations(source)
        if source.kind == "partitioned":
            self.risk("info", source.name, None, "partitioned: arrives as one table with every partition's rows")
        return model.TablePlan(
            source=source,
            target=target,
            columns=tuple(plans),
            computed=computed,
            key=self.source.rows.key(source),
            form=self._form(source, plans),
            rows=self.rows.get(source.name, source.rows_estimate),
        )

    def _form(self, source: catalog.Table, plans: list[model.ColumnPlan]) -> base.Form:
        for form in self.source.capabilities.reads:
            if form not in self.target.capabilities.loads:
                continue
            alike = form in (base.Form.BINARY, base.Form.NATIVE)
            if alike and any(self._own_native(p) != p.target_native for p in plans):
                continue  # such values are only understood by the very same type
            if form is not base.Form.TEXT and any((source.name, p.source) in self.probes for p in plans):
                continue  # by what class an engine holds a computed value is another matter than what it means
            if form is base.Form.BINARY and any(p.source_type.kind is types.Kind.UNSUPPORTED for p in plans):
                continue  # in binary form they may name other types by numbers of their own database
            return form
        raise errors.Fault(f"{source.name}: source and target share no form of rows")

    def _own_native(self, plan: model.ColumnPlan) -> str:
        """Return the type that a column's values are of: of a domain, its base type."""
        if not plan.source_type.domain:
            return plan.source_native
        return self.source.ddl.map_type(plan.source_type, self.source.name, None).native

    def _map(
        self, table: catalog.Table, column: catalog.Column, facts: base.ColumnFacts | None
    ) -> tuple[types.Mapped, bool]:
        override = self.override(table, column)
        guard = not self.source.capabilities.enforced_types and (facts is None or facts.misfits > 0)
        if override is not None and override.expression:
            native = (
                override.type or own_types.mapped(column.type, column.native, self.source, self.target, facts).native
            )
            probe = self.probes.get((table.name, column.name), transformations.Probe())
            mapped = transformations.mapped(probe, native, override.expression)
            if mapped.there is mapped.back is types.Verdict.EXACT:
                self.risks.append(
                    model.Risk("info", str(table.name), column.name, mapped.reason, mapped.there, mapped.back)
                )
        elif (zero := self.zeroed.get((table.name, column.name))) is not None:
            mapped = zero_dates.mapped(zero, self.source, self.target)
        elif override is not None and override.type:
            mapped = types.Mapped(
                override.type,
                types.Verdict.EXACT if override.type == column.native else types.Verdict.LOSSY,
                types.Verdict.LOSSY,
                f"the configuration says {override.type}: whether every value fits is only known row by row",
            )
        elif self.same and not column.type.domain and not (column.type.labels and self.missing(column.native)):
            mapped = types.Mapped(column.native, types.Verdict.EXACT, types.Verdict.EXACT)
            guard = False  # SQLite to SQLite carries every storage class as it is
        elif (back := self.was(table, column)) is not None:
            mapped = types.Mapped(back.column.native, back.back, back.there, "")
            if back.there is not types.Verdict.EXACT:
                # Meanwhile the column took values that its old type does not.
                reason = "as it was where it came from; rows with values that this type can't hold go to quarantine"
                there = types.worse(back.back, types.Verdict.WIDENING)
                mapped = types.Mapped(back.column.native, there, back.there, reason)
        else:
            highest = self.highest.get((table.name, column.name))
            known = base.ColumnFacts(0, 0, 0, highest=highest) if highest is not None and facts is None else facts
            mapped = own_types.mapped(column.type, column.native, self.source, self.target, known)
        if column.type.domain:
            self.risk(
                "low", table.name, column.name,
                f"declared through the domain {column.type.domain}: arrives as its base type {mapped.native}",
            )  # fmt: skip
        if mapped.there is not types.Verdict.EXACT or mapped.back is not types.Verdict.EXACT:
            severity = "high" if types.Verdict.LOSSY in (mapped.there, mapped.back) else "low"
            self.risks.append(
                model.Risk(severity, str(table.name), column.name, mapped.reason, mapped.there, mapped.back)
            )
        if facts is not None and facts.days and not self.same:
            self.risk(
                "low", table.name, column.name,
                f"{facts.days} of {facts.rows} values are a day alone: they arrive as its midnight, and go home so",
            )  # fmt: skip
        if facts is not None and facts.misfits and not self.same:
            self.risk(
                "high", table.name, column.name,
                f"{facts.misfits} of {facts.rows} values are not {column.native}"
                f"{': ' + facts.sample if facts.sample else ''}; such rows go to quarantine",
            )  # fmt: skip
        return mapped, guard

    def _column(self, table: catalog.Table, column: catalog.Column, native: str, numbered: bool) -> catalog.Column:
        default, identity, generated = column.default, column.identity, column.generated
        if generated is not None and (not self.same or self.missing(generated)):
            generated, default = None, None
        if not self.same and identity is None and self._is_rowid_key(table, column):
            identity = "by default"
        if identity is not None and not self.same:
            identity = numbering.identity(self, table, column, native, numbered)
        if identity is not None and not self.same:
            single = table.primary is not None and table.primary.columns == (column.name,)
            if not self.target.capabilities.keys_after_load and not single:
                self.leave(
                    "identity",
                    f"{table.name}.{column.name}",
                    "the target numbers only single-column primary keys",
                )
                identity = None
            elif self.target.capabilities.keys_after_load:
                identity = "by default"
            default = None
        elif default is not None and default.kind == "nextval" and column.identity is None:
            default, identity = numbering.by_sequence(self, table, column, default, numbered)
        elif default is not None and (not self.same or self.missing(default.sql)):
            default = computing.default(self, table, column, default, native)
        back = None if self.same else self.was(table, column)
        kept = back.column if back is not None and back.column.native == native else None
        collation = column.collation if self.same else kept.collation if kept is not None else None
        collation = collation if not self.missing(collation) else None
        if column.collation and collation is None and column.type.folds is None:
            self.risk(
                "medium", table.name, column.name,
                f"collation {column.collation} is not carried over: equality and order may differ on the target",
            )  # fmt: skip
        if column.extra and not self.same:
            self.leave("clause", f"{table.name}.{column.name}", f"the target has no {column.extra}", column.extra)
        # By which of several types the source held it is nothing to another engine.
        of = column.type if self.same else dataclasses.replace(self.meaning(column), native="")
        return catalog.Column(
            name=self.column_names[table.name][column.name],
            type=of,
            native=native,
            nullable=column.nullable and not self._in_primary(table, column),
            default=default,
            identity=identity,
            generated=generated,
            collation=collation,
            comment=self._comment(column.comment, "column", f"{table.name}.{column.name}"),
            virtual=generated is not None and column.virtual,
            extra=column.extra if self.same else kept.extra if kept is not None else "",
        )

    def was(self, table: catalog.Table, column: catalog.Column) -> home.Home | None:
        """Return how a column was before it came from an engine like the target, if that can be again."""
        found = self.homes.columns.get((table.name, column.name))
        override = self.override(table, column)
        if found is None or (override is not None and override.type) or found.back is types.Verdict.LOSSY:
            return None
        was = found.column
        if was.type.domain:
            # Domains are not carried: it goes home as its base type, and not as what the engine between made of it.
            plain = dataclasses.replace(was.type, domain="")
            base_type = self.target.ddl.map_type(plain, self.target.name, None).native or plain.native
            found = dataclasses.replace(found, column=dataclasses.replace(was, native=base_type))
        return found if not self.missing(found.column.native) else None

    def _comment(self, text: str | None, kind: str, name: str) -> str | None:
        limit = self.target.capabilities.max_comment
        if text is not None and limit is not None and len(text) > limit:
            self.leave("comment", f"{kind} {name}", f"longer than the {limit} characters that the target takes", text)
            return None
        return text

    def _collations(self, table: catalog.Table) -> None:
        """Say once for a table which of its texts will be told apart that the source takes for equal."""
        if self.same:
            return
        by: dict[str, list[str]] = {}
        for column in table.columns:
            if column.type.folds and column.collation:
                by.setdefault(column.collation, []).append(column.name)
        for collation, columns in by.items():
            self.risk(
                "medium", table.name, None,
                f"{', '.join(columns)}: collation {collation} is not carried over; on the target texts are equal only"
                " where every letter, its case and trailing blanks are the same",
            )  # fmt: skip

    def _in_primary(self, table: catalog.Table, column: catalog.Column) -> bool:
        # SQLite lets NULL into most primary keys; between two SQLite files that stays as it is.
        if self.same and not self.source.capabilities.enforced_types:
            return False
        return table.primary is not None and column.name in table.primary.columns

    def _is_rowid_key(self, table: catalog.Table, column: catalog.Column) -> bool:
        return (
            table.rowid is not None
            and table.primary is not None
            and table.primary.columns == (column.name,)
            and column.native.upper() == "INTEGER"
        )

    # -- notes

    def missing(self, *texts: str | None) -> str:
        """Return what an expression of the same engine needs and the target does not have, in words; "" if nothing."""
        if self.known is None:
            return ""
        for text in texts:
            for name in expressions.qualified_names(text or ""):
                if name not in self.known:
                    return f"it uses {name}, which the target does not have"
        return ""

    def risk(self, severity: str, table: catalog.TableName, column: str | None, reason: str) -> None:
        self.risks.append(model.Risk(severity, str(table), column, reason))

    def leave(self, kind: str, name: str, reason: str, definition: str = "") -> None:
        self.left.append(model.NotMigrated(kind, name, reason, definition))
