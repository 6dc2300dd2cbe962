"""The rules of docs/RULES.md, each by examples that a trader can read, on every engine.

A docstring starts with the id of the rule, or the section of the page, that the test holds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from types import SimpleNamespace
from typing import Any, Final

import numpy as np
import pytest
from conftest import Engine, EngineFactory
from flows import flow

from ome.codec import COMMAND, EVENT, Records, decode_events, define_limits, encode_commands, encode_events, join_records, record_bytes
from ome.engine import Engine as CoreEngine
from ome.enums import (
    CommandFlags,
    CommandKind,
    EventFlags,
    EventKind,
    InstrumentFlags,
    LimitFlags,
    OrderType,
    Reason,
    SelfTradePrevention,
    SelfTradeScope,
    SessionFlags,
    Side,
    Term,
    TimeInForce,
)
from ome.errors import InvalidTypeError, InvalidValueError, InvariantError
from ome.messages import (
    NULL_VALUE,
    RULES_VERSION,
    Accepted,
    AmendOrder,
    CancelOrder,
    Command,
    DefineAccount,
    Defined,
    DefineInstrument,
    DefineLimits,
    DefineSession,
    Event,
    Limits,
    NewOrder,
    ReduceOrder,
    Rejected,
    UnknownCommand,
)
from ome.reference import ReferenceEngine
from ome.reference.orders import OrderIds

BUY, SELL = Side.BUY, Side.SELL
LIMIT, MARKET = OrderType.LIMIT, OrderType.MARKET
STOP, STOP_LIMIT = OrderType.STOP, OrderType.STOP_LIMIT
TRAILING_STOP, TRAILING_STOP_LIMIT = OrderType.TRAILING_STOP, OrderType.TRAILING_STOP_LIMIT
GTC, IOC, FOK, DAY, GTD = TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK, TimeInForce.DAY, TimeInForce.GTD
RESTS, KEPT, WAS_RESTING = EventFlags.RESTS, EventFlags.KEPT_PRIORITY, EventFlags.WAS_RESTING
HIDDEN, WAITING = EventFlags.HIDDEN, EventFlags.WAITING
BOTH_SIDES = pytest.mark.parametrize("side", [BUY, SELL])
ROOMY = Limits(order_count_max=1_000, level_count_max=1_000, instrument_count_max=10, session_count_max=10, special_count_max=1_000)


Fields = dict[str, Any]
"""Fields of a record by name; `terms` too, where it has any."""


def other(side: Side) -> Side:
    """The side that `side` trades with."""
    return SELL if side == BUY else BUY


def said(events: Sequence[Event]) -> list[str]:
    """Kinds of events, and the reasons of those that have one."""
    names = ((EventKind(event.kind).name, Reason(event.reason)) for event in events)
    return [name if reason == Reason.NONE else f"{name} {reason.name}" for name, reason in names]


def trades(events: Sequence[Any]) -> list[tuple[int, int, int]]:
    """Client order id of the resting order, price and quantity of each trade."""
    return [(event.resting_client_order_id, event.price, event.quantity) for event in events if event.kind == EventKind.TRADE]


_PAIRS: Final = (EventKind.TRADE, EventKind.PREVENTED)
_FLAGLESS: Final = (EventKind.REJECTED, EventKind.DEFINED, EventKind.COMPLETED)


def told(events: Sequence[Any]) -> list[str]:
    """Events as lines: kind, reason, client order id (of the aggressor, then of the resting order), quantity@price, flags or order type."""
    lines = []
    for event, what in zip(events, said(events), strict=True):
        name = f"{event.client_order_id}x{event.resting_client_order_id}" if event.kind in _PAIRS else f"{event.client_order_id}"
        flags = [] if event.kind in _FLAGLESS else [flag.name for flag in EventFlags if event.flags & flag]
        if event.kind == EventKind.STOP_SET:
            flags = [OrderType(event.order_type).name]
        lines.append(" ".join([what, name, f"{event.quantity}@{event.price}", "|".join(flag or "" for flag in flags)]).rstrip())
    return lines


def events_of(records: Records) -> list[Any]:
    """Events with every field of their layout, whatever their kind."""
    names = EVENT.names or ()
    return [SimpleNamespace(**{name: record[name].item() for name in names}) for record in records]


def records_for(
    kind: CommandKind, terms: Mapping[Term, int] | Sequence[tuple[int, int]] = (), *, times: Iterator[int], **fields: int | bytes
) -> Records:
    """The record of a command, and those of its terms, three to a record, each stamped with the next of `times`."""
    given = list(terms.items() if isinstance(terms, Mapping) else terms)
    batches = [given[start : start + 3] for start in range(0, len(given), 3)]
    records = np.zeros(1 + len(batches), dtype=COMMAND)
    for name, value in fields.items():
        records[0][name] = value
    records[0]["kind"] = kind
    if batches:
        records[0]["flags"] |= CommandFlags.CONTINUED
    for record, batch in zip(records[1:], batches, strict=True):
        record["kind"] = CommandKind.ORDER_TERMS
        record["participant"], record["session"] = records[0]["participant"], records[0]["session"]
        record["flags"] = CommandFlags.CONTINUED if batch is not batches[-1] else 0
        for place, (term, value) in enumerate(batch, 1):
            record[f"term_{place}"], record[f"value_{place}"] = term, value
    for record in records:
        record["timestamp_ns"] = next(times)
    return records


class Venue:
    """An engine with two instruments: 1 has tick 1 and prices above zero, 2 has tick 5 and signed prices. Orders come by session 0."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.now_ns = 1_000
        self.send(DefineInstrument(instrument=1, symbol=b"ONE"))
        self.send(DefineInstrument(instrument=2, symbol=b"TWO", tick=5, instrument_flags=InstrumentFlags.SIGNED_PRICES))

    def send(self, command: Command) -> list[Any]:
        """The events of one command, stamped one nanosecond after the last."""
        self.now_ns += 1
        return decode_events(self.engine.apply_records(encode_commands([replace(command, timestamp_ns=self.now_ns)])))

    def define(self, number: int, *, flags: int = 0, collar_ticks: int = 0, tick: int = 1) -> None:
        """Opens another instrument."""
        (event,) = self.do(
            CommandKind.DEFINE_INSTRUMENT,
            instrument=number,
            symbol=b"X%d" % number,
            tick=tick,
            instrument_flags=flags,
            collar_ticks=collar_ticks,
        )
        assert event.kind == EventKind.DEFINED

    def times(self) -> Iterator[int]:
        """The next nanoseconds."""
        while True:
            self.now_ns += 1
            yield self.now_ns

    def do(self, kind: CommandKind, terms: Mapping[Term, int] | Sequence[tuple[int, int]] = (), **fields: int | bytes) -> list[Any]:
        """The events of a command of one record or more; its records are stamped one nanosecond apart."""
        return self.apply(records_for(kind, terms, times=self.times(), **fields))

    def apply(self, records: Records) -> list[Any]:
        """The events of these records, with every field."""
        return events_of(self.engine.apply_records(records))

    def new(
        self,
        side: Side,
        price: int,
        quantity: int,
        name: int = 0,
        terms: Mapping[Term, int] | Sequence[tuple[int, int]] = (),
        **fields: int,
    ) -> list[Any]:
        """Enters an order with terms; of participant 1, a limit and good till cancelled unless `fields` say otherwise."""
        defaults = {"instrument": 1, "participant": 1, "order_type": LIMIT, "time_in_force": GTC}
        return self.do(
            CommandKind.NEW_ORDER,
            terms,
            **(defaults | {"side": side, "price": price, "quantity": quantity, "client_order_id": name} | fields),
        )

    def change(self, name: int, terms: Mapping[Term, int] | Sequence[tuple[int, int]] = (), **fields: int) -> list[Any]:
        """Amends participant 1's order `name`, with terms."""
        defaults = {"participant": 1, "price": NULL_VALUE, "quantity": NULL_VALUE}
        return self.do(CommandKind.AMEND_ORDER, terms, **(defaults | {"client_order_id": name} | fields))

    def last(self, price: int, instrument: int = 1) -> list[Any]:
        """Gives the instrument a last trade price; the events after COMPLETED."""
        completed, *events = self.do(CommandKind.SET_LAST_PRICE, price=price, instrument=instrument)
        assert completed.kind == EventKind.COMPLETED
        return events

    def order(self, side: Side, price: int, quantity: int, name: int = 0, **fields: int) -> list[Any]:
        """Enters a limit order with client order id `name`, of participant 1 and good till cancelled unless `fields` say otherwise."""
        terms: dict[str, Any] = {"instrument": 1, "participant": 1} | fields
        return self.send(NewOrder(side=side, price=price, quantity=quantity, client_order_id=name, **terms))

    def amend(self, name: int, **fields: int) -> list[Any]:
        """Amends participant 1's order `name`."""
        terms: dict[str, Any] = {"client_order_id": name, "participant": 1} | fields
        return self.send(AmendOrder(**terms))

    def cancel(self, name: int, **fields: int) -> list[Any]:
        """Cancels participant 1's order `name`."""
        return self.send(CancelOrder(**{"client_order_id": name, "participant": 1} | fields))

    def reduce(self, name: int, quantity: int, **fields: int) -> list[Any]:
        """Takes `quantity` off participant 1's order `name`."""
        return self.send(ReduceOrder(**{"client_order_id": name, "participant": 1, "quantity": quantity} | fields))

    def book(self, instrument: int = 1) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """Price and quantity of the levels of bids and of asks, best first."""
        bids, asks = (self.engine.levels(instrument, side, None) for side in (BUY, SELL))
        return [level[:2] for level in bids], [level[:2] for level in asks]

    def sweep(self, side: Side, quantity: int = 1_000) -> list[int]:
        """Trades a market order of `side` with all that is there; returns the client order ids met, in order."""
        return [name for name, _, _ in trades(self.send(NewOrder(instrument=1, side=side, quantity=quantity, order_type=MARKET)))]


@pytest.fixture
def venue(engine_factory: EngineFactory) -> Venue:
    """A venue with room."""
    return Venue(engine_factory(ROOMY))


# Priority and trades


def test_best_price_trades_first_on_both_sides(venue: Venue) -> None:
    """P1: best price first, whatever the order of arrival."""
    for name, price in ((1, 103), (2, 101), (3, 102)):
        venue.order(SELL, price, 10, name)
    for name, price in ((4, 97), (5, 99), (6, 98)):
        venue.order(BUY, price, 10, name)
    assert venue.book() == ([(99, 10), (98, 10), (97, 10)], [(101, 10), (102, 10), (103, 10)])
    assert venue.sweep(BUY) == [2, 3, 1]
    assert venue.sweep(SELL) == [5, 6, 4]


@BOTH_SIDES
def test_earliest_order_at_a_price_trades_first(venue: Venue, side: Side) -> None:
    """P1: at a price, earliest first."""
    for name in (3, 1, 2):
        venue.order(side, 100, 10, name)
    assert venue.sweep(other(side), 25) == [3, 1, 2]
    assert venue.sweep(other(side)) == [2]


@pytest.mark.parametrize("kind", ["limit", "ioc", "fok", "market", "amend"])
@BOTH_SIDES
def test_trade_prints_at_the_price_of_the_resting_order(venue: Venue, side: Side, kind: str) -> None:
    """P2: a trade prints at the resting order's price, in both directions, also when the aggressor is an amend or a fill-or-kill."""
    better = 1 if side == BUY else -1
    venue.order(other(side), 100, 10, 1, participant=2)
    if kind == "amend":
        venue.order(side, 100 - 5 * better, 10, 2)
        events = venue.amend(2, price=100 + 5 * better)
    else:
        kinds: dict[str, dict[str, int]] = {
            "limit": {},
            "ioc": {"time_in_force": IOC},
            "fok": {"time_in_force": FOK},
            "market": {"order_type": MARKET},
        }
        terms = kinds[kind]
        events = venue.order(side, 100 + 5 * better, 10, 2, **terms)
    assert trades(events) == [(1, 100, 10)]
    trade = events[1]
    assert trade.side == side
    assert trade.client_order_id == 2
    assert trade.flags == EventFlags.AGGRESSOR_FILLED | EventFlags.RESTING_FILLED
    assert venue.book() == ([], [])


def test_order_never_trades_through_its_limit_and_its_rest_joins_the_book(venue: Venue) -> None:
    """P3: an order never trades through its limit and never skips a better level; what is left of a marketable limit rests."""
    for name, price in ((1, 100), (2, 101), (3, 102)):
        venue.order(SELL, price, 10, name)
    events = venue.order(BUY, 101, 25, 4)
    assert said(events) == ["ACCEPTED", "TRADE", "TRADE", "RESTED"]
    assert trades(events) == [(1, 100, 10), (2, 101, 10)]
    assert venue.book() == ([(101, 5)], [(102, 10)])
    events = venue.order(SELL, 101, 8, 5)
    assert trades(events) == [(4, 101, 5)]
    assert venue.book() == ([], [(101, 3), (102, 10)])


def test_the_book_is_never_crossed(engine_factory: EngineFactory) -> None:
    """P4: after every command, best bid < best ask."""
    engine = engine_factory(Limits())
    commands = flow(21, 3_000, instruments=2)
    for index in range(len(commands)):
        engine.apply_records(commands[index : index + 1])
        for instrument in (1, 2) if index > 10 else ():
            bids, asks = (engine.levels(instrument, side, 1) for side in (BUY, SELL))
            assert not bids or not asks or bids[0][0] < asks[0][0], f"crossed after command {index + 1} of seed 21"


def test_an_emptied_level_leaves_the_book_at_once(venue: Venue) -> None:
    """P5: an emptied level leaves the book at once, whether by trade, cancel, reduce or amend."""
    for name, price in ((1, 101), (2, 102), (3, 103), (4, 104)):
        venue.order(SELL, price, 10, name)
    venue.order(BUY, 101, 10, 9)
    assert venue.book()[1] == [(102, 10), (103, 10), (104, 10)]
    venue.cancel(2)
    assert venue.book()[1] == [(103, 10), (104, 10)]
    venue.reduce(3, 10)
    assert venue.book()[1] == [(104, 10)]
    venue.amend(4, price=105)
    assert venue.book()[1] == [(105, 10)]


@dataclass(slots=True)
class Entry:
    """An order as the events tell it."""

    instrument: int
    side: int
    price: int
    leaves: int
    shown: int = 0  # lots that the market sees

    def settle(self, event: Any) -> None:
        """Price and leaves as the event says; where it rests without HIDDEN, all of it is displayed. Of what is hidden DISPLAYED tells."""
        self.price, self.leaves = event.price, event.quantity
        if not event.flags & HIDDEN:
            self.shown = event.quantity if event.flags & RESTS else 0


class Ledger:
    """The market as the events alone tell it: what is open and displayed of every live order, and where every lot went."""

    def __init__(self) -> None:
        self.live: dict[int, Entry] = {}  # by order id
        self.entered = self.traded = self.cancelled = self.grown = 0

    def hear(self, event: Any) -> None:
        """Books one event; asserts that it is possible."""
        hear = getattr(self, f"_hear_{EventKind(event.kind).name.lower()}", None)
        if hear is not None:
            hear(event)

    def _hear_accepted(self, event: Any) -> None:
        assert event.order_id not in self.live, "A6: an id means one order"
        self.live[event.order_id] = Entry(event.instrument, event.side, event.price, 0)
        self.live[event.order_id].settle(event)
        self.entered += event.quantity

    def _hear_trade(self, event: Any) -> None:
        assert event.quantity > 0, "P5: a trade of zero"
        self.traded += event.quantity
        resting = self.live[event.resting_order_id]
        assert resting.price == event.price, "P2: the resting order's price"
        if not event.flags & HIDDEN:
            resting.shown -= event.quantity
            assert resting.shown >= 0, "P7: more was traded than was displayed"
        for order_id, filled in ((event.order_id, EventFlags.AGGRESSOR_FILLED), (event.resting_order_id, EventFlags.RESTING_FILLED)):
            order = self.live[order_id]
            order.leaves -= event.quantity
            assert (order.leaves == 0) == bool(event.flags & filled), "an order is filled when nothing is left of it"
            assert order.leaves >= 0, "P5: more was traded than was open"
            if event.flags & filled:
                del self.live[order_id]

    def _hear_cancelled(self, event: Any) -> None:
        order = self.live.pop(event.order_id)
        assert order.leaves == event.quantity > 0
        assert order.shown == (event.quantity if event.flags & (WAS_RESTING | HIDDEN) == WAS_RESTING else 0)
        self.cancelled += event.quantity

    def _hear_reduced(self, event: Any) -> None:
        order = self.live[event.order_id]
        order.leaves -= event.quantity
        if event.flags & (WAS_RESTING | HIDDEN) == WAS_RESTING:
            order.shown -= event.quantity
        self.cancelled += event.quantity

    def _hear_amended(self, event: Any) -> None:
        self.grown += event.quantity - self.live[event.order_id].leaves
        self.live[event.order_id].settle(event)

    def _hear_rested(self, event: Any) -> None:
        assert self.live[event.order_id].leaves == event.quantity
        self.live[event.order_id].settle(event)

    def _hear_displayed(self, event: Any) -> None:
        order = self.live[event.order_id]
        order.shown += event.quantity
        assert 0 <= order.shown <= order.leaves
        assert (order.shown > 0) == bool(event.flags & RESTS)

    def levels(self, instrument: int, side: Side) -> list[tuple[int, int, int]]:
        """The levels of a side, best first, as `Engine.levels` gives them."""
        found: dict[int, tuple[int, int]] = {}
        for order in self.live.values():
            if (order.instrument, order.side) == (instrument, side) and order.shown:
                quantity, count = found.get(order.price, (0, 0))
                found[order.price] = (quantity + order.shown, count + 1)
        return [(price, *found[price]) for price in sorted(found, reverse=side == BUY)]


@pytest.mark.parametrize("seed", [31, 32])
def test_lots_are_conserved_and_the_events_tell_the_whole_book(engine_factory: EngineFactory, seed: int) -> None:
    """P5: no trade of zero; every lot entered is open, traded or cancelled, and the book is what the events say."""
    engine = engine_factory(Limits())
    ledger = Ledger()
    commands = flow(seed, 8_000, apply=ReferenceEngine().apply_records)
    for start in range(0, len(commands), 500):
        for event in events_of(engine.apply_records(commands[start : start + 500])):
            ledger.hear(event)
        for instrument in range(1, 5):
            for side in (BUY, SELL):
                assert list(engine.levels(instrument, side, None)) == ledger.levels(instrument, side), f"seed {seed}, command {start + 500}"
    still_open = sum(order.leaves for order in ledger.live.values())
    assert ledger.entered + ledger.grown == still_open + 2 * ledger.traded + ledger.cancelled
    assert ledger.traded > 10_000, "the flow has traded"


def test_partial_fill_does_not_move_the_resting_order(venue: Venue) -> None:
    """P6: a partial fill does not move the resting order in its queue."""
    venue.order(SELL, 100, 10, 1)
    venue.order(SELL, 100, 10, 2)
    trade = venue.order(BUY, 100, 4, 3)[1]
    assert trade.flags == EventFlags.AGGRESSOR_FILLED
    assert trades(venue.order(BUY, 100, 8, 4)) == [(1, 100, 6), (2, 100, 2)]


# Order types and times in force


@pytest.mark.parametrize("time_in_force", [GTC, IOC])
def test_market_order_takes_what_is_there_and_never_rests(venue: Venue, time_in_force: int) -> None:
    """T1: a market order takes what is there; what is left is cancelled with a reason; it never rests."""
    venue.order(SELL, 100, 10, 1)
    venue.order(SELL, 5_000, 10, 2)
    events = venue.order(BUY, 77, 25, 3, order_type=MARKET, time_in_force=time_in_force)
    assert said(events) == ["ACCEPTED", "TRADE", "TRADE", "CANCELLED NO_LIQUIDITY"]
    assert [(event.price, event.flags) for event in (events[0], events[3])] == [(0, 0), (0, 0)]
    assert trades(events) == [(1, 100, 10), (2, 5_000, 10)]
    assert events[3].quantity == 5
    assert venue.book() == ([], [])
    assert said(venue.order(SELL, -1, 1, 4, order_type=MARKET, time_in_force=time_in_force)) == ["ACCEPTED", "CANCELLED NO_LIQUIDITY"]


def test_good_till_cancelled_order_rests_what_does_not_trade(venue: Venue) -> None:
    """T2: a GTC limit rests what does not trade; whole, it says so in its acceptance, and else in RESTED."""
    (accepted,) = venue.order(BUY, 100, 10, 1)
    assert (accepted.flags, accepted.price, accepted.quantity) == (RESTS, 100, 10)
    events = venue.order(SELL, 100, 15, 2)
    assert said(events) == ["ACCEPTED", "TRADE", "RESTED"]
    assert (events[0].flags, events[2].flags, events[2].quantity, events[2].price) == (0, RESTS, 5, 100)
    assert events[1].flags == EventFlags.RESTING_FILLED
    assert venue.book() == ([], [(100, 5)])


@BOTH_SIDES
def test_immediate_or_cancel_order_cancels_its_true_remainder(venue: Venue, side: Side) -> None:
    """T3: IOC trades what crosses and cancels the true remainder."""
    better = 1 if side == BUY else -1
    venue.order(other(side), 100, 10, 1)
    venue.order(other(side), 100 + better, 10, 2)
    events = venue.order(side, 100, 25, 3, time_in_force=IOC)
    assert said(events) == ["ACCEPTED", "TRADE", "CANCELLED IMMEDIATE_OR_CANCEL"]
    assert (events[2].quantity, events[2].price, events[2].flags) == (15, 100, 0)
    assert said(venue.order(side, 100, 5, 3, time_in_force=IOC)) == ["ACCEPTED", "CANCELLED IMMEDIATE_OR_CANCEL"]
    assert said(venue.order(side, 100 + better, 10, 3, time_in_force=IOC)) == ["ACCEPTED", "TRADE"]
    assert venue.book() == ([], [])


@BOTH_SIDES
def test_fill_or_kill_order_trades_whole_or_not_at_all(venue: Venue, side: Side) -> None:
    """T4: FOK is decided before any trade, over all levels within its limit: all of it, or none."""
    better = 1 if side == BUY else -1
    for name, price in ((1, 100), (2, 100 + better), (3, 100 + 2 * better)):
        venue.order(other(side), price, 10, name)
    before = venue.book()
    events = venue.order(side, 100 + better, 21, 4, time_in_force=FOK)
    assert said(events) == ["ACCEPTED", "CANCELLED FILL_OR_KILL"]
    assert (events[1].quantity, events[1].flags) == (21, 0)
    assert venue.book() == before
    assert trades(venue.order(side, 100 + better, 20, 4, time_in_force=FOK)) == [(1, 100, 10), (2, 100 + better, 10)]
    assert said(venue.order(side, 0, 11, 5, time_in_force=FOK, order_type=MARKET)) == ["ACCEPTED", "CANCELLED FILL_OR_KILL"]
    assert said(venue.order(side, 0, 10, 5, time_in_force=FOK, order_type=MARKET)) == ["ACCEPTED", "TRADE"]
    assert said(venue.order(side, 100, 1, 6, time_in_force=FOK)) == ["ACCEPTED", "CANCELLED FILL_OR_KILL"]


# Amend, reduce, cancel


def queue_of_three(venue: Venue) -> None:
    """Sells of participant 1 at 100: 1, 2, 3, of 10 lots each."""
    for name in (1, 2, 3):
        venue.order(SELL, 100, 10, name)


def test_less_quantity_keeps_priority(venue: Venue) -> None:
    """A1: quantity down keeps priority, by amend of the total, by amend of the open quantity and by reduce."""
    queue_of_three(venue)
    (by_total,) = venue.amend(1, quantity=9)
    (by_open,) = venue.amend(1, quantity=8, flags=CommandFlags.OPEN_QUANTITY)
    (by_reduce,) = venue.reduce(1, 2)
    assert (by_total.kind, by_total.quantity, by_total.flags) == (EventKind.AMENDED, 9, WAS_RESTING | RESTS | KEPT)
    assert (by_open.kind, by_open.quantity, by_open.flags) == (EventKind.AMENDED, 8, WAS_RESTING | RESTS | KEPT)
    assert (by_reduce.kind, by_reduce.quantity, by_reduce.flags) == (EventKind.REDUCED, 2, WAS_RESTING | KEPT)
    assert venue.book() == ([], [(100, 26)])
    assert trades(venue.order(BUY, 100, 7, 9)) == [(1, 100, 6), (2, 100, 1)]


def test_resting_order_loses_priority_when_its_quantity_grows(venue: Venue) -> None:
    """A1: quantity up loses priority."""
    queue_of_three(venue)
    (amended,) = venue.amend(1, quantity=11)
    assert (amended.quantity, amended.flags) == (11, WAS_RESTING | RESTS)
    assert venue.sweep(BUY) == [2, 3, 1]


