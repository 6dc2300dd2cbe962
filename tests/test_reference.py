"""The rules of docs/RULES.md, each by examples that a trader can read, on every engine.

A docstring starts with the id of the rule, or the section of the page, that the test holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any

import numpy as np
import pytest
from conftest import Engine, EngineFactory
from flows import flow

from ome.codec import COMMAND, EVENT, decode_events, encode_commands, encode_events, join_records, record_bytes, records_of
from ome.enums import CommandFlags, EventFlags, EventKind, InstrumentFlags, OrderType, Reason, Side, TimeInForce
from ome.errors import InvalidTypeError, InvalidValueError, InvariantError
from ome.messages import (
    NULL_VALUE,
    Accepted,
    AmendOrder,
    CancelOrder,
    Command,
    Defined,
    DefineInstrument,
    DefineLimits,
    DefineSession,
    Event,
    Limits,
    NewOrder,
    ReduceOrder,
    Rejected,
    Trade,
    UnknownCommand,
)
from ome.reference import ReferenceEngine
from ome.reference.orders import OrderIds

BUY, SELL = Side.BUY, Side.SELL
LIMIT, MARKET = OrderType.LIMIT, OrderType.MARKET
GTC, IOC, FOK = TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK
RESTS, KEPT, WAS_RESTING = EventFlags.RESTS, EventFlags.KEPT_PRIORITY, EventFlags.WAS_RESTING
BOTH_SIDES = pytest.mark.parametrize("side", [BUY, SELL])
ROOMY = Limits(order_count_max=1_000, level_count_max=1_000, instrument_count_max=10, session_count_max=10)


def other(side: Side) -> Side:
    """The side that `side` trades with."""
    return SELL if side == BUY else BUY


def said(events: Sequence[Event]) -> list[str]:
    """Kinds of events, and the reasons of those that have one."""
    names = ((EventKind(event.kind).name, Reason(event.reason)) for event in events)
    return [name if reason == Reason.NONE else f"{name} {reason.name}" for name, reason in names]


def trades(events: Sequence[Event]) -> list[tuple[int, int, int]]:
    """Client order id of the resting order, price and quantity of each trade."""
    return [(event.resting_client_order_id, event.price, event.quantity) for event in events if isinstance(event, Trade)]


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

    def order(self, side: Side, price: int, quantity: int, name: int = 0, **fields: int) -> list[Any]:
        """Enters a limit order with client order id `name`, of participant 1 and good till cancelled unless `fields` say otherwise."""
        terms = {"instrument": 1, "participant": 1} | fields
        return self.send(NewOrder(side=side, price=price, quantity=quantity, client_order_id=name, **terms))

    def amend(self, name: int, **fields: int) -> list[Any]:
        """Amends participant 1's order `name`."""
        return self.send(AmendOrder(**{"client_order_id": name, "participant": 1} | fields))

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


class Ledger:
    """The market as the events alone tell it: what is open of every live order, and where every lot went."""

    def __init__(self) -> None:
        self.open: dict[int, list[int]] = {}  # order id: leaves, instrument, side, price
        self.entered = self.traded = self.cancelled = self.grown = 0

    def hear(self, event: Any) -> None:
        """Books one event; asserts that it is possible."""
        if event.kind == EventKind.ACCEPTED:
            assert event.order_id not in self.open
            self.open[event.order_id] = [event.quantity, event.instrument, event.side, event.price]
            self.entered += event.quantity
        elif event.kind == EventKind.TRADE:
            assert event.quantity > 0, "P5: a trade of zero"
            self.traded += event.quantity
            for order_id, filled in (
                (event.order_id, EventFlags.AGGRESSOR_FILLED),
                (event.resting_order_id, EventFlags.RESTING_FILLED),
            ):
                self.open[order_id][0] -= event.quantity
                assert (self.open[order_id][0] == 0) == bool(event.flags & filled), "an order is filled when nothing is left of it"
                assert self.open[order_id][0] >= 0, "P5: more was traded than was open"
                if event.flags & filled:
                    del self.open[order_id]
        elif event.kind == EventKind.CANCELLED:
            assert self.open.pop(event.order_id)[0] == event.quantity > 0
            self.cancelled += event.quantity
        elif event.kind == EventKind.REDUCED:
            self.open[event.order_id][0] -= event.quantity
            self.cancelled += event.quantity
        elif event.kind == EventKind.AMENDED:
            self.grown += event.quantity - self.open[event.order_id][0]
            self.open[event.order_id][0], self.open[event.order_id][3] = event.quantity, event.price
        elif event.kind == EventKind.RESTED:
            assert self.open[event.order_id][0] == event.quantity

    def levels(self, instrument: int, side: Side) -> list[tuple[int, int, int]]:
        """The levels of a side, best first, as `Engine.levels` gives them."""
        found: dict[int, tuple[int, int]] = {}
        for leaves, where, which, price in self.open.values():
            if (where, which) == (instrument, side):
                quantity, count = found.get(price, (0, 0))
                found[price] = (quantity + leaves, count + 1)
        return [(price, *found[price]) for price in sorted(found, reverse=side == BUY)]


