"""The embedded engine: what a user types, what comes back, and what is refused before it reaches the market."""

# mypy: disable-error-code="comparison-overlap"
# A Decimal is compared with the int that it equals.

from __future__ import annotations

import contextlib
import copy
import inspect
import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flows import flow

from ome._native import lib
from ome.attributes import ATTRIBUTES
from ome.client import MarketData, OrderEntry
from ome.codec import (
    COMMAND,
    EVENT,
    EVENT_ROW,
    OrderOptions,
    decode_events,
    encode_commands,
    join_records,
    record_bytes,
    records_of_kind,
)
from ome.config import ServerConfig
from ome.engine import Book, ConcurrentUseError, Engine, EngineClosedError, Level, OrderRejectedError, Report, event_rows
from ome.enums import CommandKind, EventKind, OrderType, Policy, Reason, Side, Term, TimeInForce
from ome.errors import InvalidTypeError, InvalidValueError, NotCopyableError, OmeError
from ome.instruments import Instrument
from ome.journal import JournalReader
from ome.messages import (
    NULL_VALUE,
    Accepted,
    Amended,
    Cancelled,
    Completed,
    Defined,
    DefineInstrument,
    DefineSession,
    Event,
    Limits,
    NewOrder,
    OrderEvent,
    Prevented,
    Rejected,
    Trade,
    Triggered,
)
from ome.metrics import Counters
from ome.recovery import Replay
from ome.server import Server

SMALL = Limits(order_count_max=100, level_count_max=50, instrument_count_max=3, session_count_max=4, special_count_max=8)


@pytest.fixture
def market() -> Iterator[Engine]:
    """Two instruments: AAPL in cents and whole shares, BTC in thousandths."""
    instruments = [Instrument("AAPL", tick="0.01"), Instrument("BTC", tick="0.5", quantity_decimals=3)]
    with Engine(instruments, limits=SMALL) as engine:
        yield engine
        engine.check()


# One order


@pytest.mark.parametrize("price", [Decimal("150.25"), "150.25", "150.250", "1.5025e2"])
def test_a_price_is_a_decimal_a_string_or_an_int(market: Engine, price: Decimal | str) -> None:
    """Ways to write one number give one order."""
    market.buy("AAPL", 100, at=price)
    market.buy("AAPL", Decimal(5), at=151)
    assert market.book("AAPL") == Book(
        bids=(
            Level(price=Decimal("151.00"), quantity=Decimal(5), order_count=1),
            Level(price=Decimal("150.25"), quantity=Decimal(100), order_count=1),
        ),
        asks=(),
    )


@pytest.mark.parametrize("wrong", [150.25, float("nan"), np.float64(1.5), Fraction(1, 2), True, b"150", None, [1]])
def test_floats_and_other_types_are_refused_where_money_and_quantity_are_meant(market: Engine, wrong: object) -> None:
    """0.1 is not the number that it looks like: a TypeError, before anything happens. (A price of None is a market order.)"""
    resting = market.buy("AAPL", 100, at="150.25")
    before = market.state_hash
    calls: list[Callable[[], object]] = [
        lambda: market.buy("AAPL", wrong, at=150),  # type: ignore[arg-type]
        lambda: market.reduce(resting, wrong if not isinstance(wrong, bool) else 1.0),  # type: ignore[arg-type]
    ]
    if wrong is not None:
        calls.append(lambda: market.sell("AAPL", 1, at=wrong))  # type: ignore[arg-type]
        calls.append(lambda: market.amend(resting, at=wrong))  # type: ignore[arg-type]
        calls.append(lambda: market.amend(12345, at=wrong))  # type: ignore[arg-type]
        calls.append(lambda: market.amend(12345, stop=wrong))  # type: ignore[arg-type]
        calls.append(lambda: market.set_last("AAPL", wrong))  # type: ignore[arg-type]
        for option in ("stop", "trail", "trail_percent", "display", "minimum"):
            calls.append(lambda option=option: market.buy("AAPL", 5, **{option: wrong}))  # type: ignore[arg-type, misc]
        calls.append(lambda: market.buy("AAPL", 5, at=1, tif="fok", budget=wrong))  # type: ignore[arg-type]
        if not isinstance(wrong, bool):
            calls.append(lambda: market.buy("AAPL", 5, at=1, post_only=wrong))  # type: ignore[arg-type]
        calls.append(lambda: market.buy("AAPL", 5, at=1, expires=wrong))  # type: ignore[arg-type]
        calls.append(lambda: market.buy("AAPL", 5, collar_ticks=wrong))  # type: ignore[arg-type]
        calls.append(lambda: market.buy("AAPL", 5, tif=wrong))  # type: ignore[arg-type]
        calls.append(lambda: market.expire(wrong))  # type: ignore[arg-type]
    for call in calls:
        with pytest.raises(TypeError) as refused:
            call()
        assert isinstance(refused.value, InvalidTypeError)
    assert market.state_hash == before


