"""Names what a migration file asks for and this version does not carry out yet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sensei.config import preparation
from sensei.config.loader import Loaded
from sensei.config.migration import MigrationConfig


@dataclass(frozen=True)
class Owed:
    """Something that the file asks for and this version does not do."""

    path: str  #: of the key, such as options.mode
    line: int  #: of the key in the file, counted from 1; 0 where it is not known
    message: str
    required: bool  #: True: start is refused (exit 3), as going on would break what the file promises


def not_yet(asked: MigrationConfig | Loaded) -> list[Owed]:
    """Return all that is parsed and checked but not carried out, in the order of the file.

    Given a Loaded, each has its line. What is `required` blocks start; the rest is said by plan and start.
    """
    config = asked.config if isinstance(asked, Loaded) else asked
    lines: Mapping[str, int] = asked.lines if isinstance(asked, Loaded) else {}
    owed = [
        Owed(path, lines.get(path, 0), message, required)
        for path, message, required in (
            *_options(config),
            *_checks(config),
            *_validation(config),
            *_later(config),
        )
    ]
    return sorted(owed, key=lambda o: o.line)


_Found = Iterator[tuple[str, str, bool]]


def _options(config: MigrationConfig) -> _Found:
    options = config.options
    if options.mode != "full":
        yield "options.mode", "mode live is not carried out yet; only full is, with a quiet source", True
    if options.capture != "auto":
        yield "options.capture", "capture is only used by mode live, which is not carried out yet", True
    if options.executor != "local":
        yield "options.executor", "work is not yet handed to Dask; only executor local is", True


def _checks(config: MigrationConfig) -> _Found:
    for i, check in enumerate(config.pre_migration_checks):
        for side in ("source", "target"):
            demands = getattr(check, side)
            at = f"pre_migration_checks[{i}].{side}"
            for key in preparation.DEMANDS:
                demand = getattr(demands, key)
                if demand is not None:
                    yield (
                        f"{at}.{key}",
                        f"{key} of the {side} is {demand} but can't be checked yet",
                        demand == "required",
                    )
            if demands.recovery_time_objective is not None:
                yield (
                    f"{at}.recovery_time_objective",
                    f"the time that a restore of the {side} takes is not measured yet",
                    False,
                )


def _validation(config: MigrationConfig) -> _Found:
    validation = config.validation
    if "max_age" in validation.model_fields_set:
        yield "validation.max_age", "there is no cutover yet whose gate could ask how old a verdict is", False


def _later(config: MigrationConfig) -> _Found:
    rollback = config.auto_rollback
    if rollback is not None and rollback.enabled and rollback.triggers:
        yield (
            "auto_rollback",
            f"auto_rollback is enabled, but this version does NOT act on its {len(rollback.triggers)}"
            " trigger(s): watch the migration yourself",
            False,
        )
    if config.cutover_plan is not None:
        yield "cutover_plan", "cutover is not carried out yet; the plan was checked only", False
    for key in ("big_bang_rollback", "parallel_rollback", "phased_rollback"):
        if getattr(config, key) is not None:
            yield key, "the runbook is for a rollback after cutover, which is not carried out yet", False
    if config.post_rollback_analysis is not None:
        yield "post_rollback_analysis", "the analysis after a rollback is not carried out yet", False
    if config.notifications is not None:
        yield "notifications", "nobody is notified yet", False