def test_resting_order_loses_priority_when_its_price_changes_even_if_it_comes_back(venue: Venue) -> None:
    """A1: a new price loses priority, with less quantity too."""
    queue_of_three(venue)
    (amended,) = venue.amend(1, price=101, quantity=5)
    assert (amended.price, amended.quantity, amended.flags) == (101, 5, WAS_RESTING | RESTS)
    assert venue.book() == ([], [(100, 20), (101, 5)])
    venue.amend(1, price=100)
    assert venue.sweep(BUY) == [2, 3, 1]


@pytest.mark.parametrize("total", [0, 3, 4])
def test_amend_to_what_has_traded_or_less_cancels_the_rest(venue: Venue, total: int) -> None:
    """A2: an amend's quantity is the new total: at or below what has traded, the rest is cancelled."""
    venue.order(SELL, 100, 10, 1)
    venue.order(BUY, 100, 4, 2)
    (cancelled,) = venue.amend(1, quantity=total, price=150)
    assert said([cancelled]) == ["CANCELLED AMENDED_AWAY"]
    assert (cancelled.quantity, cancelled.price, cancelled.flags) == (6, 100, WAS_RESTING)
    assert venue.book() == ([], [])


def test_amended_total_counts_what_has_traded(venue: Venue) -> None:
    """A2: an amend's quantity is the new total; with OPEN_QUANTITY it is what is open."""
    venue.order(SELL, 100, 10, 1)
    venue.order(BUY, 100, 4, 2)
    assert venue.amend(1, quantity=9)[0].quantity == 5
    assert venue.amend(1, quantity=9, flags=CommandFlags.OPEN_QUANTITY)[0].quantity == 9
    assert venue.book() == ([], [(100, 9)])
    assert said(venue.amend(1, quantity=0, flags=CommandFlags.OPEN_QUANTITY)) == ["CANCELLED AMENDED_AWAY"]


@pytest.mark.parametrize("fields", [{}, {"price": 100}, {"quantity": 10}, {"price": 100, "quantity": 10}])
def test_amend_that_changes_nothing_keeps_priority_and_is_acknowledged(venue: Venue, fields: dict[str, int]) -> None:
    """A3: an amend that changes nothing keeps priority and is acknowledged."""
    queue_of_three(venue)
    (amended,) = venue.amend(1, **fields)
    assert (amended.kind, amended.price, amended.quantity, amended.flags) == (EventKind.AMENDED, 100, 10, WAS_RESTING | RESTS | KEPT)
    assert venue.sweep(BUY) == [1, 2, 3]


@BOTH_SIDES
def test_amend_that_crosses_trades_at_once_under_its_own_id(venue: Venue, side: Side) -> None:
    """A4: an amend that crosses trades at once as aggressor, keeps its order id and its history."""
    better = 1 if side == BUY else -1
    accepted = venue.order(side, 100, 10, 1)[0]
    venue.order(other(side), 100, 3, 2, participant=2)  # trades 3 of 10
    venue.order(other(side), 100 + better, 4, 3, participant=2)
    events = venue.amend(1, price=100 + better, quantity=12)
    assert said(events) == ["AMENDED", "TRADE", "RESTED"]
    assert (events[0].price, events[0].quantity, events[0].flags) == (100 + better, 9, WAS_RESTING)
    assert trades(events) == [(3, 100 + better, 4)]
    assert {event.order_id for event in events} == {accepted.order_id}
    assert (events[2].quantity, events[2].flags) == (5, RESTS)
    assert said(venue.amend(1, quantity=7)) == ["CANCELLED AMENDED_AWAY"], "7 have traded: 3 before the amend, 4 by it"


def test_amend_that_crosses_and_fills_is_done(venue: Venue) -> None:
    """A4: a crossing amend that trades whole leaves nothing behind."""
    venue.order(SELL, 101, 10, 1, participant=2)
    venue.order(BUY, 100, 10, 2)
    events = venue.amend(2, price=105)
    assert said(events) == ["AMENDED", "TRADE"]
    assert venue.book() == ([], [])
    assert said(venue.cancel(2)) == ["REJECTED UNKNOWN_ORDER"]


@pytest.mark.parametrize("command", ["cancel", "reduce", "amend"])
def test_commands_on_orders_that_are_gone_unknown_or_anothers_are_rejected(venue: Venue, command: str) -> None:
    """A5: a cancel, reduce or amend of an order that is filled, cancelled, unknown or another's is rejected with a reason."""

    def act(name: int, **fields: int) -> list[str]:
        return said(venue.reduce(name, 1, **fields) if command == "reduce" else getattr(venue, command)(name, **fields))

    filled = venue.order(SELL, 100, 10, 1)[0].order_id
    venue.order(BUY, 100, 10, 2)
    cancelled = venue.order(SELL, 100, 10, 3)[0].order_id
    venue.cancel(3)
    theirs = venue.order(SELL, 100, 10, 4, participant=2)[0].order_id
    by_order_id = CommandFlags.BY_ORDER_ID
    for name in (0, 1, 3, 4, 99):
        assert act(name) == ["REJECTED UNKNOWN_ORDER"]
    for order_id in (filled, cancelled):
        assert act(order_id, flags=by_order_id) == ["REJECTED ORDER_CLOSED"]
    for order_id in (0, 1, 99, theirs & (2**32 - 1), theirs + 2**32, theirs + 1):
        assert act(order_id, flags=by_order_id) == ["REJECTED UNKNOWN_ORDER"]
    assert act(theirs, flags=by_order_id) == ["REJECTED NOT_OWNER"]
    assert act(theirs, flags=by_order_id, participant=2, instrument=2) == ["REJECTED WRONG_INSTRUMENT"]
    assert venue.book() == ([], [(100, 10)])


def test_cancel_takes_the_order_out_and_says_what_was_open(venue: Venue) -> None:
    """A5: a cancel of a live order, by either name, with or without its instrument, is done."""
    order_id = venue.order(SELL, 100, 10, 1, account=7)[0].order_id
    venue.order(BUY, 100, 4, 2)
    (cancelled,) = venue.cancel(order_id, flags=CommandFlags.BY_ORDER_ID, instrument=1, account=99)
    assert said([cancelled]) == ["CANCELLED REQUESTED"]
    assert (cancelled.quantity, cancelled.flags, cancelled.account, cancelled.client_order_id) == (6, WAS_RESTING, 7, 1)
    assert venue.book() == ([], [])


@pytest.mark.parametrize("quantity", [10, 11, 2**63 - 1])
def test_reduce_by_all_that_is_open_or_more_cancels(venue: Venue, quantity: int) -> None:
    """Section ReduceOrder: at or above leaves the order is cancelled."""
    venue.order(SELL, 100, 10, 1)
    (cancelled,) = venue.reduce(1, quantity)
    assert said([cancelled]) == ["CANCELLED REDUCED_AWAY"]
    assert (cancelled.quantity, cancelled.flags) == (10, WAS_RESTING)


def test_duplicate_client_order_id_is_rejected_before_any_match(venue: Venue) -> None:
    """A6: client_order_id is unique among the participant's live orders; a duplicate is rejected before any match."""
    venue.order(BUY, 90, 10, 1)
    venue.order(SELL, 100, 10, 2, participant=2)
    assert said(venue.order(BUY, 100, 10, 1)) == ["REJECTED DUPLICATE_CLIENT_ORDER_ID"]
    assert said(venue.order(BUY, 100, 10, 1, instrument=2)) == ["REJECTED DUPLICATE_CLIENT_ORDER_ID"]
    assert venue.book() == ([(90, 10)], [(100, 10)])
    assert said(venue.order(BUY, 90, 5, 1, participant=2)) == ["ACCEPTED"], "another participant's ids are its own"
    venue.cancel(1)
    assert said(venue.order(BUY, 90, 10, 1)) == ["ACCEPTED"], "the id is free again"
    assert said(venue.order(BUY, 90, 10, 0) + venue.order(BUY, 90, 10, 0)) == ["ACCEPTED", "ACCEPTED"], "0 is no id"


def test_order_ids_are_never_used_again_and_slots_are_taken_last_freed_first(venue: Venue) -> None:
    """A6: order ids are never used again. Section Order ids: the slot freed last, or the next never used; an aggressor's is freed last."""

    def place(order_id: int) -> tuple[int, int]:
        return order_id >> 32, order_id & (2**32 - 1)

    first, second = (venue.order(SELL, 100, 10, name)[0].order_id for name in (1, 2))
    assert (place(first), place(second)) == ((1, 1), (1, 2))
    aggressor = venue.order(BUY, 100, 20, 3)[0].order_id  # fills 1, then 2, then is done itself
    assert place(aggressor) == (1, 3)
    ids = [venue.order(SELL, 100, 10, name)[0].order_id for name in (4, 5, 6, 7)]
    assert [place(order_id) for order_id in ids] == [(2, 3), (2, 2), (2, 1), (1, 4)]
    killed = venue.order(SELL, 90, 10, 8, time_in_force=IOC)[0].order_id
    assert place(killed) == (1, 5)
    assert place(venue.order(SELL, 100, 10, 9)[0].order_id) == (2, 5)
    assert said(venue.cancel(first, flags=CommandFlags.BY_ORDER_ID)) == ["REJECTED ORDER_CLOSED"], "its slot has another order now"


def test_slot_with_its_last_generation_is_never_used_again() -> None:
    """Section Order ids: a slot whose generation is 2^32 - 1 is never freed."""
    ids = OrderIds(2)
    ids.release(ids.take())
    ids._generations[0] = 2**32 - 2
    last = ids.take()
    assert last == (2**32 - 1) << 32 | 1
    ids.release(last)
    assert ids.take() == 1 << 32 | 2
    assert not ids.has_free


# Hidden orders, icebergs


def test_displayed_orders_trade_before_hidden_ones_at_a_price(venue: Venue) -> None:
    """P7: at a price, displayed quantity trades before hidden quantity; a better price still comes first, hidden or not."""
    assert told(venue.new(SELL, 100, 10, 1, flags=CommandFlags.HIDDEN)) == ["ACCEPTED 1 10@100 RESTS|HIDDEN"]
    venue.order(SELL, 100, 10, 2)
    venue.new(SELL, 99, 5, 3, flags=CommandFlags.HIDDEN)
    assert venue.book() == ([], [(100, 10)]), "what is hidden is not in the levels, nor is a level of nothing else"
    assert told(venue.new(BUY, 100, 20, 4)) == [
        "ACCEPTED 4 20@100",
        "TRADE 4x3 5@99 RESTING_FILLED|HIDDEN",
        "TRADE 4x2 10@100 RESTING_FILLED",
        "TRADE 4x1 5@100 AGGRESSOR_FILLED|HIDDEN",
    ]
    assert told(venue.cancel(1)) == ["CANCELLED REQUESTED 1 5@100 WAS_RESTING|HIDDEN"]


def test_hidden_order_keeps_its_flag_in_every_event_and_joins_hidden_orders_when_it_moves(venue: Venue) -> None:
    """P7, A1: events of a hidden order have HIDDEN beside RESTS and WAS_RESTING; hidden orders are earliest first among themselves."""
    venue.new(SELL, 100, 10, 1, flags=CommandFlags.HIDDEN)
    venue.new(SELL, 100, 10, 2, flags=CommandFlags.HIDDEN)
    venue.order(SELL, 101, 10, 3)
    assert told(venue.reduce(1, 3)) == ["REDUCED 1 3@100 KEPT_PRIORITY|WAS_RESTING|HIDDEN"]
    assert told(venue.change(1, quantity=6)) == ["AMENDED 1 6@100 RESTS|KEPT_PRIORITY|WAS_RESTING|HIDDEN"]
    assert told(venue.change(1, quantity=7)) == ["AMENDED 1 7@100 RESTS|WAS_RESTING|HIDDEN"]
    assert trades(venue.new(BUY, 100, 12, 4)) == [(2, 100, 10), (1, 100, 2)]
    assert told(venue.change(1, price=101)) == ["AMENDED 1 5@101 RESTS|WAS_RESTING|HIDDEN"]
    assert venue.sweep(BUY) == [3, 1]


def iceberg(venue: Venue, side: Side, price: int, quantity: int, peak: int, name: int, **fields: int) -> list[Any]:
    """Enters an iceberg of participant 1."""
    return venue.new(side, price, quantity, name, {Term.DISPLAY_QUANTITY: peak}, **fields)


def test_iceberg_takes_with_its_whole_quantity_and_displays_its_peak(venue: Venue) -> None:
    """I1: an iceberg aggresses with its whole quantity; only the peak is displayed when it rests."""
    assert told(iceberg(venue, BUY, 90, 30, 10, 1)) == ["ACCEPTED 1 30@90 RESTS|HIDDEN", "DISPLAYED 1 10@90 RESTS"]
    venue.order(SELL, 100, 25, 2)
    assert told(iceberg(venue, BUY, 100, 60, 10, 3)) == [
        "ACCEPTED 3 60@100",
        "TRADE 3x2 25@100 RESTING_FILLED",
        "RESTED 3 35@100 RESTS|HIDDEN",
        "DISPLAYED 3 10@100 RESTS",
    ]
    assert venue.book() == ([(100, 10), (90, 10)], [])
    assert told(iceberg(venue, BUY, 80, 4, 10, 4))[1] == "DISPLAYED 4 4@80 RESTS", "all of it where that is less than the peak"


def test_used_up_peak_is_replenished_at_the_back_of_the_queue(venue: Venue) -> None:
    """I2: when the peak is gone it is replenished at the back of the queue, displayed anew; a part of it gone does not move it (P6)."""
    iceberg(venue, SELL, 100, 25, 10, 1)
    venue.order(SELL, 100, 10, 2)
    assert told(venue.order(BUY, 100, 4, 3)) == ["ACCEPTED 3 4@100", "TRADE 3x1 4@100 AGGRESSOR_FILLED"]
    assert venue.book() == ([], [(100, 16)])
    assert told(venue.new(BUY, 100, 6, 4)) == [
        "ACCEPTED 4 6@100",
        "TRADE 4x1 6@100 AGGRESSOR_FILLED",
        "DISPLAYED 1 10@100 RESTS|WAS_RESTING",
    ]
    assert venue.book() == ([], [(100, 20)])
    assert told(venue.new(BUY, 100, 22, 5)) == [
        "ACCEPTED 5 22@100",
        "TRADE 5x2 10@100 RESTING_FILLED",
        "TRADE 5x1 10@100",
        "DISPLAYED 1 5@100 RESTS|WAS_RESTING",
        "TRADE 5x1 2@100 AGGRESSOR_FILLED",
    ], "the last peak is what is left"
    assert told(venue.new(BUY, 100, 3, 6))[1:] == ["TRADE 6x1 3@100 AGGRESSOR_FILLED|RESTING_FILLED"], (
        "an order that is filled displays nothing"
    )


def test_iceberg_is_no_more_than_4096_peaks(venue: Venue) -> None:
    """I2: what one command can cause is bounded: an order has at most 4096 peaks open, at entry and after an amend."""

    def reasons(events: list[Any]) -> list[Reason]:
        return [event.reason for event in events if event.kind == EventKind.REJECTED]

    assert reasons(iceberg(venue, SELL, 100, 4096 * 3 + 1, 3, 1)) == [Reason.BAD_TERM]
    assert reasons(iceberg(venue, SELL, 100, 4096 * 3, 3, 1)) == []
    assert reasons(venue.amend(1, quantity=4096 * 3 + 1, price=NULL_VALUE)) == [Reason.QUANTITY_TOO_LARGE]
    venue.new(BUY, 100, 4, 2)
    assert reasons(venue.amend(1, quantity=4096 * 3 + 5, price=NULL_VALUE)) == [Reason.QUANTITY_TOO_LARGE]
    assert reasons(venue.amend(1, quantity=4096 * 3 + 4, price=NULL_VALUE)) == [], "what has traded does not count"
    assert reasons(iceberg(venue, SELL, 101, 2**60, 2**48, 3)) == []
    assert reasons(iceberg(venue, SELL, 101, 2**60, 2**48 - 1, 4)) == [Reason.BAD_TERM]


def test_reserves_are_reached_after_all_that_is_displayed_and_icebergs_refresh_in_turn(venue: Venue) -> None:
    """I3: an aggressor larger than all that is displayed reaches reserves after displayed orders; icebergs refresh as their peaks end."""
    iceberg(venue, SELL, 100, 15, 10, 1)
    iceberg(venue, SELL, 100, 12, 4, 2)
    venue.order(SELL, 100, 10, 3)
    venue.new(SELL, 100, 5, 4, flags=CommandFlags.HIDDEN)
    assert trades(venue.new(BUY, 100, 100, 5, time_in_force=IOC)) == [
        (1, 100, 10), (2, 100, 4), (3, 100, 10), (1, 100, 5), (2, 100, 4), (2, 100, 4), (4, 100, 5),
    ]  # fmt: skip


def test_lots_taken_off_an_iceberg_come_from_its_reserve_first(venue: Venue) -> None:
    """A2, I1: less of an iceberg is less reserve; where its peak shrinks, that is displayed before; it keeps its place (A1)."""
    iceberg(venue, SELL, 100, 30, 10, 1)
    venue.order(SELL, 100, 10, 2)
    assert told(venue.reduce(1, 5)) == ["REDUCED 1 5@100 KEPT_PRIORITY|WAS_RESTING|HIDDEN"]
    assert told(venue.change(1, quantity=10)) == ["AMENDED 1 10@100 RESTS|KEPT_PRIORITY|WAS_RESTING|HIDDEN"]
    assert told(venue.change(1, quantity=8)) == [
        "DISPLAYED 1 -2@100 RESTS|KEPT_PRIORITY|WAS_RESTING",
        "AMENDED 1 8@100 RESTS|KEPT_PRIORITY|WAS_RESTING|HIDDEN",
    ]
    assert told(venue.reduce(1, 1)) == [
        "DISPLAYED 1 -1@100 RESTS|KEPT_PRIORITY|WAS_RESTING",
        "REDUCED 1 1@100 KEPT_PRIORITY|WAS_RESTING|HIDDEN",
    ]
    assert venue.book() == ([], [(100, 17)])
    assert trades(venue.order(BUY, 100, 8, 3)) == [(1, 100, 7), (2, 100, 1)]


def test_iceberg_that_ends_or_moves_says_first_what_it_displays_no_longer(venue: Venue) -> None:
    """A1, A2, A3, I1: cancelled, amended away or moved, an iceberg's displayed lots go first; an amend that changes nothing is quiet."""
    iceberg(venue, SELL, 100, 30, 10, 1)
    assert told(venue.change(1)) == ["AMENDED 1 30@100 RESTS|KEPT_PRIORITY|WAS_RESTING|HIDDEN"]
    venue.order(BUY, 100, 4, 2)
    assert told(venue.change(1, price=101, quantity=40)) == [
        "DISPLAYED 1 -6@100 WAS_RESTING",
        "AMENDED 1 36@101 RESTS|WAS_RESTING|HIDDEN",
        "DISPLAYED 1 10@101 RESTS",
    ]
    assert told(venue.change(1, quantity=4)) == ["DISPLAYED 1 -10@101 WAS_RESTING", "CANCELLED AMENDED_AWAY 1 36@101 WAS_RESTING|HIDDEN"]
    iceberg(venue, SELL, 100, 30, 10, 3)
    assert told(venue.cancel(3)) == ["DISPLAYED 3 -10@100 WAS_RESTING", "CANCELLED REQUESTED 3 30@100 WAS_RESTING|HIDDEN"]
    assert venue.book() == ([], [])


def test_iceberg_that_is_amended_across_takes_with_all_and_shows_its_peak_again(venue: Venue) -> None:
    """A4, I1: an amend that crosses trades at once with the whole of an iceberg, and what rests shows its peak."""
    iceberg(venue, BUY, 99, 30, 10, 1)
    venue.order(SELL, 100, 25, 2)
    assert told(venue.change(1, price=100)) == [
        "DISPLAYED 1 -10@99 WAS_RESTING",
        "AMENDED 1 30@100 WAS_RESTING|HIDDEN",
        "TRADE 1x2 25@100 RESTING_FILLED",
        "RESTED 1 5@100 RESTS|HIDDEN",
        "DISPLAYED 1 5@100 RESTS",
    ]


def test_amend_gives_an_order_another_client_order_id(venue: Venue) -> None:
    """A6: cancel-replace: with NEW_CLIENT_ORDER_ID an order keeps id, place and history, and has another name from then on."""
    order_id = venue.order(SELL, 100, 10, 1)[0].order_id
    venue.order(SELL, 100, 10, 2)
    venue.order(BUY, 100, 4, 3)
    (amended,) = venue.change(1, {Term.NEW_CLIENT_ORDER_ID: 7}, quantity=9)
    assert told([amended]) == ["AMENDED 7 5@100 RESTS|KEPT_PRIORITY|WAS_RESTING"]
    assert amended.order_id == order_id
    assert said(venue.cancel(1)) == ["REJECTED UNKNOWN_ORDER"]
    assert said(venue.order(BUY, 50, 1, 1)) == ["ACCEPTED"], "the old name is free"
    assert said(venue.change(7, {Term.NEW_CLIENT_ORDER_ID: 7})) == ["AMENDED"], "its own name is no duplicate"
    assert told(venue.change(7, {Term.NEW_CLIENT_ORDER_ID: 2})) == [
        "REJECTED DUPLICATE_CLIENT_ORDER_ID 7 -9223372036854775808@-9223372036854775808"
    ]
    assert told(venue.change(7, {Term.NEW_CLIENT_ORDER_ID: 9}, quantity=4)) == ["CANCELLED AMENDED_AWAY 7 5@100 WAS_RESTING"]


# Collars, minimum quantity, budgets, post-only


@BOTH_SIDES
def test_market_order_trades_within_its_collar_only(venue: Venue, side: Side) -> None:
    """T1: a market order takes what is there within its collar, counted from the best opposite price; the rest is cancelled: COLLAR."""
    better = 1 if side == BUY else -1
    for name, price in ((1, 100), (2, 100 + 2 * better), (3, 100 + 3 * better)):
        venue.order(other(side), price, 10, name)
    events = venue.new(side, 0, 30, 4, {Term.COLLAR_TICKS: 2}, order_type=MARKET)
    assert trades(events) == [(1, 100, 10), (2, 100 + 2 * better, 10)]
    assert told(events)[-1] == "CANCELLED COLLAR 4 10@0"
    assert told(venue.new(side, 0, 30, 5, {Term.COLLAR_TICKS: 0}, order_type=MARKET, time_in_force=IOC)) == [
        "ACCEPTED 5 30@0",
        f"TRADE 5x3 10@{100 + 3 * better} RESTING_FILLED",
        "CANCELLED NO_LIQUIDITY 5 20@0",
    ], "a collar of nothing is the best level alone"


def test_the_narrower_of_two_collars_holds(venue: Venue) -> None:
    """T1: the collar is the order's own or the instrument's, whichever is narrower; it counts in ticks."""
    venue.define(3, collar_ticks=3, tick=5)
    for ticks, reached in ((None, [100, 110, 115]), (7, [100, 110, 115]), (2, [100, 110]), (1, [100])):
        for name, price in ((1, 100), (2, 110), (3, 115), (4, 120)):
            venue.order(SELL, price, 1, name, instrument=3)
        events = venue.new(BUY, 0, 9, 9, {} if ticks is None else {Term.COLLAR_TICKS: ticks}, order_type=MARKET, instrument=3)
        assert [price for _, price, _ in trades(events)] == reached
        assert said(events)[-1] == "CANCELLED COLLAR"
        venue.do(CommandKind.MASS_CANCEL, participant=1)


def test_collar_is_also_the_limit_of_what_a_fill_or_kill_may_count(venue: Venue) -> None:
    """T1, T4: a market order that is fill or kill counts what lies within its collar."""
    venue.order(SELL, 100, 10, 1)
    venue.order(SELL, 105, 10, 2)
    assert said(venue.new(BUY, 0, 11, 3, {Term.COLLAR_TICKS: 4}, order_type=MARKET, time_in_force=FOK)) == [
        "ACCEPTED", "CANCELLED FILL_OR_KILL",
    ]  # fmt: skip
    assert said(venue.new(BUY, 0, 11, 3, {Term.COLLAR_TICKS: 5}, order_type=MARKET, time_in_force=FOK)) == ["ACCEPTED", "TRADE", "TRADE"]


