"""From what people write to commands: options by name, decimals to units, and an error that names the option that is wrong.

Whether the market takes the order is the market's to say. What is refused here is what no market could mean: an option beside one that
excludes it, a value that no order can have.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import Any, Final, Literal, TypeAlias, TypedDict, TypeVar

import numpy as np

from ome.enums import OrderType, SelfTradePrevention, SelfTradeScope, Side, Term, TimeInForce
from ome.errors import InvalidTypeError, InvalidValueError, one_of
from ome.instruments import COLLAR_TICKS_MAX, QUANTITY_MAX, TICK_MAX, Instrument
from ome.messages import DefineInstrument, NewOrder
from ome.units import Integer, Number, integer_of, number_of, units_of

__all__ = [
    "OrderOptions",
    "SelfTradeName",
    "SelfTradeScopeName",
    "SideName",
    "Time",
    "TimeInForceName",
    "define_instrument",
    "new_order",
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

_GROUP_MAX: Final = 2**32 - 1
_TIME_MAX: Final = 2**63 - 1
_PERCENT_DECIMALS: Final = 2  # a basis point is a hundredth of a percent
_BASIS_POINTS_MAX: Final = 10_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class OrderOptions(TypedDict, total=False):
    """What an order may have beside instrument, side, quantity and limit. Numbers are Decimal, str or int; what is left out is not there.

    How long it lives:
    - `tif`: "gtc" (until cancelled; the default), "day", "gtd" (until `expires`; the default with it), "ioc" (what does not trade at once
      is cancelled), "fok" (all of it at once, or nothing).
    - `expires`: deadline of a "gtd" order, nanoseconds since 1970 or a datetime with a time zone.

    What it does in the book:
    - `post_only`: never takes. `hidden`: not displayed. `display`: an iceberg, which displays so much at a time.
    - `minimum`: so much trades at once, or the order is cancelled whole.
    - `budget`: of a "fok", the highest cost of a buy or the lowest proceeds of a sell, price times quantity.
    - `collar_ticks`: how far from the best opposite price an order without limit may trade, in ticks.

    When it enters the market:
    - `stop`: when the last trade is at this price or past it. Then it is a market order, or with a limit a limit order.
    - `trail`, `trail_percent`: a stop that follows the last trade at this distance, a price or a percentage ("0.01" to "100"). `stop` says
      where it starts, `limit_offset` (a signed price) how far from its stop price its limit will be.

    What happens where it would trade with its own:
    - `self_trade`: "none", "cancel_newest", "cancel_oldest", "cancel_both" or "decrement".
    - `self_trade_scope`: what its own is: "account" (the default), "participant", or "group" (the default with `self_trade_group`, 1 to
      2^32 - 1).

    None is not there. Names are written in small letters, or are the enumerators themselves.
    """

    tif: TimeInForceName | TimeInForce | None
    expires: Time | None
    post_only: bool | None
    hidden: bool | None
    display: Number | None
    minimum: Number | None
    budget: Number | None
    collar_ticks: Integer | None
    stop: Number | None
    trail: Number | None
    trail_percent: Number | None
    limit_offset: Number | None
    self_trade: SelfTradeName | SelfTradePrevention | None
    self_trade_scope: SelfTradeScopeName | SelfTradeScope | None
    self_trade_group: Integer | None


def new_order(instrument: Instrument, side: Side, quantity: Number, at: Number | None, options: OrderOptions, /, **fields: int) -> NewOrder:
    """The order that these words mean. `at` is its limit, or None; `fields` are those that the caller knows (`instrument`, `account`...).

    Raises InvalidTypeError for a float and any other type, InvalidValueError for a value that cannot be, TypeError for an unknown option.

    >>> apple = Instrument("AAPL", tick="0.01")
    >>> order = new_order(apple, Side.BUY, 100, "150.25", {"stop": "151.00", "tif": "day"}, instrument=1)
    >>> order.order_type == OrderType.STOP_LIMIT, order.price, order.terms
    (True, 15025, ((<Term.STOP_PRICE: 1>, 15100),))
    """
    given: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    unknown = given.keys() - OrderOptions.__annotations__.keys()
    if unknown:
        raise TypeError(f"unknown option {min(unknown)!r}; allowed: {one_of(OrderOptions.__annotations__)}")
    order_type = _order_type(at, given)
    time_in_force = _enumerator(TimeInForce, "tif", given.get("tif", "gtd" if "expires" in given else "gtc"))
    scope = _enumerator(
        SelfTradeScope, "self_trade_scope", given.get("self_trade_scope", "group" if "self_trade_group" in given else "account")
    )
    self_trade = _enumerator(SelfTradePrevention, "self_trade", given.get("self_trade", "none"))
    _refuse_what_does_not_belong(given, at, order_type, time_in_force, self_trade, scope)
    price = given.get("limit_offset", at)
    lots = units_of(quantity, instrument.quantity_decimals, f"quantity of {instrument.symbol}")
    return NewOrder(
        price=0 if price is None else units_of(price, instrument.price_decimals, f"price of {instrument.symbol}"),
        quantity=lots,
        side=side,
        order_type=order_type,
        time_in_force=time_in_force,
        post_only=_flag(given, "post_only"),
        hidden=_flag(given, "hidden"),
        self_trade_prevention=self_trade,
        self_trade_scope=scope,
        terms=tuple(_terms(instrument, lots, given)),
        **fields,
    )


def define_instrument(instrument: Instrument, number: int, **fields: int) -> DefineInstrument:
    """The command that opens an instrument for trading under this number."""
    return DefineInstrument(
        instrument=number,
        symbol=instrument.symbol.encode("ascii"),
        tick=instrument.tick_units,
        collar_ticks=instrument.collar_ticks,
        price_decimals=instrument.price_decimals,
        quantity_decimals=instrument.quantity_decimals,
        instrument_flags=instrument.flags,
        **fields,
    )


def side_of(side: Side | str) -> Side:
    """A side by its name, "buy" or "sell", or as it is. Raises InvalidValueError for anything else."""
    return _enumerator(Side, "side", side)


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


def _order_type(at: Number | None, given: Mapping[str, object]) -> OrderType:
    """Which type these options make, a limit being a price or a distance."""
    if "trail" in given or "trail_percent" in given:
        return OrderType.TRAILING_STOP_LIMIT if "limit_offset" in given else OrderType.TRAILING_STOP
    if "stop" in given:
        return OrderType.STOP if at is None else OrderType.STOP_LIMIT
    return OrderType.MARKET if at is None else OrderType.LIMIT


def _refuse_what_does_not_belong(
    given: Mapping[str, object], at: Number | None, order_type: OrderType, time_in_force: TimeInForce, self_trade: int, scope: int
) -> None:
    """Raises InvalidValueError for the first option that excludes another, or that another one needs."""
    is_trailing = order_type in (OrderType.TRAILING_STOP, OrderType.TRAILING_STOP_LIMIT)
    has_limit = order_type in (OrderType.LIMIT, OrderType.STOP_LIMIT, OrderType.TRAILING_STOP_LIMIT)
    rests = time_in_force in (TimeInForce.GTC, TimeInForce.DAY, TimeInForce.GTD)
    is_post_only, is_hidden = bool(given.get("post_only")), bool(given.get("hidden"))
    for name, is_wrong, allowed in (
        ("at", at is not None and is_trailing, "no limit where the stop trails; limit_offset gives it one"),
        ("limit_offset", "limit_offset" in given and not is_trailing, "with trail or trail_percent only"),
        ("trail_percent", "trail_percent" in given and "trail" in given, "trail or trail_percent, not both"),
        ("expires", "expires" in given and time_in_force != TimeInForce.GTD, 'with tif "gtd" only'),
        ("expires", "expires" not in given and time_in_force == TimeInForce.GTD, 'a deadline, which tif "gtd" needs'),
        ("post_only", is_post_only and not (has_limit and rests), 'with a limit, and tif "gtc", "day" or "gtd"'),
        ("hidden", is_hidden and not has_limit, "with a limit only"),
        ("display", "display" in given and is_hidden, "hidden or display, not both"),
        ("minimum", "minimum" in given and is_post_only, "minimum or post_only, not both"),
        ("budget", "budget" in given and time_in_force != TimeInForce.FOK, 'with tif "fok" only'),
        ("collar_ticks", "collar_ticks" in given and has_limit, "for an order without limit only"),
        ("self_trade_scope", scope != SelfTradeScope.ACCOUNT and self_trade == 0, "with self_trade only"),
        ("self_trade_group", "self_trade_group" in given and scope != SelfTradeScope.GROUP, 'with self_trade_scope "group" only'),
        ("self_trade_group", "self_trade_group" not in given and scope == SelfTradeScope.GROUP, "a number, which the scope needs"),
    ):
        if is_wrong:
            raise InvalidValueError(name, found=at if name == "at" else given.get(name), allowed=allowed)


def _terms(instrument: Instrument, lots: int, given: Mapping[str, Any]) -> Iterator[tuple[Term, int]]:
    """The terms of an order of so many lots. Prices are the market's to check, as its limit is."""
    price_decimals, lot_decimals = instrument.price_decimals, instrument.quantity_decimals
    if "stop" in given:
        yield Term.STOP_PRICE, units_of(given["stop"], price_decimals, "stop")
    if "trail" in given:
        trail = units_of(given["trail"], price_decimals, "trail")
        if not 0 < trail <= TICK_MAX or trail % instrument.tick_units:
            raise InvalidValueError("trail", found=given["trail"], allowed=f"a multiple of {instrument.tick}, above 0")
        yield Term.TRAIL_AMOUNT, trail
    if "trail_percent" in given:
        yield Term.TRAIL_BASIS_POINTS, _decimal_within("trail_percent", given, _PERCENT_DECIMALS, _BASIS_POINTS_MAX)
    if "display" in given:
        yield Term.DISPLAY_QUANTITY, _decimal_within("display", given, lot_decimals, QUANTITY_MAX)
    if "minimum" in given:
        yield Term.MINIMUM_QUANTITY, _decimal_within("minimum", given, lot_decimals, max(lots, 1))
    if "expires" in given:
        yield Term.EXPIRE_TIME, time_ns(given["expires"], "expires", least=1)
    if "budget" in given:
        yield Term.BUDGET, units_of(given["budget"], price_decimals + lot_decimals, "budget")
    if "collar_ticks" in given:
        yield Term.COLLAR_TICKS, _int_within("collar_ticks", given, 0, COLLAR_TICKS_MAX)
    if "self_trade_group" in given:
        yield Term.SELF_TRADE_GROUP, _int_within("self_trade_group", given, 1, _GROUP_MAX)


def _decimal_within(name: str, given: Mapping[str, Any], decimals: int, most: int) -> int:
    """An option in units of 10^-`decimals`, from one to `most` of them."""
    units = units_of(given[name], decimals, name)
    if not 1 <= units <= most:
        raise InvalidValueError(name, found=given[name], allowed=f"{number_of(1, decimals)} to {number_of(most, decimals)}")
    return units


def _int_within(name: str, given: Mapping[str, Any], least: int, most: int) -> int:
    return integer_of(given[name], name, least, most)


def _flag(given: Mapping[str, object], name: str) -> bool:
    value = given.get(name, False)
    if not isinstance(value, bool):
        raise InvalidTypeError(name, found=value, allowed="bool")
    return value


def _enumerator(kind: type[Choice], name: str, value: object) -> Choice:
    """The enumerator that `value` names, in small letters, or is."""
    if isinstance(value, kind):
        return value
    if isinstance(value, str) and value.islower() and value.upper() in kind.__members__:
        return kind[value.upper()]
    error = InvalidValueError if isinstance(value, str) else InvalidTypeError
    raise error(name, found=value, allowed=one_of([member.lower() for member in kind.__members__]))
