"""The engine of docs/RULES.md, one method for each thing that the page says. It is meant to be read beside the page, not to be fast.

A command is checked (`_why_..._refused` gives the first reason that applies, in the order of the page), then carried out. Records come in
and records go out; values (`apply`) are a convenience over them. It does no input or output and knows no clock: time comes with the
commands.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from ome.codec import (
    COMMAND,
    EVENT,
    Records,
    command_structure,
    decode_commands,
    decode_events,
    encode_commands,
    event_structure,
    record_bytes,
    records_of,
)
from ome.enums import CommandFlags, CommandKind, EventFlags, EventKind, InstrumentFlags, OrderType, Reason, Side, TimeInForce
from ome.errors import InvalidTypeError, InvalidValueError, InvariantError
from ome.messages import NULL_VALUE, Command, DefineInstrument, DefineLimits, DefineSession, Event, Limits
from ome.reference import hashes
from ome.reference.book import Book, BookSide
from ome.reference.orders import Order, OrderIds

__all__ = ["ReferenceEngine"]

QUANTITY_MAX: Final = 2**60
OPEN_QUANTITY_MAX: Final = 2**62
PRICE_MAX: Final = 2**62
TICK_MAX: Final = 2**62
DECIMALS_MAX: Final = 18

# Flags as plain integers: an IntFlag costs a microsecond for each `|`.
BY_ORDER_ID: Final = int(CommandFlags.BY_ORDER_ID)
OPEN_QUANTITY: Final = int(CommandFlags.OPEN_QUANTITY)
RESTS: Final = int(EventFlags.RESTS)
KEPT_PRIORITY: Final = int(EventFlags.KEPT_PRIORITY)
AGGRESSOR_FILLED: Final = int(EventFlags.AGGRESSOR_FILLED)
RESTING_FILLED: Final = int(EventFlags.RESTING_FILLED)
WAS_RESTING: Final = int(EventFlags.WAS_RESTING)
SIGNED_PRICES: Final = int(InstrumentFlags.SIGNED_PRICES)

_ORDER_COMMAND: Final = command_structure(CommandKind.NEW_ORDER)
_ORDER_EVENT: Final = event_structure(EventKind.ACCEPTED)
_TRADE: Final = event_structure(EventKind.TRADE)


class Row(NamedTuple):
    """The fields of any command that are not particular to definitions, in the order of their offsets."""

    timestamp_ns: int
    client_order_id: int
    price: int
    quantity: int
    account: int
    participant: int
    session: int
    session_sequence: int
    instrument: int
    kind: int
    side: int
    order_type: int
    time_in_force: int
    flags: int
    reserved: int


class ReferenceEngine:
    """A market: commands in, events out, and the same events for the same commands on every machine.

    Commands: `apply`, `apply_records`. What is in the book: `levels`, `orders`, `order`. Comparison: `state_hash`, `event_hash`,
    `sequence`, `trade_count`. `check` asserts every invariant.

    >>> from ome.messages import DefineInstrument, NewOrder
    >>> engine = ReferenceEngine()
    >>> _ = engine.apply(DefineInstrument(instrument=1, symbol=b"AAPL"))
    >>> _ = engine.apply(NewOrder(instrument=1, side=Side.SELL, price=15025, quantity=100))
    >>> accepted, trade, cancelled = engine.apply(
    ...     NewOrder(instrument=1, side=Side.BUY, price=15050, quantity=150, time_in_force=TimeInForce.IOC))
    >>> (trade.price, trade.quantity), cancelled.quantity
    ((15025, 100), 50)
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._sequence = 0
        self._time_ns = 0
        self._trade_count = 0
        self._event_count = 0
        self._event_hash = hashes.EVENTS_INITIAL
        self._books: list[Book] = []  # of instrument 1, 2, ...
        self._sessions: list[DefineSession] = []  # 1, 2, ...
        self._participants: dict[bytes, int] = {}
        self._ids = OrderIds(self._limits.order_count_max)
        self._live: dict[int, Order] = {}
        self._live_by_client_id: dict[tuple[int, int], Order] = {}
        self._level_count = 0
        self._arrival_count = 0
        self._now_ns = 0
        self._out = bytearray()
        self._definition: Command | None = None
        self._handlers: dict[int, Callable[[Row], None]] = {
            CommandKind.NEW_ORDER: self._new_order,
            CommandKind.CANCEL_ORDER: self._cancel_order,
            CommandKind.REDUCE_ORDER: self._reduce_order,
            CommandKind.AMEND_ORDER: self._amend_order,
            CommandKind.DEFINE_LIMITS: self._define,
            CommandKind.DEFINE_INSTRUMENT: self._define,
            CommandKind.DEFINE_SESSION: self._define,
        }

    # What a user calls

    def apply(self, command: Command) -> list[Event]:
        """Carries out one command; returns its events. Raises InvalidValueError where a value does not fit its field."""
        return decode_events(self.apply_records(encode_commands([command])))

    def apply_records(self, commands: Records) -> Records:
        """Carries out commands of dtype COMMAND in order; returns their events, of dtype EVENT. Their own sequence is ignored.

        Any bytes are taken. Raises InvalidTypeError for an array of another dtype.
        """
        if commands.dtype != COMMAND or commands.ndim != 1:
            raise InvalidTypeError("commands", found=str(commands.dtype), allowed="a one-dimensional array of ome.codec.COMMAND")
        self._out = bytearray()
        for index, fields in enumerate(_ORDER_COMMAND.iter_unpack(record_bytes(commands))):
            row = Row._make(fields)
            self._sequence += 1
            self._now_ns = row.timestamp_ns
            self._time_ns = max(self._time_ns, row.timestamp_ns)
            handler = self._handlers.get(row.kind)
            if handler is None:
                self._reject(row, Reason.UNKNOWN_COMMAND)
            elif row.reserved:
                self._reject(row, Reason.RESERVED_NOT_ZERO)
            else:
                if row.kind >= CommandKind.DEFINE_LIMITS:
                    self._definition = decode_commands(commands[index : index + 1])[0]
                handler(row)
        self._event_hash = hashes.fold_records(self._event_hash, self._out)
        return records_of(self._out, EVENT)

    @property
    def limits(self) -> Limits:
        """What the engine was made with."""
        return self._limits

    @property
    def sequence(self) -> int:
        """How many commands were applied, rejected ones included."""
        return self._sequence

    @property
    def trade_count(self) -> int:
        """How many trades there were."""
        return self._trade_count

    @property
    def event_hash(self) -> int:
        """The rolling hash of all events so far, 64 bits."""
        return self._event_hash

    @property
    def state_hash(self) -> int:
        """The hash of the whole state, 64 bits. It takes time in proportion to the orders in the book."""
        return hashes.fold_words(hashes.STATE_INITIAL, self._state_words())

    def levels(self, instrument: int, side: Side, depth: int | None = None) -> list[tuple[int, int, int]]:
        """Price, open quantity and number of orders of each level, best first; at most `depth` of them.

        Raises InvalidValueError for an instrument that is not defined.
        """
        levels = [(level.price, level.quantity, len(level.queue)) for level in self._book(instrument).side(side)]
        return levels[:depth]

    def orders(self, instrument: int, side: Side) -> list[Order]:
        """Copies of the orders of a side, in the order in which they would trade. Raises InvalidValueError for an unknown instrument."""
        return [dataclasses.replace(order) for level in self._book(instrument).side(side) for order in level.queue.values()]

    def order(self, order_id: int) -> Order | None:
        """A copy of the live order with this id; None where there is none."""
        order = self._live.get(order_id)
        return None if order is None else dataclasses.replace(order)

    def check(self) -> None:
        """Asserts every invariant. Raises InvariantError, whose message holds the rule that broke and the whole state."""
        try:
            self._check()
        except AssertionError as broken:
            raise InvariantError(f"{broken} after command {self._sequence}\n{self._dump()}") from broken

    # NewOrder

    def _new_order(self, command: Row) -> None:
        reason = self._why_new_order_refused(command)
        if reason is not None:
            self._reject(command, reason)
            return
        limit = None if command.order_type == OrderType.MARKET else command.price
        order = Order(
            order_id=self._ids.take(),
            client_order_id=command.client_order_id,
            instrument=command.instrument,
            side=command.side,
            price=limit or 0,
            leaves=command.quantity,
            account=command.account,
            participant=command.participant,
            session=command.session,
        )
        self._live[order.order_id] = order
        if order.client_order_id:
            self._live_by_client_id[order.participant, order.client_order_id] = order
        opposite = self._books[command.instrument - 1].opposite(command.side)
        if limit is not None and command.time_in_force == TimeInForce.GTC and not opposite.is_crossed_by(limit):
            self._join(order)
            self._say(EventKind.ACCEPTED, order, order.leaves, flags=RESTS)
            return
        self._say(EventKind.ACCEPTED, order, order.leaves)
        if command.time_in_force == TimeInForce.FOK and not opposite.has_within(limit, order.leaves):
            self._cancel(order, Reason.FILL_OR_KILL)
            return
        self._trade(order, limit)
        if not order.leaves:
            self._close(order)
        elif limit is None:
            self._cancel(order, Reason.NO_LIQUIDITY)
        elif command.time_in_force == TimeInForce.IOC:
            self._cancel(order, Reason.IMMEDIATE_OR_CANCEL)
        else:
            self._rest_remainder(order)

    def _why_new_order_refused(self, command: Row) -> Reason | None:
        if not self._is_session_known(command):
            return Reason.UNKNOWN_SESSION
        if not 1 <= command.instrument <= len(self._books):
            return Reason.UNKNOWN_INSTRUMENT
        book = self._books[command.instrument - 1]
        if command.side not in (1, 2):
            return Reason.BAD_SIDE
        if command.order_type not in (1, 2):
            return Reason.BAD_ORDER_TYPE
        if command.time_in_force not in (1, 2, 3):
            return Reason.BAD_TIME_IN_FORCE
        if command.flags:
            return Reason.BAD_FLAGS
        if command.quantity <= 0:
            return Reason.ZERO_QUANTITY if command.quantity == 0 else Reason.NEGATIVE_QUANTITY
        own_side = book.side(command.side)
        if command.quantity > QUANTITY_MAX or own_side.open_quantity + command.quantity > OPEN_QUANTITY_MAX:
            return Reason.QUANTITY_TOO_LARGE
        is_limit = command.order_type == OrderType.LIMIT
        if is_limit and (reason := _why_price_refused(book.definition, command.price)) is not None:
            return reason
        if command.client_order_id and (command.participant, command.client_order_id) in self._live_by_client_id:
            return Reason.DUPLICATE_CLIENT_ORDER_ID
        if not self._ids.has_free:
            return Reason.ORDER_LIMIT_REACHED
        may_rest_whole = is_limit and command.time_in_force == TimeInForce.GTC
        if (
            may_rest_whole
            and not book.opposite(command.side).is_crossed_by(command.price)
            and not self._has_room_at(own_side, command.price)
        ):
            return Reason.LEVEL_LIMIT_REACHED
        return None

    # CancelOrder, ReduceOrder

    def _cancel_order(self, command: Row) -> None:
        order = self._found(command, BY_ORDER_ID)
        if isinstance(order, Reason):
            self._reject(command, order)
        else:
            self._leave(order)
            self._cancel(order, Reason.REQUESTED, WAS_RESTING)

    def _reduce_order(self, command: Row) -> None:
        order = self._found(command, BY_ORDER_ID)
        if isinstance(order, Reason):
            self._reject(command, order)
        elif command.quantity <= 0:
            self._reject(command, Reason.ZERO_QUANTITY if command.quantity == 0 else Reason.NEGATIVE_QUANTITY)
        elif command.quantity < order.leaves:
            self._side_of(order).shrink(order, command.quantity)
            self._say(EventKind.REDUCED, order, command.quantity, flags=WAS_RESTING | KEPT_PRIORITY)
        else:
            self._leave(order)
            self._cancel(order, Reason.REDUCED_AWAY, WAS_RESTING)

    # AmendOrder

    def _amend_order(self, command: Row) -> None:
        order = self._found(command, BY_ORDER_ID | OPEN_QUANTITY)
        if isinstance(order, Reason):
            self._reject(command, order)
            return
        price = order.price if command.price == NULL_VALUE else command.price
        if command.quantity == NULL_VALUE:
            leaves = order.leaves
        elif command.flags & OPEN_QUANTITY:
            leaves = command.quantity
        else:
            leaves = command.quantity - order.cumulative
        reason = self._why_amend_refused(command, order, price, leaves)
        if reason is not None:
            self._reject(command, reason)
        elif leaves <= 0:
            self._leave(order)
            self._cancel(order, Reason.AMENDED_AWAY, WAS_RESTING)
        elif price == order.price and leaves <= order.leaves:
            self._side_of(order).shrink(order, order.leaves - leaves)
            self._say(EventKind.AMENDED, order, leaves, flags=WAS_RESTING | RESTS | KEPT_PRIORITY)
        else:
            self._move(order, price, leaves)

    def _why_amend_refused(self, command: Row, order: Order, price: int, leaves: int) -> Reason | None:
        book = self._books[order.instrument - 1]
        own_side = book.side(order.side)
        if command.quantity != NULL_VALUE and command.quantity < 0:
            return Reason.NEGATIVE_QUANTITY
        side_total = own_side.open_quantity - order.leaves + leaves
        if leaves > QUANTITY_MAX or side_total > OPEN_QUANTITY_MAX or order.cumulative + leaves > OPEN_QUANTITY_MAX:
            return Reason.QUANTITY_TOO_LARGE
        if command.price != NULL_VALUE and (reason := _why_price_refused(book.definition, command.price)) is not None:
            return reason
        rests_elsewhere = price != order.price and leaves > 0 and not book.opposite(order.side).is_crossed_by(price)
        if rests_elsewhere and not self._has_room_at(own_side, price):
            return Reason.LEVEL_LIMIT_REACHED
        return None

    def _move(self, order: Order, price: int, leaves: int) -> None:
        """The order leaves its place. At its new price it joins the back of the queue, or trades where it crosses."""
        self._leave(order)
        order.price = price
        order.leaves = leaves
        if not self._books[order.instrument - 1].opposite(order.side).is_crossed_by(price):
            self._join(order)
            self._say(EventKind.AMENDED, order, leaves, flags=WAS_RESTING | RESTS)
            return
        self._say(EventKind.AMENDED, order, leaves, flags=WAS_RESTING)
        self._trade(order, price)
        if order.leaves:
            self._rest_remainder(order)
        else:
            self._close(order)

    # What these have in common

    def _is_session_known(self, command: Row) -> bool:
        """Session 0 is the embedder itself; any other is defined, and for this participant."""
        if command.session == 0:
            return True
        return command.session <= len(self._sessions) and self._sessions[command.session - 1].participant == command.participant

    def _found(self, command: Row, flags: int) -> Order | Reason:
        """The order that a command means, or why it is refused. `flags` are those that belong to the command."""
        if not self._is_session_known(command):
            return Reason.UNKNOWN_SESSION
        if command.flags & ~flags:
            return Reason.BAD_FLAGS
        reference = command.client_order_id
        if command.flags & BY_ORDER_ID:
            order = self._live.get(reference)
            if order is None:
                return Reason.ORDER_CLOSED if self._ids.was_given(reference) else Reason.UNKNOWN_ORDER
        else:
            order = self._live_by_client_id.get((command.participant, reference))
            if order is None:
                return Reason.UNKNOWN_ORDER
        if order.participant != command.participant:
            return Reason.NOT_OWNER
        if command.instrument not in (0, order.instrument):
            return Reason.WRONG_INSTRUMENT
        return order

    def _has_room_at(self, side: BookSide, price: int) -> bool:
        """Whether an order can rest at this price: there is a level, or one is free."""
        return side.has_level(price) or self._level_count < self._limits.level_count_max

    def _trade(self, aggressor: Order, limit: int | None) -> None:
        """Trades best level first, each queue from its front, at the resting orders' prices, as long as it crosses."""
        book = self._books[aggressor.instrument - 1]
        opposite = book.opposite(aggressor.side)
        while aggressor.leaves and opposite.is_crossed_by(limit):
            resting = opposite.best.first
            quantity = min(aggressor.leaves, resting.leaves)
            opposite.shrink(resting, quantity)
            resting.cumulative += quantity
            aggressor.leaves -= quantity
            aggressor.cumulative += quantity
            book.last_trade_price = resting.price
            self._trade_count += 1
            self._say_trade(aggressor, resting, quantity)
            if not resting.leaves:
                self._leave(resting)
                self._close(resting)

    def _rest_remainder(self, order: Order) -> None:
        """What a GTC limit order left unfilled joins the back of its level. There is room: it has emptied a level of the other side."""
        self._join(order)
        self._say(EventKind.RESTED, order, order.leaves, flags=RESTS)

    def _cancel(self, order: Order, reason: Reason, flags: int = 0) -> None:
        """Says that what is open of an order, which is not in the book any more, is gone."""
        self._say(EventKind.CANCELLED, order, order.leaves, flags=flags, reason=reason)
        self._close(order)

    def _close(self, order: Order) -> None:
        """The order is live no longer: its client order id may be used again, its slot too."""
        del self._live[order.order_id]
        if order.client_order_id:
            del self._live_by_client_id[order.participant, order.client_order_id]
        self._ids.release(order.order_id)

    def _side_of(self, order: Order) -> BookSide:
        return self._books[order.instrument - 1].side(order.side)

    def _join(self, order: Order) -> None:
        self._arrival_count += 1
        order.arrival = self._arrival_count
        self._level_count += self._side_of(order).join(order)

    def _leave(self, order: Order) -> None:
        self._level_count -= self._side_of(order).leave(order)

    # Definitions

    def _define(self, command: Row) -> None:
        definition = self._definition
        if isinstance(definition, DefineLimits):
            is_good = self._sequence == 1 and definition == dataclasses.replace(definition, **dataclasses.asdict(self._limits))
        elif isinstance(definition, DefineInstrument):
            if is_good := self._is_good_instrument(definition):
                self._books.append(Book(definition))
        elif isinstance(definition, DefineSession):
            if is_good := self._is_good_session(definition):
                self._sessions.append(definition)
                self._participants[definition.participant_name] = definition.participant
        else:
            raise AssertionError("only definitions come here")
        if is_good:
            self._say_about(command, EventKind.DEFINED)
        else:
            self._reject(command, Reason.BAD_DEFINITION)

    def _is_good_instrument(self, definition: DefineInstrument) -> bool:
        number = len(self._books) + 1
        return (
            definition.instrument == number <= self._limits.instrument_count_max
            and 1 <= definition.tick <= TICK_MAX
            and definition.price_decimals <= DECIMALS_MAX
            and definition.quantity_decimals <= DECIMALS_MAX
            and definition.instrument_flags in (0, SIGNED_PRICES)
            and _is_name(definition.symbol)
            and all(book.definition.symbol != definition.symbol for book in self._books)
        )

    def _is_good_session(self, definition: DefineSession) -> bool:
        number = len(self._sessions) + 1
        pair = (definition.participant_name, definition.session_number)
        return (
            definition.session == number <= self._limits.session_count_max
            and definition.participant == self._participants.get(definition.participant_name, len(self._participants) + 1)
            and _is_name(definition.participant_name)
            and all((session.participant_name, session.session_number) != pair for session in self._sessions)
        )

    # Events

    def _say(self, kind: int, order: Order, quantity: int, *, flags: int = 0, reason: int = 0) -> None:
        """An event of an order: Accepted, Cancelled, Reduced, Amended or Rested."""
        self._event_count += 1
        self._out += _ORDER_EVENT.pack(
            self._sequence,
            order.order_id,
            order.client_order_id,
            order.price,
            quantity,
            self._now_ns,
            order.account,
            order.participant,
            order.session,
            order.instrument,
            kind,
            order.side,
            reason,
            flags,
        )

    def _say_trade(self, aggressor: Order, resting: Order, quantity: int) -> None:
        flags = (0 if aggressor.leaves else AGGRESSOR_FILLED) | (0 if resting.leaves else RESTING_FILLED)
        self._event_count += 1
        self._out += _TRADE.pack(
            self._sequence,
            aggressor.order_id,
            aggressor.client_order_id,
            resting.price,
            quantity,
            resting.order_id,
            resting.client_order_id,
            aggressor.instrument,
            EventKind.TRADE,
            aggressor.side,
            0,
            flags,
        )

    def _reject(self, command: Row, reason: Reason) -> None:
        """A command of orders is echoed, as far as it has the fields; of any other kind only who, when and what for."""
        kind = command.kind
        if kind not in (CommandKind.NEW_ORDER, CommandKind.CANCEL_ORDER, CommandKind.REDUCE_ORDER, CommandKind.AMEND_ORDER):
            self._say_about(command, EventKind.REJECTED, reason=reason)
            return
        by_order_id = kind != CommandKind.NEW_ORDER and command.flags & BY_ORDER_ID
        self._say_about(
            command,
            EventKind.REJECTED,
            reason=reason,
            order_id=command.client_order_id if by_order_id else 0,
            client_order_id=0 if by_order_id else command.client_order_id,
            price=command.price if kind in (CommandKind.NEW_ORDER, CommandKind.AMEND_ORDER) else 0,
            quantity=command.quantity if kind != CommandKind.CANCEL_ORDER else 0,
            side=command.side if kind == CommandKind.NEW_ORDER else 0,
            account=command.account,
        )

    def _say_about(
        self,
        command: Row,
        kind: int,
        *,
        reason: int = 0,
        order_id: int = 0,
        client_order_id: int = 0,
        price: int = 0,
        quantity: int = 0,
        side: int = 0,
        account: int = 0,
    ) -> None:
        """An event of a command, not of an order: Rejected or Defined. Its last byte is the kind of the command."""
        self._event_count += 1
        self._out += _ORDER_EVENT.pack(
            self._sequence,
            order_id,
            client_order_id,
            price,
            quantity,
            self._now_ns,
            account,
            command.participant,
            command.session,
            command.instrument,
            kind,
            side,
            reason,
            command.kind,
        )

    # State

    def _book(self, instrument: int) -> Book:
        if not 1 <= instrument <= len(self._books):
            raise InvalidValueError("instrument", found=instrument, allowed=f"1 to {len(self._books)}, those that are defined")
        return self._books[instrument - 1]

    def _state_words(self) -> Iterator[hashes.Words]:
        yield (
            self._sequence,
            self._time_ns,
            self._trade_count,
            self._event_count,
            len(self._books),
            len(self._sessions),
            len(self._live),
            self._ids.slots_ever_used,
        )
        for number, book in enumerate(self._books, 1):
            terms = book.definition
            options = terms.price_decimals | terms.quantity_decimals << 8 | terms.instrument_flags << 16
            yield (number, terms.tick, options, *_name_words(terms.symbol), hashes.unsigned(book.last_trade_price), 0, 0)
        for number, session in enumerate(self._sessions, 1):
            yield (number, session.participant, session.session_number, *_name_words(session.participant_name), 0, 0, 0)
        for book in self._books:
            for side in (book.bids, book.asks):
                for level in side:
                    for order in level.queue.values():
                        yield (
                            order.order_id,
                            order.client_order_id,
                            hashes.unsigned(order.price),
                            order.leaves,
                            hashes.unsigned(order.cumulative),
                            order.account | order.participant << 32 | order.session << 48,
                            order.side,
                            order.instrument,
                        )

    def _check(self) -> None:
        resting: dict[int, Order] = {}
        level_count = 0
        for number, book in enumerate(self._books, 1):
            for side in (book.bids, book.asks):
                orders = self._check_side(number, book, side)
                assert not resting.keys() & orders.keys(), "an order id is in the books twice"
                resting |= orders
                level_count += len(side)
            if len(book.bids) and len(book.asks):
                assert book.bids.best.price < book.asks.best.price, f"P4: the book of instrument {number} is crossed"
        assert level_count == self._level_count <= self._limits.level_count_max, "the count of levels is wrong or above its limit"
        assert resting == self._live, "the live orders are not those in the books"
        by_client_id = {(order.participant, order.client_order_id): order for order in resting.values() if order.client_order_id}
        assert len(by_client_id) == sum(1 for order in resting.values() if order.client_order_id), "A6: a client order id is live twice"
        assert by_client_id == self._live_by_client_id, "the index of client order ids is not that of the live orders"
        self._ids.check(set(self._live))

    def _check_side(self, number: int, book: Book, side: BookSide) -> dict[int, Order]:
        """Asserts what holds inside one side; returns its orders by id."""
        orders: dict[int, Order] = {}
        sign = -1 if side.side == Side.BUY else 1
        prices = [level.price * sign for level in side]
        assert prices == sorted(set(prices)), "P1: levels are not in the order of their prices"
        for level in side:
            assert level.queue, f"P5: the level at {level.price} is empty"
            assert level.quantity == sum(order.leaves for order in level.queue.values()), f"the sum of the level at {level.price} is wrong"
            arrivals = [order.arrival for order in level.queue.values()]
            assert arrivals == sorted(set(arrivals)), f"P1: the queue at {level.price} is not in the order of arrival"
            assert _why_price_refused(book.definition, level.price) is None, f"the price {level.price} is not valid"
            for order_id, order in level.queue.items():
                place = (order.order_id, order.instrument, order.side, order.price)
                assert place == (order_id, number, side.side, level.price), f"order {order_id} is in the wrong place"
                assert 0 < order.leaves <= QUANTITY_MAX, f"P5: order {order_id} has {order.leaves} lots open"
                assert order.cumulative >= 0, f"order {order_id} has traded {order.cumulative} lots"
                orders[order_id] = order
        assert side.open_quantity == sum(order.leaves for order in orders.values()) <= OPEN_QUANTITY_MAX, "the sum of a side is wrong"
        return orders

    def _dump(self) -> str:
        lines = [f"sequence {self._sequence}, {len(self._live)} live orders, {self._level_count} levels, limits {self._limits}"]
        for number, book in enumerate(self._books, 1):
            lines.append(f"instrument {number}: {book.definition}")
            for side in (book.bids, book.asks):
                for level in side:
                    lines.append(f"  {side.side.name} {level.price}: {level.quantity} lots")
                    lines += [f"    {order}" for order in level.queue.values()]
        return "\n".join(lines)


def _why_price_refused(definition: DefineInstrument, price: int) -> Reason | None:
    if not (-PRICE_MAX if definition.instrument_flags & SIGNED_PRICES else 1) <= price <= PRICE_MAX:
        return Reason.PRICE_OUT_OF_RANGE
    if price % definition.tick:
        return Reason.PRICE_OFF_TICK
    return None


def _is_name(name: bytes) -> bool:
    """Whether these are 1 to 16 printable ASCII characters without space."""
    return 1 <= len(name) <= 16 and all(0x21 <= character <= 0x7E for character in name)


def _name_words(name: bytes) -> tuple[int, int]:
    padded = name.ljust(16, b"\0")
    return int.from_bytes(padded[:8], "little"), int.from_bytes(padded[8:], "little")
