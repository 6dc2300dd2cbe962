"""The engine of docs/RULES.md, written to be read together with the page, not to be fast. This file has its interface
and the work for every record.

Each thing that the page says has one place:

| Page | Module |
|---|---|
| Before every record; commands of more than one record | here, `terms` |
| NewOrder: checks, and the life of the order | `new_order` |
| NewOrder steps 1 to 5; what could trade; post-only | `matching` |
| Self-trade prevention | `self_trade` |
| Stops | `stops` (waiting and elected orders), `triggers` (what follows) |
| CancelOrder, ReduceOrder, AmendOrder | `order_commands` |
| MassCancel, ExpireOrders, SetLastPrice, deadlines | `market_commands` |
| Definitions; prices | `definitions`, `prices` |
| Levels and queues; orders and their ids; all of it together | `book`, `orders`, `market` |
| Events and rejections; hashes | `events`, `hashes`, `state` |
| Invariants | `invariants` |

Records come in and records go out; values (`apply`) are a convenience. The engine does no input or output and knows no
clock: time comes with the commands.
"""

from __future__ import annotations

import dataclasses
from typing import Final

from ome.codec import COMMAND, EVENT, Records, decode_commands, decode_events, encode_commands, records_of
from ome.codec.layouts import MESSAGE_CLASSES
from ome.enums import CommandKind, MessageClass, Reason, Side
from ome.errors import InvalidTypeError, InvalidValueError, InvariantError
from ome.messages import Command, Event, Limits
from ome.reference import hashes
from ome.reference.book import Book
from ome.reference.definitions import define
from ome.reference.invariants import assert_invariants, dump
from ome.reference.market import Market
from ome.reference.market_commands import expire_by_time, expire_orders, mass_cancel, set_last_price
from ome.reference.new_order import new_order
from ome.reference.order_commands import amend_order, cancel_order, reduce_order
from ome.reference.orders import Order
from ome.reference.records import CONTINUED, Row, rows_of
from ome.reference.state import session_progress, state_words
from ome.reference.terms import NO_TERMS, Continued, Terms

__all__ = ["ReferenceEngine"]

NEW_ORDER, AMEND_ORDER, ORDER_TERMS = int(CommandKind.NEW_ORDER), int(CommandKind.AMEND_ORDER), int(CommandKind.ORDER_TERMS)
_DEFINITIONS: Final = frozenset((int(CommandKind.DEFINE_LIMITS), int(CommandKind.DEFINE_INSTRUMENT), int(CommandKind.DEFINE_SESSION)))
DEFINE_ACCOUNT: Final = int(CommandKind.DEFINE_ACCOUNT)
_QUARANTINED: Final = 0
_OF_CLIENTS: Final = frozenset(kind.value for kind in CommandKind if MESSAGE_CLASSES[kind] is MessageClass.ORDER) | {_QUARANTINED}
_SEQUENCE_MAX: Final = 2**32 - 1
_WITH_TERMS: Final = frozenset((NEW_ORDER, AMEND_ORDER))
_WITHOUT_TERMS: Final = {
    int(CommandKind.CANCEL_ORDER): cancel_order,
    int(CommandKind.REDUCE_ORDER): reduce_order,
    int(CommandKind.MASS_CANCEL): mass_cancel,
    int(CommandKind.EXPIRE_ORDERS): expire_orders,
    int(CommandKind.SET_LAST_PRICE): set_last_price,
}


def _takes_sequence(market: Market, record: Row) -> bool:
    """Section Sessions: takes the number of a record that its session has numbered, or rejects the record where it is not the next."""
    sequence = record.session_sequence
    is_numbered = sequence != 0 and record.kind in _OF_CLIENTS and record.session != 0
    if not (market.has_sessions and is_numbered and market.is_session_known(record)):
        return True
    last = market.command_sequences[record.session]
    if sequence != last % _SEQUENCE_MAX + 1:
        ahead = (sequence - last) % 2**32
        is_seen = ahead == 0 or ahead >= 2**31
        market.events.reject(record, Reason.SEQUENCE_SEEN if is_seen else Reason.SEQUENCE_GAP)
        return False
    market.command_sequences[record.session] = sequence
    return True


