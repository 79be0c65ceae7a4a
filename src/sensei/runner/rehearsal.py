"""Keeps a rehearsal away from the databases that the rest of the file works on, under whatever name they come."""

from __future__ import annotations

import os
from collections.abc import Mapping

from sensei import errors
from sensei.config import connections, loader
from sensei.runner import desk as desks


def refuse_real(desk: desks.Desk, loaded: loader.Loaded, environment: str) -> None:
    """Raise Refused where a side of the environment is a database of the rest, or its target the rest's source.

    The file's own words were compared when it was read; here it is where connections lead. One that can't be opened
    from here, as its variable is not set, is not known.
    """
    asked, (rest, theirs) = loaded.config, loaded.rest
    mine = dict(asked.connections)
    ours = {"source": asked.source.connection, "target": asked.target.connection}
    touched = [
        (side, ours[side], other)
        for side, other in (("source", "source"), ("target", "target"), ("target", "source"))
        if other in rest and _where(desk, ours[side], mine) == (_where(desk, rest[other], theirs) or ())
    ]
    if touched:
        side, name, other = touched[0]
        raise errors.Refused(
            f"in environment '{environment}' the {side} '{name}' is the database of '{rest[other]}', the {other} of the"
            " rest: a rehearsal would touch it",
            hint=f"give environments.{environment}.{side}.connection another database, or repeat with --yes",
            environment=environment,
            unchanged=[side for side, _, _ in touched],
        )


def _where(desk: desks.Desk, name: str, named: Mapping[str, str]) -> tuple[str, ...] | None:
    try:
        return connections.whereabouts(desk.book.open_url(name, named, os.environ))
    except errors.BadInput:
        return None