@pytest.mark.parametrize(
    ("call", "what", "allowed"),
    [
        (lambda market: market.buy("AAPL", 1, at="150.255"), "price of AAPL", "at most 2 decimals"),
        (lambda market: market.buy("AAPL", "1.5", at=1), "quantity of AAPL", "at most 0 decimals"),
        (lambda market: market.buy("AAPL", 1, at="x"), "price of AAPL", "a decimal number"),
        (lambda market: market.buy("AAPL", 1, at="inf"), "price of AAPL", "a finite decimal number"),
        (lambda market: market.buy("AAPL", 2**63, at=1), "quantity of AAPL", "-9223372036854775808 to"),
        (lambda market: market.buy("NONE", 1, at=1), "instrument", "AAPL, BTC"),
        (lambda market: market.book("NONE"), "instrument", "AAPL, BTC"),
        (lambda market: market.buy("AAPL", 1, at=1, tif="DAY"), "tif", "gtc, ioc, fok, day, gtd"),
        (lambda market: market.buy("AAPL", 1, at=1, self_trade="newest"), "self_trade", "cancel_newest"),
        (lambda market: market.buy("AAPL", 1, at=1, trail=1), "at", "limit_offset"),
        (lambda market: market.buy("AAPL", 1, limit_offset=1), "limit_offset", "with trail"),
        (lambda market: market.buy("AAPL", 1, trail=1, trail_percent=1), "trail_percent", "not both"),
        (lambda market: market.buy("AAPL", 1, trail="0.005"), "trail", "at most 2 decimals"),
        (lambda market: market.buy("BTC", 1, trail="0.7"), "trail", "a multiple of 0.5"),
        (lambda market: market.buy("AAPL", 1, trail="-0.01"), "trail", "above 0"),
        (lambda market: market.buy("AAPL", 1, trail_percent="100.01"), "trail_percent", "0.01 to 100.00"),
        (lambda market: market.buy("AAPL", 1, at=1, tif="day", expires=9), "expires", '"gtd" only'),
        (lambda market: market.buy("AAPL", 1, at=1, tif="gtd"), "expires", "a deadline"),
        (lambda market: market.buy("AAPL", 1, at=1, expires=0), "expires", "1 to"),
        (lambda market: market.buy("AAPL", 1, at=1, expires=datetime(2030, 1, 1)), "expires", "a time zone"),
        (lambda market: market.buy("AAPL", 1, post_only=True), "post_only", "with a limit"),
        (lambda market: market.buy("AAPL", 1, at=1, tif="ioc", post_only=True), "post_only", '"gtc", "day" or "gtd"'),
        (lambda market: market.buy("AAPL", 1, hidden=True), "hidden", "with a limit"),
        (lambda market: market.buy("AAPL", 5, at=1, hidden=True, display=1), "display", "not both"),
        (lambda market: market.buy("AAPL", 5, at=1, display=0), "display", "1 to 1152921504606846976"),
        (lambda market: market.buy("AAPL", 5, at=1, minimum=6), "minimum", "1 to 5"),
        (lambda market: market.buy("BTC", "0.5", at=1, minimum="0.501"), "minimum", "0.001 to 0.500"),
        (lambda market: market.buy("AAPL", 5, at=1, minimum=1, post_only=True), "minimum", "not both"),
        (lambda market: market.buy("AAPL", 5, at=1, budget=5), "budget", '"fok" only'),
        (lambda market: market.buy("AAPL", 5, at=1, collar_ticks=5), "collar_ticks", "without limit only"),
        (lambda market: market.buy("AAPL", 5, collar_ticks=-1), "collar_ticks", "0 to 4,294,967,295"),
        (lambda market: market.buy("AAPL", 5, self_trade_scope="participant"), "self_trade_scope", "with self_trade only"),
        (lambda market: market.buy("AAPL", 5, self_trade="decrement", self_trade_scope="group"), "self_trade_group", "a number"),
        (lambda market: market.buy("AAPL", 5, self_trade="decrement", self_trade_group=0), "self_trade_group", "1 to"),
        (
            lambda market: market.buy("AAPL", 5, self_trade="decrement", self_trade_scope="account", self_trade_group=1),
            "self_trade_group",
            '"group" only',
        ),
        (lambda market: market.mass_cancel("NONE"), "instrument", "AAPL, BTC"),
        (lambda market: market.mass_cancel(side="both"), "side", "buy, sell"),
        (lambda market: market.expire(datetime(1969, 12, 31, tzinfo=UTC)), "until", "0 to"),
        (lambda market: market.set_last("AAPL", "1.001"), "price of AAPL", "at most 2 decimals"),
        (lambda market: market.amend(1, at=1, limit_offset=1), "at", "not both"),
        (lambda market: market.buy("AAPL", 1, at=1, account=2**32), "account", "an int from 0"),
        (lambda market: market.amend(1, quantity=1, open_quantity=1), "quantity", "not both"),
        (lambda market: market.cancel(-1), "order_id", "an int from 0"),
        (lambda market: market.orders(9, Side.BUY), "instrument", "AAPL, BTC"),
    ],
)
def test_a_value_outside_what_is_allowed_is_named_with_what_is(
    market: Engine, call: Callable[[Engine], object], what: str, allowed: str
) -> None:
    """The error says what was wrong and what is right, and nothing happened."""
    before = market.state_hash
    with pytest.raises(InvalidValueError) as refused:
        call(market)
    assert refused.value.what == what
    assert allowed in refused.value.allowed
    assert market.state_hash == before


def test_a_report_tells_trades_remainder_and_cancelled(market: Engine) -> None:
    """P2, T2, T3: trades at the resting prices; what is left of a GTC order rests, of an IOC order is cancelled."""
    first = market.sell("AAPL", 100, at="150.25", account="maker")
    assert (first.accepted, first.resting, first.cancelled, first.trades, first.reason) == (True, 100, 0, (), Reason.NONE)
    second = market.buy("AAPL", 30, at="150.50", account="taker", tif="ioc")
    (trade,) = second.trades
    assert (trade.price, trade.quantity, trade.resting_order_id, trade.order_id) == (Decimal("150.25"), 30, first.order_id, second.order_id)
    third = market.buy("AAPL", 100, at="150.25")
    assert ([trade.quantity for trade in third.trades], third.resting, third.cancelled) == ([70], 30, 0)
    fourth = market.sell("AAPL", 50, tif="ioc")
    assert ([trade.quantity for trade in fourth.trades], fourth.resting, fourth.cancelled) == ([30], 0, 20)
    assert fourth.reason == Reason.NO_LIQUIDITY
    fifth = market.buy("AAPL", 50, at=1, tif="fok")
    assert (fifth.accepted, fifth.cancelled, fifth.reason) == (True, 50, Reason.FILL_OR_KILL)
    assert market.trade_count == 3


def test_amend_reduce_and_cancel_report_what_they_did(market: Engine) -> None:
    """A1, A2: what each says, and what is then in the book."""
    order = market.buy("AAPL", 100, at="150.25")
    assert market.reduce(order, 30).resting == 70
    assert market.amend(order, open_quantity=60).resting == 60
    assert market.amend(order, at="150.20").resting == 60
    assert market.book("AAPL").best_bid == Level(price=Decimal("150.20"), quantity=Decimal(60), order_count=1)
    market.sell("AAPL", 10, at="150.20", tif="ioc")
    assert market.amend(order.order_id, quantity=25).resting == 15
    away = market.amend(order, quantity=10)
    assert (away.cancelled, away.resting, away.reason) == (15, 0, Reason.AMENDED_AWAY)
    other = market.sell("AAPL", 5, at=200)
    assert market.reduce(other, 5).reason == Reason.REDUCED_AWAY
    third = market.sell("AAPL", 5, at=200)
    cancelled = market.cancel(third)
    assert (cancelled.cancelled, cancelled.reason, cancelled.order_id) == (5, Reason.REQUESTED, third.order_id)
    assert market.book("AAPL") == Book(bids=(), asks=())


def test_an_amend_that_crosses_reports_its_trades(market: Engine) -> None:
    """A4: an amend that crosses trades at once, under its own order id."""
    market.sell("AAPL", 40, at=151)
    order = market.buy("AAPL", 100, at=150)
    report = market.amend(order, at=152)
    assert [(trade.price, trade.quantity, trade.order_id) for trade in report.trades] == [(Decimal("151.00"), 40, order.order_id)]
    assert report.resting == 60


def test_what_the_market_refuses_is_a_report_and_raises_only_when_asked(market: Engine) -> None:
    """A5: a command on an order that is gone is refused with a reason; raise_for_rejection makes it an exception."""
    order = market.buy("AAPL", 1, at=150)
    assert market.cancel(order).raise_for_rejection().accepted
    for again in (market.cancel(order), market.reduce(order, 1), market.amend(order, at=151)):
        assert (again.accepted, again.reason, again.order_id) == (False, Reason.ORDER_CLOSED, order.order_id)
    assert market.cancel(99).reason == Reason.UNKNOWN_ORDER
    with pytest.raises(OrderRejectedError, match="ORDER_CLOSED") as refused:
        market.cancel(order).raise_for_rejection()
    assert refused.value.reason == Reason.ORDER_CLOSED


