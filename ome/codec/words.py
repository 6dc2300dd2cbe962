"""From words to values: a side, a time in force or a self-trade instruction by its name, a moment by a datetime."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import Final, Literal, TypeAlias, TypeVar

import numpy as np

from ome.enums import Side
from ome.errors import InvalidTypeError, InvalidValueError, one_of
from ome.units import Integer

__all__ = [
    "SelfTradeName",
    "SelfTradeScopeName",
    "SideName",
    "Time",
    "TimeInForceName",
    "enumerator_of",
    "side_of",
    "time_ns",
]

Choice = TypeVar("Choice", bound=IntEnum)
Time: TypeAlias = Integer | datetime
"""A moment: nanoseconds since 1970, or a datetime that knows its time zone."""

SideName: TypeAlias = Literal["buy", "sell"]
TimeInForceName: TypeAlias = Literal["gtc", "day", "gtd", "ioc", "fok"]
SelfTradeName: TypeAlias = Literal["none", "cancel_newest", "cancel_oldest", "cancel_both", "decrement"]
SelfTradeScopeName: TypeAlias = Literal["account", "participant", "group"]

_TIME_MAX: Final = 2**63 - 1
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def side_of(side: Side | str) -> Side:
    """A side by its name, "buy" or "sell", or as it is. Raises InvalidValueError for anything else."""
    return enumerator_of(Side, "side", side)


def time_ns(moment: Time, what: str = "time", *, least: int = 0) -> int:
    """Nanoseconds since 1970 of a moment, `least` of them or more.

    Raises InvalidTypeError for a float and any other type, InvalidValueError for a time before 1970 or after 2262, or without a zone.

    >>> time_ns(datetime(2026, 3, 1, 16, 30, tzinfo=UTC))
    1772382600000000000
    """
    if isinstance(moment, datetime):
        if moment.tzinfo is None or moment.utcoffset() is None:
            raise InvalidValueError(what, found=moment.isoformat(), allowed="a datetime with a time zone, or nanoseconds since 1970")
        ns = (moment - _EPOCH) // timedelta(microseconds=1) * 1000
    elif isinstance(moment, int | np.integer) and not isinstance(moment, bool | np.timedelta64):
        ns = int(moment)
    else:
        raise InvalidTypeError(what, found=moment, allowed="int, nanoseconds since 1970, or a datetime with a time zone")
    if not least <= ns <= _TIME_MAX:
        raise InvalidValueError(what, found=moment, allowed=f"{least} to {_TIME_MAX} nanoseconds since 1970")
    return ns


def enumerator_of(kind: type[Choice], name: str, value: object) -> Choice:
    """The enumerator that `value` names, in small letters, or is."""
    if isinstance(value, kind):
        return value
    if isinstance(value, str) and value.islower() and value.upper() in kind.__members__:
        return kind[value.upper()]
    error = InvalidValueError if isinstance(value, str) else InvalidTypeError
    raise error(name, found=value, allowed=one_of([member.lower() for member in kind.__members__]))