def test_rest_of_a_market_order_rests_at_its_last_price_where_the_instrument_says_so(venue: Venue) -> None:
    """T1: market to limit: what has traded and is left rests at the price of its last trade; IOC never, and nothing that has not traded."""
    venue.define(3, flags=InstrumentFlags.MARKET_TO_LIMIT, collar_ticks=5)
    assert told(venue.new(BUY, 0, 5, 1, instrument=3, order_type=MARKET))[1:] == ["CANCELLED NO_LIQUIDITY 1 5@0"]
    venue.order(SELL, 100, 2, 2, instrument=3)
    venue.order(SELL, 103, 2, 3, instrument=3)
    venue.order(SELL, 110, 2, 4, instrument=3)
    assert told(venue.new(BUY, 0, 9, 5, instrument=3, order_type=MARKET, time_in_force=DAY))[-1] == "RESTED 5 5@103 RESTS"
    assert venue.book(3) == ([(103, 5)], [(110, 2)])
    assert said(venue.new(BUY, 0, 3, 6, instrument=3, order_type=MARKET, time_in_force=IOC)) == [
        "ACCEPTED", "TRADE", "CANCELLED NO_LIQUIDITY",
    ]  # fmt: skip
    assert told(venue.change(5, price=104)) == ["AMENDED 5 5@104 RESTS|WAS_RESTING"], "it is an ordinary order from then on"


@BOTH_SIDES
def test_minimum_quantity_trades_at_once_or_the_order_is_cancelled_whole(venue: Venue, side: Side) -> None:
    """T5: at least the minimum quantity at once, or it is cancelled whole; afterwards the rest is an ordinary order."""
    better = 1 if side == BUY else -1
    venue.order(other(side), 100, 4, 1)
    venue.order(other(side), 100 + better, 4, 2)
    assert told(venue.new(side, 100, 20, 3, {Term.MINIMUM_QUANTITY: 5})) == ["ACCEPTED 3 20@100", "CANCELLED MINIMUM_QUANTITY 3 20@100"]
    assert said(venue.new(side, 100 + better, 20, 3, {Term.MINIMUM_QUANTITY: 8})) == ["ACCEPTED", "TRADE", "TRADE", "RESTED"]
    venue.order(other(side), 100 + better, 1, 4)
    assert venue.book()[0 if side == BUY else 1] == [(100 + better, 11)], "one lot is enough for the rest"
    assert said(venue.new(side, 0, 2, 5, {Term.MINIMUM_QUANTITY: 1}, order_type=MARKET)) == ["ACCEPTED", "CANCELLED MINIMUM_QUANTITY"]


@BOTH_SIDES
def test_fill_or_kill_by_budget_is_killed_where_it_would_cost_more_or_bring_less(venue: Venue, side: Side) -> None:
    """T9: fill or kill by budget: all or none, the limit is on the total cost of a buy, the total proceeds of a sell."""
    better = 1 if side == BUY else -1
    venue.order(other(side), 100, 4, 1)
    venue.order(other(side), 100 + better, 4, 2)
    total = 4 * 100 + 2 * (100 + better)
    fields: Fields = {"order_type": MARKET, "time_in_force": FOK}
    assert told(venue.new(side, 0, 6, 3, {Term.BUDGET: total - better}, **fields)) == ["ACCEPTED 3 6@0", "CANCELLED BUDGET 3 6@0"]
    assert said(venue.new(side, 0, 9, 3, {Term.BUDGET: total - better}, **fields)) == ["ACCEPTED", "CANCELLED FILL_OR_KILL"]
    assert said(venue.new(side, 100, 5, 3, {Term.BUDGET: 10**6 * better}, time_in_force=FOK)) == ["ACCEPTED", "CANCELLED FILL_OR_KILL"]
    assert said(venue.new(side, 0, 6, 3, {Term.BUDGET: total}, **fields)) == ["ACCEPTED", "TRADE", "TRADE"]


def test_fill_or_kill_counts_reserves_and_hidden_orders(venue: Venue) -> None:
    """T4: a fill or kill is decided over all that it may trade with, iceberg reserve and hidden orders included."""
    iceberg(venue, SELL, 100, 30, 10, 1)
    venue.new(SELL, 100, 5, 2, flags=CommandFlags.HIDDEN)
    assert said(venue.new(BUY, 100, 36, 3, time_in_force=FOK)) == ["ACCEPTED", "CANCELLED FILL_OR_KILL"]
    assert trades(venue.new(BUY, 100, 35, 3, time_in_force=FOK)) == [(1, 100, 10), (1, 100, 10), (1, 100, 10), (2, 100, 5)]


@BOTH_SIDES
def test_post_only_order_that_would_take_is_refused(venue: Venue, side: Side) -> None:
    """T6: post-only would take, a lock counts: rejected. An amend of it is checked the same way."""
    better = 1 if side == BUY else -1
    venue.new(other(side), 100, 10, 1, flags=CommandFlags.HIDDEN)
    post_only: Fields = {"flags": CommandFlags.POST_ONLY}
    assert said(venue.new(side, 100, 5, 2, **post_only)) == ["REJECTED POST_ONLY_WOULD_TAKE"], "though what it would take is hidden"
    assert told(venue.new(side, 100 - better, 5, 2, **post_only)) == [f"ACCEPTED 2 5@{100 - better} RESTS"]
    assert said(venue.change(2, price=100)) == ["REJECTED POST_ONLY_WOULD_TAKE"]
    assert said(venue.change(2, price=100, quantity=0)) == ["CANCELLED AMENDED_AWAY"], "where nothing is left nothing would take"


@BOTH_SIDES
def test_post_only_order_slides_one_tick_from_the_opposite_best_where_the_instrument_says_so(venue: Venue, side: Side) -> None:
    """T6: sliding, the price of the order becomes one tick from the opposite best, in its acceptance too; an amend slides as well."""
    venue.define(3, flags=InstrumentFlags.POST_ONLY_SLIDES, tick=5)
    away = -5 if side == BUY else 5
    venue.order(other(side), 100, 10, 1, instrument=3)
    post_only: Fields = {"flags": CommandFlags.POST_ONLY, "instrument": 3}
    assert told(venue.new(side, 100 - 4 * away, 5, 2, **post_only)) == [f"ACCEPTED 2 5@{100 + away} RESTS"]
    venue.new(side, 100 + away, 5, 3, **post_only)
    assert told(venue.change(2, price=100)) == [f"AMENDED 2 5@{100 + away} RESTS|KEPT_PRIORITY|WAS_RESTING"], (
        "slid to where it is: in place"
    )
    assert told(venue.change(2, price=100, quantity=6)) == [f"AMENDED 2 6@{100 + away} RESTS|WAS_RESTING"]
    venue.change(2, price=100 + 2 * away)
    assert told(venue.change(2, price=100)) == [f"AMENDED 2 6@{100 + away} RESTS|WAS_RESTING"]


def test_post_only_order_is_refused_where_it_would_slide_out_of_range(venue: Venue) -> None:
    """T6: where the price to slide to is out of range the order is rejected all the same."""
    venue.define(3, flags=InstrumentFlags.POST_ONLY_SLIDES)
    venue.order(SELL, 1, 10, 1, instrument=3)
    assert said(venue.new(BUY, 5, 5, 2, flags=CommandFlags.POST_ONLY, instrument=3)) == ["REJECTED POST_ONLY_WOULD_TAKE"]


# Deadlines


def test_day_order_lives_until_the_end_of_the_day(venue: Venue) -> None:
    """T2, T7: DAY expires with END_OF_DAY, at rest or waiting, in the order of order ids; GTC and later deadlines stay."""
    venue.order(BUY, 90, 10, 1, time_in_force=DAY)
    venue.new(BUY, 0, 10, 2, {Term.STOP_PRICE: 200}, order_type=STOP, time_in_force=DAY)
    venue.order(BUY, 90, 10, 3)
    venue.new(BUY, 90, 10, 4, {Term.EXPIRE_TIME: 10**6}, time_in_force=GTD)
    venue.order(BUY, 90, 10, 5, instrument=2, time_in_force=DAY)
    assert told(venue.do(CommandKind.EXPIRE_ORDERS, cutoff_ns=10**6 - 1)) == ["COMPLETED 0 0@0"]
    end_of_day: Fields = {"flags": CommandFlags.END_OF_DAY, "cutoff_ns": 10**6 - 1}
    assert told(venue.do(CommandKind.EXPIRE_ORDERS, instrument=1, **end_of_day)) == [
        "CANCELLED EXPIRED 1 10@90 WAS_RESTING",
        "CANCELLED EXPIRED 2 10@0 WAITING",
        "COMPLETED 0 2@0",
    ]
    assert told(venue.do(CommandKind.EXPIRE_ORDERS, **end_of_day)) == ["CANCELLED EXPIRED 5 10@90 WAS_RESTING", "COMPLETED 0 1@0"]
    assert venue.book() == ([(90, 20)], [])


def test_expiry_cancels_what_its_cutoff_says(venue: Venue) -> None:
    """T7: expiry is a command that carries its cutoff: deadlines at or before it are over, whatever the time; by rising order id."""
    for name, deadline in ((1, 9_000), (2, 8_000), (3, 9_001)):
        venue.new(SELL, 100, 10, name, {Term.EXPIRE_TIME: deadline}, time_in_force=GTD)
    (first, second, completed) = venue.do(CommandKind.EXPIRE_ORDERS, cutoff_ns=9_000, participant=7, session=8)
    assert told([first, second, completed]) == [
        "CANCELLED EXPIRED 1 10@100 WAS_RESTING",
        "CANCELLED EXPIRED 2 10@100 WAS_RESTING",
        "COMPLETED 0 2@0",
    ]
    assert (completed.participant, completed.session, completed.command_kind) == (7, 8, CommandKind.EXPIRE_ORDERS)
    assert said(venue.do(CommandKind.EXPIRE_ORDERS, flags=1)) == ["REJECTED BAD_FLAGS"]
    assert said(venue.do(CommandKind.EXPIRE_ORDERS, flags=1, instrument=9)) == ["REJECTED UNKNOWN_INSTRUMENT"]
    assert said(venue.do(CommandKind.EXPIRE_ORDERS, flags=1, instrument=9, reserved=1)) == ["REJECTED RESERVED_NOT_ZERO"]


def test_order_is_dead_at_its_deadline_and_never_trades_again(venue: Venue) -> None:
    """T2, T7: GTD is dead at now >= deadline: before any record, by rising deadline, then order id; what comes finds it gone."""
    for name, deadline in ((1, 5_001), (2, 5_000), (3, 5_001), (4, 5_002)):
        venue.new(SELL, 100, 10, name, {Term.EXPIRE_TIME: deadline}, time_in_force=GTD)
    venue.now_ns = 4_998
    assert said(venue.cancel(99)) == ["REJECTED UNKNOWN_ORDER"], "a nanosecond before"
    venue.now_ns = 5_000
    events = venue.new(BUY, 100, 15, 5)
    assert told(events) == [
        "CANCELLED EXPIRED 2 10@100 WAS_RESTING",
        "CANCELLED EXPIRED 1 10@100 WAS_RESTING",
        "CANCELLED EXPIRED 3 10@100 WAS_RESTING",
        "ACCEPTED 5 15@100",
        "TRADE 5x4 10@100 RESTING_FILLED",
        "RESTED 5 5@100 RESTS",
    ]
    assert {event.timestamp_ns for event in events if event.kind != EventKind.TRADE} == {5_001}
    venue.now_ns = 3_000
    assert said(venue.new(BUY, 90, 1, 6, {Term.EXPIRE_TIME: 5_001}, time_in_force=GTD)) == ["REJECTED ALREADY_EXPIRED"], (
        "time never goes back"
    )


def test_time_goes_back_only_by_a_command_that_sets_it(venue: Venue) -> None:
    """T10: after a time that was too late, dated orders are refused until the time is set; what has expired stays expired."""
    venue.new(SELL, 100, 10, 1, {Term.EXPIRE_TIME: 8_000}, time_in_force=GTD)
    venue.new(SELL, 100, 10, 2, {Term.EXPIRE_TIME: 9_000}, time_in_force=GTD)
    venue.now_ns = 8_500
    assert told(venue.cancel(99))[0] == "CANCELLED EXPIRED 1 10@100 WAS_RESTING"
    venue.now_ns = 5_000
    assert said(venue.new(BUY, 90, 1, 3, {Term.EXPIRE_TIME: 6_000}, time_in_force=GTD)) == ["REJECTED ALREADY_EXPIRED"]
    flags = int(CommandFlags.SET_TIME)
    assert said(venue.do(CommandKind.EXPIRE_ORDERS, cutoff_ns=5_000, flags=flags, instrument=9)) == ["REJECTED UNKNOWN_INSTRUMENT"]
    assert said(venue.new(BUY, 90, 1, 3, {Term.EXPIRE_TIME: 6_000}, time_in_force=GTD)) == ["REJECTED ALREADY_EXPIRED"], (
        "refused: no effect"
    )
    assert told(venue.do(CommandKind.EXPIRE_ORDERS, cutoff_ns=5_000, flags=flags)) == ["COMPLETED 0 0@0"]
    assert told(venue.new(BUY, 90, 1, 3, {Term.EXPIRE_TIME: 6_000}, time_in_force=GTD)) == ["ACCEPTED 3 1@90 RESTS"]
    venue.now_ns = 6_000
    assert told(venue.cancel(99))[0] == "CANCELLED EXPIRED 3 1@90 WAS_RESTING"
    venue.now_ns = 9_000
    assert told(venue.cancel(99))[0] == "CANCELLED EXPIRED 2 10@100 WAS_RESTING", "its deadline is as far away as it was"


def test_waiting_order_dies_at_its_deadline(venue: Venue) -> None:
    """T7: a record of any kind, a refused one too, brings the time that ends an order, also one that waits."""
    venue.new(BUY, 0, 10, 1, {Term.STOP_PRICE: 200, Term.EXPIRE_TIME: 5_000}, order_type=STOP, time_in_force=GTD)
    venue.now_ns = 4_999
    assert told(venue.do(CommandKind(5), participant=1)) == ["CANCELLED EXPIRED 1 10@0 WAITING", "REJECTED INCOMPLETE_COMMAND 0 0@0"]


# Stops


def stop(venue: Venue, side: Side, price: int, quantity: int, name: int, **fields: int) -> list[Any]:
    """Enters a stop of participant 1: a market order once `price` is reached, or with `limit` a limit order."""
    limit = fields.pop("limit", None)
    order_type = STOP if limit is None else STOP_LIMIT
    return venue.new(side, limit or 0, quantity, name, {Term.STOP_PRICE: price}, order_type=order_type, **fields)


def triggered(events: Sequence[Any]) -> list[tuple[int, int]]:
    """Client order id and stop price of each order that triggered."""
    return [(event.client_order_id, event.price) for event in events if event.kind == EventKind.TRIGGERED]


@BOTH_SIDES
def test_stop_triggers_when_the_last_trade_reaches_its_price(venue: Venue, side: Side) -> None:
    """S1: a buy triggers at last >= stop, a sell at last <= stop; until then it waits, outside the book and its levels."""
    worse = 1 if side == BUY else -1
    assert told(stop(venue, side, 100 + 2 * worse, 5, 1)) == ["ACCEPTED 1 5@0 WAITING", f"STOP_SET 1 5@{100 + 2 * worse} STOP"]
    assert venue.book() == ([], [])
    venue.order(other(side), 100 + worse, 1, 2)
    venue.order(other(side), 100 + 2 * worse, 7, 3)
    assert said(venue.order(side, 100 + worse, 1, 4)) == ["ACCEPTED", "TRADE"], "one tick short"
    assert told(venue.new(side, 100 + 2 * worse, 1, 5)) == [
        f"ACCEPTED 5 1@{100 + 2 * worse}",
        f"TRADE 5x3 1@{100 + 2 * worse} AGGRESSOR_FILLED",
        f"TRIGGERED 1 5@{100 + 2 * worse}",
        f"TRADE 1x3 5@{100 + 2 * worse} AGGRESSOR_FILLED",
    ]


@BOTH_SIDES
def test_stop_past_its_trigger_on_entry_triggers_at_once(venue: Venue, side: Side) -> None:
    """S1: one already past its trigger on entry triggers at once; a price from outside counts as a trade does."""
    venue.last(100)
    assert told(stop(venue, side, 100, 5, 1, limit=90)) == ["ACCEPTED 1 5@90", "TRIGGERED 1 5@100", "RESTED 1 5@90 RESTS"]
    at = 101 if side == BUY else 99
    assert told(stop(venue, side, at, 5, 2)) == ["ACCEPTED 2 5@0 WAITING", f"STOP_SET 2 5@{at} STOP"]
    assert triggered(venue.last(at)) == [(2, at)]
    assert told(venue.cancel(1)) == ["CANCELLED REQUESTED 1 5@90 WAS_RESTING"], "having triggered it is an ordinary order"


def test_last_price_from_outside_is_checked_and_completed(venue: Venue) -> None:
    """S1: SetLastPrice is checked as a price and says so when it is done; then stops are looked at."""
    (completed,) = venue.do(CommandKind.SET_LAST_PRICE, instrument=2, price=-10, participant=3, session=4)
    assert told([completed]) == ["COMPLETED 0 0@-10"]
    assert (completed.participant, completed.session, completed.instrument, completed.command_kind) == (3, 4, 2, 36)
    steps: tuple[tuple[str, Fields], ...] = (
        ("RESERVED_NOT_ZERO", {"instrument": 9, "price": 0, "reserved": 1}),
        ("UNKNOWN_INSTRUMENT", {"instrument": 9, "price": 0}),
        ("PRICE_OUT_OF_RANGE", {"instrument": 1, "price": 0}),
        ("PRICE_OFF_TICK", {"instrument": 2, "price": 3}),
    )
    for reason, fields in steps:
        (rejected,) = venue.do(CommandKind.SET_LAST_PRICE, **fields)
        assert said([rejected]) == [f"REJECTED {reason}"]
        assert (rejected.price, rejected.command_kind) == (fields["price"], CommandKind.SET_LAST_PRICE)


def test_stops_trigger_buys_rising_then_sells_falling_then_by_entry(venue: Venue) -> None:
    """S2: of several triggered at once: buys by rising stop price, then sells by falling; at one stop price by entry."""
    venue.last(100)
    for name, side, price in ((1, SELL, 94), (2, BUY, 106), (3, BUY, 103), (4, SELL, 96), (5, BUY, 103), (6, BUY, 108)):
        stop(venue, side, price, 1, name)
    assert triggered(venue.last(107)) == [(3, 103), (5, 103), (2, 106)]
    assert triggered(venue.last(90)) == [(4, 96), (1, 94)]
    assert triggered(venue.last(108)) == [(6, 108)]


def test_amended_stop_stands_behind_others_of_its_price_unless_it_only_shrinks(venue: Venue) -> None:
    """S2, A1, A3: less quantity or another limit keeps a waiting order's place; more, or another stop price, loses it."""
    for name in (1, 2, 3, 4):
        stop(venue, BUY, 105, 5, name, limit=110)
    kept = ["AMENDED 1 4@111 KEPT_PRIORITY|WAITING", "STOP_SET 1 4@105 STOP_LIMIT"]
    assert told(venue.change(1, quantity=4, price=111)) == kept
    assert told(venue.change(1)) == kept
    assert told(venue.change(2, quantity=6)) == ["AMENDED 2 6@110 WAITING", "STOP_SET 2 6@105 STOP_LIMIT"]
    assert told(venue.change(3, {Term.STOP_PRICE: 104})) == ["AMENDED 3 5@110 WAITING", "STOP_SET 3 5@104 STOP_LIMIT"]
    assert told(venue.change(3, {Term.STOP_PRICE: 105})) == ["AMENDED 3 5@110 WAITING", "STOP_SET 3 5@105 STOP_LIMIT"]
    assert told(venue.reduce(4, 2)) == ["REDUCED 4 2@110 KEPT_PRIORITY|WAITING"]
    assert [name for name, _ in triggered(venue.last(105))] == [1, 4, 2, 3]


def test_waiting_order_amended_past_its_trigger_triggers_at_once(venue: Venue) -> None:
    """A4, S1: where the new stop price is past its trigger the amend has no flags, and the order enters, every check again."""
    venue.last(100)
    venue.order(SELL, 102, 3, 1)
    stop(venue, BUY, 105, 5, 2, limit=103)
    assert told(venue.change(2, {Term.STOP_PRICE: 100, Term.NEW_CLIENT_ORDER_ID: 8}, price=102)) == [
        "AMENDED 8 5@102",
        "TRIGGERED 8 5@100",
        "TRADE 8x1 3@102 RESTING_FILLED",
        "RESTED 8 2@102 RESTS",
    ]
    stop(venue, BUY, 110, 5, 3)
    assert told(venue.change(3, {Term.STOP_PRICE: 109}, price=-7)) == [
        "AMENDED 3 5@0 WAITING",
        "STOP_SET 3 5@109 STOP",
    ], "a price means nothing without limit"
    assert told(venue.change(3, quantity=0)) == ["CANCELLED AMENDED_AWAY 3 5@0 WAITING"]
    assert said(venue.change(8, {Term.STOP_PRICE: 90})) == ["REJECTED BAD_TERM"], "it waits no longer"


def test_amend_of_a_waiting_order_to_nothing_cancels_it(venue: Venue) -> None:
    """A2: the new total of a waiting order, which has traded nothing, at or below zero cancels it; reduce and cancel end it too."""
    for name, price in ((1, 105), (2, 105), (3, 105)):
        stop(venue, BUY, price, 5, name)
    assert told(venue.change(1, quantity=0)) == ["CANCELLED AMENDED_AWAY 1 5@0 WAITING"]
    assert told(venue.reduce(2, 5)) == ["CANCELLED REDUCED_AWAY 2 5@0 WAITING"]
    assert told(venue.cancel(3)) == ["CANCELLED REQUESTED 3 5@0 WAITING"]
    assert venue.last(200) == []


def test_triggered_stop_joins_behind_what_rests_at_its_price(venue: Venue) -> None:
    """S3: a triggered stop joins behind what rests at its price, however long it has waited."""
    stop(venue, BUY, 105, 5, 1, limit=100)
    venue.order(BUY, 100, 5, 2)
    assert told(venue.last(105)) == ["TRIGGERED 1 5@105", "RESTED 1 5@100 RESTS"]
    assert venue.sweep(SELL) == [2, 1]


def test_cascade_of_stops_runs_to_its_end_inside_one_command(venue: Venue) -> None:
    """S4: each stop that triggers trades and elects others, which queue behind those elected before; all inside one command."""
    for price in (101, 102, 103, 104):
        venue.order(SELL, price, 1, price)
    stop(venue, BUY, 102, 1, 1)
    stop(venue, BUY, 101, 1, 2)  # will take 102, and so elect 1
    stop(venue, BUY, 101, 1, 3)  # elected with 2, before 1
    stop(venue, SELL, 90, 1, 4)
    events = venue.order(BUY, 101, 1, 5)
    assert triggered(events) == [(2, 101), (3, 101), (1, 102)]
    assert [(event.client_order_id, event.price) for event in events if event.kind == EventKind.TRADE] == [
        (5, 101), (2, 102), (3, 103), (1, 104),
    ]  # fmt: skip
    events = venue.apply(records_for(CommandKind.SET_LAST_PRICE, times=venue.times(), price=90, instrument=1))
    assert told(events) == ["COMPLETED 0 0@90", "TRIGGERED 4 1@90", "CANCELLED NO_LIQUIDITY 4 1@0"]


def test_first_and_last_price_of_an_aggressor_elect_in_turn(venue: Venue) -> None:
    """S2, S4: stops are looked at for the first trade price of an aggressor, then for its last, and trigger after it is done."""
    for price in (101, 105):
        venue.order(SELL, price, 1, price)
    stop(venue, BUY, 105, 1, 1, limit=105)
    stop(venue, SELL, 101, 1, 2, limit=105)
    stop(venue, BUY, 101, 1, 3, limit=105)
    assert told(venue.new(BUY, 105, 3, 9)) == [
        "ACCEPTED 9 3@105",
        "TRADE 9x101 1@101 RESTING_FILLED",
        "TRADE 9x105 1@105 RESTING_FILLED",
        "RESTED 9 1@105 RESTS",
        "TRIGGERED 3 1@101",
        "RESTED 3 1@105 RESTS",
        "TRIGGERED 2 1@101",
        "TRADE 2x9 1@105 AGGRESSOR_FILLED|RESTING_FILLED",
        "TRIGGERED 1 1@105",
        "RESTED 1 1@105 RESTS",
    ]