def test_an_option_that_does_not_exist_is_named(market: Engine) -> None:
    """A word that was misspelt is no order without it."""
    with pytest.raises(TypeError, match="unknown option 'postonly'; allowed: capacity"):
        market.buy("AAPL", 1, at=1, postonly=True)  # type: ignore[call-arg]
    assert market.sequence == 2


def test_a_price_off_the_tick_is_the_markets_to_refuse(market: Engine) -> None:
    """A price that the instrument's decimals can write but its tick cannot is in the report."""
    assert market.buy("BTC", 1, at="0.3").reason == Reason.PRICE_OFF_TICK
    assert market.buy("BTC", 1, at=0).reason == Reason.PRICE_OUT_OF_RANGE
    assert market.buy("BTC", 0, at="0.5").reason == Reason.ZERO_QUANTITY
    assert market.buy("BTC", "-0.001", at="0.5").reason == Reason.NEGATIVE_QUANTITY


def test_quantities_are_in_units_of_the_instrument_everywhere(market: Engine) -> None:
    """0.5 of an instrument with three quantity decimals is 0.5: in orders, amends, reports, trades, books and open orders, never lots."""
    order = market.buy("BTC", "0.5", at="30000.5", display="0.25")
    assert (order.resting, order.displayed) == (Decimal("0.5"), Decimal("0.25"))
    assert market.reduce(order, "0.1").resting == Decimal("0.4")
    assert market.amend(order, quantity=1).resting == 1
    assert market.amend(order, open_quantity="0.75").resting == Decimal("0.75")
    assert market.book("BTC").bids == (Level(price=Decimal("30000.5"), quantity=Decimal("0.25"), order_count=1),)
    (open_order,) = market.open_orders("BTC")
    assert (open_order.price, open_order.leaves_quantity, open_order.displayed_quantity, open_order.peak_quantity) == (
        Decimal("30000.5"),
        Decimal("0.75"),
        Decimal("0.25"),
        Decimal("0.25"),
    )
    taker = market.sell("BTC", "0.3", at=30000)
    assert [trade.quantity for trade in taker.trades] == [Decimal("0.25"), Decimal("0.05")]
    assert market.last_price("BTC") == Decimal("30000.5")
    stop = market.buy("BTC", 2, stop=40000)
    assert (stop.waiting, market.cancel(stop).cancelled) == (2, 2)
    assert market.mass_cancel("BTC").cancelled == Decimal("0.45")


def test_accounts_are_names_or_numbers(market: Engine) -> None:
    """The same name is the same account; a number is itself."""
    reports = [market.buy("AAPL", 1, at=1, account=account) for account in ("maker", "taker", "maker", 77, 0)]
    accounts = [order.account for report in reports if (order := market.order(report.order_id)) is not None]
    assert accounts == ["maker", "taker", "maker", 77, 0]
    assert market.accounts == {"maker": 1, "taker": 2}


def test_participants_own_their_orders_and_client_order_ids(market: Engine) -> None:
    """A5, A6: another participant's order is not to be touched, and its client order ids are its own."""
    mine = market.buy("AAPL", 1, at=1, participant=1, client_order_id=7)
    assert market.buy("AAPL", 1, at=1, participant=2, client_order_id=7).accepted
    assert market.buy("AAPL", 1, at=1, participant=1, client_order_id=7).reason == Reason.DUPLICATE_CLIENT_ORDER_ID
    assert market.cancel(mine, participant=2).reason == Reason.NOT_OWNER
    assert market.cancel(mine, participant=1).accepted


def test_limits_are_reached_and_left(market: Engine) -> None:
    """The engine holds what its limits say, and goes on when there is room again."""
    orders = [market.buy("AAPL", 1, at=1) for _ in range(SMALL.order_count_max)]
    assert market.buy("AAPL", 1, at=1).reason == Reason.ORDER_LIMIT_REACHED
    market.cancel(orders[50])
    assert market.buy("AAPL", 1, at=1).accepted
    assert market.limits == SMALL


# Orders with terms


def test_a_stop_waits_and_the_report_of_who_triggers_it_tells_what_it_did(market: Engine) -> None:
    """S1, S4: two stops, the one set off by the trade of the other; each has a report of its own, and none is told as the taker's."""
    for price, quantity in ((100, 10), (101, 10), (102, 50)):
        market.sell("AAPL", quantity, at=price)
    first = market.buy("AAPL", 10, stop=100)
    second = market.buy("AAPL", 20, at="101.50", stop=101, tif="day")
    assert (first.waiting, first.resting, first.displayed, first.triggered) == (10, 0, 0, ())
    assert [(order.stop_price, order.price, order.is_waiting) for order in market.waiting(1, Side.BUY)] == [
        (100, None, True),
        (101, Decimal("101.50"), True),
    ]
    report = market.buy("AAPL", 10, at=100)
    assert [(trade.price, trade.quantity) for trade in report.trades] == [(Decimal("100.00"), 10)]
    assert (report.cancelled, report.resting, report.waiting) == (0, 0, 0)
    one, two = report.triggered
    assert (one.order_id, two.order_id) == (first.order_id, second.order_id)
    assert [(trade.price, trade.quantity) for trade in one.trades] == [(Decimal("101.00"), 10)]
    assert (two.trades, two.resting, two.displayed, two.waiting) == ((), 20, 20, 0)
    assert market.order(first.order_id) is None
    assert (market.waiting(1, Side.BUY), market.last_price(1)) == ([], 101)


def test_a_stop_past_its_price_triggers_at_once_and_says_so(market: Engine) -> None:
    """S1: it is in its own report, with what it did."""
    assert market.set_last("AAPL", 100).accepted
    report = market.sell("AAPL", 5, stop=100)
    assert [stop.order_id for stop in report.triggered] == [report.order_id]
    assert (report.cancelled, report.reason) == (5, Reason.NO_LIQUIDITY)


def test_a_trailing_stop_follows_at_its_distance_and_may_have_a_limit(market: Engine) -> None:
    """S6: a distance in price or percent; the limit at a signed distance from the stop price."""
    assert market.sell("AAPL", 5, trail="0.50").reason == Reason.NO_LAST_PRICE
    market.set_last("AAPL", 100)
    by_amount = market.sell("AAPL", 5, trail="0.50")
    by_percent = market.buy("AAPL", 5, trail_percent="1.5", limit_offset="0.10", expires=datetime(2030, 1, 1, tzinfo=UTC))
    amount, percent = market.order(by_amount.order_id), market.order(by_percent.order_id)
    assert amount is not None
    assert percent is not None
    assert (amount.stop_price, amount.trail_amount, amount.order_type) == (Decimal("99.50"), Decimal("0.50"), OrderType.TRAILING_STOP)
    assert (percent.stop_price, percent.trail_basis_points, percent.price) == (Decimal("101.50"), 150, Decimal("0.10"))
    assert (percent.deadline_ns, percent.time_in_force) == (1_893_456_000_000_000_000, TimeInForce.GTD)
    market.set_last("AAPL", 101)
    assert market.amend(by_percent, limit_offset="-0.20").waiting == 5
    assert [(order.stop_price, order.price) for order in market.open_orders("AAPL")] == [
        (Decimal("101.50"), Decimal("-0.20")),
        (Decimal("100.50"), None),
    ]
    (told,) = market.set_last("AAPL", "100.50").triggered
    assert (told.order_id, told.reason) == (by_amount.order_id, Reason.NO_LIQUIDITY)


