"""Decimal numbers at the edge, integers inside: exact conversion of a price or a quantity to whole units of 10^-decimals and back.

Floats are refused: 0.1 is not the number that it looks like.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation, localcontext

from ome.errors import InvalidTypeError, InvalidValueError

__all__ = ["DECIMALS_MAX", "INT64_MAX", "INT64_MIN", "Number", "decimal_of", "number_of", "units_of"]

Number = Decimal | str | int

DECIMALS_MAX = 18
INT64_MIN = -(2**63)
INT64_MAX = 2**63 - 1
_PRECISION = 80  # digits: 19 of a 64-bit integer, 18 decimals, and room to see that a number is too long


def decimal_of(value: Number, what: str = "value") -> Decimal:
    """The exact decimal that `value` writes; `what` names it in errors.

    Raises InvalidTypeError for a float, a bool or anything else than Decimal, str and int; InvalidValueError where it is no finite number.

    >>> decimal_of("150.25")
    Decimal('150.25')
    >>> decimal_of(150.25)
    Traceback (most recent call last):
    ome.errors.InvalidTypeError: value: found 150.25, allowed: Decimal, str or int (a float is not exact)
    """
    if isinstance(value, bool) or not isinstance(value, Decimal | str | int):
        raise InvalidTypeError(what, found=value, allowed="Decimal, str or int (a float is not exact)")
    try:
        number = Decimal(value)
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
    with localcontext(prec=_PRECISION):
        scaled = number.scaleb(decimals)
        units = int(scaled)
        if scaled != units:
            raise InvalidValueError(what, found=value, allowed=f"at most {decimals} decimals")
    if not INT64_MIN <= units <= INT64_MAX:
        raise InvalidValueError(what, found=value, allowed=f"{number_of(INT64_MIN, decimals)} to {number_of(INT64_MAX, decimals)}")
    return units


def number_of(units: int, decimals: int) -> Decimal:
    """The decimal number that is `units` times 10^-`decimals`, written with all its decimals.

    >>> number_of(15020, 2)
    Decimal('150.20')
    """
    with localcontext(prec=_PRECISION):
        return Decimal(units).scaleb(-decimals)