def test_triggered_order_runs_every_check_again(engine_factory: EngineFactory) -> None:
    """S4, T4, T5, T6: post-only, fill or kill, minimum quantity, collar and the limits of book and levels hold when a stop triggers."""
    venue = Venue(engine_factory(replace(ROOMY, level_count_max=2)))
    venue.order(SELL, 110, 3, 1)
    stop(venue, BUY, 105, 5, 2, limit=110, flags=CommandFlags.POST_ONLY)
    stop(venue, BUY, 106, 5, 3, time_in_force=FOK)
    venue.new(BUY, 110, 5, 4, {Term.STOP_PRICE: 107, Term.MINIMUM_QUANTITY: 4}, order_type=STOP_LIMIT)
    stop(venue, BUY, 108, 5, 5, limit=100)
    stop(venue, BUY, 109, 5, 6, limit=100, time_in_force=IOC)
    stop(venue, BUY, 109, 2**60, 7, limit=99)
    venue.order(BUY, 99, 1, 8)
    assert told(venue.last(108)) == [
        "TRIGGERED 2 5@105", "CANCELLED POST_ONLY_WOULD_TAKE 2 5@110",
        "TRIGGERED 3 5@106", "CANCELLED FILL_OR_KILL 3 5@0",
        "TRIGGERED 4 5@107", "CANCELLED MINIMUM_QUANTITY 4 5@110",
        "TRIGGERED 5 5@108", "CANCELLED LEVEL_LIMIT_REACHED 5 5@100",
    ]  # fmt: skip
    for name in (10, 11, 12):
        venue.order(BUY, 99, 2**60, name)
    venue.order(BUY, 99, 2**60 - 1, 13)
    assert told(venue.last(109)) == [
        "TRIGGERED 6 5@109", "CANCELLED QUANTITY_TOO_LARGE 6 5@100",
        f"TRIGGERED 7 {2**60}@109", f"CANCELLED QUANTITY_TOO_LARGE 7 {2**60}@99",
    ]  # fmt: skip


def test_stop_is_special_while_it_waits_and_later_only_for_what_else_it_has(engine_factory: EngineFactory) -> None:
    """S1, section Order of checks: an order is special while it waits, and while it lives with a peak, a deadline or a group."""
    venue = Venue(engine_factory(replace(ROOMY, special_count_max=1)))
    stop(venue, BUY, 105, 5, 1, limit=90)
    assert said(iceberg(venue, BUY, 90, 5, 2, 2)) == ["REJECTED SPECIAL_LIMIT_REACHED"]
    venue.last(105)
    assert said(iceberg(venue, BUY, 90, 5, 2, 2)) == ["ACCEPTED", "DISPLAYED"], "what has triggered is special no longer"
    assert said(stop(venue, BUY, 110, 5, 3)) == ["REJECTED SPECIAL_LIMIT_REACHED"], "nor did it make another so"
    assert said(venue.new(BUY, 90, 5, 3, flags=CommandFlags.HIDDEN)) == ["ACCEPTED"]
    assert [event.client_order_id for event in venue.new(SELL, 90, 10, 4) if event.kind == EventKind.DISPLAYED] == [2, 2]
    venue.do(CommandKind.CANCEL_ORDER, client_order_id=2, participant=1)
    assert said(stop(venue, BUY, 110, 5, 3, participant=2)) == ["ACCEPTED", "STOP_SET"]


def test_triggered_post_only_order_slides_where_the_instrument_says_so(venue: Venue) -> None:
    """S4, T6: a post-only stop that would take when it triggers rests one tick away."""
    venue.define(3, flags=InstrumentFlags.POST_ONLY_SLIDES)
    venue.order(SELL, 110, 3, 1, instrument=3)
    stop(venue, BUY, 105, 5, 2, limit=120, flags=CommandFlags.POST_ONLY, instrument=3)
    assert told(venue.last(105, 3)) == ["TRIGGERED 2 5@105", "RESTED 2 5@109 RESTS"]


def test_events_of_a_cascade_carry_the_time_of_the_command_and_their_own_owner(venue: Venue) -> None:
    """S4: the events of an elected order carry the timestamp and sequence of the command that runs, and its own owner."""
    venue.new(BUY, 100, 5, 1, {Term.STOP_PRICE: 105}, order_type=STOP_LIMIT, participant=4, account=6)
    venue.order(SELL, 105, 1, 2)
    events = venue.new(BUY, 105, 1, 3)
    assert len({event.sequence for event in events}) == 1
    assert [(event.timestamp_ns, event.participant, event.account) for event in events[2:]] == [(venue.now_ns, 4, 6)] * 2


@BOTH_SIDES
def test_trailing_stop_follows_the_market_in_its_favour_only(venue: Venue, side: Side) -> None:
    """S6: a trailing stop moves only in its favour, before triggers are looked at; a buy's above the market, a sell's below."""
    up = 1 if side == BUY else -1
    venue.last(1_000)
    terms = {Term.TRAIL_AMOUNT: 10}
    assert told(venue.new(side, 0, 5, 1, terms, order_type=TRAILING_STOP)) == [
        "ACCEPTED 1 5@0 WAITING",
        f"STOP_SET 1 5@{1_000 + 10 * up} TRAILING_STOP",
    ]
    for last in (1_000 - 7 * up, 1_000 + 2 * up, 1_000 - 6 * up):
        assert venue.last(last) == []
    assert triggered(venue.last(1_000 + 3 * up)) == [(1, 1_000 + 3 * up)], "10 from the best price seen, 993 or 1007"


def test_trailing_stop_starts_where_it_is_told_or_at_its_distance(venue: Venue) -> None:
    """S6: with STOP_PRICE a trailing stop starts there, or nearer where a last price is; without, it needs a last price."""
    terms = {Term.TRAIL_AMOUNT: 10}
    trailing: Fields = {"order_type": TRAILING_STOP}
    assert said(venue.new(BUY, 0, 5, 1, terms, **trailing)) == ["REJECTED NO_LAST_PRICE"]
    assert said(venue.new(BUY, 0, 5, 1, terms | {Term.STOP_PRICE: 120}, **trailing)) == ["ACCEPTED", "STOP_SET"]
    venue.last(115)
    venue.new(BUY, 0, 5, 2, terms | {Term.STOP_PRICE: 121}, **trailing)
    venue.new(BUY, 0, 5, 3, terms | {Term.STOP_PRICE: 200}, **trailing)
    venue.new(BUY, 0, 5, 4, terms, **trailing)
    assert triggered(venue.last(125)) == [(1, 120), (2, 121), (3, 125), (4, 125)]
    assert said(venue.new(BUY, 0, 5, 5, terms | {Term.STOP_PRICE: 125}, **trailing)) == [
        "ACCEPTED", "TRIGGERED", "CANCELLED NO_LIQUIDITY",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("last", "basis_points", "stop_price"),
    [
        (1_000, 100, 1_010),
        (1_000, 101, 1_015),
        (-1_000, 100, -990),
        (0, 100, 5),
        (10, 1, 15),
        (100, 10_000, 200),
        (2**62 - 4, 100, 2**62 - 4),
    ],
)
def test_distance_in_basis_points_is_rounded_up_to_a_tick(venue: Venue, last: int, basis_points: int, stop_price: int) -> None:
    """S6: the distance is so much of the last price without its sign, rounded up to the tick, at least one; kept within prices."""
    venue.last(last, 2)
    events = venue.new(BUY, 0, 5, 1, {Term.TRAIL_BASIS_POINTS: basis_points}, order_type=TRAILING_STOP, instrument=2)
    if stop_price == last:
        assert triggered(events) == [(1, stop_price)], "nothing is above the highest price"
    else:
        assert venue.last(stop_price - 5, 2) == []
        assert triggered(venue.last(stop_price, 2)) == [(1, stop_price)]


@BOTH_SIDES
def test_trailing_stop_limit_has_its_limit_at_a_distance_from_its_stop_price(venue: Venue, side: Side) -> None:
    """S6: the limit of a trailing stop limit is its stop price plus its signed distance, kept within the prices of the instrument."""
    venue.last(100)
    trailing: Fields = {"order_type": TRAILING_STOP_LIMIT}
    at = 110 if side == BUY else 90
    stop_set = [f"STOP_SET {name} 5@{at} TRAILING_STOP_LIMIT" for name in (1, 2)]
    assert told(venue.new(side, -3, 5, 1, {Term.TRAIL_AMOUNT: 10}, **trailing)) == ["ACCEPTED 1 5@-3 WAITING", stop_set[0]]
    assert told(venue.new(side, -2000, 5, 2, {Term.TRAIL_AMOUNT: 10}, **trailing)) == ["ACCEPTED 2 5@-2000 WAITING", stop_set[1]]
    assert told(venue.change(2, price=-1000)) == ["AMENDED 2 5@-1000 KEPT_PRIORITY|WAITING", stop_set[1]]
    assert told(venue.last(at)) == [
        f"TRIGGERED 1 5@{at}", f"RESTED 1 5@{at - 3} RESTS",
        f"TRIGGERED 2 5@{at}", "RESTED 2 5@1 RESTS",
    ]  # fmt: skip
    assert said(venue.new(side, -(2**62) - 1, 5, 3, {Term.TRAIL_AMOUNT: 10}, **trailing)) == ["REJECTED PRICE_OUT_OF_RANGE"]
    assert said(venue.new(side, 3, 5, 3, {Term.TRAIL_AMOUNT: 10, Term.STOP_PRICE: 5}, **trailing, instrument=2)) == [
        "REJECTED PRICE_OFF_TICK"
    ]


# Mass cancel


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({}, [5, 2, 3, 4]),
        ({"instrument": 2}, [4]),
        ({"side": SELL}, [2, 4]),
        ({"flags": CommandFlags.BY_ACCOUNT, "account": 7}, [2, 3]),
        ({"flags": CommandFlags.BY_ACCOUNT, "account": 0}, [5, 4]),
        ({"flags": CommandFlags.BY_SESSION, "target_session": 1}, [3]),
        ({"flags": CommandFlags.BY_ACCOUNT | CommandFlags.BY_SESSION, "account": 7, "target_session": 0, "side": SELL}, [2]),
        ({"flags": CommandFlags.ANY_PARTICIPANT}, [5, 2, 3, 4, 6]),
        ({"flags": CommandFlags.ANY_PARTICIPANT, "participant": 9, "side": BUY}, [5, 3, 6]),
        ({"participant": 9}, []),
    ],
)
def test_mass_cancel_ends_what_matches_in_the_order_of_order_ids(venue: Venue, fields: Fields, names: list[int]) -> None:
    """A7: by participant, account, session, instrument and side, alone or together; by order id; one report each and a total."""
    venue.do(CommandKind.DEFINE_SESSION, session=1, participant=1, participant_name=b"FIRM")
    venue.order(BUY, 90, 1, 1)
    venue.new(SELL, 110, 1, 2, account=7)
    venue.new(BUY, 0, 1, 3, {Term.STOP_PRICE: 120}, order_type=STOP, account=7, session=1)
    venue.new(SELL, 100, 1, 4, instrument=2)
    venue.cancel(1)
    venue.order(BUY, 91, 1, 5)  # in the slot of 1, of a later generation
    venue.order(BUY, 90, 1, 6, participant=2)
    order = [2, 3, 4, 6, 5]  # 5 has the highest id
    command: Fields = {"participant": 1, "client_order_id": 77} | fields
    *cancelled, completed = venue.do(CommandKind.MASS_CANCEL, **command)
    assert [event.client_order_id for event in cancelled] == [name for name in order if name in names]
    assert set(said(cancelled)) <= {"CANCELLED MASS_CANCELLED"}
    assert told([completed]) == [f"COMPLETED 77 {len(names)}@0"]
    assert (completed.side, completed.instrument) == (fields.get("side", 0), fields.get("instrument", 0))
    assert (completed.account, completed.order_id, completed.command_kind) == (0, 0, CommandKind.MASS_CANCEL)


def test_mass_cancel_is_checked_in_the_order_of_the_page(venue: Venue) -> None:
    """A7: reserved bytes, session, instrument, side, flags; only who has no session may mean everybody."""
    venue.do(CommandKind.DEFINE_SESSION, session=1, participant=1, participant_name=b"FIRM")
    wrong: Fields = {
        "participant": 2,
        "session": 1,
        "instrument": 9,
        "side": 3,
        "flags": 1,
        "reserved": 1,
        "account": 5,
        "client_order_id": 6,
    }
    steps: list[tuple[Reason, Fields]] = [
        (Reason.RESERVED_NOT_ZERO, {"reserved": 0}),
        (Reason.UNKNOWN_SESSION, {"participant": 1}),
        (Reason.UNKNOWN_INSTRUMENT, {"instrument": 1}),
        (Reason.BAD_SIDE, {"side": 2}),
        (Reason.BAD_FLAGS, {"flags": CommandFlags.ANY_PARTICIPANT}),
        (Reason.BAD_FLAGS, {"session": 0}),
    ]
    assert told(assert_order_of_checks(venue, CommandKind.MASS_CANCEL, wrong, steps)) == ["COMPLETED 6 0@0"]
    (rejected,) = venue.do(CommandKind.MASS_CANCEL, **wrong)
    assert (rejected.client_order_id, rejected.side, rejected.account, rejected.price, rejected.quantity) == (6, 3, 5, 0, 0)


# Self-trade prevention

NEWEST, OLDEST = SelfTradePrevention.CANCEL_NEWEST, SelfTradePrevention.CANCEL_OLDEST
BOTH, DECREMENT = SelfTradePrevention.CANCEL_BOTH, SelfTradePrevention.DECREMENT


@pytest.mark.parametrize(
    ("instruction", "story"),
    [
        (SelfTradePrevention.NONE, ["TRADE 9x1 4@100 RESTING_FILLED", "TRADE 9x2 4@100 RESTING_FILLED", "RESTED 9 2@100 RESTS"]),
        (NEWEST, ["PREVENTED 9x1 4@100", "CANCELLED SELF_TRADE_PREVENTION 9 10@100"]),
        (
            OLDEST,
            [
                "PREVENTED 9x1 4@100",
                "CANCELLED SELF_TRADE_PREVENTION 1 4@100 WAS_RESTING",
                "TRADE 9x2 4@100 RESTING_FILLED",
                "RESTED 9 6@100 RESTS",
            ],
        ),
        (
            BOTH,
            [
                "PREVENTED 9x1 4@100",
                "CANCELLED SELF_TRADE_PREVENTION 1 4@100 WAS_RESTING",
                "CANCELLED SELF_TRADE_PREVENTION 9 10@100",
            ],
        ),
        (
            DECREMENT,
            [
                "PREVENTED 9x1 4@100",
                "CANCELLED SELF_TRADE_PREVENTION 1 4@100 WAS_RESTING",
                "REDUCED SELF_TRADE_PREVENTION 9 4@100",
                "TRADE 9x2 4@100 RESTING_FILLED",
                "RESTED 9 2@100 RESTS",
            ],
        ),
    ],
)
def test_the_instruction_of_the_aggressor_decides(venue: Venue, instruction: int, story: list[str]) -> None:
    """X1, X3, X4: none, cancel newest, oldest, both, decrement; each prevented match is an event with both and the quantity."""
    venue.new(SELL, 100, 4, 1, self_trade_prevention=NEWEST)  # that of the resting order says nothing
    venue.order(SELL, 100, 4, 2, participant=2)
    assert told(venue.new(BUY, 100, 10, 9, self_trade_prevention=instruction)) == ["ACCEPTED 9 10@100", *story]


@pytest.mark.parametrize(
    ("scope", "group", "prevented"),
    [
        (SelfTradeScope.ACCOUNT, 0, [1, 3]),
        (SelfTradeScope.PARTICIPANT, 0, [1, 2, 3]),
        (SelfTradeScope.GROUP, 6, [3]),
        (SelfTradeScope.GROUP, 5, []),
    ],
)
def test_scope_says_which_resting_orders_are_of_the_group(venue: Venue, scope: int, group: int, prevented: list[int]) -> None:
    """X2: the group is the account by default, the participant or a given group otherwise; never another participant's."""
    stp: Fields = {"self_trade_prevention": OLDEST}
    venue.new(SELL, 100, 1, 1, account=7)
    venue.new(SELL, 100, 1, 2, account=8)
    venue.new(SELL, 100, 1, 3, {Term.SELF_TRADE_GROUP: 6}, account=7, self_trade_scope=SelfTradeScope.GROUP, **stp)
    venue.new(SELL, 100, 1, 4, {Term.SELF_TRADE_GROUP: 6}, account=7, self_trade_scope=SelfTradeScope.GROUP, participant=2, **stp)
    terms = {Term.SELF_TRADE_GROUP: group} if group else {}
    events = venue.new(BUY, 100, 9, 9, terms, account=7, self_trade_scope=scope, **stp)
    assert [event.resting_client_order_id for event in events if event.kind == EventKind.PREVENTED] == prevented
    assert [name for name, _, _ in trades(events)] == [name for name in (1, 2, 3, 4) if name not in prevented]


def test_decrement_takes_the_smaller_quantity_off_both(venue: Venue) -> None:
    """X3: both shrink by the smaller quantity, no trade; what is left of a resting order keeps its place, lots are not cumulative."""
    venue.order(SELL, 100, 10, 1)
    venue.order(SELL, 100, 10, 2, participant=2)
    assert told(venue.new(BUY, 100, 4, 9, self_trade_prevention=DECREMENT)) == [
        "ACCEPTED 9 4@100",
        "PREVENTED 9x1 4@100",
        "REDUCED SELF_TRADE_PREVENTION 1 4@100 KEPT_PRIORITY|WAS_RESTING",
        "CANCELLED SELF_TRADE_PREVENTION 9 4@100",
    ]
    assert told(venue.change(1, quantity=5)) == ["AMENDED 1 5@100 RESTS|KEPT_PRIORITY|WAS_RESTING"], "nothing of it has traded"
    assert told(venue.new(BUY, 100, 5, 9, self_trade_prevention=DECREMENT))[2:] == [
        "CANCELLED SELF_TRADE_PREVENTION 1 5@100 WAS_RESTING",
        "CANCELLED SELF_TRADE_PREVENTION 9 5@100",
    ]
    assert venue.book() == ([], [(100, 10)])


def test_iceberg_that_meets_its_own_is_met_once_with_all_that_it_has(venue: Venue) -> None:
    """X3, X4: a prevented match counts all leaves of an iceberg, reserve included, which goes first."""
    iceberg(venue, SELL, 100, 30, 10, 1)
    stp: Fields = {"self_trade_prevention": DECREMENT}
    assert told(venue.new(BUY, 100, 15, 8, **stp)) == [
        "ACCEPTED 8 15@100",
        "PREVENTED 8x1 15@100",
        "REDUCED SELF_TRADE_PREVENTION 1 15@100 KEPT_PRIORITY|WAS_RESTING|HIDDEN",
        "CANCELLED SELF_TRADE_PREVENTION 8 15@100",
    ]
    assert told(venue.new(BUY, 100, 8, 8, **stp))[2:4] == [
        "DISPLAYED 1 -3@100 RESTS|KEPT_PRIORITY|WAS_RESTING",
        "REDUCED SELF_TRADE_PREVENTION 1 8@100 KEPT_PRIORITY|WAS_RESTING|HIDDEN",
    ]
    assert told(venue.new(BUY, 100, 9, 8, self_trade_prevention=OLDEST))[1:] == [
        "PREVENTED 8x1 7@100",
        "DISPLAYED 1 -7@100 WAS_RESTING",
        "CANCELLED SELF_TRADE_PREVENTION 1 7@100 WAS_RESTING|HIDDEN",
        "RESTED 8 9@100 RESTS",
    ]


def test_prevented_match_is_no_trade_and_triggers_nothing(venue: Venue) -> None:
    """X4, S1: a prevented match is never a trade: no stop sees its price; an amend or a stop that aggresses is held by its instruction."""
    stp: Fields = {"self_trade_prevention": OLDEST}
    stop(venue, BUY, 100, 1, 1)
    venue.order(SELL, 100, 5, 2)
    assert said(venue.new(BUY, 99, 5, 3, **stp) + venue.change(3, price=100)) == [
        "ACCEPTED", "AMENDED", "PREVENTED", "CANCELLED SELF_TRADE_PREVENTION", "RESTED",
    ]  # fmt: skip
    venue.cancel(3)
    stop(venue, BUY, 105, 5, 4, limit=110, self_trade_prevention=NEWEST)
    venue.order(SELL, 110, 5, 5)
    venue.cancel(1)
    assert said(venue.last(105)) == ["TRIGGERED", "PREVENTED", "CANCELLED SELF_TRADE_PREVENTION"]


@pytest.mark.parametrize(
    ("instruction", "quantity", "ends"),
    [
        (OLDEST, 9, "CANCELLED FILL_OR_KILL"),
        (OLDEST, 8, "TRADE"),
        (DECREMENT, 5, "CANCELLED FILL_OR_KILL"),
        (DECREMENT, 4, "TRADE"),
        (NEWEST, 5, "CANCELLED FILL_OR_KILL"),
        (NEWEST, 4, "TRADE"),
        (BOTH, 5, "CANCELLED FILL_OR_KILL"),
        (SelfTradePrevention.NONE, 9, "TRADE"),
    ],
)
def test_fill_or_kill_does_not_count_what_self_trade_prevention_would_remove(
    venue: Venue, instruction: int, quantity: int, ends: str
) -> None:
    """T4, X1: what is decided before any trade leaves out the orders of the own group, each instruction in its way."""
    venue.order(SELL, 100, 4, 1, participant=2)
    venue.order(SELL, 100, 6, 2)
    venue.order(SELL, 101, 4, 3, participant=2)
    events = venue.new(BUY, 101, quantity, 9, time_in_force=FOK, self_trade_prevention=instruction)
    assert said(events)[-1] == ends
    assert sum(lots for _, _, lots in trades(events)) == (quantity if ends == "TRADE" else 0)


def test_what_could_trade_counts_an_iceberg_of_the_own_group_whole(venue: Venue) -> None:
    """T5, X3: an iceberg of the own group is met once, with all its leaves, also when it is only worked out what could trade."""
    iceberg(venue, SELL, 100, 30, 10, 1)
    venue.order(SELL, 100, 20, 2, participant=2)
    stp: Fields = {"self_trade_prevention": DECREMENT}
    assert said(venue.new(BUY, 100, 35, 9, {Term.MINIMUM_QUANTITY: 6}, **stp)) == ["ACCEPTED", "CANCELLED MINIMUM_QUANTITY"]
    assert trades(venue.new(BUY, 100, 35, 9, {Term.MINIMUM_QUANTITY: 5}, **stp)) == [(2, 100, 5)]


# Commands of more than one record


def test_command_of_several_records_is_one_command(venue: Venue) -> None:
    """Section Commands of more than one record: nothing is said before the last; its sequence, the timestamp of the first."""
    venue.last(100)
    terms = {
        Term.STOP_PRICE: 105, Term.DISPLAY_QUANTITY: 2, Term.MINIMUM_QUANTITY: 1, Term.EXPIRE_TIME: 10_000, Term.SELF_TRADE_GROUP: 3,
    }  # fmt: skip
    fields: Fields = {
        "instrument": 1, "participant": 1, "order_type": STOP_LIMIT, "time_in_force": GTD, "side": BUY, "price": 105, "quantity": 5,
        "client_order_id": 1, "self_trade_prevention": OLDEST, "self_trade_scope": SelfTradeScope.GROUP,
    }  # fmt: skip
    records = records_for(CommandKind.NEW_ORDER, terms, times=venue.times(), **fields)
    assert venue.apply(records[:1]) == venue.apply(records[1:2]) == []
    events = venue.apply(records[2:])
    assert told(events) == ["ACCEPTED 1 5@105 WAITING", "STOP_SET 1 5@105 STOP_LIMIT"]
    assert {(event.sequence, event.timestamp_ns) for event in events} == {(6, records[0]["timestamp_ns"])}


def test_broken_commands_of_several_records_are_rejected(venue: Venue) -> None:
    """Section Commands of more than one record: terms have to follow, of the same participant and session; else INCOMPLETE_COMMAND."""

    def parts(**fields: int) -> Records:
        good: Fields = {
            "instrument": 1,
            "participant": 1,
            "order_type": LIMIT,
            "time_in_force": GTC,
            "side": BUY,
            "price": 90,
            "quantity": 5,
        }
        return records_for(CommandKind.NEW_ORDER, {Term.DISPLAY_QUANTITY: 2}, times=venue.times(), **(good | fields))

    first, terms = parts(client_order_id=1), parts(client_order_id=2)[1:]
    rejection = "REJECTED INCOMPLETE_COMMAND 1 5@90"
    assert venue.apply(first[:1]) == []
    events = venue.apply(records_for(CommandKind.CANCEL_ORDER, times=venue.times(), client_order_id=5))
    assert told(events) == [rejection, "REJECTED UNKNOWN_ORDER 5 0@0"]
    assert (events[0].timestamp_ns, events[0].command_kind) == (first[0]["timestamp_ns"], CommandKind.NEW_ORDER)
    assert events[0].sequence == events[1].sequence
    assert told(venue.apply(terms)) == ["REJECTED INCOMPLETE_COMMAND 0 0@0"], "nothing waits"
    venue.apply(first[:1])
    assert venue.apply(parts(client_order_id=2)[:1])[0].client_order_id == 1, "the second waits now"
    assert told(venue.apply(terms)) == ["ACCEPTED 2 5@90 RESTS|HIDDEN", "DISPLAYED 2 2@90 RESTS"]
    for field in ("participant", "session"):
        venue.apply(first[:1])
        others = np.frombuffer(bytearray(record_bytes(terms)), dtype=COMMAND)
        others[field] += 1
        assert told(venue.apply(others)) == [rejection, "REJECTED INCOMPLETE_COMMAND 0 0@0"]