def test_a_stop_is_amended_to_another_stop_price_and_another_id(market: Engine) -> None:
    """A waiting order takes a new stop price, and any order a new client order id, under which it is found."""
    order = market.buy("AAPL", 5, stop=100, client_order_id=7)
    report = market.amend(order, stop=99, client_order_id=8)
    assert (report.accepted, report.client_order_id, report.order_id, report.waiting) == (True, 8, order.order_id, 5)
    assert market.client_order(7) is None
    live = market.client_order(8)
    assert live is not None
    assert (live.order_id, live.stop_price) == (order.order_id, 99)


def test_an_iceberg_shows_its_peak_and_a_hidden_order_nothing(market: Engine) -> None:
    """I1, P7: the book has what is displayed; reports and open orders tell their owner all of it."""
    iceberg = market.sell("AAPL", 100, at=10, display=20)
    hidden = market.sell("AAPL", 30, at=10, hidden=True)
    assert (iceberg.resting, iceberg.displayed, hidden.resting, hidden.displayed) == (100, 20, 30, 0)
    assert market.book("AAPL").asks == (Level(price=Decimal("10.00"), quantity=Decimal(20), order_count=1),)
    orders = market.open_orders("AAPL")
    assert [(order.leaves_quantity, order.displayed_quantity, order.peak_quantity, order.is_hidden) for order in orders] == [
        (100, 20, 20, False),
        (30, 0, None, True),
    ]
    report = market.buy("AAPL", 110, at=10)
    assert sum(trade.quantity for trade in report.trades) == 110
    assert [(order.order_id, order.leaves_quantity) for order in market.orders(1, Side.SELL)] == [(hidden.order_id, 20)]
    small = market.sell("AAPL", 50, at=11, display=20)
    reduced = market.reduce(small, 35)
    assert (reduced.accepted, reduced.resting, reduced.displayed) == (True, 15, 15)
    cancelled = market.cancel(small)
    assert (cancelled.order_id, cancelled.cancelled, cancelled.reason) == (small.order_id, 15, Reason.REQUESTED)


def test_minimum_budget_and_collar_bound_what_trades(market: Engine) -> None:
    """T1, T5, T9: in the user's numbers."""
    market.sell("AAPL", 10, at="10.00")
    market.sell("AAPL", 10, at="10.10")
    assert market.buy("AAPL", 30, at=11, minimum=25).reason == Reason.MINIMUM_QUANTITY
    assert market.buy("AAPL", 20, at=11, tif="fok", budget="200.99").reason == Reason.BUDGET
    assert market.buy("AAPL", 20, collar_ticks=9, tif="ioc").cancelled == 10
    assert len(market.buy("AAPL", 10, at=11, tif="fok", budget="101.00").trades) == 1
    btc = market.sell("BTC", "0.5", at="30000.0")
    assert market.buy("BTC", "0.500", at=30000, tif="fok", budget="14999.9999").reason == Reason.BUDGET
    assert market.buy("BTC", "0.500", at=30000, tif="fok", budget=15000).trades[0].resting_order_id == btc.order_id


def test_post_only_is_refused_or_slides(market: Engine) -> None:
    """T6: by instrument, as its definition says, which can be read back."""
    sliding = Instrument("SLIDES", post_only_slides=True, market_to_limit=True, collar_ticks=7)
    market.define(sliding)
    assert market.instruments["SLIDES"] == (3, sliding)
    for symbol in ("AAPL", "SLIDES"):
        market.sell(symbol, 10, at=10)
    assert market.buy("AAPL", 5, at=10, post_only=True).reason == Reason.POST_ONLY_WOULD_TAKE
    assert market.buy("SLIDES", 5, at=10, post_only=True).resting == 5
    best = market.book("SLIDES").best_bid
    assert best is not None
    assert best.price == Decimal("9.99")


def test_a_prevented_trade_is_told_and_is_none(market: Engine) -> None:
    """X1 to X4: what the instruction of the aggressor did, to both orders, in the aggressor's report."""
    mine = market.sell("AAPL", 10, at=10, account="me")
    market.sell("AAPL", 10, at=11, account="other")
    report = market.buy("AAPL", 15, at=11, account="me", self_trade="decrement")
    (prevented,) = report.prevented
    assert (prevented.price, prevented.quantity, prevented.resting_order_id) == (Decimal("10.00"), 10, mine.order_id)
    assert [(trade.price, trade.quantity) for trade in report.trades] == [(Decimal("11.00"), 5)]
    assert (report.cancelled, report.reason) == (0, Reason.NONE), "what the resting order lost is not the aggressor's"
    assert market.order(mine.order_id) is None
    market.sell("AAPL", 3, at=10, self_trade="cancel_newest", self_trade_group=4)
    both = market.buy("AAPL", 4, at=10, self_trade="cancel_both", self_trade_group=4)
    assert (both.cancelled, both.reason, both.trades) == (4, Reason.SELF_TRADE_PREVENTION, ())


def test_a_mass_cancel_ends_what_matches_and_lists_it(market: Engine) -> None:
    """A7: by instrument, side, account and participant, in the order of their ids, waiting ones too."""
    one = market.buy("AAPL", 1, at=1, account="a")
    two = market.sell("AAPL", 2, at=9, account="b")
    three = market.sell("AAPL", 4, stop="0.50", account="a")
    four = market.buy("BTC", 8, at=1, account="a", participant=2)
    assert market.mass_cancel("BTC").order_ids == ()
    done = market.mass_cancel("AAPL", account="a")
    assert (done.accepted, done.order_ids, done.cancelled) == (True, (one.order_id, three.order_id), 5)
    assert market.mass_cancel(side="buy", participant=None).order_ids == (four.order_id,)
    assert market.mass_cancel(participant=None, session=3).order_ids == ()
    assert market.mass_cancel(side=Side.SELL).order_ids == (two.order_id,)


def test_deadlines_end_orders_by_the_clock_or_when_told(market: Engine) -> None:
    """T2, T7: nanoseconds or a datetime; what the clock ended before a command is not counted as its doing."""
    day = market.buy("AAPL", 1, at=1, tif="day")
    soon, later, last = (market.buy("AAPL", 2, at=1, expires=expires) for expires in (100, 200, datetime(1970, 1, 2, tzinfo=UTC)))
    assert market.buy("AAPL", 2, at=1, expires=100, tif="gtd").accepted
    market.clock_ns = 100
    done = market.expire(until=200)
    assert (done.order_ids, done.cancelled) == ((later.order_id,), 2)
    assert [event.order_id for event in done.events[:1] if isinstance(event, Cancelled)] == [soon.order_id]
    assert market.expire(end_of_day=True, symbol="BTC").order_ids == ()
    assert market.expire(end_of_day=True).order_ids == (day.order_id,)
    assert market.buy("AAPL", 1, at=1, expires=100).reason == Reason.ALREADY_EXPIRED
    market.clock_ns = 86_400 * 10**9
    report = market.cancel(last)
    assert (report.accepted, report.reason, report.cancelled) == (False, Reason.ORDER_CLOSED, 0)
    again = market.buy("AAPL", 3, at=1)
    assert (again.resting, again.reason) == (3, Reason.NONE)


