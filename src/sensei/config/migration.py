"""The migration file as a whole."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated

import pydantic

from sensei import errors
from sensei.config import connections as urls
from sensei.config import fields, verification
from sensei.config.cutover import CutoverPlan
from sensei.config.databases import Source, Target
from sensei.config.fields import Name, Section, Words
from sensei.config.notifications import Notifications
from sensei.config.options import Options
from sensei.config.preparation import BackupVerification
from sensei.config.runbooks import PhasedRunbook, PostRollbackAnalysis, Runbook
from sensei.config.tables import TableMapping
from sensei.config.triggers import AutoRollback
from sensei.config.validation import Validation
from sensei.config.verification import VerificationLine


def _connection(url: str) -> str:
    try:
        urls.check_url(url)
    except errors.BadInput as problem:
        raise fields.wrong(problem.message + (f"; {problem.hint}" if problem.hint else "")) from None
    return url


class MigrationConfig(Section):
    """What the operator asked for, with the environment's changes laid over it."""

    name: Name
    environment: Name | None = None
    source: Source
    target: Target
    options: Options = Options()
    tables: dict[Words, TableMapping] = pydantic.Field(default_factory=dict)
    pre_migration_checks: tuple[BackupVerification, ...] = ()
    cutover_plan: CutoverPlan | None = None
    validation: Validation = Validation()
    auto_rollback: AutoRollback | None = None
    rollback_verification: tuple[VerificationLine, ...] = ()
    big_bang_rollback: Runbook | None = None
    parallel_rollback: Runbook | None = None
    phased_rollback: PhasedRunbook | None = None
    post_rollback_analysis: PostRollbackAnalysis | None = None
    notifications: Notifications | None = None
    #: Name -> URL, its ${VARIABLES} not expanded.
    connections: dict[Name, Annotated[str, pydantic.AfterValidator(_connection)]] = pydantic.Field(
        default_factory=dict, repr=False
    )

    @property
    def verification_lines(self) -> dict[str, str | bool]:
        """Lines that must hold after a rollback -> value that means so; all five where the file has none."""
        return dict(line.line for line in self.rollback_verification) or dict(verification.LINES)

    def canonical_json(self) -> str:
        """Return the JSON that stands for this configuration: every default written out, keys sorted."""
        data = self.model_dump(mode="json", by_alias=True)
        return json.dumps(data, sort_keys=True, ensure_ascii=False, separators=(",", ":"))

    def digest(self) -> str:
        """Return the SHA-256 of the canonical JSON, in hex: what a plan was made for."""
        return hashlib.sha256(self.canonical_json().encode()).hexdigest()

    @pydantic.model_validator(mode="after")
    def _lines_are_said_once(self) -> MigrationConfig:
        seen: set[str] = set()
        for i, line in enumerate(self.rollback_verification):
            name = line.line[0]
            if name in seen:
                raise fields.wrong(f"the line '{name}' stands here twice", key=("rollback_verification", i, name))
            seen.add(name)
        return self

    @pydantic.model_validator(mode="after")
    def _tables_stay_apart(self) -> MigrationConfig:
        seen: dict[str, str] = {}
        for table, mapping in self.tables.items():
            name = mapping.target
            if name is None:
                continue
            if name in seen:
                raise fields.wrong(
                    f"the tables '{seen[name]}' and '{table}' would both become '{name}'",
                    key=("tables", table, "target"),
                )
            seen[name] = table
        return self
