"""Decimal numbers at the edge, integers inside: exact conversion of a price or a quantity to whole units of 10^-decimals and back.

Floats are refused, because 0.1 as a float is not exactly 0.1. Numpy integers are integers.
"""

from __future__ import annotations

from decimal import Context, Decimal, InvalidOperation
from typing import Any, Final, SupportsIndex, TypeAlias

import numpy as np

from ome.errors import InvalidTypeError, InvalidValueError

__all__ = [
    "DECIMALS_MAX",
    "INT64_MAX",
    "INT64_MIN",
    "Integer",
    "Number",
    "PlainDecimal",
    "decimal_of",
    "integer_of",
    "number_of",
    "units_of",
]

Integer: TypeAlias = int | np.integer[Any]
"""A whole number: an id, a count, an account."""

Number: TypeAlias = Decimal | str | int | np.integer[Any]
"""An exact number: a price or a quantity."""

DECIMALS_MAX = 18
INT64_MIN = -(2**63)
INT64_MAX = 2**63 - 1
_PRECISION: Final = 80  # digits: 19 of a 64-bit integer, 18 decimals, and room to see that a number is too long
_CONTEXT: Final = Context(prec=_PRECISION)


class PlainDecimal(Decimal):
    """A Decimal whose text never has an exponent. All prices and quantities that ome gives out are such; arithmetic gives plain `Decimal`.

    >>> str(Decimal("1E-8")), str(PlainDecimal("1E-8")), f"{PlainDecimal('1E+2'):>5}", PlainDecimal("1E-8") == Decimal("1E-8")
    ('1E-8', '0.00000001', '  100', True)
    """

    __slots__ = ()

    def __str__(self) -> str:
        return Decimal.__format__(self, "f")

    def __repr__(self) -> str:
        return f"Decimal('{self}')"

    def __format__(self, specification: str, /, *_: Any) -> str:
        has_type = specification[-1:].isalpha() or specification.endswith("%") or "." in specification
        return Decimal.__format__(self, specification if has_type else specification + "f")


def integer_of(value: SupportsIndex, what: str = "value", least: int = 0, most: int = 2**64 - 1, *, where: str = "") -> int:
    """A whole number from `least` to `most` as an int; `what` names it in errors.

    Raises InvalidTypeError unless it is an int or an integer of numpy, InvalidValueError outside the range.

    >>> integer_of(np.uint64(7), "order id")
    7
    >>> integer_of(True, "order id")
    Traceback (most recent call last):
    ome.errors.InvalidTypeError: order id: found True, allowed: an int from 0 to 18,446,744,073,709,551,615
    """
    number = _whole(value)
    if number is None:
        raise InvalidTypeError(what, where=where, found=value, allowed=f"an int from {least:,} to {most:,}")
    if not least <= number <= most:
        raise InvalidValueError(what, where=where, found=value, allowed=f"an int from {least:,} to {most:,}")
    return number


def _whole(value: object) -> int | None:
    """An int or an integer of numpy as an int. None for all else, also for a bool and for a duration, which numpy counts as an integer."""
    if isinstance(value, int | np.integer) and not isinstance(value, bool | np.timedelta64):
        return int(value)
    return None


def decimal_of(value: Number, what: str = "value") -> Decimal:
    """The exact decimal that `value` writes; `what` names it in errors.

    Raises InvalidTypeError for a float, a bool or anything else than Decimal, str and int; InvalidValueError where it is no finite number.

    >>> decimal_of("150.25")
    Decimal('150.25')
    >>> decimal_of(150.25)
    Traceback (most recent call last):
    ome.errors.InvalidTypeError: value: found 150.25, allowed: Decimal, str or int (a float is not exact)
    """
    exact = value if isinstance(value, Decimal | str) else _whole(value)
    if exact is None:
        raise InvalidTypeError(what, found=value, allowed="Decimal, str or int (a float is not exact)")
    try:
        number = PlainDecimal(exact)
    except InvalidOperation:
        raise InvalidValueError(what, found=value, allowed="a decimal number") from None
    if not number.is_finite():
        raise InvalidValueError(what, found=value, allowed="a finite decimal number")
    return number


def units_of(value: Number, decimals: int, what: str = "value") -> int:
    """`value` in whole units of 10^-`decimals`.

    Raises as `decimal_of`, and InvalidValueError where the value has more decimals or leaves 64 bits.

    >>> units_of("150.25", 2)
    15025
    >>> units_of(150, 2)
    15000
    >>> units_of("150.255", 2)
    Traceback (most recent call last):
    ome.errors.InvalidValueError: value: found '150.255', allowed: at most 2 decimals
    """
    number = decimal_of(value, what)
    if number.is_zero():
        return 0
    if number.adjusted() + decimals > 18:
        raise InvalidValueError(what, found=value, allowed=f"{number_of(INT64_MIN, decimals)} to {number_of(INT64_MAX, decimals)}")
    if number.adjusted() < -decimals or len(number.as_tuple().digits) > _PRECISION:
        raise InvalidValueError(what, found=value, allowed=f"at most {decimals} decimals")
    scaled = number.scaleb(decimals, _CONTEXT)
    units = int(scaled)
    if scaled != units:
        raise InvalidValueError(what, found=value, allowed=f"at most {decimals} decimals")
    if not INT64_MIN <= units <= INT64_MAX:
        raise InvalidValueError(what, found=value, allowed=f"{number_of(INT64_MIN, decimals)} to {number_of(INT64_MAX, decimals)}")
    return units


def number_of(units: int, decimals: int) -> Decimal:
    """The decimal number that is `units` times 10^-`decimals`, written with all its decimals and without an exponent.

    >>> number_of(15020, 2), number_of(1, 8)
    (Decimal('150.20'), Decimal('0.00000001'))
    """
    return PlainDecimal(Decimal(units).scaleb(-decimals, _CONTEXT))