def test_what_the_market_refuses_of_many_orders_is_told_too(market: Engine) -> None:
    """A completion says why nothing was done, and raises only when asked."""
    refused = market.set_last("BTC", "0.3")
    assert (refused.accepted, refused.reason, refused.order_ids) == (False, Reason.PRICE_OFF_TICK, ())
    with pytest.raises(OrderRejectedError, match="PRICE_OFF_TICK"):
        refused.raise_for_rejection()
    assert market.mass_cancel(session=2).raise_for_rejection().accepted


def test_special_orders_have_a_limit_of_their_own(market: Engine) -> None:
    """The engine takes as many as its limits say, and plain orders beside them."""
    orders = [market.buy("AAPL", 2, at=1, display=1) for _ in range(SMALL.special_count_max)]
    assert market.buy("AAPL", 1, stop=5).reason == Reason.SPECIAL_LIMIT_REACHED
    assert market.state.special_count == SMALL.special_count_max
    assert market.buy("AAPL", 1, at=1).accepted
    market.cancel(orders[0])
    assert market.buy("AAPL", 1, stop=5).waiting == 1


def test_a_command_of_several_records_may_be_cut_anywhere(market: Engine) -> None:
    """What one call leaves waiting, the next completes; and what it does not is refused before anything else."""
    order = NewOrder(instrument=1, side=Side.BUY, quantity=5, order_type=OrderType.STOP, terms=((Term.STOP_PRICE, 100),))
    head, terms = np.split(encode_commands([order]), [1])
    assert len(market.apply(head)) == 0
    assert market.apply(terms)["kind"].tolist() == [EventKind.ACCEPTED, EventKind.STOP_SET]
    market.apply(head)
    report = market.buy("AAPL", 1, at=1)
    assert (report.accepted, report.resting, len(report.events)) == (True, 1, 2)


# Instruments


def test_a_symbol_is_defined_once_and_as_many_as_there_is_room_for(market: Engine) -> None:
    """A second definition of a symbol is refused, whatever its terms, and leaves the first as it was."""
    for again in (Instrument("AAPL", tick="0.01"), Instrument("AAPL", tick="0.05")):
        with pytest.raises(OrderRejectedError, match="command refused: BAD_DEFINITION in instrument AAPL"):
            market.define(again)
    assert market.define(Instrument("THIRD")) == 3
    with pytest.raises(OrderRejectedError, match="BAD_DEFINITION"):
        market.define(Instrument("FOURTH"))
    assert {symbol: number for symbol, (number, _) in market.instruments.items()} == {"AAPL": 1, "BTC": 2, "THIRD": 3}
    assert market.instruments["BTC"][1] == Instrument("BTC", tick="0.5", quantity_decimals=3)
    assert market.buy("AAPL", 1, at="0.01").accepted


def test_instruments_defined_by_commands_are_known_by_symbol(market: Engine) -> None:
    """However an instrument was defined, it is there: for orders, books and the next definition."""
    market.submit(DefineInstrument(instrument=3, symbol=b"OTHER", tick=5, price_decimals=1))
    order = market.buy("OTHER", 2, at="1.5")
    assert order.resting == 2
    market.sell("AAPL", 2, at="2.0")
    assert market.amend(order, at="2.5").resting == 2
    assert market.book("OTHER").best_bid == Level(price=Decimal("2.5"), quantity=Decimal(2), order_count=1)
    with pytest.raises(OrderRejectedError, match="BAD_DEFINITION"):
        market.define(Instrument("MORE"))


def test_two_instruments_of_one_symbol_end_the_constructor() -> None:
    """An engine that would not be what was asked for is not made."""
    with pytest.raises(OrderRejectedError, match="BAD_DEFINITION"):
        Engine([Instrument("A"), Instrument("A")], limits=SMALL)


def test_sessions_are_listed(market: Engine) -> None:
    """Sessions that commands defined can be read."""
    market.submit(DefineSession(session=1, participant=1, participant_name=b"FIRM1", session_number=9))
    (session,) = market.sessions
    assert (session.session, session.participant, session.participant_name, session.session_number) == (1, 1, "FIRM1", 9)


def test_sessions_are_listed_by_number_whatever_is_between_them(market: Engine) -> None:
    """Numbers have gaps, up to the limit; a session that was replaced is not there any more."""
    last = market.limits.session_count_max
    for session, participant, name in ((last, 1, b"LAST"), (3, last, b"THIRD"), (1, 1, b"LAST"), (last, 2, b"NEXT")):
        market.submit(DefineSession(session=session, participant=participant, participant_name=name, session_number=session))
    found = [(session.session, session.participant, session.participant_name) for session in market.sessions]
    assert found == [(1, 1, "LAST"), (3, last, "THIRD"), (last, 2, "NEXT")]
    assert (market.state.session_count, market.state.participant_count) == (3, 3)


# Many commands


def apply_flow(engine: Engine, count: int, step: int, *, as_bytes: bool = False) -> bytes:
    """All events, as bytes, of a flow applied `step` commands at a time."""
    commands = flow(11, count)
    parts = []
    for start in range(0, count, step):
        part = commands[start : start + step]
        parts.append(record_bytes(engine.apply_records(record_bytes(part) if as_bytes else part)))
    return b"".join(parts)


@pytest.mark.parametrize(("step", "as_bytes"), [(1, False), (7, True), (1000, False), (3000, True)])
def test_arrays_and_bytes_in_any_batches_are_the_same(step: int, as_bytes: bool) -> None:
    """D1: how commands are cut and whether they come as an array or as bytes changes nothing."""
    with Engine() as whole, Engine() as cut:
        assert apply_flow(cut, 3_000, step, as_bytes=as_bytes) == apply_flow(whole, 3_000, 3_000)
        assert (cut.state_hash, cut.event_hash, cut.state) == (whole.state_hash, whole.event_hash, whole.state)


def test_a_million_commands_at_once_are_the_same_as_in_small_batches() -> None:
    """D1: one batch of 1,000,000 and a thousand batches of 1,000 give the same events and hashes."""
    commands = np.concatenate([flow(11, 20_000).view("V64")] * 50).view(COMMAND)
    with Engine() as whole, Engine() as cut:
        events = record_bytes(whole.apply_records(commands))
        parts = [record_bytes(cut.apply_records(commands[start : start + 1_000])) for start in range(0, len(commands), 1_000)]
        assert len(commands) == 1_000_000
        assert events == b"".join(parts)
        assert (cut.state_hash, cut.event_hash) == (whole.state_hash, whole.event_hash)
        assert whole.trade_count > 100_000
        whole.check()


