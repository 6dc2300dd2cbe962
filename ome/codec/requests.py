"""One builder for each request: from what people write to the command, or to the message of the wire, that the engine and a venue take.

Options by name, decimals to units, and an error that names the option that is wrong. Whether the market takes the order is the market's to
say. What is refused here is what no market could mean: an option beside one that excludes it, a value that no order can have.

- An order: `new_order`, `cancel_order`, `reduce_order`, `amend_order`. Many orders: `mass_cancel`, `expire_orders`.
- The market: `set_last_price`, `define_instrument`, `define_session`, `define_account`, `define_limits`.
- A session with a venue: `logon_message`, `heartbeat_message`, `request_message`, `resend_message`, `logout_message`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, TypeAlias

from ome.attributes import ATTRIBUTES, AttributeOptions
from ome.codec.wire import encode_message
from ome.codec.words import SelfTradeName, SelfTradeScopeName, SideName, Time, TimeInForceName, enumerator_of, side_of, time_ns
from ome.enums import (
    CommandFlags,
    LogonFlags,
    OrderType,
    Reason,
    SelfTradePrevention,
    SelfTradeScope,
    SessionFlags,
    Side,
    Term,
    TimeInForce,
)
from ome.errors import InvalidTypeError, InvalidValueError, one_of
from ome.instruments import COLLAR_TICKS_MAX, NAME_SIZE, QUANTITY_MAX, TICK_MAX, Instrument
from ome.messages import (
    NULL_VALUE,
    AmendOrder,
    CancelOrder,
    DefineAccount,
    DefineInstrument,
    DefineLimits,
    DefineSession,
    ExpireOrders,
    Limits,
    MassCancel,
    NewOrder,
    ReduceOrder,
    SetLastPrice,
)
from ome.units import Integer, Number, integer_of, number_of, units_of

__all__ = [
    "CancelOnDisconnectName",
    "OrderOptions",
    "amend_order",
    "cancel_order",
    "define_account",
    "define_instrument",
    "define_limits",
    "define_session",
    "expire_orders",
    "heartbeat_message",
    "instrument_of",
    "logon_message",
    "logout_message",
    "mass_cancel",
    "new_order",
    "reduce_order",
    "request_message",
    "resend_message",
    "set_last_price",
]

_UINT16_MAX: Final = 2**16 - 1
_UINT32_MAX: Final = 2**32 - 1
_PERCENT_DECIMALS: Final = 2  # a basis point is a hundredth of a percent
_BASIS_POINTS_MAX: Final = 10_000
_HEARTBEAT_MIN_S: Final = 0.1
_HEARTBEAT_MAX_S: Final = 60.0
_SECRET_SIZE: Final = 32
# As plain ints: to combine enumerators takes longer than all else of a cancel.
_BY_ORDER_ID, _OPEN_QUANTITY = int(CommandFlags.BY_ORDER_ID), int(CommandFlags.OPEN_QUANTITY)
_BY_ACCOUNT, _BY_SESSION, _ANY_PARTICIPANT = (
    int(CommandFlags.BY_ACCOUNT),
    int(CommandFlags.BY_SESSION),
    int(CommandFlags.ANY_PARTICIPANT),
)
_END_OF_DAY, _SET_TIME = int(CommandFlags.END_OF_DAY), int(CommandFlags.SET_TIME)

CancelOnDisconnectName: TypeAlias = Literal["never", "disconnect", "logout"]
_SESSION_FLAGS: Final = {
    "never": SessionFlags(0),
    "disconnect": SessionFlags.CANCEL_ON_DISCONNECT,
    "logout": SessionFlags.CANCEL_ON_DISCONNECT | SessionFlags.CANCEL_ON_LOGOUT,
}


class OrderOptions(AttributeOptions, total=False):
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

    What the venue must know about it: the order attributes of `ome.attributes.AttributeOptions`, such as `capacity`.

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


_OPTION_NAMES: Final = frozenset(OrderOptions.__annotations__)
_FLAG_NAMES: Final = frozenset(("post_only", "hidden"))  # an order has them as False where it has no options


def new_order(
    instrument: Instrument,
    side: Side,
    quantity: Number,
    at: Number | None,
    options: OrderOptions,
    /,
    *,
    client_order_id: Integer = 0,
    account: Integer = 0,
    participant: Integer = 0,
    **fields: int,
) -> NewOrder:
    """The order that these words mean. `at` is its limit, or None; `fields` are others that the caller knows (`instrument`, its number...).

    Raises InvalidTypeError for a float and any other type, InvalidValueError for a value that cannot be, TypeError for an unknown option.

    >>> apple = Instrument("AAPL", tick="0.01")
    >>> order = new_order(apple, Side.BUY, 100, "150.25", {"stop": "151.00", "tif": "day"}, instrument=1)
    >>> order.order_type == OrderType.STOP_LIMIT, order.price, order.terms
    (True, 15025, ((<Term.STOP_PRICE: 1>, 15100),))
    """
    client_order_id = integer_of(client_order_id, "client_order_id")
    account = integer_of(account, "account", 0, _UINT32_MAX)
    participant = _participant(participant)
    given: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    if not given.keys() <= _OPTION_NAMES:
        unknown = given.keys() - _OPTION_NAMES
        raise TypeError(f"unknown option {min(unknown)!r}; allowed: {one_of(OrderOptions.__annotations__)}")
    order_type = _order_type(at, given)
    time_in_force = enumerator_of(TimeInForce, "tif", given.get("tif", "gtd" if "expires" in given else "gtc"))
    scope = enumerator_of(
        SelfTradeScope, "self_trade_scope", given.get("self_trade_scope", "group" if "self_trade_group" in given else "account")
    )
    self_trade = enumerator_of(SelfTradePrevention, "self_trade", given.get("self_trade", "none"))
    if not given.keys() <= _FLAG_NAMES or any(given.values()):
        _refuse_what_does_not_belong(given, at, order_type, time_in_force, self_trade, scope)
    price = given.get("limit_offset", at)
    lots = units_of(quantity, instrument.quantity_decimals, f"quantity of {instrument.symbol}")
    return NewOrder(
        client_order_id=client_order_id,
        account=account,
        participant=participant,
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


def cancel_order(
    order: int, /, *, by_order_id: bool = False, participant: Integer = 0, instrument: int = 0, timestamp_ns: int = 0
) -> CancelOrder:
    """Cancels what is left of an order, given by its client order id, or with `by_order_id` by its order id; so do all about one order.

    >>> cancel_order(7, instrument=1) == CancelOrder(client_order_id=7, instrument=1)
    True
    """
    return CancelOrder(
        timestamp_ns=timestamp_ns,
        participant=_participant(participant),
        instrument=instrument,
        client_order_id=order,
        flags=_BY_ORDER_ID if by_order_id else 0,
    )


def reduce_order(
    order: int, lots: int, /, *, by_order_id: bool = False, participant: Integer = 0, instrument: int = 0, timestamp_ns: int = 0
) -> ReduceOrder:
    """Takes `lots` off an order."""
    return ReduceOrder(
        timestamp_ns=timestamp_ns,
        participant=_participant(participant),
        instrument=instrument,
        client_order_id=order,
        quantity=lots,
        flags=_BY_ORDER_ID if by_order_id else 0,
    )


def amend_order(
    order: int,
    /,
    *,
    price: int | None = None,
    lots: int | None = None,
    is_open_quantity: bool = False,
    stop_price: int | None = None,
    new_client_order_id: Integer | None = None,
    by_order_id: bool = False,
    participant: Integer = 0,
    instrument: int = 0,
    timestamp_ns: int = 0,
) -> AmendOrder:
    """Gives an order what is not None: a new price, quantity, stop price or client order id.

    `price` (its limit, or the distance of its limit) and `stop_price` are price units. `lots` is the new total, with what has traded, or
    with `is_open_quantity` what is open.

    >>> amend_order(7, price=15025, new_client_order_id=8).terms
    ((<Term.NEW_CLIENT_ORDER_ID: 10>, 8),)
    """
    terms = [] if stop_price is None else [(Term.STOP_PRICE, stop_price)]
    if new_client_order_id is not None:
        terms.append((Term.NEW_CLIENT_ORDER_ID, integer_of(new_client_order_id, "client_order_id")))
    return AmendOrder(
        timestamp_ns=timestamp_ns,
        participant=_participant(participant),
        instrument=instrument,
        client_order_id=order,
        price=NULL_VALUE if price is None else price,
        quantity=NULL_VALUE if lots is None else lots,
        flags=(_BY_ORDER_ID if by_order_id else 0) | (_OPEN_QUANTITY if is_open_quantity else 0),
        terms=tuple(terms),
    )


def mass_cancel(
    *,
    instrument: int = 0,
    side: SideName | Side | None = None,
    account: Integer | None = None,
    session: Integer | None = None,
    client_order_id: Integer = 0,
    participant: Integer | None = 0,
    timestamp_ns: int = 0,
) -> MassCancel:
    """Cancels every order of the participant (None: of everybody) that is all of what is given. `instrument` 0 is all of them.

    `client_order_id` is the request's own id, which COMPLETED repeats.
    """
    return MassCancel(
        timestamp_ns=timestamp_ns,
        client_order_id=integer_of(client_order_id, "client_order_id"),
        instrument=instrument,
        side=0 if side is None else side_of(side),
        account=0 if account is None else integer_of(account, "account", 0, _UINT32_MAX),
        target_session=0 if session is None else integer_of(session, "session", 0, _UINT16_MAX),
        participant=0 if participant is None else _participant(participant),
        flags=(0 if account is None else _BY_ACCOUNT)
        | (0 if session is None else _BY_SESSION)
        | (_ANY_PARTICIPANT if participant is None else 0),
    )


def expire_orders(
    until: Time | None = None, *, end_of_day: bool = False, sets_time: bool = False, instrument: int = 0, timestamp_ns: int = 0
) -> ExpireOrders:
    """Cancels what is due at `until`, and at the end of the day all "day" orders. With `sets_time` the engine's time becomes `until`."""
    return ExpireOrders(
        timestamp_ns=timestamp_ns,
        cutoff_ns=0 if until is None else time_ns(until, "until"),
        instrument=instrument,
        flags=(_END_OF_DAY if end_of_day else 0) | (_SET_TIME if sets_time else 0),
    )


