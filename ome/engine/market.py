"""The engine as a market in your process: commands about one order, about many, about the market itself; single or as arrays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import TypeVar, Unpack

from ome.attributes import AttributeOptions
from ome.codec import (
    OrderOptions,
    Records,
    Rows,
    SelfTradeName,
    SelfTradeScopeName,
    SideName,
    Time,
    TimeInForceName,
    decode_events,
    define_instrument,
    encode_commands,
    expire_orders,
    set_last_price,
    time_ns,
)
from ome.engine.batch import apply_commands, event_hash_of, records_in, rows_in, view_of_records_in
from ome.engine.calls import Handle, concurrent_use, one_call
from ome.engine.commands import Commands
from ome.engine.memory import create, destroy, resize
from ome.engine.orders import OpenOrder
from ome.engine.outcomes import Outcomes
from ome.engine.reports import Completion, OrderRejectedError, Report
from ome.engine.state import state_of
from ome.engine.view import EngineView
from ome.enums import Reason, SelfTradePrevention, SelfTradeScope, Side, TimeInForce
from ome.errors import InvalidTypeError
from ome.instruments import Instrument
from ome.messages import Command, Event, Limits, Rejected
from ome.units import Integer, Number

__all__ = ["Engine"]

_Checked = TypeVar("_Checked")


class Engine(EngineView):
    """A market in your process.

    - One order: `buy`, `sell`, `cancel`, `reduce`, `amend`; each gives a Report.
    - Many orders, or the market itself: `mass_cancel`, `expire`, `set_last`, `define`.
    - What there is: `book`, `open_orders`, and all of EngineView.
    - Many commands: `apply` with arrays, `apply_records` the same without work on the events, `submit` with messages.

    Prices and quantities are in units of the instrument: `Decimal`, `str`, `int` or an integer of numpy go in, `Decimal` comes out.
    Time is `clock_ns`, nanoseconds since 1970; it stands still unless you set it, so that the same calls give the same hashes everywhere.
    One call at a time; `close`, or use it as a context manager.

    >>> with Engine([Instrument("AAPL", tick="0.01")]) as market:
    ...     resting = market.sell("AAPL", 100, at="150.25", account="maker")
    ...     report = market.buy("AAPL", 150, at="150.50", account="taker", tif="ioc")
    ...     [(trade.price, trade.quantity, trade.buyer, trade.seller) for trade in report.trades], report.cancelled
    ([(Decimal('150.25'), Decimal('100'), 'taker', 'maker')], Decimal('50'))

    A stop waits until a trade reaches its price; the report of whoever sets it off tells what became of it:

    >>> with Engine([Instrument("AAPL", tick="0.01")]) as market:
    ...     stop = market.buy("AAPL", 30, stop="151.00")
    ...     iceberg = market.sell("AAPL", 500, at="151.00", display=20)
    ...     report = market.buy("AAPL", 50, at="151.00")
    ...     [str(trade.quantity) for trade in report.trades], str(market.book("AAPL").best_ask.quantity)
    ...     str(stop.waiting), [(other.order_id == stop.order_id, str(other.trades[0].quantity)) for other in report.triggered]
    (['20', '20', '10'], '20')
    ('30', [(True, '10')])

    Raises InvalidTypeError or InvalidValueError for arguments, never for what the market refuses: that is in the report.
    """

    def __init__(self, instruments: Iterable[Instrument] = (), *, limits: Limits | None = None) -> None:
        super().__init__(None)
        self._handle.pointer, self._batch = create(_checked(Limits, "limits", Limits() if limits is None else limits))
        self._outcomes = Outcomes(self._handle, self._instruments, self._accounts)
        self._commands = Commands(self._instruments, self._accounts, self._orders)
        for instrument in instruments:
            self.define(instrument)

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __del__(self) -> None:
        handle: Handle | None = getattr(self, "_handle", None)
        if handle is not None and handle.pointer is not None:
            self.close()

    @one_call
    def close(self) -> None:
        """Frees the engine's memory; every later call raises EngineClosedError."""
        if self._handle.pointer is not None:
            destroy(self._handle, self._batch)

    @one_call
    def resize(self, limits: Limits) -> None:
        """Moves the engine to other limits: larger ones, or smaller ones that hold all that it has. It goes on as it would have.

        Raises InvalidValueError where something does not fit; then nothing has changed. Source: docs/RULES.md, Definitions.
        """
        resize(self._handle, _checked(Limits, "limits", limits))

    @property
    def clock_ns(self) -> int:
        """The time of the next commands, nanoseconds since 1970."""
        return self._commands.clock_ns

    @clock_ns.setter
    def clock_ns(self, now_ns: Time) -> None:
        self._commands.clock_ns = time_ns(now_ns, "clock_ns")

    @property
    @one_call
    def event_hash(self) -> int:
        """Rolling hash of every event, 64 bits. Source: docs/RULES.md, Hashes."""
        _ = self._handle.engine  # raises where it is closed: the batch lives as long as the engine
        return event_hash_of(self._batch)

    @property
    def accounts(self) -> Mapping[str, int]:
        """The number of each account that was given by name."""
        return self._accounts.numbers

    # ---- many commands ----

    @one_call
    def apply(self, commands: Records | bytes) -> Rows:
        """Applies commands in order and returns all their events, in order, as rows.

        `commands`: an array of dtype `ome.codec.COMMAND`, or bytes, 64 for each; their `sequence` is ignored: the engine numbers commands
        itself, from 1. A command of several records may be cut anywhere. Returns a new array of dtype `ome.codec.EVENT_ROW`, whose columns
        each have one meaning (see `event_rows`), `sequence` being the command's. The GIL is released.

        Raises InvalidTypeError or InvalidValueError where `commands` is neither.
        """
        batch, handle = self._batch, self._handle
        apply_commands(batch, handle.pointer or handle.engine, commands)
        return rows_in(batch)

    def apply_records(self, commands: Records | bytes) -> Records:
        """As `apply`, and returns the events as records: a new array of dtype `ome.codec.EVENT`, 64 bytes for each, as they are in a log.

        Kinds share bytes in it: the `timestamp_ns` of a trade is an order id. Read it by `event_rows` or `ome.codec.records_of_kind`.
        """
        holder, token = self._holder, object()
        try:  # as one_call does, without the cost of another function
            if holder.setdefault("call", token) is not token:
                raise concurrent_use()
            batch, handle = self._batch, self._handle
            apply_commands(batch, handle.pointer or handle.engine, commands)
            return records_in(batch)
        finally:
            if "call" in holder and holder["call"] is token:
                del holder["call"]

    @one_call
    def submit(self, *commands: Command) -> list[Event]:
        """Applies commands given as messages and returns their events as messages, which hold integers: price units and lots."""
        return self._submit(commands)

    # ---- one order ----

    @one_call
    def buy(
        self,
        symbol: str | Integer,
        quantity: Number,
        at: Number | None = None,
        *,
        tif: TimeInForceName | TimeInForce | None = None,
        expires: Time | None = None,
        post_only: bool = False,
        hidden: bool = False,
        display: Number | None = None,
        minimum: Number | None = None,
        budget: Number | None = None,
        collar_ticks: Integer | None = None,
        stop: Number | None = None,
        trail: Number | None = None,
        trail_percent: Number | None = None,
        limit_offset: Number | None = None,
        self_trade: SelfTradeName | SelfTradePrevention | None = None,
        self_trade_scope: SelfTradeScopeName | SelfTradeScope | None = None,
        self_trade_group: Integer | None = None,
        account: str | Integer = 0,
        participant: Integer = 0,
        client_order_id: Integer | None = None,
        **attributes: Unpack[AttributeOptions],
    ) -> Report:
        """Enters an order to buy `quantity`, at the limit `at`, or at the market where that is None.

        `symbol` may be an instrument number. Numbers are Decimal, str, int or integers of numpy.

        How long it lives:
        - `tif`: "gtc" (until cancelled; the default), "day", "gtd" (until `expires`; the default with it), "ioc" (what does not trade at
          once is cancelled), "fok" (all of it at once, or nothing).
        - `expires`: deadline of a "gtd" order, nanoseconds since 1970 or a datetime with a time zone.

        What it does in the book:
        - `post_only`: never takes. `hidden`: not displayed. `display`: an iceberg, which displays so much at a time.
        - `minimum`: so much trades at once, or the order is cancelled whole.
        - `budget`: of a "fok", the highest cost of a buy or the lowest proceeds of a sell, price times quantity.
        - `collar_ticks`: how far from the best opposite price an order without limit may trade, in ticks.

        When it enters the market:
        - `stop`: when the last trade is at this price or past it. Then it is a market order, or with a limit a limit order.
        - `trail`, `trail_percent`: a stop that follows the last trade at this distance, a price or a percentage ("0.01" to "100"). `stop`
          says where it starts, `limit_offset` (a signed price) how far from its stop price its limit will be.

        What happens where it would trade with its own:
        - `self_trade`: "none", "cancel_newest", "cancel_oldest", "cancel_both" or "decrement".
        - `self_trade_scope`: what its own is: "account" (the default), "participant", or "group" (the default with `self_trade_group`, 1 to
          2^32 - 1).

        What the venue must know about it: order attributes such as `capacity` ("agency", "principal", "riskless_principal"), those of
        `ome.attributes.AttributeOptions`. The market keeps and reports them, and does not use them.

        Who it is: `account` is a name or a number; `participant` a number; `client_order_id` by default counts the orders
        that were given none.

        Raises InvalidTypeError for a float or a bool, InvalidValueError for what no order can be.
        """
        options = OrderOptions(
            tif=tif,
            expires=expires,
            post_only=post_only,
            hidden=hidden,
            display=display,
            minimum=minimum,
            budget=budget,
            collar_ticks=collar_ticks,
            stop=stop,
            trail=trail,
            trail_percent=trail_percent,
            limit_offset=limit_offset,
            self_trade=self_trade,
            self_trade_scope=self_trade_scope,
            self_trade_group=self_trade_group,
            **attributes,
        )
        return self._report(self._commands.new(Side.BUY, symbol, quantity, at, options, account, participant, client_order_id))

    @one_call
    def sell(
        self,
        symbol: str | Integer,
        quantity: Number,
        at: Number | None = None,
        *,
        tif: TimeInForceName | TimeInForce | None = None,
        expires: Time | None = None,
        post_only: bool = False,
        hidden: bool = False,
        display: Number | None = None,
        minimum: Number | None = None,
        budget: Number | None = None,
        collar_ticks: Integer | None = None,
        stop: Number | None = None,
        trail: Number | None = None,
        trail_percent: Number | None = None,
        limit_offset: Number | None = None,
        self_trade: SelfTradeName | SelfTradePrevention | None = None,
        self_trade_scope: SelfTradeScopeName | SelfTradeScope | None = None,
        self_trade_group: Integer | None = None,
        account: str | Integer = 0,
        participant: Integer = 0,
        client_order_id: Integer | None = None,
        **attributes: Unpack[AttributeOptions],
    ) -> Report:
        """Enters an order to sell; as `buy`."""
        options = OrderOptions(
            tif=tif,
            expires=expires,
            post_only=post_only,
            hidden=hidden,
            display=display,
            minimum=minimum,
            budget=budget,
            collar_ticks=collar_ticks,
            stop=stop,
            trail=trail,
            trail_percent=trail_percent,
            limit_offset=limit_offset,
            self_trade=self_trade,
            self_trade_scope=self_trade_scope,
            self_trade_group=self_trade_group,
            **attributes,
        )
        return self._report(self._commands.new(Side.SELL, symbol, quantity, at, options, account, participant, client_order_id))

    @one_call
    def cancel(self, order: Report | OpenOrder | Integer, *, participant: Integer = 0) -> Report:
        """Cancels what is left of an order, given as its report, as an open order, or by its order id."""
        return self._report(self._commands.cancel(order, participant))

    @one_call
    def reduce(self, order: Report | OpenOrder | Integer, quantity: Number, *, participant: Integer = 0) -> Report:
        """Takes `quantity` off an order; it keeps its place. Raises as `buy`."""
        return self._report(self._commands.reduce(order, quantity, participant))

    @one_call
    def amend(
        self,
        order: Report | OpenOrder | Integer,
        *,
        at: Number | None = None,
        quantity: Number | None = None,
        open_quantity: Number | None = None,
        stop: Number | None = None,
        limit_offset: Number | None = None,
        client_order_id: Integer | None = None,
        participant: Integer = 0,
    ) -> Report:
        """Gives an order a new limit `at`, a new total `quantity` (with what has traded) or a new `open_quantity`; what is None stays.

        While it waits, a stop takes a new price `stop`, and a trailing stop with a limit a new `limit_offset`. `client_order_id` is the id
        that the order has from then on (cancel-replace). Raises as `buy`, and InvalidValueError where two exclude each other.
        """
        command = self._commands.amend(order, at, quantity, open_quantity, stop, limit_offset, client_order_id, participant)
        return self._report(command)

    # ---- many orders, and the market itself ----

    @one_call
    def mass_cancel(
        self,
        symbol: str | Integer | None = None,
        *,
        side: SideName | Side | None = None,
        account: str | Integer | None = None,
        session: Integer | None = None,
        participant: Integer | None = 0,
    ) -> Completion:
        """Cancels every order of the participant (None: of everybody) that is all of what is given; waiting ones too.

        >>> with Engine([Instrument("AAPL")]) as market:
        ...     orders = [market.buy("AAPL", 10, at=1, account=account) for account in ("one", "two", "one")]
        ...     market.mass_cancel(account="one").order_ids == (orders[0].order_id, orders[2].order_id)
        True
        """
        return self._complete(self._commands.mass_cancel(symbol, side, account, session, participant))

    @one_call
    def expire(self, until: Time | None = None, *, end_of_day: bool = False, symbol: str | Integer | None = None) -> Completion:
        """Cancels orders whose deadline is at or before `until`, and at the end of the day all "day" orders; of one instrument, or of all.

        `until` is nanoseconds since 1970 or a datetime with a time zone. Deadlines that `clock_ns` has passed need no call: every command
        cancels what is due before anything else.
        """
        number = 0 if symbol is None else self._instruments.number(symbol)
        return self._complete(expire_orders(until, end_of_day=end_of_day, instrument=number, timestamp_ns=self._commands.clock_ns))

    @one_call
    def set_last(self, symbol: str | Integer, price: Number) -> Completion:
        """Gives an instrument a last trade price from outside, as a close or another venue's, and triggers what waits for it."""
        number = self._instruments.number(symbol)
        return self._complete(set_last_price(self._instruments.by_number[number], number, price, timestamp_ns=self._commands.clock_ns))

    @one_call
    def define(self, instrument: Instrument) -> int:
        """Opens an instrument for trading and returns its number.

        Raises OrderRejectedError where the engine refuses it: a symbol twice, or too many.
        """
        _checked(Instrument, "instrument", instrument)
        number = state_of(self._handle.engine).instrument_count + 1
        event = self._submit([define_instrument(instrument, number, timestamp_ns=self._commands.clock_ns)])[-1]
        if isinstance(event, Rejected):
            raise OrderRejectedError(Reason(event.reason), where=f"instrument {instrument.symbol}")
        return number

    # ---- inside: within a call ----

    def _submit(self, commands: Iterable[Command]) -> list[Event]:
        apply_commands(self._batch, self._handle.engine, encode_commands(commands))
        return decode_events(view_of_records_in(self._batch))

    def _report(self, command: Command) -> Report:
        """Applies a command about one order."""
        return self._outcomes.report(self._submit([command]))

    def _complete(self, command: Command) -> Completion:
        """Applies a command about many orders, or none."""
        return self._outcomes.completion(self._submit([command]))


def _checked(kind: type[_Checked], what: str, value: _Checked) -> _Checked:
    if not isinstance(value, kind):
        raise InvalidTypeError(what, found=value, allowed=f"an instance of {kind.__name__}")
    return value