@pytest.mark.parametrize(
    ("fields", "terms"),
    [
        ({"order_type": STOP}, {}),
        ({"order_type": STOP_LIMIT}, {Term.COLLAR_TICKS: 5, Term.STOP_PRICE: 5}),
        ({}, {Term.STOP_PRICE: 5}),
        ({"order_type": TRAILING_STOP}, {Term.STOP_PRICE: 5}),
        ({"order_type": TRAILING_STOP}, {Term.TRAIL_AMOUNT: 5, Term.TRAIL_BASIS_POINTS: 5}),
        ({"order_type": TRAILING_STOP}, {Term.TRAIL_AMOUNT: 0}),
        ({"order_type": TRAILING_STOP, "instrument": 2}, {Term.TRAIL_AMOUNT: 6}),
        ({"order_type": TRAILING_STOP}, {Term.TRAIL_AMOUNT: 2**62 + 1}),
        ({"order_type": TRAILING_STOP}, {Term.TRAIL_BASIS_POINTS: 0}),
        ({"order_type": TRAILING_STOP}, {Term.TRAIL_BASIS_POINTS: 10_001}),
        ({"order_type": STOP}, {Term.STOP_PRICE: 5, Term.TRAIL_AMOUNT: 5}),
        ({}, {Term.DISPLAY_QUANTITY: 0}),
        ({}, {Term.DISPLAY_QUANTITY: 2**60 + 1}),
        ({"flags": CommandFlags.HIDDEN}, {Term.DISPLAY_QUANTITY: 1}),
        ({}, {Term.MINIMUM_QUANTITY: 0}),
        ({}, {Term.MINIMUM_QUANTITY: 11}),
        ({"flags": CommandFlags.POST_ONLY}, {Term.MINIMUM_QUANTITY: 1}),
        ({"time_in_force": GTD}, {}),
        ({"time_in_force": GTD}, {Term.EXPIRE_TIME: 0}),
        ({"time_in_force": DAY}, {Term.EXPIRE_TIME: 10_000}),
        ({"time_in_force": IOC}, {Term.BUDGET: 5}),
        ({"time_in_force": FOK}, {Term.BUDGET: NULL_VALUE}),
        ({}, {Term.COLLAR_TICKS: 5}),
        ({"order_type": MARKET}, {Term.COLLAR_TICKS: -1}),
        ({"order_type": MARKET}, {Term.COLLAR_TICKS: 2**32}),
        ({"self_trade_prevention": 1, "self_trade_scope": 2}, {}),
        ({"self_trade_prevention": 1, "self_trade_scope": 2}, {Term.SELF_TRADE_GROUP: 0}),
        ({"self_trade_prevention": 1, "self_trade_scope": 2}, {Term.SELF_TRADE_GROUP: 2**32}),
        ({"self_trade_prevention": 1, "self_trade_scope": 1}, {Term.SELF_TRADE_GROUP: 1}),
        ({}, {Term.NEW_CLIENT_ORDER_ID: 1}),
        ({}, [(Term.DISPLAY_QUANTITY, 5), (Term.DISPLAY_QUANTITY, 5)]),
        ({}, [(11, 0)]),
        ({}, [(255, 1)]),
        ({}, [(Term.NONE, 1)]),
    ],
)
def test_terms_that_do_not_belong_or_are_out_of_range_are_refused(venue: Venue, fields: Fields, terms: Any) -> None:
    """Section Commands of more than one record: the table of terms, and what is given twice, missing, unknown, or none with a value."""
    assert said(venue.new(BUY, 90, 10, 1, terms, **fields)) == ["REJECTED BAD_TERM"]


def test_bad_records_of_terms_are_refused_with_their_command(venue: Venue) -> None:
    """Section Commands of more than one record: flags, reserved bytes, and terms of an amend that do not belong to it: BAD_TERM."""
    for field, value in (("flags", 1), ("flags", 8), ("reserved", 1)):
        good: Fields = {
            "instrument": 1,
            "participant": 1,
            "order_type": LIMIT,
            "time_in_force": GTC,
            "side": BUY,
            "price": 90,
            "quantity": 5,
        }
        records = records_for(CommandKind.NEW_ORDER, {Term.DISPLAY_QUANTITY: 2}, times=venue.times(), **good)
        records[1][field] = value
        assert said(venue.apply(records)) == ["REJECTED BAD_TERM"]
    venue.order(BUY, 90, 10, 1)
    stop(venue, BUY, 100, 10, 2)
    assert said(venue.change(1, {Term.DISPLAY_QUANTITY: 5})) == ["REJECTED BAD_TERM"]
    assert said(venue.change(2, {Term.MINIMUM_QUANTITY: 5})) == ["REJECTED BAD_TERM"]
    assert said(venue.change(2, {Term.NEW_CLIENT_ORDER_ID: 0})) == ["REJECTED BAD_TERM"]
    assert said(venue.change(2, {Term.STOP_PRICE: 0})) == ["REJECTED PRICE_OUT_OF_RANGE"]


@pytest.mark.parametrize(
    "fields",
    [
        {"order_type": MARKET, "flags": CommandFlags.HIDDEN},
        {"order_type": MARKET, "flags": CommandFlags.POST_ONLY},
        {"time_in_force": IOC, "flags": CommandFlags.POST_ONLY},
        {"time_in_force": FOK, "flags": CommandFlags.POST_ONLY},
    ],
)
def test_post_only_and_hidden_want_a_limit_and_post_only_wants_to_rest(venue: Venue, fields: Fields) -> None:
    """T6, section Order of checks, NewOrder, 8: POST_ONLY and HIDDEN only with a limit; POST_ONLY only with GTC, DAY and GTD."""
    assert said(venue.new(BUY, 90, 10, 1, **fields)) == ["REJECTED BAD_FLAGS"]


# Determinism and validation


def test_same_commands_give_same_events_and_hashes_however_they_are_cut(engine_factory: EngineFactory) -> None:
    """D1: the same commands give the same events, byte for byte, and the same state hash; their own sequence is ignored."""
    commands = flow(41, 5_000)
    whole, cut = engine_factory(Limits()), engine_factory(Limits())
    events = whole.apply_records(commands)
    relabelled = np.frombuffer(bytearray(record_bytes(commands)), dtype=COMMAND)
    relabelled["sequence"] = 77
    random, parts, start = Random(1), [], 0
    while start < len(commands):
        end = start + random.randrange(1, 200)
        parts.append(cut.apply_records(relabelled[start:end]))
        start = end
    assert record_bytes(join_records(parts, EVENT)) == record_bytes(events)
    assert (whole.state_hash, whole.event_hash) == (cut.state_hash, cut.event_hash)
    assert np.diff(events["sequence"].astype(np.int64)).min() == 0, "a command of several records speaks with its last"
    assert events["sequence"][0] == 1
    assert events["sequence"][-1] <= 5_000


def test_state_hash_tells_two_books_apart_that_differ_in_queue_order_only(engine_factory: EngineFactory) -> None:
    """D1: the state hash covers the order of each queue."""
    venues = [Venue(engine_factory(ROOMY)) for _ in range(3)]
    for venue, quantities in zip(venues, ((10, 10), (10, 10), (10, 11)), strict=True):
        for name, quantity in enumerate(quantities, 1):
            venue.order(BUY, 100, quantity, name)
    assert venues[0].engine.state_hash == venues[1].engine.state_hash != venues[2].engine.state_hash
    venues[0].amend(1, quantity=10)
    venues[1].amend(1, price=100, quantity=10)
    assert venues[0].engine.state_hash == venues[1].engine.state_hash
    venues[0].amend(2, quantity=11)
    venues[1].amend(1, quantity=11)
    assert venues[0].engine.state_hash != venues[1].engine.state_hash


def mum(a: int, b: int) -> int:
    """Section Hashes: the low half of the 128-bit product xor its high half."""
    return (a * b) % 2**64 ^ (a * b) // 2**64


def mix(h: int, w: Sequence[int]) -> int:
    """Section Hashes: one block of eight words."""
    k = (
        0x9E3779B97F4A7C15, 0xA0761D6478BD642F, 0xE7037ED1A0B428DB, 0x8EBC6AF09C88C6E3,
        0x589965CC75374CC3, 0x1D8E4E27C47D124F, 0xEB44ACCAB455D165, 0x2F9BE6CC7F4A7C21,
    )  # fmt: skip
    pairs = [mum(w[i] ^ k[i], w[i + 1] ^ k[i + 1]) for i in (0, 2, 4, 6)]
    return mum(h ^ pairs[0] ^ pairs[1] ^ pairs[2] ^ pairs[3], k[0])


def test_hashes_are_those_of_the_page_word_for_word(engine_factory: EngineFactory) -> None:
    """Section Hashes: the event hash over all events; the state hash over counters, instruments, sessions and orders."""
    engine = engine_factory(ROOMY)
    commands: list[Command] = [
        DefineInstrument(
            timestamp_ns=5, instrument=1, symbol=b"ABCDEFGHI", tick=5, price_decimals=2, quantity_decimals=3, instrument_flags=1
        ),
        DefineSession(timestamp_ns=6, participant=1, session=1, participant_name=b"FIRM", session_number=9, session_flags=2),
        NewOrder(
            timestamp_ns=9,
            instrument=1,
            participant=1,
            session=1,
            session_sequence=1,
            client_order_id=70,
            account=8,
            side=SELL,
            price=-10,
            quantity=10,
        ),
        NewOrder(timestamp_ns=7, instrument=1, participant=3, side=BUY, price=-10, quantity=4),
        CancelOrder(timestamp_ns=8, client_order_id=5),
    ]
    events = engine.apply_records(encode_commands(commands))
    event_hash = 0x2F9BE6CC7F4A7C21
    for words in np.frombuffer(record_bytes(events), dtype="<u8").reshape(-1, 8).tolist():
        event_hash = mix(event_hash, words)
    assert engine.event_hash == event_hash
    abcdefgh, firm = int.from_bytes(b"ABCDEFGH", "little"), int.from_bytes(b"FIRM", "little")
    blocks = [
        (5, 9, 1, 6, 1, 1, 1, 2),
        (1, 5, 2 | 3 << 8 | 1 << 16, abcdefgh, ord("I"), 2**64 - 10, 0, 0),
        (1, 1, 9, firm, 0, 2, 1, 2),  # flags, the number taken, and reports: ACCEPTED and TRADE
        (1 << 32 | 1, 70, 2**64 - 10, 6, 4, 8 | 1 << 32 | 1 << 48, SELL, 1),
    ]
    state_hash = 0xEB44ACCAB455D165
    for block in blocks:
        state_hash = mix(state_hash, block)
    assert engine.state_hash == state_hash


def test_state_hash_covers_special_waiting_and_continued_orders_word_for_word(engine_factory: EngineFactory) -> None:
    """Section Hashes: marks and the block of a special order, the blocks of a waiting one, and those of a command that waits for terms."""
    venue = Venue(engine_factory(ROOMY))
    venue.define(3, flags=InstrumentFlags.MARKET_TO_LIMIT, collar_ticks=6, tick=5)
    venue.new(
        BUY, 90, 30, 1, {Term.DISPLAY_QUANTITY: 10, Term.EXPIRE_TIME: 9_000, Term.SELF_TRADE_GROUP: 4}, time_in_force=GTD, account=8,
        self_trade_prevention=DECREMENT, self_trade_scope=SelfTradeScope.GROUP,
    )  # fmt: skip
    venue.new(
        BUY, 90, 7, 2, time_in_force=DAY, flags=CommandFlags.HIDDEN | CommandFlags.POST_ONLY, self_trade_prevention=OLDEST,
        self_trade_scope=SelfTradeScope.PARTICIPANT,
    )  # fmt: skip
    venue.order(SELL, 90, 4, 3, participant=2)
    venue.new(SELL, -5, 6, 4, {Term.TRAIL_BASIS_POINTS: 500, Term.DISPLAY_QUANTITY: 2}, order_type=TRAILING_STOP_LIMIT)
    venue.new(
        BUY, 0, 6, 5, {Term.STOP_PRICE: 95, Term.COLLAR_TICKS: 0, Term.BUDGET: -9, Term.MINIMUM_QUANTITY: 6}, order_type=STOP,
        time_in_force=FOK,
    )  # fmt: skip
    continued = records_for(
        CommandKind.NEW_ORDER, [(Term.STOP_PRICE, -4), (Term.STOP_PRICE, 5), (Term.NEW_CLIENT_ORDER_ID, 6), (Term.NONE, 0)],
        times=venue.times(), client_order_id=9, price=-2, quantity=-3, account=7, participant=1, session=3, instrument=8, side=9,
        order_type=10, time_in_force=11, self_trade_prevention=12, self_trade_scope=13,
    )  # fmt: skip
    assert venue.apply(continued[:2]) == []
    one, two, three = (int.from_bytes(symbol, "little") for symbol in (b"ONE", b"TWO", b"X3"))
    null, first = 2**63, int(continued[0]["timestamp_ns"])
    entry_of_5 = 3 + 2 + 1 + 1 + 2 + 3  # records so far, the command's own three included
    blocks = [
        (entry_of_5 + 2, venue.now_ns - 1, 1, 12, 3, 0, 4, 4),
        (1, 1, 0, one, 0, 90, 0, 0),
        (2, 5, 1 << 16, two, 0, null, 0, 0),
        (3, 5, 2 << 16 | 6 << 32, three, 0, null, 0, 0),
        (1 << 32 | 1, 1, 90, 26, 4, 8 | 1 << 32, BUY | (1 | 4 << 4) << 8, 1),
        (10, 6, 9_000, 4, 0, 0, 0, 0),
        (1 << 32 | 2, 2, 90, 7, 0, 1 << 32, BUY | (2 | 4 | 8 | 2 << 4 | 128) << 8, 1),
        (1 << 32 | 4, 5, 0, 6, 0, 1 << 32, BUY | 1 << 8, 1),
        (0, 0, 0, 0, 95, 0, 0, 3 | 3 << 8 | 1 << 16 | 1 << 17),
        (6, 0, 2**64 - 9, entry_of_5, 0, 0, 0, 0),
        (2 << 32 | 3, 4, 2**64 - 5, 6, 0, 1 << 32, SELL | 1 << 8, 1),
        (2, 0, 0, 0, 85, 0, 500, 6 | 1 << 8),
        (0, 0, 0, entry_of_5 - 3, 0, 0, 0, 0),
        (
            9, 2**64 - 2, 2**64 - 3, 7 | 1 << 32 | 3 << 48, 1 | 9 << 8 | 10 << 16 | 11 << 24 | 4 << 32 | 12 << 48 | 13 << 56, 8,
            1 | 1 << 1 | 1 << 10, first,
        ),
        (2**64 - 4, 0, 0, 0, 0, 0, 0, 0),
        (0, 6, 0, 0, 0, 0, 0, 0),
    ]  # fmt: skip
    state_hash = 0xEB44ACCAB455D165
    for block in blocks:
        state_hash = mix(state_hash, block)
    assert venue.engine.state_hash == state_hash


def rejected_records(commands: Records, events: Records) -> set[int]:
    """The sequences of all records of commands that were rejected, those of a broken command of several records included.

    Not of those that were out of sequence: they are no commands, and nothing that waits ends with them.
    """
    rejections = np.bincount(events["sequence"][events["kind"] == EventKind.REJECTED].astype(int), minlength=len(commands) + 1)
    is_out_of_sequence = np.isin(events["reason"], (Reason.SEQUENCE_SEEN, Reason.SEQUENCE_GAP))
    out_of_sequence = set(events["sequence"][is_out_of_sequence].tolist())
    rejected: set[int] = set()
    waiting: list[int] = []
    owner = None
    for sequence, record in enumerate(commands, 1):
        is_broken = False
        if waiting and not (record["kind"] == CommandKind.ORDER_TERMS and owner == (record["participant"], record["session"])):
            rejected.update(waiting)
            waiting, is_broken = [], True
        if sequence in out_of_sequence:
            continue
        if waiting or record["kind"] in (CommandKind.NEW_ORDER, CommandKind.AMEND_ORDER):
            owner = owner if waiting else (record["participant"], record["session"])
            waiting.append(sequence)
            if record["flags"] & CommandFlags.CONTINUED:
                continue
        if rejections[sequence] > is_broken:
            rejected.update(waiting or [sequence])
        waiting = []
    return rejected


def test_rejected_command_changes_nothing_but_counters(engine_factory: EngineFactory) -> None:
    """D2: a rejected command changes nothing but counters: an engine that was told nonsense at the same times goes on the same."""
    commands = flow(51, 6_000, bad_share=0.3)
    with_rejects, without = engine_factory(Limits()), engine_factory(Limits())
    events = with_rejects.apply_records(commands)
    rejected = rejected_records(commands, events)
    nonsense = np.frombuffer(bytearray(record_bytes(commands)), dtype=COMMAND)
    for sequence in rejected:
        record = nonsense[sequence - 1].copy()
        nonsense[sequence - 1] = np.zeros(1, dtype=COMMAND)[0]
        kept = ["timestamp_ns"]
        if record["session_sequence"] and record["kind"] <= CommandKind.MASS_CANCEL:  # it takes its number, one of the counters
            kept += ["participant", "session", "session_sequence"]
        for name in kept:
            nonsense[sequence - 1][name] = record[name]
        nonsense[sequence - 1]["kind"] = 200 if len(kept) == 1 else CommandKind.CANCEL_ORDER
        nonsense[sequence - 1]["reserved"] = 1
    same = without.apply_records(nonsense)
    assert len(rejected) > 1_000
    for said_of in (events, same):
        said_of["quantity"][said_of["kind"] == EventKind.DEFINED] = 0  # the count of a participant's reports, rejections too
    assert record_bytes(events[events["kind"] != EventKind.REJECTED]) == record_bytes(same[same["kind"] != EventKind.REJECTED])
    for instrument in range(1, 5):
        for side in (BUY, SELL):
            assert with_rejects.levels(instrument, side, None) == without.levels(instrument, side, None)


def assert_order_of_checks(venue: Venue, kind: CommandKind, wrong: Fields, steps: Sequence[tuple[Reason, Fields]]) -> list[Any]:
    """Sends a command that is wrong in every way; puts one thing after the other right; each time the next reason must appear."""
    fields = wrong
    for reason, remedy in steps:
        before = (venue.book(1), venue.book(2))
        assert said(venue.do(kind, **fields)) == [f"REJECTED {reason.name}"]
        assert (venue.book(1), venue.book(2)) == before, "D2: a rejected command changes nothing"
        fields = fields | remedy
    return venue.do(kind, **fields)


@pytest.fixture
def full(engine_factory: EngineFactory) -> Venue:
    """A venue with room for 8 orders and 7 levels, of which 6 and 6 are taken; session 1 is participant 1's.

    On instrument 2: sells 1 to 3 of 2^60 at 1000, 1005 and 1010 and a sell 4 of 5 at 1015; a buy 5 of 4 lots at 500; a buy 6 of 4 lots,
    participant 2's, at 495.
    """
    limits = Limits(order_count_max=8, level_count_max=7, instrument_count_max=2, session_count_max=2, special_count_max=1)
    venue = Venue(engine_factory(limits))
    venue.send(DefineSession(session=1, participant=1, participant_name=b"FIRM"))
    for name in (1, 2, 3):
        venue.order(SELL, 995 + 5 * name, 2**60, name, instrument=2)
    venue.order(SELL, 1015, 5, 4, instrument=2)
    venue.order(BUY, 500, 4, 5, instrument=2)
    venue.order(BUY, 495, 4, 6, instrument=2, participant=2)
    return venue


def test_new_order_is_checked_in_the_order_of_the_page(full: Venue) -> None:
    """D2: validation precedes mutation. Section Order of checks, NewOrder: the first that fails gives the reason."""
    wrong: Fields = {
        "instrument": 3, "participant": 1, "session": 2, "side": 3, "order_type": 7, "time_in_force": 6, "flags": 1, "quantity": 0,
        "price": 2**62 + 1, "client_order_id": 1, "self_trade_prevention": 5, "self_trade_scope": 3, "terms": {Term.BUDGET: 0},
    }  # fmt: skip
    events = assert_order_of_checks(
        full,
        CommandKind.NEW_ORDER,
        wrong,
        [
            (Reason.UNKNOWN_SESSION, {"session": 1, "participant": 2}),
            (Reason.UNKNOWN_SESSION, {"participant": 1}),
            (Reason.UNKNOWN_INSTRUMENT, {"instrument": 0}),
            (Reason.UNKNOWN_INSTRUMENT, {"instrument": 2}),
            (Reason.BAD_SIDE, {"side": 0}),
            (Reason.BAD_SIDE, {"side": SELL}),
            (Reason.BAD_ORDER_TYPE, {"order_type": 0}),
            (Reason.BAD_ORDER_TYPE, {"order_type": LIMIT}),
            (Reason.BAD_TIME_IN_FORCE, {"time_in_force": 0}),
            (Reason.BAD_TIME_IN_FORCE, {"time_in_force": GTC}),
            (Reason.BAD_FLAGS, {"flags": CommandFlags.BY_ACCOUNT}),
            (Reason.BAD_FLAGS, {"flags": 0}),
            (Reason.BAD_SELF_TRADE_PREVENTION, {"self_trade_prevention": 0, "self_trade_scope": 1}),
            (Reason.BAD_SELF_TRADE_PREVENTION, {"self_trade_scope": 0}),
            (Reason.BAD_TERM, {"terms": ()}),
            (Reason.ZERO_QUANTITY, {"quantity": -1}),
            (Reason.NEGATIVE_QUANTITY, {"quantity": 2**60 + 1}),
            (Reason.QUANTITY_TOO_LARGE, {"quantity": 2**60 - 4}),
            (Reason.QUANTITY_TOO_LARGE, {"quantity": 2**60 - 5}),
            (Reason.PRICE_OUT_OF_RANGE, {"price": 2**62 + 2}),
            (Reason.PRICE_OUT_OF_RANGE, {"price": 1021}),
            (Reason.PRICE_OFF_TICK, {"price": 1020}),
            (Reason.DUPLICATE_CLIENT_ORDER_ID, {"client_order_id": 9}),
        ],
    )
    assert said(events) == ["ACCEPTED"]
    wrong = {"instrument": 2, "participant": 1, "side": SELL, "quantity": 1, "price": 1025, "order_type": LIMIT, "time_in_force": GTC}
    assert said(full.order(BUY, 490, 1, 10, instrument=2)) == ["REJECTED LEVEL_LIMIT_REACHED"]
    assert said(full.order(BUY, 495, 1, 10, instrument=2)) == ["ACCEPTED"]
    full.reduce(1, 2**59)
    assert said(full.do(CommandKind.NEW_ORDER, **wrong, client_order_id=1)) == ["REJECTED DUPLICATE_CLIENT_ORDER_ID"]
    assert said(full.do(CommandKind.NEW_ORDER, **wrong, client_order_id=11)) == ["REJECTED ORDER_LIMIT_REACHED"]
    full.cancel(10)
    assert said(full.do(CommandKind.NEW_ORDER, **wrong, client_order_id=11)) == ["REJECTED LEVEL_LIMIT_REACHED"]
    crossing = wrong | {"client_order_id": 11, "price": 490}
    assert said(full.do(CommandKind.NEW_ORDER, **crossing)) == ["ACCEPTED", "TRADE"], "a crossing order needs no free level"
    immediate = wrong | {"client_order_id": 11, "time_in_force": IOC}
    assert said(full.do(CommandKind.NEW_ORDER, **immediate)) == ["ACCEPTED", "CANCELLED IMMEDIATE_OR_CANCEL"]


