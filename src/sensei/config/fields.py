"""The kinds of fields that the sections of a migration file share."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any

import pydantic
import pydantic_core

from sensei import conditions, errors
from sensei.config.reader import shown


class Section(pydantic.BaseModel):
    """A map of the migration file: no key but the declared ones, no value silently made into another type."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, strict=True, validate_default=False)


def wrong(message: str, **context: Any) -> pydantic_core.PydanticCustomError:
    """Make a complaint about a value; braces in the message are kept as they are."""
    return pydantic_core.PydanticCustomError(
        "wrong",
        "{message}",
        {"message": message, **context},
    )


NAME = re.compile(r"[a-z][a-z0-9-]*")
MAX_NAME = 63


def _name(value: str) -> str:
    if "://" in value:
        # Never echoed: it may hold a password.
        raise wrong("expected a connection's name, found a URL; give it a name under 'connections:'")
    if not NAME.fullmatch(value):
        raise wrong(f"'{shown(value)}' is no name, expected small letters, digits and hyphens, a letter first")
    if len(value) > MAX_NAME:
        raise wrong(f"the name has {len(value)} characters, expected at most {MAX_NAME}")
    return value


def _words(value: str) -> str:
    if not value.strip():
        raise wrong("the text is empty")
    if "\0" in value:
        raise wrong("the text contains a NUL character")
    return value


def _duration(value: Any) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise wrong(f"expected a duration such as 30s, 15m, 4h or 7d, found the number {value} without a unit")
    if not isinstance(value, str):
        raise wrong("expected a duration such as 30s, 15m, 4h or 7d")
    try:
        conditions.parse_duration(value)
    except errors.BadInput as problem:
        raise wrong(f"{problem.message}, found '{shown(str(value))}'") from None
    return value


def _moment(value: Any) -> datetime:
    example = "such as 2026-02-15T02:00:00Z or 2026-02-15T03:00:00+01:00"
    if isinstance(value, datetime):
        moment = value
    elif isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value.strip())
        except ValueError:
            raise wrong(f"expected a time with an offset, {example}, found '{shown(str(value))}'") from None
    else:
        raise wrong(f"expected a time with an offset, {example}")
    if moment.tzinfo is None:
        raise wrong(f"the time lacks an offset, expected one {example}, found '{shown(str(value))}'")
    return moment


#: Name of a migration, environment or connection.
Name = Annotated[str, pydantic.AfterValidator(_name)]
#: Text that says something.
Words = Annotated[str, pydantic.AfterValidator(_words)]
#: A span of time as written (`4h`); `seconds` reads it.
Duration = Annotated[str, pydantic.BeforeValidator(_duration)]
#: A moment with its offset.
Moment = Annotated[
    datetime,
    pydantic.BeforeValidator(_moment),
    pydantic.PlainSerializer(datetime.isoformat, return_type=str),
]


def seconds(duration: str) -> float:
    """Return the seconds of a duration as a section holds it."""
    return conditions.parse_duration(duration)