def test_no_commands_give_no_events(market: Engine) -> None:
    """An empty batch is a batch."""
    before = market.state
    for empty in (np.empty(0, dtype=COMMAND), b""):
        for call, dtype in ((market.apply, EVENT_ROW), (market.apply_records, EVENT)):
            events = call(empty)
            assert (events.dtype, events.shape) == (dtype, (0,))
    assert market.submit() == []
    assert market.state == before


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros(64, dtype=np.uint8),
        np.zeros(2, dtype=EVENT),
        np.zeros((2, 2), dtype=COMMAND),
        np.zeros(4, dtype=COMMAND)[::2],
        np.zeros(4, dtype=COMMAND)[::-1],
        [b"\0" * 64],
        "\0" * 64,
        None,
    ],
    ids=["bytes array", "events", "two dimensions", "every other", "reversed", "list", "text", "nothing"],
)
def test_arrays_that_are_not_commands_are_refused(market: Engine, wrong: object) -> None:
    """Only a contiguous array of commands, or bytes: never a view whose memory holds something else in between."""
    before = market.state
    with pytest.raises(InvalidTypeError, match="commands: found"):
        market.apply(wrong)  # type: ignore[arg-type]
    assert market.state == before


def test_bytes_that_are_not_whole_commands_are_refused(market: Engine) -> None:
    """Nothing of a batch that ends inside a command is applied."""
    before = market.state
    with pytest.raises(InvalidValueError, match="found '127 bytes', allowed: a multiple of 64 bytes"):
        market.apply(bytes(127))
    assert market.state == before


def test_returned_events_are_the_callers(market: Engine) -> None:
    """The next call does not change what the one before returned."""
    order = NewOrder(instrument=1, side=Side.BUY, price=1, quantity=1)
    first = market.apply(encode_commands([order]))
    kept = first.tobytes()
    market.apply(encode_commands([order] * 100))
    assert first.tobytes() == kept
    assert first["kind"][0] == EventKind.ACCEPTED


def test_another_thread_runs_while_a_batch_is_applied() -> None:
    """The GIL is released: a thread that counts goes on counting during one long call."""
    commands = np.concatenate([flow(12, 10_000).view("V64")] * 100).view(COMMAND)
    ticks: list[float] = []
    stop = threading.Event()

    def count() -> None:
        while not stop.is_set():
            ticks.append(time.perf_counter())
            time.sleep(0.0005)

    with Engine() as engine:
        thread = threading.Thread(target=count)
        thread.start()
        start = time.perf_counter()
        engine.apply(commands)
        end = time.perf_counter()
        stop.set()
        thread.join()
    during = sum(start < tick < end for tick in ticks)
    assert during >= (end - start) / 0.02, f"{during} ticks in {end - start:.3f} s"


# State


def test_state_and_clock_are_those_of_the_calls() -> None:
    """D1: two engines with the same calls have the same hashes; time stands still unless it is set."""

    def trade(engine: Engine, clock_ns: int) -> tuple[int, int]:
        engine.clock_ns = clock_ns
        engine.sell("A", 1, at=1)
        engine.buy("A", 1, at=1)
        return engine.state_hash, engine.event_hash

    with Engine([Instrument("A")]) as one, Engine([Instrument("A")]) as two, Engine([Instrument("A")]) as three:
        assert trade(one, 0) == trade(two, 0) != trade(three, 5)
        assert (three.state.time_ns, one.state.time_ns) == (5, 0)
        assert one.sequence == 3


def test_orders_of_a_side_are_listed_in_priority(market: Engine) -> None:
    """P1: best price first; at a price, earliest first."""
    names = [market.sell("AAPL", 1, at=price).client_order_id for price in (3, 2, 3, 1)]
    listed = [order.client_order_id for order in market.orders(1, Side.SELL)]
    assert listed == [names[3], names[1], names[0], names[2]]
    assert market.orders(1, Side.BUY) == []
    assert market.levels(1, Side.SELL, 2) == [(100, 1, 1), (200, 1, 1)]


def test_a_closed_engine_raises_and_closing_again_does_nothing() -> None:
    """Every call after close says so; none touches memory that was freed."""
    engine = Engine([Instrument("A")], limits=SMALL)
    order: Report = engine.buy("A", 1, at=1)
    engine.close()
    engine.close()
    calls: list[Callable[[], object]] = [
        lambda: engine.buy("A", 1, at=1),
        lambda: engine.cancel(order),
        lambda: engine.amend(order, at=1),
        lambda: engine.apply(b""),
        lambda: engine.apply(np.empty(0, dtype=COMMAND)),
        lambda: engine.define(Instrument("B")),
        lambda: engine.book("A"),
        lambda: engine.orders(1, Side.BUY),
        lambda: engine.waiting(1, Side.BUY),
        lambda: engine.open_orders("A"),
        lambda: engine.order(1),
        lambda: engine.client_order(1),
        lambda: engine.last_price(1),
        engine.mass_cancel,
        engine.expire,
        lambda: engine.set_last("A", 1),
        lambda: engine.state,
        lambda: engine.limits,
        lambda: engine.state_hash,
        lambda: engine.event_hash,
        lambda: engine.instruments,
        lambda: engine.sessions,
        engine.check,
    ]
    for call in calls:
        with pytest.raises(EngineClosedError, match="found 'closed', allowed: an open engine"):
            call()
    assert issubclass(EngineClosedError, OmeError)


# Numbers


@pytest.mark.parametrize("five", [5, "5", Decimal(5), np.int64(5), np.uint8(5), np.array([5], dtype=np.int32)[0]], ids=repr)
def test_numbers_of_numpy_are_numbers_everywhere(market: Engine, five: Any) -> None:
    """What comes out of an array or a table goes in: as a price, a quantity, an id, an account, a time."""
    order = market.buy("AAPL", five, at=five, minimum=None, display=five)
    assert market.reduce(order, five).accepted
    whole = five if isinstance(five, int | np.integer) else 5
    order = market.buy(type(whole)(1), 50, at=five, account=whole, participant=whole, client_order_id=whole, collar_ticks=None)
    assert market.client_order(whole, participant=whole) == market.order(np.uint64(order.order_id))
    assert market.amend(order, quantity=five, participant=whole).resting == 5
    assert market.amend(order.order_id, open_quantity=five, at=five, participant=whole).resting == 5
    market.clock_ns = whole
    assert market.cancel(np.uint64(order.order_id), participant=whole).accepted
    assert market.set_last("AAPL", five).accepted
    assert market.last_price("AAPL") == 5
    assert market.mass_cancel(account=whole, session=whole, participant=whole).accepted
    assert market.expire(whole).accepted
    assert market.book(type(whole)(1), whole) == market.book("AAPL")


@pytest.mark.parametrize(
    "wrong", [True, 5.0, np.float64(5), np.bool_(True), np.timedelta64(5), Fraction(5), Decimal(5), "5", [5]], ids=repr
)
def test_ids_and_accounts_are_integers(market: Engine, wrong: Any) -> None:
    """A bool, a float and a duration are no ids: a TypeError, and nothing happens."""
    before = market.state_hash, market.sequence
    calls: list[Callable[[], object]] = [
        lambda: market.cancel(wrong),
        lambda: market.order(wrong),
        lambda: market.buy("AAPL", 1, at=1, client_order_id=wrong),
        lambda: market.buy("AAPL", 1, at=1, participant=wrong),
        lambda: market.amend(1, client_order_id=wrong),
        lambda: market.mass_cancel(session=wrong),
        lambda: market.expire(wrong),
        lambda: market.buy("AAPL", 1, collar_ticks=wrong),
        lambda: setattr(market, "clock_ns", wrong),
    ]
    if not isinstance(wrong, str):
        calls += [lambda: market.buy("AAPL", 1, at=1, account=wrong), lambda: market.book(wrong), lambda: market.levels(wrong, "buy")]
    for call in calls:
        with pytest.raises(InvalidTypeError):
            call()
    assert (market.state_hash, market.sequence) == before