def set_last_price(instrument: Instrument, number: int, price: Number, /, *, timestamp_ns: int = 0) -> SetLastPrice:
    """Gives the instrument of this number a last trade price from outside. Raises as `new_order`."""
    units = units_of(price, instrument.price_decimals, f"price of {instrument.symbol}")
    return SetLastPrice(timestamp_ns=timestamp_ns, instrument=number, price=units)


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


def instrument_of(definition: DefineInstrument) -> Instrument:
    """The instrument that a command defines. Raises InvalidValueError where no instrument is like that.

    >>> apple = Instrument("AAPL", tick="0.01")
    >>> instrument_of(define_instrument(apple, 1)) == apple
    True
    """
    return Instrument.defined(
        definition.symbol.decode("ascii"),
        tick_units=definition.tick,
        price_decimals=definition.price_decimals,
        quantity_decimals=definition.quantity_decimals,
        collar_ticks=definition.collar_ticks,
        flags=definition.instrument_flags,
    )


def define_session(name: str | bytes, /, *, participant: int, session: int, session_number: int) -> DefineSession:
    """The command that gives a participant of this name, and one of its sessions, their numbers."""
    return DefineSession(
        participant_name=name.encode("ascii") if isinstance(name, str) else name,
        participant=participant,
        session=session,
        session_number=session_number,
    )


