"""A whole migration from one database to another through the real command line."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fix_sensei
from ends import End, engine, url

__all__ = ["LINES", "End", "Move", "engine", "plan_move", "url"]

LINES = {
    "source_row_counts": "unchanged",
    "source_data_integrity": "verified",
    "target_cleaned": True,
    "indexes_restored": True,
    "sequences_reset": True,
}


@dataclass
class Move:
    """One migration and its commands. ``made`` by `plan_move` is planned, nothing is touched yet."""

    sensei: fix_sensei.Sensei
    id: str
    source: End
    target: End
    plan: dict[str, Any] = field(default_factory=dict)

    def start(self, **how: Any) -> fix_sensei.Result:
        return self.sensei("migrations", "start", self.id, **how)

    def resume(self, **how: Any) -> fix_sensei.Result:
        return self.sensei("migrations", "resume", self.id, **how)

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = self.sensei("migrations", "status", self.id, "--detailed", json=True).data
        return found

    def rollback(self, *words: str, **how: Any) -> fix_sensei.Result:
        return self.sensei("migrations", "rollback", self.id, "--full", "--yes", *words, **{"json": True, **how})

    def verify(self, expect: int = 0) -> dict[str, Any]:
        """The document of verify-rollback."""
        found: dict[str, Any] = self.sensei("migrations", "verify-rollback", self.id, json=True, expect=expect).data
        return found

    def script(self, name: str = "rollback.sql") -> Path:
        """The rollback script as the command writes it."""
        path = self.sensei.folder / name
        self.sensei("migrations", "rollback-script", self.id, "--output", path)
        return path

    def left(self) -> list[tuple[str, str, str]]:
        """What the plan says is not migrated: (kind, object, reason)."""
        return [(n["kind"], n["object"], n["reason"]) for n in self.plan["not_migrated"]]

    def quarantine(self) -> list[dict[str, Any]]:
        """Rows in quarantine, key and row as data."""
        return [
            {**q, "key": json.loads(q["key"]), "row": json.loads(q["row"])} for q in self.status()["quarantine"]["rows"]
        ]


def plan_move(
    sensei: fix_sensei.Sensei,
    source: End,
    target: End,
    *,
    name: str = "move",
    schemas: list[str] | None = None,
    schema: str | None = None,
    source_options: dict[str, Any] | None = None,
    **more: Any,
) -> Move:
    """Write a migration file, create the migration and read its plan. ``more`` goes to the file as it is."""
    options: dict[str, Any] = {"parallelism": 1, **more.pop("options", {})}
    config: dict[str, Any] = {
        "name": name,
        "connections": {"from": url(source), "to": url(target)},
        "source": {"connection": "from", **({"schemas": schemas} if schemas else {}), **(source_options or {})},
        "target": {"connection": "to", **({"schema": schema} if schema else {})},
        "options": options,
        **more,
    }
    path = sensei.write(f"{name}.yaml", config)
    made = sensei("migrations", "create", "--config", path, json=True).data["id"]
    plan = sensei("migrations", "plan", made, json=True).data
    return Move(sensei, made, source, target, plan)
