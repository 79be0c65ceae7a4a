"""The section `notifications`: whom Sensei tells, through Apprise URLs."""

from __future__ import annotations

from typing import Annotated

import pydantic

from sensei import errors
from sensei.config import connections, fields
from sensei.config.fields import Section


def _url(value: str) -> str:
    # The value is never echoed: most of these URLs hold a token.
    if "://" not in value and not connections.is_variable(value):
        raise fields.wrong("expected an Apprise URL such as mailto://… or slack://…")
    try:
        connections.check_variables(value)
        if connections.has_literal_password(value):
            raise fields.wrong("the URL holds a password in clear; write it as ${VARIABLE}")
    except errors.BadInput as problem:
        raise fields.wrong(problem.message) from None
    return value


def _mail(value: str) -> str:
    if not value.startswith(("mailto://", "mailtos://")) and not connections.is_variable(value):
        raise fields.wrong("expected a URL that begins with mailto:// or mailtos://")
    return _url(value)


class Notifications(Section):
    """Where alerts go."""

    urls: tuple[Annotated[str, pydantic.AfterValidator(_url)], ...] = ()
    #: Through which the addresses of `contacts` are reached.
    mail: Annotated[str, pydantic.AfterValidator(_mail)] | None = None
