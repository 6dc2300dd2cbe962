"""The engine inside your process: the C core behind one call for one order, and one call for a million."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType, TracebackType

import numpy as np

from ome._native import CData, ffi, lib
from ome.codec import COMMAND, EVENT, Records, decode_events, encode_commands
from ome.enums import CommandFlags, EventFlags, EventKind, InstrumentFlags, OrderType, Reason, Side, TimeInForce
from ome.errors import InvalidTypeError, InvalidValueError, InvariantError, OmeError
from ome.instruments import Instrument
from ome.messages import (
    NULL_VALUE,
    Accepted,
    Amended,
    AmendOrder,
    Cancelled,
    CancelOrder,
    Command,
    DefineInstrument,
    Event,
    Limits,
    NewOrder,
    OrderEvent,
    ReduceOrder,
    Rejected,
    Rested,
    Trade as TradeEvent,
)
from ome.units import Number, decimal_of, number_of, units_of

__all__ = [
    "Book",
    "Engine",
    "EngineClosedError",
    "EngineState",
    "EngineView",
    "Level",
    "OrderRejectedError",
    "Report",
    "RestingOrder",
    "Trade",
]

_RECORD_SIZE = 64
_DEPTH_MAX = 2**28  # levels of one side; more than an engine can hold


class EngineClosedError(OmeError):
    """The engine was closed before this call."""


class OrderRejectedError(OmeError):
    """A command was refused; `reason` says why. Raised only where asked for: `Report.raise_for_rejection`."""

    def __init__(self, reason: Reason, **context: str) -> None:
        self.reason = reason
        super().__init__(f"command refused: {reason.name}", **context)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade:
    """One trade: `price` and `quantity` as decimals and lots, and the order ids of both sides."""

    price: Decimal
    quantity: int
    order_id: int
    resting_order_id: int
    client_order_id: int
    resting_client_order_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What one command did.

    `order_id` is the order's, 0 where the command was refused and had none. `trades` are in the order in which they happened, quantities in
    lots. `cancelled` counts the lots cancelled, `resting` those that joined or stayed in the book. `reason` is NONE, or why something was
    refused or cancelled.
    """

    order_id: int
    client_order_id: int
    accepted: bool
    reason: Reason
    trades: tuple[Trade, ...]
    cancelled: int
    resting: int
    events: tuple[Event, ...]

    def raise_for_rejection(self) -> Report:
        """Returns itself, or raises OrderRejectedError."""
        if not self.accepted:
            raise OrderRejectedError(self.reason)
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """A price level: price as a decimal, lots and orders in it."""

    price: Decimal
    quantity: int
    order_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """Both sides of a book, best level first."""

    bids: tuple[Level, ...]
    asks: tuple[Level, ...]

    @property
    def best_bid(self) -> Level | None:
        """The highest bid, or None."""
        return self.bids[0] if self.bids else None

    @property
    def best_ask(self) -> Level | None:
        """The lowest ask, or None."""
        return self.asks[0] if self.asks else None


@dataclass(frozen=True, slots=True, kw_only=True)
class RestingOrder:
    """An order in the book. Price in price units, quantities in lots."""

    order_id: int
    client_order_id: int
    price: int
    leaves_quantity: int
    cumulative_quantity: int
    account: int
    participant: int
    session: int
    instrument: int
    side: Side


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineState:
    """The counts of an engine since its first command."""

    sequence: int
    time_ns: int
    trade_count: int
    event_count: int
    instrument_count: int
    session_count: int
    participant_count: int
    level_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionState:
    """A session that was defined: its participant's name and number, and which of the participant's sessions it is."""

    session: int
    participant: int
    participant_name: str
    session_number: int