def test_special_order_is_checked_in_the_order_of_the_page(full: Venue) -> None:
    """D2: validation precedes mutation. Section Order of checks, NewOrder, 13 to 19, of orders that wait, have a deadline or post only."""
    full.cancel(1)
    good = {Term.STOP_PRICE: 1020, Term.EXPIRE_TIME: 10_000}
    wrong: Fields = {
        "instrument": 2, "participant": 1, "side": BUY, "order_type": STOP_LIMIT, "time_in_force": GTD, "quantity": 1, "price": 1,
        "client_order_id": 5, "terms": {Term.STOP_PRICE: 2**62 + 1, Term.EXPIRE_TIME: 1},
    }  # fmt: skip
    steps: list[tuple[Reason, Fields]] = [
        (Reason.PRICE_OFF_TICK, {"price": 1000}),
        (Reason.PRICE_OUT_OF_RANGE, {"terms": {Term.STOP_PRICE: 1021, Term.EXPIRE_TIME: 1}}),
        (Reason.PRICE_OFF_TICK, {"terms": {Term.STOP_PRICE: 1020, Term.EXPIRE_TIME: full.now_ns}}),
        (Reason.ALREADY_EXPIRED, {"terms": {Term.TRAIL_AMOUNT: 5, Term.EXPIRE_TIME: 10_000}, "order_type": TRAILING_STOP}),
        (Reason.NO_LAST_PRICE, {"terms": good, "order_type": STOP_LIMIT}),
        (Reason.DUPLICATE_CLIENT_ORDER_ID, {"client_order_id": 12}),
    ]
    assert told(assert_order_of_checks(full, CommandKind.NEW_ORDER, wrong, steps)) == [
        "ACCEPTED 12 1@1000 WAITING",
        "STOP_SET 12 1@1020 STOP_LIMIT",
    ]
    first: Fields = wrong | {"price": 1000, "terms": good, "client_order_id": 13}
    assert said(full.do(CommandKind.NEW_ORDER, **first)) == ["REJECTED SPECIAL_LIMIT_REACHED"]
    assert said(full.new(BUY, 1000, 1, 14, {Term.DISPLAY_QUANTITY: 1}, instrument=2, time_in_force=IOC)) == [
        "REJECTED SPECIAL_LIMIT_REACHED"
    ], "whatever becomes of it"
    assert said(full.new(BUY, 0, 1, 14, {Term.MINIMUM_QUANTITY: 1}, instrument=2, order_type=MARKET)) == ["ACCEPTED", "TRADE"]
    full.cancel(12)
    assert said(full.do(CommandKind.NEW_ORDER, **first)) == ["ACCEPTED", "STOP_SET"]


@pytest.mark.parametrize("kind", [CommandKind.CANCEL_ORDER, CommandKind.REDUCE_ORDER, CommandKind.AMEND_ORDER])
def test_commands_on_orders_are_checked_in_the_order_of_the_page(full: Venue, kind: CommandKind) -> None:
    """D2: validation precedes mutation. Section Order of checks, CancelOrder, ReduceOrder, AmendOrder."""
    order_id = full.cancel(4)[0].order_id
    full.cancel(6, participant=2)
    theirs = full.order(BUY, 500, 4, 6, instrument=2, participant=2)[0].order_id
    mine = full.order(SELL, 1015, 5, 4, instrument=2)[0].order_id
    by_order_id = CommandFlags.BY_ORDER_ID
    wrong: Fields = {"client_order_id": 77, "participant": 1, "session": 2, "flags": 8, "instrument": 1, "reserved": 2}
    steps: list[tuple[Reason, Fields]] = [
        (Reason.RESERVED_NOT_ZERO, {"reserved": 0}),
        (Reason.UNKNOWN_SESSION, {"session": 1, "participant": 2}),
        (Reason.UNKNOWN_SESSION, {"participant": 1}),
        (Reason.BAD_FLAGS, {"flags": 0x8000}),
        (Reason.BAD_FLAGS, {"flags": 0}),
        (Reason.UNKNOWN_ORDER, {"client_order_id": order_id, "flags": by_order_id}),
        (Reason.ORDER_CLOSED, {"client_order_id": theirs}),
        (Reason.NOT_OWNER, {"client_order_id": mine}),
        (Reason.WRONG_INSTRUMENT, {"instrument": 2}),
    ]
    if kind == CommandKind.REDUCE_ORDER:
        steps += [(Reason.ZERO_QUANTITY, {"quantity": -5}), (Reason.NEGATIVE_QUANTITY, {"quantity": 5})]
    if kind == CommandKind.AMEND_ORDER:
        full.order(BUY, 490, 1, 20, instrument=2)
        full.order(BUY, 485, 1, 21, instrument=2)
        named = {Term.NEW_CLIENT_ORDER_ID: 5}
        wrong |= {"quantity": -1, "price": 3, "terms": named | {Term.STOP_PRICE: 5}}
        steps += [
            (Reason.BAD_TERM, {"terms": named}),
            (Reason.NEGATIVE_QUANTITY, {"quantity": 2**60 + 1}),
            (Reason.QUANTITY_TOO_LARGE, {"price": 2**62 + 3, "quantity": 0}),
            (Reason.PRICE_OUT_OF_RANGE, {"price": 1013}),
            (Reason.PRICE_OFF_TICK, {"price": 1020, "quantity": 2}),
            (Reason.DUPLICATE_CLIENT_ORDER_ID, {"terms": {Term.NEW_CLIENT_ORDER_ID: 4}}),
            (Reason.LEVEL_LIMIT_REACHED, {"price": 1010}),
        ]
    else:
        wrong["flags"] = 2
    events = assert_order_of_checks(full, kind, wrong, steps)
    expected = {2: "CANCELLED REQUESTED", 3: "CANCELLED REDUCED_AWAY", 4: "AMENDED"}[kind]
    assert said(events) == ["COMPLETED", expected], "the order came by session 0"


def test_amend_needs_a_free_level_only_where_it_will_rest_at_a_new_price(full: Venue) -> None:
    """A4, section Order of checks, amend 11: not where it crosses, nor where it ends the order, nor where the price has a level."""
    full.order(SELL, 1020, 5, 7, instrument=2)
    assert said(full.amend(7, price=1025)) == ["REJECTED LEVEL_LIMIT_REACHED"], "though its own level would be free"
    assert said(full.amend(7, price=1025, quantity=0)) == ["CANCELLED AMENDED_AWAY"]
    full.order(SELL, 1020, 5, 7, instrument=2)
    assert said(full.amend(7, price=1020, quantity=6)) == ["AMENDED"]
    assert said(full.amend(7, price=1015)) == ["AMENDED"]
    full.order(SELL, 1020, 5, 8, instrument=2)
    assert said(full.amend(8, price=485)) == ["AMENDED", "TRADE", "TRADE"]


def test_amend_may_not_take_a_side_above_its_limit(venue: Venue) -> None:
    """Section Order of checks, amend 9: the open quantity of the side with the change is at most 2^62."""
    for name in (1, 2, 3, 4):
        assert said(venue.order(BUY, 100, 2**60, name)) == ["ACCEPTED"]
    assert said(venue.order(BUY, 100, 1, 5)) == ["REJECTED QUANTITY_TOO_LARGE"]
    assert said(venue.order(BUY, 0, 1, 5, order_type=MARKET)) == ["REJECTED QUANTITY_TOO_LARGE"], "a market order too"
    assert said(venue.order(SELL, 200, 2**60, 6)) == ["ACCEPTED"], "the other side is counted by itself"
    venue.reduce(4, 2**59)
    assert said(venue.order(BUY, 100, 2**59 - 1, 7)) == ["ACCEPTED"]
    assert said(venue.amend(7, quantity=2**59 + 1)) == ["REJECTED QUANTITY_TOO_LARGE"]
    assert said(venue.amend(7, quantity=2**59)) == ["AMENDED"]


@pytest.mark.parametrize(("price", "reason"), [(0, Reason.PRICE_OUT_OF_RANGE), (-1, Reason.PRICE_OUT_OF_RANGE), (2**62, None), (1, None)])
def test_price_range_of_an_instrument_without_signed_prices(venue: Venue, price: int, reason: Reason | None) -> None:
    """Section Order of checks: a price is in range from 1 to 2^62."""
    assert said(venue.order(BUY, price, 1, 1)) == ["ACCEPTED" if reason is None else f"REJECTED {reason.name}"]


@pytest.mark.parametrize(
    ("price", "reason"),
    [
        (0, None),
        (-5, None),
        (-(2**62) + 4, None),
        (-(2**62) - 1, Reason.PRICE_OUT_OF_RANGE),
        (NULL_VALUE, Reason.PRICE_OUT_OF_RANGE),
        (-3, Reason.PRICE_OFF_TICK),
    ],
)
def test_price_range_of_an_instrument_with_signed_prices(venue: Venue, price: int, reason: Reason | None) -> None:
    """Section Order of checks: with SIGNED_PRICES from -2^62 to 2^62, on the tick when it is a multiple of it."""
    assert said(venue.order(BUY, price, 1, 1, instrument=2)) == ["ACCEPTED" if reason is None else f"REJECTED {reason.name}"]


def test_orders_trade_at_prices_below_zero(venue: Venue) -> None:
    """P1: best price first, also below zero."""
    for name, price in ((1, -10), (2, 0), (3, -5)):
        venue.order(SELL, price, 1, name, instrument=2)
    assert trades(venue.order(BUY, 0, 3, 4, instrument=2)) == [(1, -10, 1), (3, -5, 1), (2, 0, 1)]


# What events carry


def test_rejection_echoes_what_the_command_said(venue: Venue) -> None:
    """Section Rejections: the fields of the command, as far as its kind has them, and the reference."""
    common: dict[str, Any] = {"participant": 4, "session": 9, "instrument": 6}
    (rejected,) = venue.send(NewOrder(side=9, price=-7, quantity=-8, client_order_id=5, account=3, flags=1, **common))
    expected = Rejected(
        sequence=3, timestamp_ns=venue.now_ns, order_id=0, client_order_id=5, price=-7, quantity=-8, side=9, account=3,
        reason=Reason.UNKNOWN_SESSION, command_kind=1, **common,
    )  # fmt: skip
    assert rejected == expected
    (rejected,) = venue.send(CancelOrder(client_order_id=5, account=3, flags=1, **common))
    expected = replace(
        expected, sequence=4, timestamp_ns=venue.now_ns, order_id=5, client_order_id=0, price=0, quantity=0, side=0, command_kind=2
    )
    assert rejected == expected
    (rejected,) = venue.send(ReduceOrder(client_order_id=5, account=3, quantity=-8, **common))
    expected = replace(expected, sequence=5, timestamp_ns=venue.now_ns, order_id=0, client_order_id=5, quantity=-8, command_kind=3)
    assert rejected == expected
    (rejected,) = venue.send(AmendOrder(client_order_id=5, account=3, quantity=-8, **common))
    expected = replace(expected, sequence=6, timestamp_ns=venue.now_ns, price=NULL_VALUE, command_kind=4)
    assert rejected == expected
    (rejected,) = venue.send(UnknownCommand(kind=200, **common))
    expected = replace(
        expected,
        sequence=7,
        timestamp_ns=venue.now_ns,
        price=0,
        quantity=0,
        client_order_id=0,
        account=0,
        command_kind=200,
        reason=Reason.UNKNOWN_COMMAND,
    )
    assert rejected == expected


def test_events_carry_the_owner_and_the_time(venue: Venue) -> None:
    """Section What each command says: an order's events carry its owner, session and account, and the time of the command."""
    venue.send(DefineSession(session=1, participant=1, participant_name=b"FIRM"))
    (accepted,) = venue.order(BUY, 100, 10, 4, account=8, session=1)
    assert accepted == Accepted(
        sequence=4, timestamp_ns=venue.now_ns, order_id=1 << 32 | 1, client_order_id=4, price=100, quantity=10, side=BUY, account=8,
        participant=1, session=1, instrument=1, flags=RESTS,
    )  # fmt: skip
    completed, cancelled = venue.cancel(4, account=99, session=0)
    assert (completed.timestamp_ns, completed.account, completed.participant, completed.session) == (venue.now_ns, 0, 1, 0)
    assert (cancelled.timestamp_ns, cancelled.account, cancelled.participant, cancelled.session) == (venue.now_ns, 8, 1, 1)


def test_bytes_that_a_command_does_not_use_are_ignored(engine_factory: EngineFactory) -> None:
    """Section Order of checks: only what is listed is checked; a cancel's price, side and type may hold anything."""
    venue = Venue(engine_factory(ROOMY))
    venue.order(BUY, 100, 10, 4)
    record = np.frombuffer(bytearray(record_bytes(encode_commands([CancelOrder(client_order_id=4, participant=1)]))), dtype=COMMAND)
    record["price"], record["quantity"], record["side"], record["order_type"], record["time_in_force"] = -1, -1, 9, 9, 9
    record["sequence"], record["session_sequence"] = 99, 99
    assert said(decode_events(venue.engine.apply_records(record))) == ["CANCELLED REQUESTED"]
    (rejected,) = decode_events(venue.engine.apply_records(record))
    assert isinstance(rejected, Rejected)
    assert (rejected.price, rejected.quantity, rejected.side) == (0, 0, 0)


# Definitions


def test_definitions_take_effect_or_are_refused(engine_factory: EngineFactory) -> None:
    """Section Definitions: numbers follow one another, names are unique, values are in range, counts are within the limits."""
    limits = Limits(order_count_max=5, level_count_max=4, instrument_count_max=2, session_count_max=3, special_count_max=1)
    engine = engine_factory(limits)

    def send(command: Command) -> str:
        (event,) = decode_events(engine.apply_records(encode_commands([command])))
        assert isinstance(event, Defined | Rejected)
        assert event.command_kind == command.kind
        assert (event.instrument, event.participant, event.session) == (command.instrument, command.participant, command.session)
        assert (event.timestamp_ns, event.account, event.side) == (command.timestamp_ns, 0, 0)
        return said([event])[0]

    sizes = DefineLimits(
        timestamp_ns=3, order_count_max=5, level_count_max=4, instrument_count_max=2, session_count_max=3, special_count_max=1,
        rules_version=RULES_VERSION, account_count_max=limits.account_count_max,
    )  # fmt: skip
    assert send(sizes) == "DEFINED"
    assert send(replace(sizes, order_count_max=6)) == "REJECTED BAD_DEFINITION"
    assert send(replace(sizes, reserved=1)) == "REJECTED RESERVED_NOT_ZERO"
    one = DefineInstrument(
        timestamp_ns=4, instrument=1, symbol=b"A" * 16, tick=2**62, price_decimals=18, quantity_decimals=18, instrument_flags=7,
        collar_ticks=2**32 - 1,
    )  # fmt: skip
    for change in (
        {"instrument": 0}, {"instrument": 2}, {"tick": 0}, {"tick": -1}, {"tick": 2**62 + 1}, {"price_decimals": 19},
        {"quantity_decimals": 19}, {"instrument_flags": 8}, {"instrument_flags": 0x8001}, {"symbol": b""}, {"symbol": b"A B"},
        {"symbol": b"A\x7f"}, {"symbol": b"A\0B"}, {"symbol": b"\xe9"},
    ):  # fmt: skip
        assert send(replace(one, **change)) == "REJECTED BAD_DEFINITION", change
    assert send(replace(one, reserved=1)) == "REJECTED RESERVED_NOT_ZERO"
    assert send(replace(one, session=77, participant=5)) == "DEFINED", "a definition's session is not checked"
    assert send(replace(one, instrument=2)) == "REJECTED BAD_DEFINITION", "the symbol is taken"
    assert send(replace(one, instrument=2, symbol=b"B")) == "DEFINED"
    assert send(replace(one, instrument=3, symbol=b"C")) == "REJECTED BAD_DEFINITION", "the limit is 2"
    firm = DefineSession(timestamp_ns=5, session=1, participant=1, participant_name=b"FIRM")
    for change in (
        {"session": 0},
        {"session": 4},
        {"participant": 0},
        {"participant": 4},
        {"participant_name": b""},
        {"participant_name": b"~ "},
    ):
        assert send(replace(firm, **change)) == "REJECTED BAD_DEFINITION", change
    assert send(firm) == "DEFINED"
    assert send(replace(firm, session=2)) == "REJECTED BAD_DEFINITION", "name and session number are taken"
    assert send(replace(firm, session=2, session_number=1, participant=2)) == "REJECTED BAD_DEFINITION", "the name has number 1"
    assert send(replace(firm, session=2, session_number=1)) == "DEFINED"
    assert send(replace(firm, session=3, participant_name=b"NEW")) == "REJECTED BAD_DEFINITION", "number 1 is FIRM's"
    assert send(replace(firm, session=3, participant_name=b"NEW", participant=3)) == "DEFINED"
    assert send(replace(firm, session=4, session_number=2)) == "REJECTED BAD_DEFINITION", "the limit is 3"


def define_session(venue: Venue, session: int, participant: int, name: bytes, session_number: int = 0) -> str:
    """What is said to a definition of a session."""
    (event,) = venue.send(DefineSession(session=session, participant=participant, participant_name=name, session_number=session_number))
    return said([event])[0]


def test_sessions_have_any_number_that_is_free(engine_factory: EngineFactory) -> None:
    """Section Definitions: numbers with gaps, in any order, of which the state does not tell; a number in between is nobody's."""
    one, other = Venue(engine_factory(ROOMY)), Venue(engine_factory(ROOMY))
    definitions = [(7, 3, b"A", 0), (2, 9, b"B", 0), (4, 3, b"A", 5)]
    assert [define_session(one, *definition) for definition in definitions] == ["DEFINED"] * 3
    assert [define_session(other, *definition) for definition in definitions[::-1]] == ["DEFINED"] * 3
    assert one.engine.state_hash == other.engine.state_hash
    order: Fields = {"instrument": 1, "side": BUY, "price": 5, "quantity": 1, "order_type": LIMIT, "time_in_force": GTC}
    for participant, session in ((0, 3), (0, 1), (3, 3), (9, 4), (3, 8), (0, 7), (3, 60_000)):
        events = one.do(CommandKind.NEW_ORDER, **order, participant=participant, session=session)
        assert said(events) == ["REJECTED UNKNOWN_SESSION"], (participant, session)
    assert said(one.do(CommandKind.NEW_ORDER, **order, participant=3, session=4)) == ["ACCEPTED"]


def test_a_number_is_used_again_only_where_nothing_lives_under_it(engine_factory: EngineFactory) -> None:
    """Section Definitions: a session's number while none of its orders lives, a participant's while it has no session and no order."""
    venue = Venue(engine_factory(ROOMY))
    refused = "REJECTED BAD_DEFINITION"
    assert define_session(venue, 1, 1, b"A") == define_session(venue, 2, 1, b"A", 1) == "DEFINED"
    venue.new(BUY, 90, 1, 1, session=1)
    venue.new(BUY, 0, 1, 2, {Term.STOP_PRICE: 120}, order_type=STOP, session=2)
    assert define_session(venue, 1, 1, b"A") == "DEFINED", "it is the same session"
    assert define_session(venue, 1, 1, b"A", 7) == refused, "an order rests"
    assert define_session(venue, 1, 2, b"B") == refused
    assert define_session(venue, 2, 2, b"B") == refused, "a stop waits"
    venue.do(CommandKind.CANCEL_ORDER, participant=1, session=2, client_order_id=1)
    assert define_session(venue, 1, 1, b"B") == refused, "the number of A, which has another session"
    assert define_session(venue, 1, 2, b"B") == "DEFINED", "an order of the other session does not matter"
    assert said(venue.do(CommandKind.CANCEL_ORDER, participant=1, session=1, client_order_id=2)) == ["REJECTED UNKNOWN_SESSION"]
    assert said(venue.do(CommandKind.CANCEL_ORDER, participant=2, session=1, client_order_id=2)) == ["REJECTED UNKNOWN_ORDER"]
    venue.new(BUY, 91, 1, 3)  # by session 0, in the name of participant 1
    venue.do(CommandKind.CANCEL_ORDER, participant=1, session=2, client_order_id=2)
    assert define_session(venue, 2, 1, b"C") == refused, "an order of participant 1 lives, whoever sent it"
    assert define_session(venue, 2, 3, b"C") == "DEFINED"
    assert define_session(venue, 3, 1, b"A") == refused, "A is a new name again"
    venue.cancel(3)
    assert define_session(venue, 3, 1, b"D") == "DEFINED"
    assert define_session(venue, 4, 4, b"A") == "DEFINED"


def test_a_command_that_waits_for_terms_does_not_keep_its_session(engine_factory: EngineFactory) -> None:
    """Section Definitions: any record but its terms ends such a command, so nothing waits when a definition is looked at."""
    venue = Venue(engine_factory(ROOMY))
    define_session(venue, 1, 1, b"A")
    venue.apply(records_for(CommandKind.NEW_ORDER, {Term.STOP_PRICE: 120}, times=venue.times(), participant=1, session=1, instrument=1)[:1])
    events = venue.send(DefineSession(session=1, participant=2, participant_name=b"B"))
    assert said(events) == ["REJECTED INCOMPLETE_COMMAND", "DEFINED"]


@pytest.mark.parametrize("field", Limits.__slots__)
def test_limits_must_be_those_of_the_engine(engine_factory: EngineFactory, field: str) -> None:
    """Section Definitions: DefineLimits is valid only with exactly the limits of the engine."""
    limits = Limits(order_count_max=5, level_count_max=4, instrument_count_max=3, session_count_max=2, special_count_max=2)
    engine = engine_factory(limits)
    sizes = define_limits(limits)
    wrong = replace(sizes, **{field: 1 if field != "rules_version" else 0})
    assert said(decode_events(engine.apply_records(encode_commands([wrong, sizes])))) == ["REJECTED BAD_DEFINITION", "DEFINED"]


# Flows


@pytest.mark.parametrize("seed", [1, 2])
def test_every_invariant_holds_along_a_flow(seed: int) -> None:
    """P1, P4, P5, A6: after every thousand of 50,000 commands the model's sums, queues, indexes and slots are consistent."""
    engine = ReferenceEngine()
    commands = flow(seed, 50_000)
    for start in range(0, len(commands), 1_000):
        engine.apply_records(commands[start : start + 1_000])
        engine.check()
    assert engine.trade_count > 5_000, f"seed {seed} trades"


@pytest.mark.parametrize("seed", [3, 4])
def test_every_invariant_holds_where_limits_are_small(seed: int) -> None:
    """Section Order of checks: orders and levels are refused at their limits and accepted again below them."""
    limits = Limits(order_count_max=12, level_count_max=6, instrument_count_max=5, session_count_max=7)
    engine = ReferenceEngine(limits)
    checked = ReferenceEngine(limits)
    commands = flow(seed, 10_000, limits=limits, apply=engine.apply_records)
    reasons = set()
    for start in range(0, len(commands), 100):
        events = checked.apply_records(commands[start : start + 100])
        reasons |= set(events["reason"].tolist())
        checked.check()
    assert {Reason.ORDER_LIMIT_REACHED, Reason.LEVEL_LIMIT_REACHED} <= reasons
    assert (engine.state_hash, engine.event_hash) == (checked.state_hash, checked.event_hash)


def test_flows_depend_on_their_seed_alone_and_meet_every_event_and_reason() -> None:
    """D1: a flow is the same for the same seed; flows together meet every kind of event and every reason of the engine that can occur."""
    assert record_bytes(flow(5, 2_000)) == record_bytes(flow(5, 2_000)) != record_bytes(flow(6, 2_000))
    first = ReferenceEngine()
    events = ReferenceEngine().apply_records(flow(7, 40_000, apply=first.apply_records))
    limits = Limits(order_count_max=12, level_count_max=6, instrument_count_max=5, session_count_max=7, special_count_max=10)
    tight = ReferenceEngine(limits).apply_records(flow(5, 5_000, limits=limits, apply=ReferenceEngine(limits).apply_records))
    limits = replace(limits, account_count_max=7, limit_flags=LimitFlags.ACCOUNTS_RESTRICTED)
    restricted = ReferenceEngine(limits).apply_records(flow(5, 5_000, limits=limits, apply=ReferenceEngine(limits).apply_records))
    reasons = set(events["reason"].tolist()) | set(tight["reason"].tolist()) | set(restricted["reason"].tolist())
    assert {int(reason) for reason in Reason if reason < Reason.FRAME_EMPTY} <= reasons
    assert set(events["kind"].tolist()) == {int(kind) for kind in EventKind}
    assert (events["kind"] == EventKind.REJECTED).mean() < 0.15


def test_check_sees_a_broken_book_and_shows_it() -> None:
    """P5: `check` names what broke and dumps the state."""
    engine = ReferenceEngine(ROOMY)
    venue = Venue(engine)
    venue.order(BUY, 100, 10, 1)
    engine.check()
    engine._market.live[1 << 32 | 1].leaves = 9
    with pytest.raises(InvariantError, match=r"(?s)sum of a side is wrong.*BUY 100: 9 lots.*leaves=9"):
        engine.check()


