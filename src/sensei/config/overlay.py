"""Lays the changes of an environment over the rest of the file."""

from __future__ import annotations

import difflib

from sensei import errors
from sensei.config.complaints import locate
from sensei.config.reader import Complaint, Tree, refuse

#: What an environment can't change.
FIXED = ("name", "environment", "environments")


def split(tree: Tree, file: str) -> tuple[Tree, dict[str, Tree]]:
    """Return the file without `environments`, and each environment's changes.

    Raises errors.ConfigError where `environments` is not a map of maps, or one changes what is fixed.
    """
    assert tree.items is not None
    below = tree.items.get("environments")
    base = Tree(tree.spot, items={k: v for k, v in tree.items.items() if k != "environments"}, keys=tree.keys)
    if below is None:
        return base, {}
    found: list[Complaint] = []

    def complain(path: tuple[str, ...], message: str) -> None:
        spot, _ = locate(tree, path, at_key=True)
        found.append(Complaint(file, spot.line, spot.column, message, ".".join(path)))

    if below.items is None:
        complain(("environments",), "'environments': expected a map of environments")
    for name, changes in (below.items or {}).items():
        if changes.items is None:
            complain(("environments", name), f"'environments.{name}': expected a map of changes")
            continue
        for key in FIXED:
            if key in changes.items:
                complain(("environments", name, key), f"'{key}' can't be changed by an environment")
    if found:
        refuse(found)
    return base, below.items or {}


def merge(base: Tree, changes: Tree) -> Tree:
    """Return the changes laid over the base: maps key by key, everything else replaced."""
    if base.items is None or changes.items is None:
        return changes
    items, keys = dict(base.items), dict(base.keys)
    for key, value in changes.items.items():
        items[key] = merge(items[key], value) if key in items else value
        keys[key] = changes.keys[key]
    return Tree(base.spot, items=items, keys=keys)


def choose(tree: Tree, environments: dict[str, Tree], environment: str, file: str) -> Tree:
    """Return the file with one environment laid over it, and `environment` set to its name.

    Raises errors.ConfigError, with the known ones, where there is no such environment.
    """
    if environment not in environments:
        spot, _ = locate(tree, ("environments",), at_key=True)
        near = difflib.get_close_matches(environment, environments, n=1)
        asked = f"; did you mean '{near[0]}'?" if near else ""
        known = ", ".join(sorted(environments)) or "none"
        message = f"there is no environment '{environment}'{asked} (known: {known})"
        refuse([Complaint(file, spot.line, spot.column, message, "environments")])
    merged = merge(tree, environments[environment])
    assert merged.items is not None
    merged.items["environment"] = Tree(environments[environment].spot, scalar=environment)
    merged.keys["environment"] = environments[environment].spot
    return merged


def refuse_unchanged(base: Tree, merged: Tree, environment: str) -> None:
    """Raise errors.Refused where the environment would work on the same source or target as the rest."""
    same = []
    for side in ("source", "target"):
        before, after = _database(base, side), _database(merged, side)
        if before is not None and before == after:
            same.append((side, _connection(merged, side)))
    if same:
        named = " and ".join(f"{side} stays '{connection}'" for side, connection in same)
        raise errors.Refused(
            f"in environment '{environment}' the {named}: a rehearsal would touch the database of the rest",
            hint=f"give environments.{environment}.{same[0][0]}.connection, or repeat with --yes",
            environment=environment,
            unchanged=[side for side, _ in same],
        )


def connections_of(tree: Tree) -> tuple[dict[str, str], dict[str, str]]:
    """Return the connection's name of each side, as far as it is given, and the file's own URLs by name."""
    sides = {side: name for side in ("source", "target") if (name := _connection(tree, side)) is not None}
    below = ((tree.items or {}).get("connections") or Tree(tree.spot)).items or {}
    return sides, {name: url.scalar for name, url in below.items() if isinstance(url.scalar, str)}


def _connection(tree: Tree, side: str) -> str | None:
    value = locate(tree, (side, "connection"))[1].scalar
    return value if isinstance(value, str) else None


def _database(tree: Tree, side: str) -> str | None:
    """Return what tells a side's database: its URL where the file has it, else the connection's name."""
    name = _connection(tree, side)
    if name is None:
        return None
    return connections_of(tree)[1].get(name, name)
