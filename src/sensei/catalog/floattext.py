"""Floats as the shortest text that reads back to the same bits, in PostgreSQL's spelling."""

from __future__ import annotations

import math
import struct
from decimal import Decimal


def text(value: float, bits: int = 64) -> str:
    """Return the shortest text that reads back to the same bits, in PostgreSQL's spelling."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    if value == 0:
        return "-0" if math.copysign(1, value) < 0 else "0"
    shortest = _float64_repr(value) if bits == 64 else _float32_repr(value)
    sign, digits, exponent = Decimal(shortest).normalize().as_tuple()
    plain = "".join(map(str, digits))
    power = len(digits) + int(exponent) - 1  # of the first digit
    minus = "-" if sign else ""
    # PostgreSQL turns to exponents where the plain form would need more digits than the type surely has.
    if power < -4 or power >= (15 if bits == 64 else 6):
        mantissa = plain[0] + ("." + plain[1:] if len(plain) > 1 else "")
        return f"{minus}{mantissa}e{'-' if power < 0 else '+'}{abs(power):02d}"
    if power < 0:
        return f"{minus}0.{'0' * (-power - 1)}{plain}"
    if len(plain) <= power + 1:
        return minus + plain + "0" * (power + 1 - len(plain))
    return f"{minus}{plain[: power + 1]}.{plain[power + 1 :]}"


def _float64_repr(value: float) -> str:
    text = repr(value)
    # Below 2^53 no text of 17 digits lies halfway between two doubles. Above, Python takes such a text for the one
    # with the even last bit, and PostgreSQL, which trusts no reader's rounding, prints more digits instead.
    if abs(value) < 2**53 or _strictly_nearest(text, abs(value), math.nextafter(abs(value), 0), math.ulp(value)):
        return text
    return next(
        t
        for t in (f"{value:.{digits}e}" for digits in range(17))
        if _strictly_nearest(t, abs(value), math.nextafter(abs(value), 0), math.ulp(value))
    )


def _float32_repr(value: float) -> str:
    wanted = struct.pack("<f", value)  # OverflowError where a float32 can't reach it
    narrow: float = struct.unpack("<f", wanted)[0]
    low, up = _neighbours32(abs(narrow))
    text = next(
        t
        for t in (f"{narrow:.{digits}g}" for digits in range(1, 10))
        if _packs_to(t, wanted) and (abs(narrow) < 2**24 or _strictly_nearest(t, abs(narrow), low, up))
    )
    # A double may stand for a float32 as its exact value or as what its shortest text reads back to.
    if value not in (narrow, float(text)):
        raise ValueError(f"not exactly a float of 32 bits: {value!r}")
    return text


def _strictly_nearest(text: str, value: float, below: float, gap: float) -> bool:
    """Tell whether a text lies between the midpoints to both neighbours; all of them are whole numbers here."""
    twice = 2 * abs(int(Decimal(text)))
    return int(value) + int(below) < twice < 2 * int(value) + int(gap)


def _neighbours32(value: float) -> tuple[float, float]:
    """Return the float32 below a positive one, and the distance to the one above."""
    bits = struct.unpack("<I", struct.pack("<f", value))[0]
    below = struct.unpack("<f", struct.pack("<I", max(bits - 1, 0)))[0]
    # The step down equals the step up but for a power of two, where it is half of it.
    return below, (value - below) * (2 if bits & 0x7FFFFF == 0 else 1)


def _packs_to(text: str, wanted: bytes) -> bool:
    try:
        return struct.pack("<f", float(text)) == wanted
    except OverflowError:  # rounded up past the largest one
        return False
