"""Loads a migration file: reads, lays the environment over it, checks, and keeps where everything stands."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pydantic

from sensei.config import complaints, connections, overlay, reader
from sensei.config.migration import MigrationConfig
from sensei.config.reader import Complaint, Spot, Tree


@dataclass(frozen=True)
class Loaded:
    """A migration file that was read and found right."""

    config: MigrationConfig
    #: SHA-256 of the canonical JSON of the configuration in force; other environments do not count.
    digest: str
    #: The file as written; URLs with a password in clear were refused, so that it can be stored.
    text: str
    path: Path
    warnings: list[str]
    #: Names of all environments of the file.
    environments: tuple[str, ...] = ()
    #: Path of a key, such as options.mode -> its line, counted from 1.
    lines: Mapping[str, int] = field(default_factory=dict)
    #: Side -> connection, and name -> URL, as they are without the environment.
    rest: tuple[Mapping[str, str], Mapping[str, str]] = field(default_factory=lambda: ({}, {}))


def load(path: str | os.PathLike[str], environment: str | None = None, *, yes: bool = False) -> Loaded:
    """Read and check a migration file.

    environment: the one of `environments` to lay over the rest. yes: it may leave source or target as is.
    Raises errors.ConfigError with every complaint (file:line:column), errors.Refused where the environment
    leaves source or target as it was and yes is not set.
    """
    return loads(reader.read_text(Path(path)), str(path), environment, yes=yes)


def loads(text: str, name: str = "<string>", environment: str | None = None, *, yes: bool = False) -> Loaded:
    """Check the text of a migration file; name stands for the file in complaints. Raises as load does."""
    tree = reader.parse(text, name)
    base, environments = overlay.split(tree, name)
    effective = base if environment is None else overlay.choose(tree_of(base, tree), environments, environment, name)
    if environment is not None and effective.items is not None:
        effective.items.pop("environments", None)
    found: list[Complaint] = []
    config = _validate(effective, name, found)
    for other, changes in environments.items():
        if other != environment:
            found += _complaints_within(overlay.merge(base, changes), changes, name)
    complained = {c.line for c in found}
    found += [c for c in reader.passwords(text, name) if c.line not in complained]
    if config is None or found:
        reader.refuse(found)
    if environment is not None and not yes:
        overlay.refuse_unchanged(base, effective, environment)
    return Loaded(
        config=config,
        digest=config.digest(),
        text=text,
        path=Path(name),
        warnings=_warnings(config, environment, environments, name, effective),
        environments=tuple(environments),
        lines=lines(effective),
        rest=overlay.connections_of(base),
    )


def tree_of(base: Tree, tree: Tree) -> Tree:
    """Return a copy of the base that still knows where `environments` stands."""
    items = dict(base.items or {})
    if tree.items and "environments" in tree.items:
        items["environments"] = tree.items["environments"]
    return Tree(base.spot, items=items, keys=dict(base.keys))


def _validate(tree: Tree, name: str, found: list[Complaint]) -> MigrationConfig | None:
    try:
        return MigrationConfig.model_validate(tree.plain())
    except pydantic.ValidationError as problem:
        found += complaints.complaints(problem, tree, name, MigrationConfig)
        return None


def _complaints_within(merged: Tree, changes: Tree, name: str) -> list[Complaint]:
    """Return the complaints about an environment that is not in force: those that stand in its own lines."""
    found: list[Complaint] = []
    _validate(merged, name, found)
    own = {spot for tree in changes.walk() for spot in (tree.spot, *tree.keys.values())}
    return [c for c in found if Spot(c.line, c.column) in own]


def lines(tree: Tree) -> dict[str, int]:
    """Return the line of each key and part, by its path."""
    lines: dict[str, int] = {}

    def walk(here: Tree, path: complaints.Path) -> None:
        for key, value in (here.items or {}).items():
            lines[complaints.path_text((*path, key))] = here.keys[key].line
            walk(value, (*path, key))
        for i, value in enumerate(here.parts or ()):
            lines[complaints.path_text((*path, i))] = value.spot.line
            walk(value, (*path, i))

    walk(tree, ())
    return lines


def _warnings(
    config: MigrationConfig,
    environment: str | None,
    environments: Mapping[str, Tree],
    name: str,
    tree: Tree,
) -> list[str]:
    """Return what is allowed but likely not meant, each as file:line: text."""
    warnings: list[str] = []

    def warn(path: complaints.Path, message: str) -> None:
        spot, _ = complaints.locate(tree, path, at_key=True)
        warnings.append(f"{name}:{spot.line}:{spot.column}: {message}")

    if environment is None and config.environment in environments:
        warn(
            ("environment",),
            f"environments.{config.environment} is not laid over the rest;"
            f" that takes --environment {config.environment}",
        )
    if config.source.connection == config.target.connection:
        warn(
            ("target", "connection"),
            f"source and target are the same connection '{config.source.connection}'",
        )
    for table, mapping in config.tables.items():
        for column, to in mapping.columns.items():
            if to.expression is not None and to.inverse is None:
                warn(
                    ("tables", table, "columns", column, "expression"),
                    f"'{table}.{column}' has an expression without an inverse: it can't be taken back",
                )
    if config.auto_rollback is not None and not config.auto_rollback.enabled and config.auto_rollback.triggers:
        warn(("auto_rollback", "enabled"), "the triggers of auto_rollback are not enabled")
    for i, url in enumerate(config.notifications.urls if config.notifications else ()):
        if not connections.has_variable(url):
            warn(
                ("notifications", "urls", i),
                "the URL may hold a token in clear; write it as ${VARIABLE}",
            )
    return warnings