def define_account(account: int, name: str, /) -> DefineAccount:
    """The command that says that an account belongs to the participant of this name; "": to nobody."""
    return DefineAccount(account=account, participant_name=name.encode("ascii"))


def define_limits(limits: Limits, /, **fields: int) -> DefineLimits:
    """The command that says which limits the engine has, or moves it to others."""
    return DefineLimits(**{name: getattr(limits, name) for name in Limits.__slots__}, **fields)


def logon_message(
    participant: str,
    session_number: Integer = 0,
    heartbeat: float | None = None,
    *,
    next_report: Integer = 0,
    cancel_on_disconnect: CancelOnDisconnectName = "never",
    takeover: bool = True,
    login_id: Integer = 0,
    secret: bytes | str | None = None,
    drop_copy: bool = False,
) -> bytes:
    """The message that begins a session of the participant of this name, or comes back to it.

    - `heartbeat`: each side says something at least once in so many seconds, 0.1 to 60; None is the server's default.
    - `next_report`: the server sends the reports from this number on; 0 is only new ones.
    - `cancel_on_disconnect`: "never", "disconnect" (the session's orders are cancelled when its connection is lost), or "logout" (when it
      logs out, too).
    - `takeover`: where False, the logon is refused while the session has a connection.
    - `login_id` is repeated in the answer. `secret` is the participant's.
    - `drop_copy`: no session, but the reports of all the participant's sessions; with a heartbeat, next_report, login_id and secret alone.

    Raises InvalidTypeError or InvalidValueError for what no session has.

    >>> len(logon_message("FIRM1", 1, heartbeat=5.0))
    88
    """
    if not 1 <= len(participant) <= NAME_SIZE or not all("!" <= character <= "~" for character in participant):
        raise InvalidValueError("participant", found=participant, allowed=f"1 to {NAME_SIZE} printable ASCII characters without space")
    if heartbeat is not None and not _HEARTBEAT_MIN_S <= heartbeat <= _HEARTBEAT_MAX_S:
        raise InvalidValueError("heartbeat", found=heartbeat, allowed=f"{_HEARTBEAT_MIN_S} to {_HEARTBEAT_MAX_S} s, or None")
    if cancel_on_disconnect not in _SESSION_FLAGS:
        raise InvalidValueError("cancel_on_disconnect", found=cancel_on_disconnect, allowed=one_of(_SESSION_FLAGS))
    return encode_message(
        "Logon",
        participant_name=participant.encode("ascii"),
        session_number=integer_of(session_number, "session_number", 0, _UINT16_MAX),
        session_flags=_SESSION_FLAGS[cancel_on_disconnect],
        heartbeat_ms=0 if heartbeat is None else round(heartbeat * 1_000),
        next_report_sequence=integer_of(next_report, "next_report"),
        login_id=integer_of(login_id, "login_id"),
        secret=_secret(secret),
        logon_flags=(LogonFlags(0) if takeover else LogonFlags.NO_TAKEOVER) | (LogonFlags.DROP_COPY if drop_copy else LogonFlags(0)),
    )