@pytest.mark.parametrize("seed", [31, 32])
def test_lots_are_conserved_and_the_events_tell_the_whole_book(engine_factory: EngineFactory, seed: int) -> None:
    """P5: no trade of zero; every lot entered is open, traded or cancelled, and the book is what the events say."""
    engine = engine_factory(Limits())
    ledger = Ledger()
    commands = flow(seed, 8_000, apply=ReferenceEngine().apply_records)
    for start in range(0, len(commands), 500):
        for event in decode_events(engine.apply_records(commands[start : start + 500])):
            ledger.hear(event)
        for instrument in range(1, 5):
            for side in (BUY, SELL):
                assert list(engine.levels(instrument, side, None)) == ledger.levels(instrument, side), f"seed {seed}, command {start + 500}"
    still_open = sum(terms[0] for terms in ledger.open.values())
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
    assert set(np.diff(events["sequence"].astype(np.int64)).tolist()) == {0, 1}
    assert (events["sequence"][0], events["sequence"][-1]) == (1, 5_000)


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
        DefineSession(timestamp_ns=6, participant=1, session=1, participant_name=b"FIRM", session_number=9),
        NewOrder(timestamp_ns=9, instrument=1, participant=1, session=1, client_order_id=70, account=8, side=SELL, price=-10, quantity=10),
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
        (1, 1, 9, firm, 0, 0, 0, 0),
        (1 << 32 | 1, 70, 2**64 - 10, 6, 4, 8 | 1 << 32 | 1 << 48, SELL, 1),
    ]
    state_hash = 0xEB44ACCAB455D165
    for block in blocks:
        state_hash = mix(state_hash, block)
    assert engine.state_hash == state_hash


def test_rejected_command_changes_nothing_but_counters(engine_factory: EngineFactory) -> None:
    """D2: a rejected command changes nothing but counters: an engine that never saw it goes on the same."""
    commands = flow(51, 6_000, bad_share=0.3)
    with_rejects = engine_factory(Limits())
    events = with_rejects.apply_records(commands)
    rejected = {int(sequence) for sequence in events["sequence"][events["kind"] == EventKind.REJECTED]}
    good = [record_bytes(commands[index : index + 1]) for index in range(len(commands)) if index + 1 not in rejected]
    without = engine_factory(Limits())
    same = without.apply_records(records_of(b"".join(good), COMMAND))
    said_with = events[events["kind"] != EventKind.REJECTED]
    assert len(rejected) > 1_000
    assert [record_bytes(said_with[i : i + 1])[8:] for i in range(len(said_with))] == [
        record_bytes(same[i : i + 1])[8:] for i in range(len(same))
    ]
    for instrument in range(1, 5):
        for side in (BUY, SELL):
            assert with_rejects.levels(instrument, side, None) == without.levels(instrument, side, None)


def assert_order_of_checks(venue: Venue, wrong: Command, steps: Sequence[tuple[Reason, dict[str, int]]]) -> list[Any]:
    """Sends a command that is wrong in every way; puts one thing after the other right; each time the next reason must appear."""
    command = wrong
    for reason, remedy in steps:
        before = (venue.book(1), venue.book(2))
        assert said(venue.send(command)) == [f"REJECTED {reason.name}"]
        assert (venue.book(1), venue.book(2)) == before, "D2: a rejected command changes nothing"
        command = replace(command, **remedy)
    return venue.send(command)


