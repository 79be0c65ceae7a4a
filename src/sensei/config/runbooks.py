"""The sections `big_bang_rollback`, `parallel_rollback`, `phased_rollback` and `post_rollback_analysis`."""

from __future__ import annotations

import re
from typing import Annotated, Any

import pydantic

from sensei.config import fields
from sensei.config.fields import Section, Words

_STEP = re.compile(r"(?:^|\s)(\d+)\.\s+")


def split_steps(text: str) -> tuple[str, ...]:
    """Return the steps of a folded text `1. ... 2. ...`; a text without numbers is one step.

    Only the next number in turn begins a step, so that `version 3. 1` within a step stays whole.
    """
    starts: list[tuple[int, int]] = []
    for match in _STEP.finditer(text):
        if int(match[1]) == len(starts) + 1:
            starts.append((match.start(), match.end()))
    if not starts or text[: starts[0][0]].strip():
        return (" ".join(text.split()),)
    ends = [start for start, _ in starts[1:]] + [len(text)]
    return tuple(" ".join(text[begin:end].split()) for (_, begin), end in zip(starts, ends, strict=True))


def _steps(value: Any) -> Any:
    if isinstance(value, str):
        if not value.strip():
            raise fields.wrong("the text is empty, expected steps such as '1. Stop the application 2. ...'")
        steps = split_steps(value)
        if not all(steps):
            raise fields.wrong(f"step {steps.index('') + 1} says nothing")
        return steps
    if isinstance(value, tuple | list):
        return tuple(value)
    raise fields.wrong("expected steps, as a text '1. ... 2. ...' or as a list")


#: Steps as a folded text or a list; held as a tuple of texts without their numbers.
Steps = Annotated[tuple[Words, ...], pydantic.BeforeValidator(_steps), pydantic.Field(min_length=1)]


class Runbook(Section):
    """Steps that people take during a rollback: shown, ticked and journaled."""

    steps: Steps


class PhasedRunbook(Runbook):
    """The runbook of a phased cutover, with what it is limited to."""

    scope: Words | None = None


class PostRollbackAnalysis(Section):
    """What `analyze` answers and bundles."""

    questions: tuple[Words, ...] = ()
    artifacts_to_preserve: tuple[Words, ...] = ()
