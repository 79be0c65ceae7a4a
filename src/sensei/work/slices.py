"""Cuts what thousands of tables bring with them into slices that a transaction can bear."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")

#: Events that are journaled in one transaction: enough that waiting for the disk does not count, and few enough that
#: others who write to the store do not notice.
EVENTS = 200


def of(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield the items in lists of at most `size`, in their order."""
    rest = iter(items)
    while some := list(islice(rest, size)):
        yield some