class ReferenceEngine:
    """A market: commands in, events out, and the same events for the same commands on every machine.

    Commands: `apply`, `apply_records`. What is there: `levels`, `orders`, `stops`, `order`. Comparison: `state_hash`, `event_hash`,
    `sequence`, `trade_count`. `check` asserts every invariant.

    >>> from ome.enums import TimeInForce
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
        self._market = Market(limits or Limits())

    # What a user calls

    def apply(self, command: Command) -> list[Event]:
        """Carries out one command, of one record or more: its events. Raises InvalidValueError where a value does not fit."""
        return decode_events(self.apply_records(encode_commands([command])))

    def apply_records(self, commands: Records) -> Records:
        """Carries out commands of dtype COMMAND in order; returns their events, of dtype EVENT. Their own sequence is ignored.

        Any bytes are taken, and a command of several records may be cut anywhere. Raises InvalidTypeError for an array of another dtype.
        """
        if commands.dtype != COMMAND or commands.ndim != 1:
            raise InvalidTypeError("commands", found=str(commands.dtype), allowed="a one-dimensional array of ome.codec.COMMAND")
        for index, record in enumerate(rows_of(commands)):
            definition = decode_commands(commands[index : index + 1])[0] if self._is_definition(record) else None
            self._apply_record(record, definition)
        return records_of(self._market.events.take(), EVENT)

    def resize(self, limits: Limits) -> None:
        """Section Definitions: moves the engine to other limits, between two records. Raises InvalidValueError where it does not fit."""
        self._market.resize(limits)

    @property
    def limits(self) -> Limits:
        """What the engine was made with, or moved to."""
        return self._market.limits

    @property
    def sequence(self) -> int:
        """How many records were applied, rejected ones included."""
        return self._market.events.sequence

    @property
    def trade_count(self) -> int:
        """How many trades there were."""
        return self._market.trade_count

    @property
    def event_hash(self) -> int:
        """The rolling hash of all events so far, 64 bits."""
        return self._market.events.hash

    @property
    def state_hash(self) -> int:
        """The hash of the whole state, 64 bits. It takes time in proportion to the live orders."""
        return hashes.fold_words(hashes.STATE_INITIAL, state_words(self._market))

    def levels(self, instrument: int, side: Side, depth: int | None = None) -> list[tuple[int, int, int]]:
        """Price, lots displayed and number of orders that display them of each level, best first; at most `depth` of them.

        P7, I1: hidden orders and reserves are not in it, and a level that has nothing else is not there. Raises InvalidValueError for an
        instrument that is not defined.
        """
        shown = ((level.price, level.displayed.values()) for level in self._book(instrument).side(side))
        levels = [(price, sum(order.shown for order in orders), len(orders)) for price, orders in shown if orders]
        return levels[:depth]

    def orders(self, instrument: int, side: Side) -> list[Order]:
        """Copies of the orders of a side, in the order in which they would trade. Raises InvalidValueError for an unknown instrument."""
        return [dataclasses.replace(order) for level in self._book(instrument).side(side) for order in level]

    def stops(self, instrument: int) -> list[Order]:
        """Copies of the waiting orders: buys, then sells, as they would trigger. Raises InvalidValueError for an unknown instrument."""
        return [dataclasses.replace(order) for order in self._book(instrument).stops]

    def order(self, order_id: int) -> Order | None:
        """A copy of the live order with this id; None where there is none."""
        order = self._market.live.get(order_id)
        return None if order is None else dataclasses.replace(order)

    def progress(self, session: int) -> tuple[int, int, int]:
        """Section Sessions: flags, last number taken and count of reports of a session that is defined; 0 each in the first rules."""
        return session_progress(self._market, session)

    def participant_reports(self, participant: int) -> int:
        """D10: reports of a participant to all its sessions since its number was given to its name; 0 before the rules count them."""
        return self._market.events.participant_reports[participant]

    def check(self) -> None:
        """Asserts every invariant. Raises InvariantError, whose message holds the rule that broke and the whole state."""
        try:
            assert_invariants(self._market)
        except AssertionError as broken:
            raise InvariantError(f"{broken} after command {self.sequence}\n{dump(self._market)}") from broken

    def _book(self, instrument: int) -> Book:
        if not self._market.is_instrument(instrument):
            raise InvalidValueError("instrument", found=instrument, allowed=f"1 to {len(self._market.books)}, those that are defined")
        return self._market.books[instrument - 1]

    # Records and commands

    def _is_definition(self, record: Row) -> bool:
        """Section Versions of the rules: a DefineAccount is a command that no version before knew."""
        return record.kind in _DEFINITIONS or (record.kind == DEFINE_ACCOUNT and self._market.has_accounts)

    def _apply_record(self, record: Row, definition: Command | None) -> None:
        """Section Before every record: the time; a command whose terms did not come; what has expired. Then the record."""
        market = self._market
        market.events.sequence += 1
        market.events.now_ns = record.timestamp_ns
        market.time_ns = max(market.time_ns, record.timestamp_ns)
        continued = market.continued
        if continued is not None and not (record.kind == ORDER_TERMS and continued.is_continued_by(record)):
            market.events.reject(continued.command, Reason.INCOMPLETE_COMMAND)
            market.continued = continued = None
        if market.deadlines:
            expire_by_time(market)
        if not _takes_sequence(market, record):
            return
        if continued is not None:
            self._continue(continued, record)
        elif record.flags & CONTINUED and record.kind in _WITH_TERMS:
            market.continued = Continued(record)
        else:
            self._apply_command(record, NO_TERMS, definition)

    def _continue(self, continued: Continued, record: Row) -> None:
        """Section Commands of more than one record: with the last record of terms the command is applied, at the time of its first."""
        continued.terms.add(record)
        if not record.flags & CONTINUED:
            self._market.continued = None
            self._market.events.now_ns = continued.command.timestamp_ns
            self._apply_command(continued.command, continued.terms, None)

    def _apply_command(self, command: Row, terms: Terms, definition: Command | None) -> None:
        """Checks 1 and 2, then whatever the kind of command asks for."""
        market, kind = self._market, command.kind
        if kind == NEW_ORDER:
            new_order(market, command, terms)
        elif kind == ORDER_TERMS:
            market.events.reject(command, Reason.INCOMPLETE_COMMAND)
        elif kind not in _WITH_TERMS and kind not in _WITHOUT_TERMS and definition is None:
            market.events.reject(command, Reason.UNKNOWN_COMMAND)
        elif command.last_bytes:
            market.events.reject(command, Reason.RESERVED_NOT_ZERO)
        elif kind == AMEND_ORDER:
            amend_order(market, command, terms)
        elif definition is not None:
            define(market, command, definition)
        else:
            _WITHOUT_TERMS[kind](market, command)