def test_text_of_numbers_has_no_exponent() -> None:
    """0.00000001 reads so in reports, books, trades and orders, and so does a zero of eight decimals."""
    with Engine([Instrument("BTC", tick="1E-8", quantity_decimals=8)]) as market:
        order = market.sell("BTC", Decimal("2E-8"), at=Decimal("1E-8"))
        report = market.buy("BTC", "0.00000001", at="1e-8")
        seen = [order, report, market.book("BTC"), market.open_orders("BTC"), market.instruments["BTC"]]
        for text in [repr(seen), *(str(value) for value in (report.trades[0].price, report.resting, report.trades[0].quantity))]:
            assert "E-" not in text
        assert str(report.resting) == "0.00000000"
        assert f"{report.trades[0].price}" == "0.00000001"


# Who traded


def test_a_trade_names_both_accounts_and_says_who_took(market: Engine) -> None:
    """Also where the resting order is filled, has a peak, or was hit by a stop, and whether accounts were given by name or number."""
    market.sell("AAPL", 10, at=10, account="maker")
    market.sell("AAPL", 10, at=10, account=77, display=5)
    market.buy("AAPL", 5, stop=10, account="stopped")
    report = market.buy("AAPL", 15, at=10, account="taker")
    assert [(trade.buyer, trade.seller, trade.side, trade.quantity) for trade in report.trades] == [
        ("taker", "maker", Side.BUY, 10),
        ("taker", 77, Side.BUY, 5),
    ]
    assert [(trade.account, trade.resting_account) for trade in report.triggered[0].trades] == [("stopped", 77)]
    assert (report.trades[0].symbol, report.symbol) == ("AAPL", "AAPL")
    resting = market.buy("AAPL", 5, at=9, account="bidder")
    amended = market.amend(market.sell("AAPL", 5, at=12, account="seller"), at=9)
    assert [(trade.buyer, trade.seller, trade.side) for trade in amended.trades] == [("bidder", "seller", Side.SELL)]
    assert amended.trades[0].resting_order_id == resting.order_id


def test_reports_and_books_pickle(market: Engine) -> None:
    """What a call gives is a value: it goes to another process and comes back equal."""
    market.sell("AAPL", 10, at=10, account="maker")
    report = market.buy("AAPL", 4, at=10)
    for value in (report, market.book("AAPL"), market.open_orders("AAPL"), market.state):
        assert pickle.loads(pickle.dumps(value)) == value
        assert copy.deepcopy(value) == value


def test_the_text_of_an_engine_says_what_is_in_it(market: Engine) -> None:
    """For whoever looks at it in a session or a debugger; also when it is closed."""
    market.buy("AAPL", 1, at=1)
    assert repr(market) == "<Engine: 2 instruments (AAPL, BTC), sequence 3, 0 trades, 1 levels>"
    with Engine([Instrument("A")]) as other:
        pass
    assert repr(other) == "<Engine: closed>"


# Misuse


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickle.dumps], ids=["copy", "deepcopy", "pickle"])
def test_an_engine_is_not_copied_and_says_what_to_use_instead(market: Engine, copied: Callable[[object], object]) -> None:
    """Two objects that own one engine would free it twice."""
    before = market.state_hash
    with pytest.raises(NotCopyableError, match=r"Engine.*applied to a new Engine.*ome\.recovery\.Replay") as refusal:
        copied(market)
    assert isinstance(refusal.value, TypeError)
    assert market.state_hash == before


def test_what_holds_memory_sockets_or_files_is_not_copied(tmp_path: Path) -> None:
    """Of every public class that does."""
    config = ServerConfig(
        policy=Policy.MEMORY,
        orders_endpoint="tcp://127.0.0.1:0",
        feed_endpoint="tcp://127.0.0.1:0",
        requests_endpoint="",
        directory=tmp_path,
    )
    with (
        Server(config) as server,
        OrderEntry(server.orders_endpoint, "FIRM") as session,
        MarketData(server.feed_endpoint) as feed,
        JournalReader(tmp_path) as reader,
        Replay(tmp_path) as replay,
        Counters(tmp_path) as counters,
    ):
        for holder in (server, session, feed, reader, replay, counters):
            for copied in (copy.copy, copy.deepcopy, pickle.dumps):
                with pytest.raises(NotCopyableError, match=type(holder).__name__):
                    copied(holder)
        assert "FIRM" in repr(session)
        assert "0 subscriptions" in repr(feed)


def test_a_call_from_a_second_thread_is_refused_and_changes_nothing() -> None:
    """While one thread is in a long call, every call of another is a ConcurrentUseError; the first ends as if there had been no other."""
    commands = np.concatenate([flow(12, 10_000).view("V64")] * 60).view(COMMAND)
    with Engine([Instrument("A")]) as engine, Engine([Instrument("A")]) as alone:
        worker = threading.Thread(target=engine.apply_records, args=(commands,))
        calls = [
            lambda: engine.buy("A", 1, at=1),
            lambda: engine.apply(commands[:1]),
            lambda: engine.apply_records(commands[:1]),
            lambda: engine.book("A"),
            lambda: engine.order(1),
            lambda: engine.state,
            lambda: engine.state_hash,
            lambda: engine.event_hash,
            lambda: engine.instruments,
            engine.check,
            engine.close,
        ]
        refused = 0
        worker.start()
        while worker.is_alive() and refused < len(calls):
            try:
                calls[refused]()
            except ConcurrentUseError:
                refused += 1
            except OmeError:  # before the worker's call
                pass
            else:
                assert refused == 0, "the worker's call is one, and has not returned"
                break
        worker.join()
        if refused:
            assert refused == len(calls)
            alone.apply_records(commands)
            assert (engine.state_hash, engine.event_hash) == (alone.state_hash, alone.event_hash)
        engine.check()


@pytest.mark.parametrize("mode", ["calls", "arrays"])
def test_threads_that_share_an_engine_never_break_it(mode: str) -> None:
    """Whatever they do at once, each call either happens whole or raises ConcurrentUseError."""
    parts = np.array_split(flow(3, 20_000).view("V64"), 200)
    done: list[int] = []
    with Engine([Instrument("A")]) as engine:

        def work(number: int) -> None:
            for index, part in enumerate(parts):
                try:
                    if mode == "arrays":
                        engine.apply(part.view(COMMAND))
                        done.append(len(part))
                    else:
                        (engine.buy if index % 2 else engine.sell)("A", 1, at=10 + (index * number) % 7, account=number)
                        done.append(1)
                except ConcurrentUseError:
                    pass

        threads = [threading.Thread(target=work, args=(number,)) for number in (1, 2, 3)]
        switch = sys.getswitchinterval()
        sys.setswitchinterval(1e-5)
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        finally:
            sys.setswitchinterval(switch)
        engine.check()
        assert engine.sequence == 1 + sum(done)