def _secret(secret: bytes | str | None) -> bytes:
    if secret is None:
        return b""
    if not isinstance(secret, bytes | str):
        raise InvalidTypeError("secret", found=type(secret).__name__, allowed="bytes, str or None")
    data = secret.encode() if isinstance(secret, str) else secret
    if not 1 <= len(data) <= _SECRET_SIZE or b"\0" in data:  # its length is found, and not what it is
        raise InvalidValueError("secret", found=f"{len(data)} bytes", allowed=f"1 to {_SECRET_SIZE} bytes, none of them zero")
    return data


def heartbeat_message(request_id: int = 0) -> bytes:
    """A sign of life, or with its id the answer to a TestRequest."""
    return encode_message("Heartbeat", request_id=request_id)


def request_message(request_id: int) -> bytes:
    """A TestRequest, which the other side answers with a Heartbeat that repeats its id."""
    return encode_message("TestRequest", request_id=request_id)


def resend_message(next_report: int) -> bytes:
    """A ResendRequest: the session's reports again, from this number on."""
    return encode_message("ResendRequest", next_report_sequence=next_report)


def logout_message(reason: Reason = Reason.NONE) -> bytes:
    """The message that ends a session: a client's wish, or with its reason a server's word."""
    return encode_message("Logout", reason=reason)


def _participant(number: Integer) -> int:
    return integer_of(number, "participant", 0, _UINT16_MAX)


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
        yield Term.SELF_TRADE_GROUP, _int_within("self_trade_group", given, 1, _UINT32_MAX)
    for name, attribute in ATTRIBUTES.items():
        if name in given and attribute.enumeration is not None:
            yield attribute.term, enumerator_of(attribute.enumeration, name, given[name])
        elif name in given:
            yield attribute.term, _int_within(name, given, 1, attribute.value_max)


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
