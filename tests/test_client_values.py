"""A client's numbers, instruments and texts: the same as those of the embedded engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from ome.client import MarketData, OrderEntry
from ome.config import ServerConfig
from ome.engine import Engine
from ome.enums import EventKind, Policy
from ome.errors import InvalidTypeError, InvalidValueError
from ome.instruments import Instrument
from ome.server import Server

INSTRUMENTS = (Instrument("AAPL"), Instrument("TINY", tick="0.00000001", quantity_decimals=8))


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A venue without a journal."""
    config = ServerConfig(
        policy=Policy.MEMORY,
        orders_endpoint="tcp://127.0.0.1:0",
        feed_endpoint="tcp://127.0.0.1:0",
        requests_endpoint="",
        instruments=INSTRUMENTS,
    )
    with Server(config) as started:
        yield started


@pytest.fixture
def session(server: Server) -> Iterator[OrderEntry]:
    """A session that leaves no orders."""
    with OrderEntry(server.orders_endpoint, "FIRM") as made:
        yield made
        made.mass_cancel()


@pytest.mark.parametrize("number", [5, "5", Decimal(5), np.int64(5), np.uint8(5)], ids=repr)
def test_numbers_and_instruments_are_given_as_to_an_engine(server: Server, session: OrderEntry, number: Any) -> None:
    """Decimals, text, ints and integers of numpy; a symbol or a number: the reports are the same."""
    number_of_tiny = np.uint32(session.instruments.number("TINY"))
    order = session.buy(number_of_tiny, number, at=number, account=np.int64(7), client_order_id=None)
    assert (order.symbol, order.quantity, order.price, order.account) == ("TINY", Decimal(5), Decimal(5), 7)
    assert session.wait_for(order).leaves_quantity == 5
    session.reduce(order, np.int64(2))
    assert session.wait_for(np.uint64(order.client_order_id)).leaves_quantity == 3
    amended = session.amend(order, at=number, open_quantity=number, client_order_id=np.uint64(order.client_order_id + 1))
    assert session.wait_for(amended).leaves_quantity == 5
    with MarketData(server.feed_endpoint, session.instruments) as feed:
        feed.subscribe(number_of_tiny)
        feed.synchronize()
        best = feed.book(number_of_tiny).best_bid
        assert best is not None
        assert (best.price, best.quantity) == (Decimal(5), Decimal(5))
        assert feed.book("TINY") == feed.book(int(number_of_tiny))
    session.mass_cancel(number_of_tiny, "buy", account=np.int64(7), session=np.uint16(session.logon.session))
    assert session.wait_for(amended).kind == EventKind.CANCELLED


@pytest.mark.parametrize("wrong", [True, 5.0, np.float64(5), np.bool_(True), np.timedelta64(5)], ids=repr)
def test_bools_and_floats_are_refused_before_anything_is_sent(session: OrderEntry, wrong: Any) -> None:
    """As on an engine: a TypeError."""
    calls: list[Callable[[], object]] = [
        lambda: session.buy("AAPL", wrong, at=1),
        lambda: session.buy("AAPL", 1, at=wrong),
        lambda: session.buy("AAPL", 1, at=1, account=wrong),
        lambda: session.buy("AAPL", 1, at=1, client_order_id=wrong),
        lambda: session.buy(wrong, 1, at=1),
        lambda: session.mass_cancel(account=wrong),
        lambda: session.wait_for(wrong, 0),
    ]
    for call in calls:
        with pytest.raises(InvalidTypeError):
            call()
    assert session.pending == 0


def test_an_instrument_that_does_not_exist_is_named_with_those_that_do(session: OrderEntry) -> None:
    """By symbol and by number."""
    for wrong in ("NONE", 99, np.int64(99)):
        with pytest.raises(InvalidValueError, match=r"instrument: found .*, allowed: AAPL, TINY"):
            session.buy(wrong, 1, at=1)


def test_an_engine_and_a_client_give_the_same_numbers(session: OrderEntry) -> None:
    """The same order: equal values of one type, and texts without an exponent."""
    order = session.sell("TINY", "0.00000003", at="0.00000001")
    wire = session.wait_for(order)
    with Engine(INSTRUMENTS) as market:
        report = market.sell("TINY", "0.00000003", at="0.00000001")
        embedded = market.open_orders("TINY")[0]
    assert (wire.price, wire.leaves_quantity) == (embedded.price, embedded.leaves_quantity)
    texts = [
        str(value) for value in (wire.price, wire.leaves_quantity, wire.last_quantity, embedded.price, report.resting, report.cancelled)
    ]
    assert texts == ["0.00000001", "0.00000003", "0.00000000", "0.00000001", "0.00000003", "0.00000000"]
    assert type(wire.price) is type(embedded.price)
    assert "E-" not in repr(wire)