@pytest.fixture
def full(engine_factory: EngineFactory) -> Venue:
    """A venue with room for 8 orders and 7 levels, of which 6 and 6 are taken; session 1 is participant 1's.

    On instrument 2: sells 1 to 3 of 2^60 at 1000, 1005 and 1010 and a sell 4 of 5 at 1015; a buy 5 of 4 lots at 500; a buy 6 of 4 lots,
    participant 2's, at 495.
    """
    limits = Limits(order_count_max=8, level_count_max=7, instrument_count_max=2, session_count_max=2)
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
    wrong = NewOrder(
        instrument=3,
        participant=1,
        session=2,
        side=3,
        order_type=3,
        time_in_force=4,
        flags=1,
        quantity=0,
        price=2**62 + 1,
        client_order_id=1,
        reserved=1,
    )
    events = assert_order_of_checks(
        full,
        wrong,
        [
            (Reason.RESERVED_NOT_ZERO, {"reserved": 0}),
            (Reason.UNKNOWN_SESSION, {"session": 1, "participant": 2}),
            (Reason.UNKNOWN_SESSION, {"participant": 1}),
            (Reason.UNKNOWN_INSTRUMENT, {"instrument": 0}),
            (Reason.UNKNOWN_INSTRUMENT, {"instrument": 2}),
            (Reason.BAD_SIDE, {"side": 0}),
            (Reason.BAD_SIDE, {"side": SELL}),
            (Reason.BAD_ORDER_TYPE, {"order_type": LIMIT}),
            (Reason.BAD_TIME_IN_FORCE, {"time_in_force": GTC}),
            (Reason.BAD_FLAGS, {"flags": 0}),
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
    wrong = NewOrder(instrument=2, participant=1, side=SELL, quantity=1, price=1025, client_order_id=1)
    assert said(full.order(BUY, 490, 1, 10, instrument=2)) == ["REJECTED LEVEL_LIMIT_REACHED"]
    assert said(full.order(BUY, 495, 1, 10, instrument=2)) == ["ACCEPTED"]
    full.reduce(1, 2**59)
    events = assert_order_of_checks(
        full, wrong, [(Reason.DUPLICATE_CLIENT_ORDER_ID, {"client_order_id": 11}), (Reason.ORDER_LIMIT_REACHED, {"quantity": 2})]
    )
    assert said(events) == ["REJECTED ORDER_LIMIT_REACHED"]
    full.cancel(10)
    assert said(full.send(replace(wrong, client_order_id=11))) == ["REJECTED LEVEL_LIMIT_REACHED"]
    crossing = replace(wrong, client_order_id=11, price=490, quantity=1)
    assert said(full.send(crossing)) == ["ACCEPTED", "TRADE"], "a crossing order needs no free level"
    assert said(full.send(replace(wrong, client_order_id=11, time_in_force=IOC))) == ["ACCEPTED", "CANCELLED IMMEDIATE_OR_CANCEL"]


@pytest.mark.parametrize(
    "wrong",
    [
        CancelOrder(client_order_id=77, participant=1, session=2, flags=2, instrument=1, reserved=2),
        ReduceOrder(client_order_id=77, participant=1, session=2, flags=2, instrument=1, reserved=2, quantity=0),
        AmendOrder(client_order_id=77, participant=1, session=2, flags=4, instrument=1, reserved=2, quantity=-1, price=3),
    ],
)
def test_commands_on_orders_are_checked_in_the_order_of_the_page(full: Venue, wrong: Command) -> None:
    """D2: validation precedes mutation. Section Order of checks, CancelOrder, ReduceOrder, AmendOrder."""
    order_id = full.cancel(4)[0].order_id
    theirs = full.cancel(6, participant=2)[0].order_id
    theirs = full.order(BUY, 500, 4, 6, instrument=2, participant=2)[0].order_id
    mine = full.order(SELL, 1015, 5, 4, instrument=2)[0].order_id
    by_order_id = CommandFlags.BY_ORDER_ID
    steps: list[tuple[Reason, dict[str, int]]] = [
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
    if isinstance(wrong, ReduceOrder):
        steps += [(Reason.ZERO_QUANTITY, {"quantity": -5}), (Reason.NEGATIVE_QUANTITY, {"quantity": 5})]
    if isinstance(wrong, AmendOrder):
        full.order(BUY, 490, 1, 20, instrument=2)
        full.order(BUY, 485, 1, 21, instrument=2)
        steps += [
            (Reason.NEGATIVE_QUANTITY, {"quantity": 2**60 + 1}),
            (Reason.QUANTITY_TOO_LARGE, {"price": 2**62 + 3, "quantity": 0}),
            (Reason.PRICE_OUT_OF_RANGE, {"price": 1013}),
            (Reason.PRICE_OFF_TICK, {"price": 1020, "quantity": 2}),
            (Reason.LEVEL_LIMIT_REACHED, {"price": 1010}),
        ]
    events = assert_order_of_checks(full, wrong, steps)
    expected = {CancelOrder: "CANCELLED REQUESTED", ReduceOrder: "CANCELLED REDUCED_AWAY", AmendOrder: "AMENDED"}[type(wrong)]
    assert said(events) == [expected]


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
    common = {"participant": 4, "session": 9, "instrument": 6}
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
    (cancelled,) = venue.cancel(4, account=99, session=0)
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
    limits = Limits(order_count_max=5, level_count_max=4, instrument_count_max=2, session_count_max=3)
    engine = engine_factory(limits)

    def send(command: Command) -> str:
        (event,) = decode_events(engine.apply_records(encode_commands([command])))
        assert isinstance(event, Defined | Rejected)
        assert event.command_kind == command.kind
        assert (event.instrument, event.participant, event.session) == (command.instrument, command.participant, command.session)
        assert (event.timestamp_ns, event.account, event.side) == (command.timestamp_ns, 0, 0)
        return said([event])[0]

    sizes = DefineLimits(timestamp_ns=3, order_count_max=5, level_count_max=4, instrument_count_max=2, session_count_max=3)
    assert send(sizes) == "DEFINED"
    assert send(sizes) == "REJECTED BAD_DEFINITION"
    one = DefineInstrument(
        timestamp_ns=4, instrument=1, symbol=b"A" * 16, tick=2**62, price_decimals=18, quantity_decimals=18, instrument_flags=1
    )
    for change in (
        {"instrument": 0}, {"instrument": 2}, {"tick": 0}, {"tick": -1}, {"tick": 2**62 + 1}, {"price_decimals": 19},
        {"quantity_decimals": 19}, {"instrument_flags": 2}, {"instrument_flags": 3}, {"symbol": b""}, {"symbol": b"A B"},
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
        {"session": 2},
        {"participant": 0},
        {"participant": 2},
        {"participant_name": b""},
        {"participant_name": b"~ "},
    ):
        assert send(replace(firm, **change)) == "REJECTED BAD_DEFINITION", change
    assert send(firm) == "DEFINED"
    assert send(replace(firm, session=2)) == "REJECTED BAD_DEFINITION", "name and session number are taken"
    assert send(replace(firm, session=2, session_number=1, participant=2)) == "REJECTED BAD_DEFINITION", "the name has number 1"
    assert send(replace(firm, session=2, session_number=1)) == "DEFINED"
    assert send(replace(firm, session=3, participant_name=b"NEW", participant=3)) == "REJECTED BAD_DEFINITION", "the next number is 2"
    assert send(replace(firm, session=3, participant_name=b"NEW", participant=2)) == "DEFINED"
    assert send(replace(firm, session=4, session_number=2)) == "REJECTED BAD_DEFINITION", "the limit is 3"


@pytest.mark.parametrize("field", ["order_count_max", "level_count_max", "instrument_count_max", "session_count_max"])
def test_limits_must_be_those_of_the_engine(engine_factory: EngineFactory, field: str) -> None:
    """Section Definitions: DefineLimits is valid only with exactly the limits that the engine was made with."""
    engine = engine_factory(Limits(order_count_max=5, level_count_max=4, instrument_count_max=3, session_count_max=2))
    sizes = DefineLimits(order_count_max=5, level_count_max=4, instrument_count_max=3, session_count_max=2)
    wrong = replace(sizes, **{field: 1})
    assert said(decode_events(engine.apply_records(encode_commands([wrong, sizes])))) == ["REJECTED BAD_DEFINITION"] * 2


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
    events = ReferenceEngine().apply_records(flow(5, 40_000, apply=first.apply_records))
    limits = Limits(order_count_max=12, level_count_max=6, instrument_count_max=5, session_count_max=7)
    tight = ReferenceEngine(limits).apply_records(flow(5, 5_000, limits=limits, apply=ReferenceEngine(limits).apply_records))
    reasons = set(events["reason"].tolist()) | set(tight["reason"].tolist())
    assert {int(reason) for reason in Reason if reason < Reason.FRAME_EMPTY} <= reasons
    assert set(events["kind"].tolist()) == {int(kind) for kind in EventKind}
    assert (events["kind"] == EventKind.REJECTED).mean() < 0.15


def test_check_sees_a_broken_book_and_shows_it() -> None:
    """P5: `check` names what broke and dumps the state."""
    engine = ReferenceEngine(ROOMY)
    venue = Venue(engine)
    venue.order(BUY, 100, 10, 1)
    engine.check()
    engine._live[1 << 32 | 1].leaves = 9
    with pytest.raises(InvariantError, match=r"(?s)sum of the level at 100.*BUY 100: 10 lots.*leaves=9"):
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
