"""Turns what pydantic found into complaints that name file, line, column and what was expected."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Any, get_args

import pydantic
import pydantic_core

from sensei.config import reader
from sensei.config.reader import Complaint, Spot, Tree

Path = tuple[str | int, ...]

# Values below these keys may hold a password or token.
_SECRET = ("connections", "notifications")

_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "dict_type": "a map",
    "model_type": "a map",
    "model_attributes_type": "a map",
}


def path_text(path: Path) -> str:
    """Return a path as people write it, such as auto_rollback.triggers[0].condition."""
    text = ""
    for part in path:
        word = reader.shown(str(part))
        text += f"[{part}]" if isinstance(part, int) else f".{word}" if text else word
    return text


def complaints(
    problem: pydantic.ValidationError, tree: Tree, file: str, model: type[pydantic.BaseModel]
) -> list[Complaint]:
    """Return a complaint for each error of a model that was made from the tree's plain value."""
    return [_complaint(detail, tree, file, model) for detail in problem.errors(include_url=False)]


def locate(tree: Tree, path: Path, *, at_key: bool = False) -> tuple[Spot, Tree]:
    """Return where the value of a path stands, or the nearest value around it, and that value."""
    spot, here = tree.spot, tree
    for part in path:
        below: Tree | None = None
        if here.items is not None and isinstance(part, str):
            below = here.items.get(part)
            key = here.keys.get(part)
        elif here.parts is not None and isinstance(part, int) and part < len(here.parts):
            below, key = here.parts[part], here.parts[part].spot
        if below is None:
            break
        # A missing value has no place of its own, and a map is best pointed at by its key.
        pointed = at_key or below.scalar is None
        spot, here = (key if pointed and key else below.spot), below
    return spot, here


def _complaint(detail: pydantic_core.ErrorDetails, tree: Tree, file: str, model: type[pydantic.BaseModel]) -> Complaint:
    kind, context = detail["type"], detail.get("ctx", {})
    path: Path = tuple(detail["loc"])
    if path and path[-1] == "[key]":
        path = path[:-1]
        spot, _ = locate(tree, path, at_key=True)
        return _at(file, spot, path, _message(kind, context, detail, path))
    if "key" in context:
        key = context["key"]
        path += key if isinstance(key, tuple) else (key,)
    spot, here = locate(tree, path, at_key=kind == "extra_forbidden")
    if kind in _EXPECTED and detail["input"] is not None:
        spot = here.spot
    if "offset" in context and here.quoted >= 0 and isinstance(here.scalar, str):
        spot = Spot(spot.line, spot.column + here.quoted + context["offset"])
    if kind == "extra_forbidden":
        return _at(file, spot, path, _unknown_key(path, model, tree))
    if kind == "missing":
        where = f" in '{path_text(path[:-1])}'" if path[:-1] else ""
        return _at(file, spot, path, f"the key '{path[-1]}' is missing{where}")
    return _at(file, spot, path, _message(kind, context, detail, path))


def _at(file: str, spot: Spot, path: Path, message: str) -> Complaint:
    return Complaint(file, spot.line, spot.column, message, path_text(path))


def _message(kind: str, context: dict[str, Any], detail: pydantic_core.ErrorDetails, path: Path) -> str:
    name = f"'{path_text(path)}': "
    found = _found(detail["input"], hide=bool(path) and path[0] in _SECRET)
    if kind == "wrong":
        return name + str(context["message"])
    if kind == "literal_error":
        return f"{name}expected {_choices(context['expected'])}, found {found}"
    if kind in _EXPECTED:
        advice = "; put it in quotes" if kind == "string_type" and _scalar(detail["input"]) else ""
        return f"{name}expected {_EXPECTED[kind]}, found {found}{advice}"
    if kind in ("greater_than_equal", "less_than_equal"):
        bound = f"at least {context['ge']:g}" if "ge" in context else f"at most {context['le']:g}"
        return f"{name}expected {bound}, found {found}"
    if kind == "too_short":
        return f"{name}the list is empty"
    return f"{name}{detail['msg']}"


def _choices(expected: str) -> str:
    return expected.replace("'", "").replace("True", "true")


def _scalar(value: Any) -> bool:
    return isinstance(value, int | float)


def _found(value: Any, *, hide: bool) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a map"
    if isinstance(value, tuple | list):
        return "a list"
    if isinstance(value, bool):
        return "true" if value else "false"
    kind = "text" if isinstance(value, str) else "the number"
    if hide:
        return "text" if isinstance(value, str) else "a number"
    text = reader.shown(str(value))
    return f"{kind} '{text}'" if isinstance(value, str) else f"{kind} {text}"


def _unknown_key(path: Path, model: type[pydantic.BaseModel], tree: Tree) -> str:
    word = str(path[-1])
    known = _known_keys(model, path[:-1])
    # Keys that the file has already are less likely meant.
    _, around = locate(tree, path[:-1])
    free = [key for key in known if key not in (around.items or {})]
    near = difflib.get_close_matches(word, free, n=1) or difflib.get_close_matches(word, known, n=1)
    where = f" in '{path_text(path[:-1])}'" if path[:-1] else ""
    if near:
        return f"unknown key '{reader.shown(word)}'{where}; did you mean '{near[0]}'?"
    return f"unknown key '{reader.shown(word)}'{where}; expected {', '.join(known)}"


def _known_keys(model: type[pydantic.BaseModel], path: Path) -> list[str]:
    """Return the keys that the model at a path has, in the order of their declaration."""
    here: type[pydantic.BaseModel] = model
    for part in path:
        if not isinstance(part, str):
            continue
        field = _field(here, part)
        if field is None:  # the name of a table or column below a map
            continue
        inner = next(_models(field.annotation), None)
        if inner is None:
            return []
        here = inner
    keys = [field.alias or name for name, field in here.model_fields.items()]
    return [*keys, "environments"] if here is model else keys


def _field(model: type[pydantic.BaseModel], key: str) -> Any:
    for name, field in model.model_fields.items():
        if (field.alias or name) == key:
            return field
    return None


def _models(annotation: Any) -> Iterator[type[pydantic.BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)