class EngineView:
    """What can be read of a C engine, whoever owns it.

    `levels`, `orders`, `order`, `instruments`, `sessions`, `state`, `state_hash`, `check`.
    """

    def __init__(self, pointer: CData) -> None:
        self._pointer = pointer

    @property
    def _engine(self) -> CData:
        if self._pointer is None:
            raise EngineClosedError("engine", found="closed", allowed="an open engine")
        return self._pointer

    @property
    def state(self) -> EngineState:
        """All counts at once."""
        status = ffi.new("ome_engine_status_t *")
        lib.ome_engine_status(self._engine, status)
        return EngineState(**{name: getattr(status, name) for name in EngineState.__slots__})

    @property
    def limits(self) -> Limits:
        """What the engine was made with."""
        status = ffi.new("ome_engine_status_t *")
        lib.ome_engine_status(self._engine, status)
        return Limits(**{name: getattr(status, name) for name in Limits.__slots__})

    @property
    def sequence(self) -> int:
        """Commands applied."""
        return self.state.sequence

    @property
    def trade_count(self) -> int:
        """Trades so far; also the last trade's id."""
        return self.state.trade_count

    @property
    def state_hash(self) -> int:
        """Hash of the whole state, 64 bits; the same on every machine after the same commands. Source: docs/RULES.md, Hashes."""
        return int(lib.ome_engine_state_hash(self._engine))

    def levels(self, instrument: int, side: Side, depth: int | None = None) -> list[tuple[int, int, int]]:
        """The best `depth` levels (None: all) of a side, best first: (price in price units, lots, orders)."""
        engine = self._engine
        capacity = min(self.state.level_count if depth is None else depth, _DEPTH_MAX)
        found = ffi.new("ome_depth_t[]", max(capacity, 1))
        count = lib.ome_engine_levels(engine, instrument, side, capacity, found)
        return [(found[i].price, found[i].quantity, found[i].order_count) for i in range(count)]

    def orders(self, instrument: int, side: Side) -> list[RestingOrder]:
        """All orders of a side in priority: best price first, then as they queue."""
        count = sum(level[2] for level in self.levels(instrument, side))
        found = ffi.new("ome_order_view_t[]", max(count, 1))
        count = lib.ome_engine_orders(self._engine, instrument, side, count, found)
        return [_resting_order(found[i]) for i in range(count)]

    def order(self, order_id: int) -> RestingOrder | None:
        """The order at rest of this id, or None."""
        found = ffi.new("ome_order_view_t *")
        status = lib.ome_engine_order(self._engine, order_id, found)
        return _resting_order(found) if status == lib.OME_OK else None

    @property
    def instruments(self) -> Mapping[str, tuple[int, Instrument]]:
        """Every instrument by symbol, with its number."""
        found = ffi.new("ome_instrument_view_t *")
        result: dict[str, tuple[int, Instrument]] = {}
        for number in range(1, self.state.instrument_count + 1):
            lib.ome_engine_instrument(self._engine, number, found)
            symbol = ffi.string(found.symbol, 16).decode("ascii")
            instrument = Instrument(
                symbol,
                tick=number_of(found.tick, found.price_decimals),
                price_decimals=found.price_decimals,
                quantity_decimals=found.quantity_decimals,
                signed_prices=bool(found.flags & InstrumentFlags.SIGNED_PRICES),
            )
            result[symbol] = (number, instrument)
        return MappingProxyType(result)

    @property
    def sessions(self) -> list[SessionState]:
        """Every session that was defined, by its number."""
        found = ffi.new("ome_session_view_t *")
        result = []
        for number in range(1, self.state.session_count + 1):
            lib.ome_engine_session(self._engine, number, found)
            name = ffi.string(found.participant_name, 16).decode("ascii")
            result.append(
                SessionState(session=number, participant=found.participant, participant_name=name, session_number=found.session_number)
            )
        return result

    def check(self) -> None:
        """Walks the whole engine; raises InvariantError when anything in it does not hold. Slow; for tests."""
        wrong = lib.ome_engine_check(self._engine)
        if wrong != ffi.NULL:
            raise InvariantError("engine", found=ffi.string(wrong).decode("ascii"), allowed="every invariant holds")