def test_engine_refuses_what_is_not_commands() -> None:
    """Section What each command says: commands are records of dtype COMMAND, anything else is an error of the caller."""
    engine = ReferenceEngine(ROOMY)
    with pytest.raises(InvalidTypeError):
        engine.apply_records(encode_events([]))
    with pytest.raises(InvalidValueError, match=r"instrument: found 1"):
        engine.levels(1, BUY)
    assert len(engine.apply_records(np.zeros(0, COMMAND))) == 0
    assert engine.sequence == 0


# Sessions


def progress(engine: Engine, session: int) -> tuple[int, int, int]:
    """Flags, the number last taken and the count of reports of a session that is defined."""
    if isinstance(engine, ReferenceEngine):
        return engine.progress(session)
    assert isinstance(engine, CoreEngine)
    (found,) = (one for one in engine.sessions if one.session == session)
    return found.flags, found.command_sequence, found.report_sequence


def counted(venue: Venue) -> dict[int, int]:
    """The count of reports of each session of `crowd`."""
    return {session: progress(venue.engine, session)[2] for session in (1, 2, 3)}


@pytest.fixture
def crowd(venue: Venue) -> Venue:
    """A venue with sessions 1 and 3 of participant 1, and session 2 of participant 2."""
    assert define_session(venue, 1, 1, b"ONE") == define_session(venue, 3, 1, b"ONE", 1) == define_session(venue, 2, 2, b"TWO") == "DEFINED"
    return venue


def hello(venue: Venue, sequence: int, **fields: int) -> list[str]:
    """A message of session 1 with this number: a cancel of an order that is not there."""
    return said(venue.cancel(77, session_sequence=sequence, **({"session": 1} | fields)))


TAKEN: Final = ["REJECTED UNKNOWN_ORDER"]
SEEN, GAP = ["REJECTED SEQUENCE_SEEN"], ["REJECTED SEQUENCE_GAP"]


def test_each_number_of_a_session_is_taken_once_and_in_order(crowd: Venue) -> None:
    """D5: the next number is taken, whatever becomes of its message; one that was there is seen, one further on is a gap."""
    for sequence, expected in (
        (2, GAP), (2**31 - 1, GAP), (2**31, SEEN), (2**32 - 1, SEEN), (1, TAKEN), (1, SEEN), (3, GAP), (2, TAKEN), (1, SEEN), (2, SEEN),
        (2 + 2**31 - 1, GAP), (2 + 2**31, SEEN), (2**32 - 1, SEEN), (3, TAKEN),
    ):  # fmt: skip
        before = progress(crowd.engine, 1)[1]
        assert hello(crowd, sequence) == expected, sequence
        assert progress(crowd.engine, 1)[1] == (sequence if expected == TAKEN else before)
    assert progress(crowd.engine, 2) == progress(crowd.engine, 3) == (0, 0, 0)


def test_a_message_out_of_sequence_is_echoed_and_does_nothing(crowd: Venue) -> None:
    """D5: sent again it is rejected in its own words, and the book is as it was."""
    order: Fields = {"session": 1, "session_sequence": 1, "account": 6}
    assert said(crowd.order(BUY, 90, 5, 7, **order)) == ["ACCEPTED"]
    (rejected,) = crowd.order(BUY, 90, 5, 7, **order)
    assert rejected == Rejected(
        sequence=crowd.engine.sequence if isinstance(crowd.engine, ReferenceEngine | CoreEngine) else 0, timestamp_ns=crowd.now_ns,
        order_id=0, client_order_id=7, price=90, quantity=5, side=BUY, account=6, participant=1, session=1, instrument=1,
        reason=Reason.SEQUENCE_SEEN, command_kind=CommandKind.NEW_ORDER,
    )  # fmt: skip
    assert crowd.book() == ([(90, 5)], [])
    assert said(crowd.cancel(7, session=1, session_sequence=3)) == GAP
    assert crowd.book() == ([(90, 5)], [])
    assert said(crowd.cancel(7, session=1, session_sequence=2)) == ["CANCELLED REQUESTED"]


def test_after_the_last_number_comes_1() -> None:
    """D5: numbers are of 32 bits, and 0 is none."""
    engine = ReferenceEngine(ROOMY)  # nobody sends so many: tests/c/test_engine_sessions.c has it of the core
    venue = Venue(engine)
    define_session(venue, 1, 1, b"ONE")
    engine._market.command_sequences[1] = 2**32 - 2
    for sequence, expected in (
        (1, GAP), (2**32 - 1, TAKEN), (2**32 - 1, SEEN), (2, GAP), (2**31 - 2, GAP), (2**31 - 1, SEEN), (1, TAKEN), (2**32 - 1, SEEN),
        (2, TAKEN),
    ):  # fmt: skip
        assert hello(venue, sequence) == expected, sequence


@pytest.mark.parametrize(
    ("kind", "fields", "expected"),
    [
        (CommandKind.NEW_ORDER, {"order_type": 99}, ["REJECTED BAD_ORDER_TYPE"]),
        (CommandKind.CANCEL_ORDER, {"reserved": 1}, ["REJECTED RESERVED_NOT_ZERO"]),
        (CommandKind.REDUCE_ORDER, {}, ["REJECTED UNKNOWN_ORDER"]),
        (CommandKind.AMEND_ORDER, {}, ["REJECTED UNKNOWN_ORDER"]),
        (CommandKind.ORDER_TERMS, {}, ["REJECTED INCOMPLETE_COMMAND"]),
        (CommandKind.MASS_CANCEL, {"instrument": 9}, ["REJECTED UNKNOWN_INSTRUMENT"]),
        (CommandKind.MASS_CANCEL, {}, ["COMPLETED"]),
    ],
)
def test_every_kind_of_message_takes_its_number_also_where_it_is_rejected(
    crowd: Venue, kind: CommandKind, fields: Fields, expected: list[str]
) -> None:
    """D5: the number is taken before the message is checked, and checked before anything else of it."""
    message: Fields = {"participant": 1, "session": 1, "instrument": 1, "side": BUY} | fields
    if kind in (CommandKind.MASS_CANCEL, CommandKind.ORDER_TERMS):
        message["side"] = 0
    assert said(crowd.do(kind, **message, session_sequence=2)) == GAP
    assert said(crowd.do(kind, **message, session_sequence=1)) == expected
    assert said(crowd.do(kind, **message, session_sequence=1)) == SEEN
    assert progress(crowd.engine, 1)[1] == 1


def test_only_messages_of_clients_by_their_own_session_are_counted(crowd: Venue) -> None:
    """D5: not a number of 0, not the message of another participant or of no session, and not what a server or its operator sends."""
    assert hello(crowd, 0) == hello(crowd, 1) == TAKEN
    assert hello(crowd, 0) == TAKEN
    for fields in ({"participant": 2}, {"session": 4}, {"session": 2**16 - 1}, {"session": 11}):
        assert hello(crowd, 9, **fields) == ["REJECTED UNKNOWN_SESSION"]
    assert hello(crowd, 9, session=0) == TAKEN
    sender: Fields = {"participant": 1, "session": 1, "session_sequence": 9}
    assert said(crowd.do(CommandKind.SET_LAST_PRICE, instrument=1, price=100, **sender)) == ["COMPLETED"]
    assert said(crowd.do(CommandKind.EXPIRE_ORDERS, cutoff_ns=5, **sender)) == ["COMPLETED"]
    assert said(crowd.do(CommandKind.DEFINE_INSTRUMENT, instrument=3, symbol=b"X", tick=1, **sender)) == ["DEFINED"]
    assert said(crowd.do(CommandKind.DEFINE_LIMITS, **sender)) == ["REJECTED BAD_DEFINITION"]
    assert progress(crowd.engine, 1)[1] == 1
    # The number of a session lies where messages have theirs.
    assert said(crowd.do(CommandKind.DEFINE_SESSION, session=1, participant=1, participant_name=b"ONE", session_number=0)) == ["DEFINED"]
    assert said(crowd.do(CommandKind.DEFINE_SESSION, session=1, participant=1, participant_name=b"ONE", session_number=7)) == ["DEFINED"]
    assert progress(crowd.engine, 1)[1] == 0
    assert hello(crowd, 2) == GAP


def test_a_quarantined_record_takes_its_number(crowd: Venue) -> None:
    """D5: the messages behind it go on from there; it is rejected all the same."""

    def quarantined(number: int) -> list[str]:
        record = records_for(CommandKind.CANCEL_ORDER, times=crowd.times(), participant=1, session=1, instrument=1, session_sequence=number)
        record["kind"] = 0
        return said(crowd.apply(record))

    assert hello(crowd, 1) == TAKEN
    assert quarantined(2) == ["REJECTED UNKNOWN_COMMAND"]
    assert quarantined(4) == GAP
    assert hello(crowd, 3) == TAKEN


def in_two_records(venue: Venue, head: int, terms: int, **fields: int) -> Records:
    """The two records of an order of session 1 to buy, a stop, with these numbers."""
    order: Fields = {
        "participant": 1, "session": 1, "instrument": 1, "side": BUY, "order_type": STOP, "time_in_force": GTC, "quantity": 5,
        "client_order_id": 1,
    }  # fmt: skip
    records = records_for(CommandKind.NEW_ORDER, {Term.STOP_PRICE: 120}, times=venue.times(), **(order | fields))
    records["session_sequence"] = head, terms
    return records


def test_each_record_of_a_command_has_a_number(crowd: Venue) -> None:
    """D5: a command goes on waiting while its terms come out of sequence; a head that was rejected has no terms to come."""
    head, terms = np.split(in_two_records(crowd, 1, 2), [1])
    assert crowd.apply(head) == []
    assert progress(crowd.engine, 1)[1] == 1
    assert said(crowd.apply(head)) == ["REJECTED INCOMPLETE_COMMAND", "REJECTED SEQUENCE_SEEN"], "it is no terms: what waits ends"
    head, terms = np.split(in_two_records(crowd, 2, 3), [1])
    assert crowd.apply(head) == []
    for sequence, expected in ((4, GAP), (2, SEEN)):
        wrong = terms.copy()
        wrong["session_sequence"] = sequence
        (event,) = crowd.apply(wrong)
        assert said([event]) == expected
        assert (event.command_kind, event.client_order_id, event.instrument) == (CommandKind.ORDER_TERMS, 0, 0)
    assert said(crowd.apply(terms)) == ["ACCEPTED", "STOP_SET"]
    assert progress(crowd.engine, 1) == (0, 3, 6)
    assert said(crowd.apply(in_two_records(crowd, 9, 4, client_order_id=2))) == [*GAP, "REJECTED INCOMPLETE_COMMAND"]
    assert progress(crowd.engine, 1)[1] == 4
    assert said(crowd.apply(in_two_records(crowd, 5, 0, client_order_id=2))) == ["ACCEPTED", "STOP_SET"]
    assert said(crowd.apply(in_two_records(crowd, 0, 6, client_order_id=3))) == ["ACCEPTED", "STOP_SET"]


def test_what_expires_by_time_does_so_before_a_number_is_looked_at(crowd: Venue) -> None:
    """D5, section Before every record: a message that is out of sequence moves the time."""
    crowd.new(BUY, 90, 5, 1, {Term.EXPIRE_TIME: crowd.now_ns + 50}, time_in_force=GTD, session=1)
    crowd.now_ns += 100
    assert hello(crowd, 5) == ["CANCELLED EXPIRED", "REJECTED SEQUENCE_GAP"]


def test_reports_of_a_session_are_counted_without_gaps(crowd: Venue) -> None:
    """D5: an order's to its session, those of a trade or a prevented match to both, a command's to its sender; others are not counted."""
    one: Fields = {"session": 1}
    two: Fields = {"session": 2, "participant": 2}
    three: Fields = {"session": 3}
    prevented: Fields = {"self_trade_prevention": NEWEST, "self_trade_scope": SelfTradeScope.PARTICIPANT}
    stopped: Fields = {"order_type": STOP, "session": 1}
    terms = {Term.STOP_PRICE: 120, Term.CAPACITY: 1}
    steps: list[tuple[str, Callable[[], list[Any]], dict[int, int]]] = [
        ("ACCEPTED", lambda: crowd.order(SELL, 100, 5, 1, **one), {1: 1}),
        ("ACCEPTED TRADE", lambda: crowd.order(BUY, 100, 2, 2, **two), {2: 2, 1: 1}),
        ("ACCEPTED TRADE", lambda: crowd.order(BUY, 100, 1, 3, **one), {1: 3}),
        ("ACCEPTED PREVENTED CANCELLED", lambda: crowd.new(BUY, 100, 1, 4, **three, **prevented), {3: 3, 1: 1}),
        ("AMENDED", lambda: crowd.amend(1, price=101, **one), {1: 1}),
        ("COMPLETED REDUCED", lambda: crowd.reduce(1, 1, **three), {3: 1, 1: 1}),
        ("COMPLETED CANCELLED", lambda: crowd.cancel(1), {1: 1}),
        ("ACCEPTED DISPLAYED", lambda: iceberg(crowd, BUY, 90, 9, 2, 5, **one), {1: 1}),
        ("ACCEPTED TRADE DISPLAYED TRADE", lambda: crowd.order(SELL, 90, 3, 6, **two), {2: 3, 1: 2}),
        ("ACCEPTED TRADE DISPLAYED", lambda: crowd.order(SELL, 90, 1, 7), {1: 1}),
        ("DISPLAYED CANCELLED COMPLETED", lambda: crowd.do(CommandKind.MASS_CANCEL, participant=1, session=3), {1: 1, 3: 1}),
        ("ACCEPTED ATTRIBUTES STOP_SET", lambda: crowd.new(BUY, 0, 5, 8, terms, **stopped), {1: 3}),
        ("AMENDED STOP_SET", lambda: crowd.change(8, quantity=4, session=1), {1: 2}),
        ("COMPLETED TRIGGERED CANCELLED", lambda: crowd.do(CommandKind.SET_LAST_PRICE, instrument=1, price=120), {1: 2}),
        ("ACCEPTED TRADE RESTED", lambda: [*crowd.order(SELL, 95, 1, 9, **two), *crowd.order(BUY, 95, 3, 9, **one)][1:], {1: 3, 2: 2}),
        ("REJECTED", lambda: crowd.cancel(99, **two), {2: 1}),
        ("REJECTED", lambda: crowd.cancel(99, session=2, participant=1), {2: 1}),
        ("REJECTED", lambda: crowd.cancel(99, session=5), {}),
        ("REJECTED", lambda: crowd.cancel(99), {}),
        ("REJECTED", lambda: crowd.cancel(9, session=1, session_sequence=5), {1: 1}),
        ("REJECTED", lambda: crowd.do(CommandKind.DEFINE_SESSION, session=3, participant=2, participant_name=b"TWO"), {3: 1}),
        ("COMPLETED", lambda: crowd.do(CommandKind.SET_LAST_PRICE, instrument=1, price=100, participant=2, session=2), {2: 1}),
        ("DEFINED", lambda: crowd.do(CommandKind.DEFINE_INSTRUMENT, instrument=3, symbol=b"X", tick=1, session=1), {}),
        ("ACCEPTED TRADE", lambda: crowd.order(SELL, 95, 1, 1, **three), {3: 2, 1: 1}),
    ]  # fmt: skip
    for number, (kinds, step, expected) in enumerate(steps):
        before = counted(crowd)
        events = step()
        assert " ".join(EventKind(event.kind).name for event in events) == kinds, number
        after = counted(crowd)
        assert {session: after[session] - before[session] for session in after if after[session] != before[session]} == expected, number


def test_reports_are_counted_as_a_reader_of_the_events_would_count_them(engine_factory: EngineFactory) -> None:
    """D5: over a flow of every rule, by the owners of the orders that the events name."""
    engine = engine_factory(Limits())
    commands = flow(61, 6_000, apply=ReferenceEngine().apply_records)
    events = events_of(engine.apply_records(commands))
    owners: dict[int, int] = {}
    last = {
        int(command["session"]): sequence for sequence, command in enumerate(commands, 1) if command["kind"] == CommandKind.DEFINE_SESSION
    }
    assert last
    reports: Counter[int] = Counter()
    known: dict[int, tuple[int, bytes, int]] = {}
    for event in events:
        command = commands[event.sequence - 1]
        if event.kind == EventKind.DEFINED:
            if event.command_kind == CommandKind.DEFINE_SESSION:
                named = (int(command["participant"]), bytes(command["participant_name"]), int(command["session_number"]))
                if known.get(event.session) != named:
                    reports[event.session] = 0
                known[event.session] = named
        elif event.kind in _PAIRS:
            reports.update((owners[event.order_id], owners[event.resting_order_id]))
        elif event.kind != EventKind.DISPLAYED:
            if event.kind == EventKind.ACCEPTED:
                owners[event.order_id] = event.session
            reports[event.session] += 1
    assert len(known) >= 6
    assert {session: progress(engine, session)[2] for session in known} == {session: reports[session] for session in known}


def test_a_new_session_under_a_number_begins_at_0_and_a_change_of_flags_keeps_all(crowd: Venue) -> None:
    """D5, D7: the same session with other flags goes on counting; another one under its number begins with its own flags."""
    crowd.order(BUY, 90, 5, 1, session=1, session_sequence=1)
    assert progress(crowd.engine, 1) == (0, 1, 1)
    define: Fields = {"session": 1, "participant": 1, "participant_name": b"ONE"}
    for flags in (SessionFlags.CANCEL_ON_DISCONNECT, SessionFlags.CANCEL_ON_LOGOUT, sum(SessionFlags), 0, sum(SessionFlags)):
        assert said(crowd.do(CommandKind.DEFINE_SESSION, **define, session_flags=flags)) == ["DEFINED"], "though an order lives"
        assert progress(crowd.engine, 1) == (flags, 1, 1)
    for flags in (4, 0x8000, 7):
        assert said(crowd.do(CommandKind.DEFINE_SESSION, **define, session_flags=flags)) == ["REJECTED BAD_DEFINITION"]
        assert said(crowd.do(CommandKind.DEFINE_SESSION, session=4, participant=4, participant_name=b"NEW", session_flags=flags)) == [
            "REJECTED BAD_DEFINITION"
        ]
    assert progress(crowd.engine, 1) == (3, 1, 4)
    assert said(crowd.do(CommandKind.DEFINE_SESSION, **define, session_number=5, session_flags=1)) == ["REJECTED BAD_DEFINITION"]
    crowd.cancel(1, session=1, session_sequence=2)
    assert said(crowd.do(CommandKind.DEFINE_SESSION, **define, session_number=5, session_flags=1)) == ["DEFINED"]
    assert progress(crowd.engine, 1) == (1, 0, 0)
    assert hello(crowd, 1) == TAKEN


def participant_reports(venue: Venue) -> tuple[int, int]:
    """The counts of reports of participants 1 and 2."""
    assert isinstance(venue.engine, ReferenceEngine | CoreEngine)
    return venue.engine.participant_reports(1), venue.engine.participant_reports(2)


def test_reports_of_a_participant_are_counted_over_its_sessions(crowd: Venue) -> None:
    """D10: each report of a session is one of its participant's, and a session that is gone takes none away."""
    assert participant_reports(crowd) == (0, 0)
    crowd.order(SELL, 100, 5, 1, session=1)
    crowd.order(BUY, 100, 2, 2, session=3)
    assert participant_reports(crowd) == (4, 0), "two that were accepted, and both sides of the trade"
    crowd.order(BUY, 100, 3, 3, participant=2, session=2)
    assert participant_reports(crowd) == (5, 2)
    (event,) = crowd.do(CommandKind.DEFINE_SESSION, session=3, participant=1, participant_name=b"ONE", session_number=9)
    assert (event.quantity, participant_reports(crowd)) == (5, (5, 2)), "session 3 is another one of ONE now"
    hello(crowd, 0, session=3)
    assert (participant_reports(crowd), progress(crowd.engine, 3)[2]) == ((6, 2), 1)
    (event,) = crowd.do(CommandKind.DEFINE_SESSION, session=3, participant=2, participant_name=b"TWO", session_number=9)
    assert (event.quantity, participant_reports(crowd)) == (2, (6, 2)), "what it was told stays with ONE"


def test_reports_of_a_participant_begin_anew_with_its_number(crowd: Venue) -> None:
    """D10: a participant whose last session is gone has no reports; nor has who gets its number."""
    hello(crowd, 0, participant=2, session=2)
    assert participant_reports(crowd) == (0, 1)
    (event,) = crowd.do(CommandKind.DEFINE_SESSION, session=2, participant=2, participant_name=b"NEW")
    assert (event.quantity, participant_reports(crowd)) == (0, (0, 0))
    hello(crowd, 0, participant=2, session=2)
    (event,) = crowd.do(CommandKind.DEFINE_SESSION, session=2, participant=4, participant_name=b"LATE")
    assert (event.quantity, participant_reports(crowd)) == (0, (0, 0))
    assert "REJECTED" not in define_session(crowd, 4, 2, b"TWO")
    assert participant_reports(crowd) == (0, 0)


@pytest.mark.parametrize("version", [0, 1])
def test_rules_of_before_do_not_count_the_reports_of_participants(engine_factory: EngineFactory, version: int) -> None:
    """D10: before version 2 of the rules DEFINED says 0; then the count begins with those of the sessions that there are."""
    venue = Venue(engine_factory(replace(ROOMY, rules_version=version)))
    for session, number in ((1, 0), (3, 1)):
        assert define_session(venue, session, 1, b"ONE", number) == "DEFINED"
        hello(venue, 0, session=session)
    (event,) = venue.do(CommandKind.DEFINE_SESSION, session=3, participant=1, participant_name=b"ONE", session_number=2)
    assert (event.quantity, participant_reports(venue)) == (0, (0, 0))
    assert isinstance(venue.engine, ReferenceEngine | CoreEngine)
    venue.engine.resize(ROOMY)
    assert participant_reports(venue) == (version, 0), "what the session before said is not counted"
    hello(venue, 0, session=1)
    assert participant_reports(venue) == (version + 1, 0)


def test_a_session_that_lost_its_connection_has_its_orders_cancelled(crowd: Venue) -> None:
    """D7, A7: a mass cancel with ON_DISCONNECT says so of each order at rest and waiting of that session; only its server may send it."""
    crowd.order(BUY, 90, 5, 1, session=1)
    crowd.new(BUY, 0, 5, 2, {Term.STOP_PRICE: 120}, order_type=STOP, session=1)
    crowd.order(BUY, 90, 5, 3, session=3)
    crowd.order(BUY, 90, 5, 4)
    crowd.order(BUY, 90, 5, 5, participant=2, session=2)
    lost: Fields = {"participant": 1, "flags": CommandFlags.ON_DISCONNECT | CommandFlags.BY_SESSION, "target_session": 1}
    assert said(crowd.do(CommandKind.MASS_CANCEL, **lost, session=1, session_sequence=1)) == ["REJECTED BAD_FLAGS"]
    assert said(crowd.do(CommandKind.MASS_CANCEL, **lost, session_sequence=1)) == ["REJECTED BAD_FLAGS"]
    *cancelled, completed = crowd.do(CommandKind.MASS_CANCEL, **lost, session=1)
    assert told(cancelled) == ["CANCELLED DISCONNECTED 1 5@90 WAS_RESTING", "CANCELLED DISCONNECTED 2 5@0 WAITING"]
    assert told([completed]) == ["COMPLETED 0 2@0"]
    assert progress(crowd.engine, 1) == (0, 1, 7)
    everybody: Fields = {"flags": CommandFlags.ON_DISCONNECT | CommandFlags.ANY_PARTICIPANT}
    assert said(crowd.do(CommandKind.MASS_CANCEL, **everybody)) == ["CANCELLED DISCONNECTED"] * 3 + ["COMPLETED"]


CHANGES: Final[dict[CommandKind, tuple[Fields, str]]] = {
    CommandKind.CANCEL_ORDER: ({}, "CANCELLED REQUESTED"),
    CommandKind.REDUCE_ORDER: ({"quantity": 1}, "REDUCED"),
    CommandKind.AMEND_ORDER: ({"price": NULL_VALUE, "quantity": 4}, "AMENDED"),
}
PLAIN: Final[Fields] = {"order_type": LIMIT}