def test_a_call_that_is_interrupted_gives_the_engine_back(market: Engine) -> None:
    """A KeyboardInterrupt wherever it comes, and a call from within a signal handler, leave an engine that works."""

    def interrupt(*_: object) -> None:
        with contextlib.suppress(ConcurrentUseError):
            market.buy("AAPL", 1, at=2)
        raise KeyboardInterrupt

    former = signal.signal(signal.SIGALRM, interrupt)
    interrupted = 0
    try:
        for attempt in range(300):
            try:
                signal.setitimer(signal.ITIMER_REAL, 1e-5 + attempt * 1e-6)
                while True:
                    market.buy("AAPL", 1, at=1, client_order_id=0)
                    market.cancel(1)
            except KeyboardInterrupt:
                interrupted += 1
            market.check()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)
    assert interrupted == 300


def test_an_engine_is_not_used_in_a_fork(market: Engine) -> None:
    """The child says so in words; the parent goes on."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        text = "used"
        try:
            market.buy("AAPL", 1, at=1)
        except BaseException as error:
            text = f"{type(error).__name__} {error} {market!r}"
        os.write(write, text.encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        text = pipe.read().decode()
    os.waitpid(child, 0)
    assert text.startswith("EngineClosedError engine: found 'made before a fork of this process'")
    assert market.buy("AAPL", 1, at=1).accepted


def test_options_are_named_parameters() -> None:
    """An editor that completes a call sees every option: none hides in **options, for an Engine as for a client."""
    options = set(OrderOptions.__annotations__)
    for kind in (Engine, OrderEntry):
        for name, method in inspect.getmembers(kind, inspect.isfunction):
            keywords = [
                str(parameter.annotation)
                for parameter in inspect.signature(method).parameters.values()
                if parameter.kind is inspect.Parameter.VAR_KEYWORD
            ]
            named = ["Unpack[AttributeOptions]"] if name in ("buy", "sell") else []
            assert name.startswith("_") or keywords == named, f"{kind.__name__}.{name}"
        for side in (kind.buy, kind.sell):
            assert options - set(ATTRIBUTES) <= set(inspect.signature(side).parameters)


def test_defining_instruments_one_by_one_reads_each_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """An options chain, traded while it is defined: the calls into C grow with the instruments, not with their square."""
    calls = 0

    class Counted:
        def __getattr__(self, name: str) -> object:
            nonlocal calls
            calls += name == "ome_engine_instrument"
            return getattr(lib, name)

    monkeypatch.setattr("ome.engine.instruments.lib", Counted())
    with Engine() as market:
        for number in range(1, 201):
            market.define(Instrument(f"O{number:04d}"))
            market.buy(f"O{number:04d}", 1, at=1)
        assert len(market.instruments) == 200
    assert calls <= 400


# Arrays


def test_columns_of_apply_mean_what_they_say() -> None:
    """Every column of every kind of event against the same events as messages."""
    instruments = [DefineInstrument(instrument=number, symbol=f"S{number}".encode()) for number in (1, 2, 3)]
    commands = join_records([encode_commands(instruments), flow(5, 6_000)], COMMAND)
    with Engine() as raw, Engine() as rows_engine:
        records = raw.apply_records(commands)
        rows = rows_engine.apply(commands)
        assert (raw.state_hash, raw.event_hash) == (rows_engine.state_hash, rows_engine.event_hash)
    assert rows.dtype == EVENT_ROW
    assert (rows == event_rows(records)).all()
    assert (event_rows(records[::2])["order_id"] == records["order_id"][::2]).all()
    messages = decode_events(records)
    assert {type(message).__name__ for message in messages} >= {
        "Trade",
        "Rejected",
        "Completed",
        "Defined",
        "Cancelled",
        "Triggered",
        "StopSet",
    }
    owners: dict[tuple[int, int], OrderEvent] = {}
    for row, message in zip(rows, messages, strict=True):
        if isinstance(message, Accepted | Amended | Triggered):
            owners[message.sequence, message.order_id] = message
        expected = expected_row(message, owners)
        assert {name: int(row[name]) for name in EVENT_ROW.names or ()} == expected, message


def expected_row(message: Event, owners: dict[tuple[int, int], OrderEvent]) -> dict[str, int]:
    """The columns of an event, from its message; `owners` has what told of the aggressors."""
    row = dict.fromkeys(EVENT_ROW.names or (), 0) | {"price": NULL_VALUE, "quantity": NULL_VALUE}
    row |= {name: int(getattr(message, name)) for name in row if hasattr(message, name)}
    if isinstance(message, Trade | Prevented):
        aggressor = owners[message.sequence, message.order_id]
        row |= {name: getattr(aggressor, name) for name in ("timestamp_ns", "account", "participant", "session")}
    if isinstance(message, Completed):
        is_price = message.command_kind == CommandKind.SET_LAST_PRICE
        row |= {"order_count": message.quantity, "quantity": NULL_VALUE, "price": message.price if is_price else NULL_VALUE}
    if isinstance(message, Defined):
        row |= {"quantity": NULL_VALUE}
    if isinstance(message, Rejected):
        has_price = message.command_kind in (CommandKind.NEW_ORDER, CommandKind.AMEND_ORDER, CommandKind.SET_LAST_PRICE)
        has_quantity = message.command_kind in (CommandKind.NEW_ORDER, CommandKind.AMEND_ORDER, CommandKind.REDUCE_ORDER)
        row |= {"price": message.price if has_price else NULL_VALUE, "quantity": message.quantity if has_quantity else NULL_VALUE}
    return row


def test_records_of_a_kind_have_the_fields_of_that_kind_and_no_others(market: Engine) -> None:
    """Of events and of commands; joined they are all there are."""
    commands = flow(5, 3_000)
    events = market.apply_records(commands)
    for records, kinds in ((commands, CommandKind), (events, EventKind)):
        parts = {kind: records_of_kind(records, kind) for kind in kinds}
        assert sum(len(part) for part in parts.values()) == int(np.isin(records["kind"], list(kinds)).sum())
    trades = records_of_kind(events, EventKind.TRADE)
    assert "timestamp_ns" not in (trades.dtype.names or ())
    chosen = events[events["kind"] == EventKind.TRADE]
    assert (trades["resting_order_id"] == chosen["resting_order_id"]).all()
    assert "order_count" in (records_of_kind(events, EventKind.COMPLETED).dtype.names or ())
    assert "symbol" not in (records_of_kind(commands, CommandKind.NEW_ORDER).dtype.names or ())
    with pytest.raises(InvalidValueError, match="kind"):
        records_of_kind(commands, EventKind.TRADE)
    with pytest.raises(InvalidTypeError, match="records"):
        records_of_kind(np.zeros(3), EventKind.TRADE)  # type: ignore[arg-type]