def _resting_order(view: CData) -> RestingOrder:
    values = {name: getattr(view, name) for name in RestingOrder.__slots__}
    values["side"] = Side(view.side)
    return RestingOrder(**values)


class Engine(EngineView):
    """A market in your process.

    One order: `buy`, `sell`, `cancel`, `reduce`, `amend`. Many: `apply` with arrays, `submit` with messages. What there is: `book`,
    and all of EngineView. Time is `clock_ns`, which stands still unless you set it, so that the same calls give the same hashes everywhere.
    One thread at a time; `close`, or use it as a context manager.

    >>> with Engine([Instrument("AAPL", tick="0.01")]) as market:
    ...     resting = market.sell("AAPL", 100, at="150.25", account="maker")
    ...     report = market.buy("AAPL", 150, at="150.50", account="taker", tif="ioc")
    ...     [(trade.price, trade.quantity) for trade in report.trades], report.cancelled
    ([(Decimal('150.25'), 100)], 50)

    Raises InvalidTypeError or InvalidValueError for arguments, never for what the market refuses: that is in the report.
    """

    def __init__(self, instruments: Iterable[Instrument] = (), *, limits: Limits | None = None) -> None:
        super().__init__(None)
        limits = Limits() if limits is None else limits
        engine = ffi.new("ome_engine_t **")
        batch = ffi.new("ome_batch_t **")
        sizes = (limits.order_count_max, limits.level_count_max, limits.instrument_count_max, limits.session_count_max)
        if lib.ome_engine_create(*sizes, engine) != lib.OME_OK or lib.ome_batch_create(batch) != lib.OME_OK:
            raise MemoryError(f"no memory for an engine of {limits}")
        self._pointer = engine[0]
        self._batch = batch[0]
        self._numbers: dict[str, int] = {}
        self._instruments: dict[int, Instrument] = {}
        self._accounts: dict[str, int] = {}
        self._client_order_ids = itertools.count(1)
        self.clock_ns = 0
        for instrument in instruments:
            self.define(instrument)

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_pointer", None) is not None:
            self.close()

    def close(self) -> None:
        """Frees the engine's memory; every later call raises EngineClosedError."""
        if self._pointer is not None:
            lib.ome_batch_destroy(self._batch)
            lib.ome_engine_destroy(self._pointer)
            self._pointer = None

    @property
    def event_hash(self) -> int:
        """Rolling hash of every event, 64 bits. Source: docs/RULES.md, Hashes."""
        if self._pointer is None:
            raise EngineClosedError("engine", found="closed", allowed="an open engine")
        return int(lib.ome_batch_event_hash(self._batch))

    # ---- many commands ----

    def apply(self, commands: Records | bytes) -> Records:
        """Applies commands in order and returns all their events, in order.

        `commands`: an array of dtype `ome.codec.COMMAND`, or bytes, 64 for each; their `sequence` is ignored: the engine numbers commands
        itself, from 1. Returns a new array of dtype `ome.codec.EVENT`, `sequence` being the command's. The GIL is released.

        Raises InvalidTypeError or InvalidValueError where `commands` is neither.
        """
        engine = self._engine
        if isinstance(commands, np.ndarray):
            if commands.dtype != COMMAND or commands.ndim != 1 or not commands.flags.c_contiguous:
                raise InvalidTypeError(
                    "commands",
                    found=f"{commands.dtype}, shape {commands.shape}",
                    allowed="a contiguous array of dtype COMMAND, one dimension",
                )
            count = len(commands)
        elif isinstance(commands, bytes):
            count, rest = divmod(len(commands), _RECORD_SIZE)
            if rest:
                raise InvalidValueError("commands", found=f"{len(commands)} bytes", allowed=f"a multiple of {_RECORD_SIZE} bytes")
        else:
            raise InvalidTypeError("commands", found=type(commands).__name__, allowed="an array of dtype COMMAND, or bytes")
        lib.ome_batch_apply(self._batch, engine, ffi.from_buffer(commands) if count else ffi.NULL, count)
        size = lib.ome_batch_event_count(self._batch) * _RECORD_SIZE
        events = np.empty(size, dtype=np.uint8)
        ffi.memmove(ffi.from_buffer(events), lib.ome_batch_events(self._batch), size)
        return events.view(EVENT)

    apply_records = apply

    def submit(self, *commands: Command) -> list[Event]:
        """Applies commands given as messages and returns their events as messages."""
        return decode_events(self.apply(encode_commands(commands)))

    # ---- one command ----

    def define(self, instrument: Instrument) -> int:
        """Opens an instrument for trading and returns its number.

        Raises OrderRejectedError where the engine refuses it: a symbol twice, or too many.
        """
        number = self.state.instrument_count + 1
        command = DefineInstrument(
            timestamp_ns=self.clock_ns,
            instrument=number,
            symbol=instrument.symbol.encode("ascii"),
            tick=instrument.tick_units,
            price_decimals=instrument.price_decimals,
            quantity_decimals=instrument.quantity_decimals,
            instrument_flags=instrument.flags,
        )
        (event,) = self.submit(command)
        if isinstance(event, Rejected):
            raise OrderRejectedError(Reason(event.reason), where=f"instrument {instrument.symbol}")
        return number

    def buy(self, symbol: str, quantity: Number, at: Number | None = None, **options: object) -> Report:
        """Enters a buy order for `quantity`, at a limit, or at the market where `at` is None.

        Options: `tif` "gtc", "ioc" or "fok"; `account` a name or a number; `participant` a number; `client_order_id`, by default the next
        unused count.
        """
        return self._enter(Side.BUY, symbol, quantity, at, **options)  # type: ignore[arg-type]

    def sell(self, symbol: str, quantity: Number, at: Number | None = None, **options: object) -> Report:
        """Enters a sell order; as `buy`."""
        return self._enter(Side.SELL, symbol, quantity, at, **options)  # type: ignore[arg-type]

    def cancel(self, order: Report | int, *, participant: int = 0) -> Report:
        """Cancels what is left of an order, given as its report or its order id."""
        command = CancelOrder(
            timestamp_ns=self.clock_ns, client_order_id=_order_id(order), participant=participant, flags=CommandFlags.BY_ORDER_ID
        )
        return self._report(command)

    def reduce(self, order: Report | int, quantity: int, *, participant: int = 0) -> Report:
        """Takes `quantity` lots off an order; it keeps its place."""
        command = ReduceOrder(
            timestamp_ns=self.clock_ns,
            client_order_id=_order_id(order),
            quantity=quantity,
            participant=participant,
            flags=CommandFlags.BY_ORDER_ID,
        )
        return self._report(command)

    def amend(
        self,
        order: Report | int,
        *,
        at: Number | None = None,
        quantity: int | None = None,
        open_quantity: int | None = None,
        participant: int = 0,
    ) -> Report:
        """Gives an order a new limit `at`, a new total `quantity` or a new `open_quantity`, in lots; what is None stays."""
        if quantity is not None and open_quantity is not None:
            raise InvalidValueError("quantity", where="amend", found="quantity and open_quantity", allowed="one of them")
        order_id = _order_id(order)
        price = NULL_VALUE
        if at is not None:
            decimal_of(at, "at")
            resting = self.order(order_id)
            if resting is not None:  # otherwise the market refuses the amend, whatever the price
                price = units_of(at, self._instrument(resting.instrument).price_decimals, "at")
        new_quantity = open_quantity if open_quantity is not None else quantity
        flags = CommandFlags.BY_ORDER_ID | (CommandFlags.OPEN_QUANTITY if open_quantity is not None else 0)
        command = AmendOrder(
            timestamp_ns=self.clock_ns,
            client_order_id=order_id,
            price=price,
            quantity=NULL_VALUE if new_quantity is None else new_quantity,
            participant=participant,
            flags=flags,
        )
        return self._report(command)

    def book(self, symbol: str, depth: int | None = None) -> Book:
        """The best `depth` levels (None: all) of both sides."""
        number = self._number(symbol)
        instrument = self._instrument(number)

        def side(which: Side) -> tuple[Level, ...]:
            return tuple(
                Level(price=instrument.price(price), quantity=quantity, order_count=count)
                for price, quantity, count in self.levels(number, which, depth)
            )

        return Book(bids=side(Side.BUY), asks=side(Side.SELL))

    # ---- inside ----

    def _learn(self) -> None:
        """Takes over the instruments that were defined since the last time, by `define` or by `apply`."""
        if len(self._instruments) != self.state.instrument_count:
            known = self.instruments.values()
            self._instruments = dict(known)
            self._numbers = {instrument.symbol: number for number, instrument in known}

    def _instrument(self, number: int) -> Instrument:
        if number not in self._instruments:
            self._learn()
        return self._instruments[number]

    def _number(self, symbol: str) -> int:
        if symbol not in self._numbers:
            self._learn()
        number = self._numbers.get(symbol)
        if number is None:
            raise InvalidValueError("symbol", found=symbol, allowed=", ".join(self._numbers) or "none: no instrument is defined")
        return number

    def _account(self, account: str | int) -> int:
        if isinstance(account, str):
            return self._accounts.setdefault(account, len(self._accounts) + 1)
        return account

    def _enter(
        self,
        side: Side,
        symbol: str,
        quantity: Number,
        at: Number | None,
        *,
        tif: str = "gtc",
        account: str | int = 0,
        participant: int = 0,
        client_order_id: int | None = None,
    ) -> Report:
        number = self._number(symbol)
        instrument = self._instrument(number)
        if tif.upper() not in TimeInForce.__members__:
            raise InvalidValueError("tif", found=tif, allowed=", ".join(name.lower() for name in TimeInForce.__members__))
        command = NewOrder(
            timestamp_ns=self.clock_ns,
            client_order_id=next(self._client_order_ids) if client_order_id is None else client_order_id,
            price=0 if at is None else units_of(at, instrument.price_decimals, f"price of {symbol}"),
            quantity=units_of(quantity, instrument.quantity_decimals, f"quantity of {symbol}"),
            account=self._account(account),
            participant=participant,
            instrument=number,
            side=side,
            order_type=OrderType.MARKET if at is None else OrderType.LIMIT,
            time_in_force=TimeInForce[tif.upper()],
        )
        return self._report(command)

    def _report(self, command: Command) -> Report:
        events = self.submit(command)
        first = events[0]
        assert isinstance(first, OrderEvent | Rejected), "the first event of an order command is about its order"
        trades, cancelled, resting, reason = [], 0, 0, Reason(first.reason)
        for event in events:
            if isinstance(event, TradeEvent):
                trades.append(self._trade(event))
            elif isinstance(event, Cancelled):
                cancelled += event.quantity
                reason = Reason(event.reason)
            elif isinstance(event, Accepted | Amended | Rested):
                resting = event.quantity if event.flags & EventFlags.RESTS else resting
        if first.kind == EventKind.REDUCED and (left := self.order(first.order_id)) is not None:
            resting = left.leaves_quantity
        return Report(
            order_id=first.order_id,
            client_order_id=first.client_order_id,
            accepted=not isinstance(first, Rejected),
            reason=reason,
            trades=tuple(trades),
            cancelled=cancelled,
            resting=resting,
            events=tuple(events),
        )

    def _trade(self, event: TradeEvent) -> Trade:
        return Trade(
            price=self._instrument(event.instrument).price(event.price),
            quantity=event.quantity,
            order_id=event.order_id,
            resting_order_id=event.resting_order_id,
            client_order_id=event.client_order_id,
            resting_client_order_id=event.resting_client_order_id,
        )


def _order_id(order: Report | int) -> int:
    return order.order_id if isinstance(order, Report) else order
