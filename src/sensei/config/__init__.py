"""What the operator asked for: the migration file, the named connections and the home folder, as data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sensei.config.loader import Loaded, load, loads
    from sensei.config.migration import MigrationConfig
    from sensei.config.owed import Owed, not_yet

__all__ = ["Loaded", "MigrationConfig", "Owed", "load", "loads", "not_yet"]

_WHERE = {
    "Loaded": "loader",
    "load": "loader",
    "loads": "loader",
    "MigrationConfig": "migration",
    "Owed": "owed",
    "not_yet": "owed",
}


def __getattr__(name: str) -> Any:
    # Commands that only need the home folder or the connections should not wait for pydantic to be imported.
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_WHERE[name]}"), name)