@pytest.mark.parametrize("sender", [3, 0], ids=["another session", "no session"])
@pytest.mark.parametrize("by_order_id", [False, True], ids=["by client id", "by order id"])
@pytest.mark.parametrize("kind", CHANGES, ids=lambda kind: kind.name.lower())
@pytest.mark.parametrize(
    ("order", "before", "after"),
    [
        (PLAIN, [], []),
        ({"order_type": LIMIT, "flags": CommandFlags.HIDDEN}, [], []),
        ({"order_type": LIMIT, "terms": {Term.EXPIRE_TIME: 10**9}, "time_in_force": GTD}, [], []),
        ({"order_type": STOP_LIMIT, "terms": {Term.STOP_PRICE: 120}}, [], ["STOP_SET"]),
    ],
    ids=["plain", "hidden", "special", "waiting"],
)
def test_a_command_on_an_order_of_another_session_is_answered(
    crowd: Venue, order: Fields, before: list[str], after: list[str], kind: CommandKind, by_order_id: bool, sender: int
) -> None:
    """D8, A5: the sender first, with the id by which it means the order; what happens is reported to the order's session."""
    accepted = crowd.new(BUY, 90, 5, 1, session=1, **order)[0]
    fields, happens = CHANGES[kind]
    reference = accepted.order_id if by_order_id else 1
    flags = CommandFlags.BY_ORDER_ID if by_order_id else 0
    completed, *events = crowd.do(kind, participant=1, session=sender, account=8, client_order_id=reference, flags=flags, **fields)
    assert (completed.kind, completed.command_kind, completed.side, completed.quantity) == (EventKind.COMPLETED, kind, 0, 0)
    assert (completed.order_id, completed.client_order_id) == ((reference, 0) if by_order_id else (0, 1))
    assert (completed.participant, completed.session, completed.account, completed.price) == (1, sender, 0, 0)
    assert (completed.instrument, completed.timestamp_ns) == (0, crowd.now_ns)
    assert said(events) == [happens, *(after if kind == CommandKind.AMEND_ORDER else [])]
    assert {(event.order_id, event.client_order_id, event.session) for event in events} == {(accepted.order_id, 1, 1)}


@pytest.mark.parametrize("order", [PLAIN, {"order_type": LIMIT, "flags": CommandFlags.HIDDEN}], ids=["plain", "hidden"])
def test_one_answer_is_enough(crowd: Venue, order: Fields) -> None:
    """D8, A5: the order's own session, and a command that is rejected, have no answer beside what happens."""
    crowd.new(BUY, 90, 9, 1, session=1, **order)
    assert said(crowd.reduce(1, 1, session=1)) == ["REDUCED"]
    assert said(crowd.amend(1, quantity=7, session=1)) == ["AMENDED"]
    assert said(crowd.reduce(1, 0, session=3)) == ["REJECTED ZERO_QUANTITY"]
    assert said(crowd.amend(1, price=-5, session=3)) == ["REJECTED PRICE_OUT_OF_RANGE"]
    assert said(crowd.cancel(1, session=3, instrument=2)) == ["REJECTED WRONG_INSTRUMENT"]
    assert said(crowd.amend(1, quantity=2, session=3, instrument=1)) == ["COMPLETED", "AMENDED"]
    assert said(crowd.amend(1, quantity=0, session=3)) == ["COMPLETED", "CANCELLED AMENDED_AWAY"]
    crowd.new(BUY, 90, 9, 1, session=0, **order)
    assert said(crowd.reduce(1, 9, session=1)) == ["COMPLETED", "CANCELLED REDUCED_AWAY"]


def test_an_amend_of_another_session_that_trades_is_answered_first(crowd: Venue) -> None:
    """D8, A4: the answer, the amend, and then its trades; the amend has terms in a record of its own."""
    crowd.order(SELL, 100, 5, 1, participant=2, session=2)
    crowd.order(BUY, 90, 5, 2, session=1)
    assert told(crowd.change(2, {Term.NEW_CLIENT_ORDER_ID: 8}, price=100, session=3, instrument=1)) == [
        "COMPLETED 2 0@0",
        "AMENDED 8 5@100 WAS_RESTING",
        "TRADE 8x1 5@100 AGGRESSOR_FILLED|RESTING_FILLED",
    ]


# Stop prices in the reports


@pytest.mark.parametrize("side", [BUY, SELL])
@pytest.mark.parametrize("order_type", [STOP, STOP_LIMIT, TRAILING_STOP, TRAILING_STOP_LIMIT])
def test_the_stop_price_of_a_waiting_order_is_told(venue: Venue, side: Side, order_type: OrderType) -> None:
    """S1, S6: after it is accepted, and after each amend with which it waits; the stop price of then, its leaves and its type."""
    up = 1 if side == BUY else -1
    venue.last(1_000)
    trails = order_type in (TRAILING_STOP, TRAILING_STOP_LIMIT)
    terms = {Term.TRAIL_AMOUNT: 20, Term.CAPACITY: 2} if trails else {Term.STOP_PRICE: 1_000 + 20 * up, Term.CAPACITY: 2}
    price = 1_000 if order_type == STOP_LIMIT else 0
    accepted, attributes, stop_set = venue.new(side, price, 9, 1, terms, order_type=order_type, account=3)
    assert said([accepted, attributes]) == ["ACCEPTED", "ATTRIBUTES"]
    assert told([stop_set]) == [f"STOP_SET 1 9@{1_000 + 20 * up} {order_type.name}"]
    names = ("order_id", "client_order_id", "account", "participant", "session", "instrument", "side", "timestamp_ns", "sequence")
    assert [getattr(stop_set, name) for name in names] == [getattr(accepted, name) for name in names]
    assert venue.last(1_000 - 10 * up) == [], "a trailing stop price moves without an event"
    at = 1_000 + 10 * up if trails else 1_000 + 20 * up
    for quantity, kept in ((8, True), (NULL_VALUE, True), (10, False)):
        amended, stop_set = venue.change(1, quantity=quantity)
        assert bool(amended.flags & KEPT) == kept
        assert told([stop_set]) == [f"STOP_SET 1 {amended.quantity}@{at} {order_type.name}"]
    assert said(venue.reduce(1, 1)) == ["REDUCED"]
    if not trails:
        amended, stop_set = venue.change(1, {Term.STOP_PRICE: 1_000 + 30 * up})
        assert told([stop_set]) == [f"STOP_SET 1 9@{1_000 + 30 * up} {order_type.name}"]
        assert "STOP_SET" not in said(venue.change(1, {Term.STOP_PRICE: 1_000 - 10 * up})), "past its trigger"
    assert "STOP_SET" not in said(venue.new(side, price, 9, 2, {Term.STOP_PRICE: 1_000 - 40 * up}, order_type=STOP))


# Accounts


def define_account(venue: Venue, account: int, name: bytes, **fields: int) -> str:
    """What is said to a definition of an account."""
    (event,) = venue.send(DefineAccount(account=account, participant_name=name, **fields))
    return said([event])[0]


def tries(venue: Venue, account: int, participant: int, session: int = 0, **fields: int) -> str:
    """What is said to an order for an account: on the plain path and on the general one, which agree."""
    common = {"instrument": 1, "account": account, "participant": participant, "session": session, "time_in_force": IOC} | fields
    plain = venue.order(BUY, 1, 1, **common)
    other = venue.order(BUY, 1, 1, **common, self_trade_prevention=SelfTradePrevention.CANCEL_BOTH)
    for event in (*plain, *other):
        assert event.account == account
    assert said(plain) == said(other)
    return said(plain)[0]


def with_accounts(engine_factory: EngineFactory, **limits: int) -> Venue:
    """A venue with ONE, participant 1, and TWO, participant 2; account 7 is ONE's."""
    venue = Venue(engine_factory(replace(ROOMY, **limits)))
    assert define_session(venue, 1, 1, b"ONE") == define_session(venue, 2, 2, b"TWO") == "DEFINED"
    assert define_account(venue, 7, b"ONE") == "DEFINED"
    return venue


NOT_OWNED: Final = "REJECTED ACCOUNT_NOT_OWNED"
UNKNOWN: Final = "REJECTED UNKNOWN_ACCOUNT"


def test_an_account_is_used_by_its_participant_alone(engine_factory: EngineFactory) -> None:
    """D9: whichever session of the participant sends the order. 0 is no account, and one that is nobody's is anybody's."""
    venue = with_accounts(engine_factory)
    assert define_session(venue, 4, 1, b"ONE", 1) == "DEFINED"
    for session in (0, 1, 4):
        assert tries(venue, 7, 1, session) == "ACCEPTED"
    for participant, session in ((2, 2), (2, 0), (0, 0), (9, 0), (65_535, 0)):
        assert tries(venue, 7, participant, session) == NOT_OWNED
    for account in (0, 6, 8, 2**32 - 1):
        assert tries(venue, account, 1, 1) == tries(venue, account, 2, 2) == "ACCEPTED"


def test_an_account_of_nobody_is_refused_where_accounts_are_restricted(engine_factory: EngineFactory) -> None:
    """D9: 0 is no account there too."""
    venue = with_accounts(engine_factory, limit_flags=LimitFlags.ACCOUNTS_RESTRICTED)
    assert tries(venue, 7, 1, 1) == tries(venue, 0, 2, 2) == "ACCEPTED"
    assert tries(venue, 7, 2, 2) == NOT_OWNED
    assert tries(venue, 8, 1, 1) == tries(venue, 8, 0) == UNKNOWN
    assert define_account(venue, 7, b"") == "DEFINED"
    assert tries(venue, 7, 1, 1) == UNKNOWN


def test_an_account_may_go_to_another_participant(engine_factory: EngineFactory) -> None:
    """D9: what counts is when the order comes. Orders that live stay, and are their participant's to cancel and amend."""
    venue = with_accounts(engine_factory)
    venue.order(SELL, 105, 5, 1, account=7, session=1)
    stop(venue, BUY, 110, 5, 2, account=7, session=1)
    assert define_account(venue, 7, b"TWO") == "DEFINED"
    assert tries(venue, 7, 1, 1) == NOT_OWNED
    assert tries(venue, 7, 2, 2) == "ACCEPTED"
    assert said(venue.amend(1, price=106, session=1)) == ["AMENDED"]
    assert said(venue.last(110)) == ["TRIGGERED", "TRADE"]
    by_account: Fields = {"participant": 1, "session": 1, "account": 7, "flags": CommandFlags.BY_ACCOUNT}
    venue.order(SELL, 120, 5, 3, session=1)
    assert said(venue.do(CommandKind.MASS_CANCEL, **by_account)) == ["COMPLETED"]
    assert define_account(venue, 7, b"") == "DEFINED"
    assert tries(venue, 7, 1, 1) == "ACCEPTED"
    venue.order(SELL, 120, 5, 4, session=1, account=7)
    assert define_account(venue, 7, b"TWO") == "DEFINED"
    assert said(venue.do(CommandKind.MASS_CANCEL, **by_account)) == ["CANCELLED MASS_CANCELLED", "COMPLETED"]


def test_an_account_belongs_to_a_name(engine_factory: EngineFactory) -> None:
    """D9: also before its participant has a session, and whatever number the participant gets."""
    venue = with_accounts(engine_factory)
    assert define_account(venue, 8, b"LATER") == "DEFINED"
    assert tries(venue, 8, 1, 1) == tries(venue, 8, 3) == NOT_OWNED
    assert define_session(venue, 1, 1, b"LATER") == "DEFINED", "the number of ONE, which is gone"
    assert tries(venue, 8, 1, 1) == "ACCEPTED"
    assert tries(venue, 7, 1, 1) == NOT_OWNED
    assert define_session(venue, 3, 3, b"ONE") == "DEFINED"
    assert tries(venue, 7, 3, 3) == "ACCEPTED"


def test_an_account_is_looked_at_behind_the_session_and_before_the_instrument(engine_factory: EngineFactory) -> None:
    """D9, section Order of checks. A continued command is looked at with its last record."""
    venue = with_accounts(engine_factory)
    assert tries(venue, 7, 1, 2) == "REJECTED UNKNOWN_SESSION"
    assert tries(venue, 7, 2, 2, instrument=9) == NOT_OWNED
    assert tries(venue, 7, 1, 1, instrument=9) == "REJECTED UNKNOWN_INSTRUMENT"
    assert said(venue.new(BUY, 1, 1, 5, {Term.DISPLAY_QUANTITY: 1}, participant=2, account=7)) == [NOT_OWNED]
    assert said(venue.new(BUY, 1, 1, 5, {Term.DISPLAY_QUANTITY: 1}, participant=1, account=7)) == ["ACCEPTED", "DISPLAYED"]


def test_definitions_of_accounts_take_effect_or_are_refused(engine_factory: EngineFactory) -> None:
    """D9, section Definitions. The state tells whose each is, in the order in which they came."""
    venue = with_accounts(engine_factory, account_count_max=2)
    refused = "REJECTED BAD_DEFINITION"
    for account, name in ((0, b"ONE"), (0, b""), (8, b""), (8, b"A B"), (8, b"A\0B"), (7, b"\x7f")):
        assert define_account(venue, account, name) == refused, (account, name)
    assert define_account(venue, 8, b"TWO", reserved=1) == "REJECTED RESERVED_NOT_ZERO"
    assert define_account(venue, 8, b"Z" * 16) == "DEFINED"
    assert define_account(venue, 9, b"TWO") == refused, "the limit is 2"
    hashes = set()
    for definitions in (((8, b"ONE"), (9, b"ONE")), ((9, b"ONE"), (8, b"ONE")), ((8, b"ONE"), (9, b"TWO")), ((8, b"ONE"), (8, b""))):
        other = with_accounts(engine_factory)
        assert {define_account(other, account, name) for account, name in definitions} == {"DEFINED"}
        hashes.add(other.engine.state_hash)
    assert len(hashes) == 4


def test_an_engine_moves_with_its_accounts(engine_factory: EngineFactory) -> None:
    """D9, section Definitions: to limits that hold all that were ever defined."""
    venue = with_accounts(engine_factory)
    engine: Any = venue.engine
    define_account(venue, 8, b"TWO")
    define_account(venue, 8, b"")
    before = engine.state_hash
    with pytest.raises(InvalidValueError, match=r"account_count_max.*at least.*2"):
        engine.resize(replace(ROOMY, account_count_max=1))
    engine.resize(replace(ROOMY, account_count_max=2, limit_flags=LimitFlags.ACCOUNTS_RESTRICTED))
    assert engine.state_hash == before
    assert tries(venue, 7, 1, 1) == "ACCEPTED"
    assert tries(venue, 7, 2, 2) == NOT_OWNED
    assert tries(venue, 8, 2, 2) == UNKNOWN
    engine.resize(ROOMY)
    assert tries(venue, 8, 2, 2) == "ACCEPTED"


def test_rules_of_before_know_no_accounts(engine_factory: EngineFactory) -> None:
    """D9, section Versions of the rules: the command is not known, and every account is anybody's."""
    limits = Limits(rules_version=1, limit_flags=LimitFlags.ACCOUNTS_RESTRICTED)
    assert (limits.account_count_max, limits.limit_flags) == (0, 0), "they mean nothing there"
    venue = Venue(engine_factory(replace(ROOMY, rules_version=1)))
    engine: Any = venue.engine
    assert define_session(venue, 1, 1, b"ONE") == "DEFINED"
    assert define_account(venue, 7, b"TWO") == "REJECTED UNKNOWN_COMMAND"
    assert define_account(venue, 7, b"TWO", reserved=1) == "REJECTED UNKNOWN_COMMAND"
    assert tries(venue, 7, 1, 1) == "ACCEPTED"
    first = replace(define_limits(replace(ROOMY, rules_version=1)), account_count_max=77, limit_flags=0xFFFF)
    assert said(venue.send(first)) == ["DEFINED"], "bytes that meant nothing"
    engine.resize(ROOMY)
    assert define_account(venue, 7, b"TWO") == "DEFINED"
    assert tries(venue, 7, 1, 1) == NOT_OWNED


# Versions of the rules


def commands_of_any_version(seed: int, count: int) -> Records:
    """Commands of every kind by few names, many wrong by the newest rules. The same for ever: they depend on the seed alone."""
    random = Random(seed)

    def one_of(*options: int) -> int:
        return options[int(random.random() * len(options))]

    now = iter(range(1_000, 10**9))
    parts = [
        records_for(CommandKind.DEFINE_INSTRUMENT, times=now, instrument=1, symbol=b"ONE", tick=1),
        records_for(CommandKind.DEFINE_INSTRUMENT, times=now, instrument=2, symbol=b"TWO", tick=1, instrument_flags=7, collar_ticks=9),
    ]
    for session in (1, 2, 3, 4):
        parts.append(
            records_for(
                CommandKind.DEFINE_SESSION, times=now, session=session, participant=(session - 1) % 2 + 1,
                participant_name=b"F%d" % (session % 2),
                session_number=session, session_flags=session,
            )
        )  # fmt: skip
    for _ in range(count):
        session = one_of(0, 1, 2, 3, 4)
        kind = CommandKind(one_of(1, 1, 1, 1, 1, 1, 2, 3, 4, 4, 6, 35, 36, 34))
        participant = (session - 1) % 2 + 1 if session else one_of(1, 2)
        fields: Fields = {"participant": participant, "session": session, "session_sequence": one_of(0, 0, 0, 1, 2, 3, 7, 2**32 - 1)}
        fields |= {"instrument": one_of(1, 2), "account": one_of(1, 2), "client_order_id": one_of(*range(9))}
        terms: list[tuple[int, int]] = []
        if kind == CommandKind.NEW_ORDER:
            fields |= {"side": one_of(BUY, SELL), "price": one_of(*range(95, 106)), "quantity": one_of(1, 5, 20)}
            fields |= {
                "order_type": one_of(1, 1, 1, 2, 3, 4, 5, 6),
                "time_in_force": one_of(1, 1, 1, 1, 2, 4),
                "flags": one_of(0, 0, 0, 2, 16),
            }
            fields["self_trade_prevention"] = one_of(0, 0, 1, 2, 3, 4)
            if fields["order_type"] in (3, 4):
                terms.append((Term.STOP_PRICE, one_of(*range(95, 106))))
            elif fields["order_type"] in (5, 6):
                terms.append((Term.TRAIL_AMOUNT, one_of(2, 5)))
            elif random.random() < 0.2:
                terms.append((Term.DISPLAY_QUANTITY, 2))
            if random.random() < 0.1:
                terms.append((Term.CAPACITY, 1))
        elif kind == CommandKind.REDUCE_ORDER:
            fields["quantity"] = one_of(0, 1, 50)
        elif kind == CommandKind.AMEND_ORDER:
            fields |= {"price": one_of(NULL_VALUE, 97, 104), "quantity": one_of(NULL_VALUE, 0, 3, 30)}
            if random.random() < 0.2:
                terms.append((Term.STOP_PRICE, one_of(*range(95, 106))))
        elif kind == CommandKind.MASS_CANCEL:
            fields |= {"flags": one_of(0, 0x20, 0x40, 0x400, 0x440), "side": one_of(0, 1, 2)}
        elif kind == CommandKind.SET_LAST_PRICE:
            fields["price"] = one_of(96, 100, 104)
        elif kind == CommandKind.DEFINE_SESSION:
            fields = {"session": one_of(1, 2, 3, 4, 5), "participant": one_of(1, 2), "participant_name": b"F%d" % one_of(0, 1)}
            fields |= {"session_number": one_of(1, 2, 3, 4, 5), "session_flags": one_of(0, 1, 4)}
        parts.append(records_for(kind, terms, times=now, **fields))
    return join_records(parts, COMMAND)


OF_VERSION_0: Final = replace(ROOMY, rules_version=0)


@pytest.mark.parametrize(
    ("seed", "state_hash", "event_hash"),
    [
        (1, 0x5F4538AE85D1851D, 0x5E5FE2FFC00F6C47),
        (2, 0xEB26176D438BAD97, 0xCD50846424B49294),
        (3, 0x2E19D306AA6EAD10, 0x403C4928EE894902),
    ],
)
def test_an_engine_of_the_first_rules_is_as_it_was_before_there_were_others(
    engine_factory: EngineFactory, seed: int, state_hash: int, event_hash: int
) -> None:
    """D5, section Versions of the rules: these hashes are those of the last build that knew only the first rules."""
    engine = engine_factory(OF_VERSION_0)
    commands = commands_of_any_version(seed, 3_000)
    events = engine.apply_records(commands)
    assert (f"{engine.state_hash:016x}", f"{engine.event_hash:016x}") == (f"{state_hash:016x}", f"{event_hash:016x}")
    newest = engine_factory(ROOMY).apply_records(commands)
    new_reasons = {Reason.SEQUENCE_SEEN, Reason.SEQUENCE_GAP, Reason.DISCONNECTED}
    assert not new_reasons & set(events["reason"].tolist())
    assert new_reasons <= set(newest["reason"].tolist())
    assert EventKind.STOP_SET not in set(events["kind"].tolist())
    assert EventKind.STOP_SET in set(newest["kind"].tolist())


@pytest.mark.parametrize(
    ("seed", "state_hash", "event_hash"),
    [
        (1, 0x06FAE127A8C7CB3C, 0x69F8BC53948D1A5E),
        (2, 0x0A3326CF9714F229, 0xEAA8577B1D1D7A40),
    ],
)
def test_an_engine_of_the_second_rules_is_as_it_was_before_there_were_others(
    engine_factory: EngineFactory, seed: int, state_hash: int, event_hash: int
) -> None:
    """D9, section Versions of the rules: these hashes are those of the last build that knew no accounts."""
    commands = commands_of_any_version(seed, 2_000)
    definition = encode_commands([DefineAccount(timestamp_ns=1_500, account=1, participant_name=b"F1")])
    commands = join_records([commands[:1_000], definition, commands[1_000:]], COMMAND)
    engine = engine_factory(replace(ROOMY, rules_version=1))
    engine.apply_records(commands)
    assert (f"{engine.state_hash:016x}", f"{engine.event_hash:016x}") == (f"{state_hash:016x}", f"{event_hash:016x}")
    newest = engine_factory(ROOMY).apply_records(commands)
    assert Reason.ACCOUNT_NOT_OWNED in set(newest["reason"].tolist())


def test_the_first_rules_have_none_of_the_sessions(engine_factory: EngineFactory) -> None:
    """D5, D7, D8, section Versions of the rules: numbers, flags, answers and stop prices mean nothing there."""
    venue = Venue(engine_factory(OF_VERSION_0))
    one: Fields = {"session": 1, "participant": 1, "participant_name": b"ONE"}
    assert said(venue.do(CommandKind.DEFINE_SESSION, **one, session_flags=0xFFFF)) == ["DEFINED"]
    assert define_session(venue, 3, 1, b"ONE", 1) == "DEFINED"
    assert hello(venue, 5) == hello(venue, 5) == hello(venue, 2) == TAKEN
    assert said(stop(venue, BUY, 120, 5, 1, session=1)) == ["ACCEPTED"]
    assert said(venue.change(1, quantity=4, session=3)) == ["AMENDED"]
    assert said(venue.do(CommandKind.DEFINE_SESSION, **one)) == ["REJECTED BAD_DEFINITION"], "an order of it waits"
    assert said(venue.do(CommandKind.MASS_CANCEL, participant=1, flags=CommandFlags.ON_DISCONNECT)) == ["REJECTED BAD_FLAGS"]
    assert said(venue.cancel(1, session=3)) == ["CANCELLED REQUESTED"]
    assert progress(venue.engine, 1) == progress(venue.engine, 3) == (0, 0, 0)


def test_counts_begin_at_0_where_the_version_of_the_rules_rises(engine_factory: EngineFactory) -> None:
    """D5, section Versions of the rules: whatever there was before. A version never goes down, and none is taken that is not known."""
    venue = Venue(engine_factory(OF_VERSION_0))
    engine: Any = venue.engine
    venue.do(CommandKind.DEFINE_SESSION, session=1, participant=1, participant_name=b"ONE", session_flags=3)
    venue.order(BUY, 90, 5, 1, session=1, session_sequence=9)
    stop(venue, BUY, 120, 5, 2, session=1)
    first_hash = engine.state_hash
    engine.resize(OF_VERSION_0)
    assert engine.state_hash == first_hash
    engine.resize(ROOMY)
    assert engine.limits == ROOMY
    assert engine.state_hash == first_hash, "all that is new is 0"
    assert progress(engine, 1) == (0, 0, 0)
    with pytest.raises(InvalidValueError, match=rf"rules_version.*0.*at least.*{RULES_VERSION}"):
        engine.resize(OF_VERSION_0)
    assert said(venue.send(define_limits(OF_VERSION_0))) == ["REJECTED BAD_DEFINITION"]
    assert said(venue.send(define_limits(ROOMY))) == ["DEFINED"]
    assert hello(venue, 2) == GAP
    assert hello(venue, 1) == TAKEN
    assert said(venue.change(2, quantity=4)) == ["COMPLETED", "AMENDED", "STOP_SET"]
    assert progress(engine, 1) == (0, 1, 4)
    engine.resize(replace(ROOMY, order_count_max=2_000))
    assert progress(engine, 1) == (0, 1, 4)
    with pytest.raises(InvalidValueError, match="rules_version"):
        Limits(rules_version=RULES_VERSION + 1)
    assert said(venue.send(replace(define_limits(ROOMY), rules_version=RULES_VERSION + 1))) == ["REJECTED BAD_DEFINITION"]
