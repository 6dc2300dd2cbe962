"""Calls that a user gets wrong: each says what was found and what is allowed, and nothing is silently empty, wrong or lost."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from typing import Any

import pytest
from fake_servers import FakeServer, new_orders
from venues import venue_config

import ome
from ome.client import MarketData, OrderEntry, SessionLost
from ome.engine import Engine
from ome.enums import Policy, Side
from ome.errors import InvalidTypeError, InvalidValueError
from ome.instruments import Instrument
from ome.server import Server
from ome.transport.sockets import SocketClosedError


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A venue in this process, with an order on each side."""
    with Server(venue_config(None, policy=Policy.MEMORY)) as running:
        with OrderEntry(running.orders_endpoint, "MAKER") as maker:
            maker.wait_for(maker.buy("AAPL", 10, at="5.00"))
            maker.wait_for(maker.sell("AAPL", 10, at="9.00"))
        yield running


def test_a_side_may_be_named_in_words_and_is_the_side_that_it_names(server: Server) -> None:
    """A word that is none is refused; so is a depth that is none."""
    with MarketData(server.feed_endpoint) as feed:
        feed.subscribe(1)
        feed.synchronize()
        assert feed.levels(1, "buy") == feed.levels(1, Side.BUY) == [(500, 10, 1)]
        assert feed.levels(1, "sell", 1) == feed.levels(1, Side.SELL) == [(900, 10, 1)]
        with pytest.raises(InvalidValueError, match="side: found 'bid'"):
            feed.levels(1, "bid")  # type: ignore[arg-type]
        with pytest.raises(InvalidValueError, match="depth: found -1"):
            feed.levels(1, "buy", -1)


def test_trades_without_instruments_are_refused_and_not_empty(server: Server) -> None:
    """They need the decimals."""
    with MarketData(server.feed_endpoint) as feed, pytest.raises(InvalidValueError, match="instruments in market data from"):
        next(feed.trades())


def test_a_subscriber_that_is_closed_says_so(server: Server) -> None:
    """No exception of ZeroMQ comes out."""
    feed = MarketData(server.feed_endpoint)
    feed.subscribe(1)
    feed.close()
    with pytest.raises(SocketClosedError):
        feed.subscribe(2)
    with pytest.raises(SocketClosedError):
        feed.unsubscribe(1)


def test_closing_with_commands_that_nobody_answered_says_which() -> None:
    """As where the venue's disk stands still and its gateway does not: whether they were taken, only the server knows."""
    server = FakeServer()
    server.answer_frame = lambda _: []
    entry = OrderEntry(server.endpoint, "CLOSER", timeout=0.3)
    entry.send(new_orders(2))
    with pytest.raises(SessionLost, match="2 commands are unanswered") as caught:
        entry.close()
    assert caught.value.unanswered == (1, 2)
    entry.close()
    server.close()


@pytest.mark.parametrize("name", ["cancel", "reduce", "amend"])
def test_an_order_is_what_buy_returned(server: Server, name: str) -> None:
    """Or one of its ids: anything else is refused by name; and an id says nothing of decimals."""
    with OrderEntry(server.orders_endpoint, "TYPIST") as entry:
        for wrong in ("5", None, True, 5.0):
            with pytest.raises(InvalidTypeError, match="order: found"):
                getattr(entry, name)(wrong, *([1] if name == "reduce" else []))
        if name != "cancel":
            with pytest.raises(InvalidValueError, match=r"symbol: found None, allowed: .*AAPL"):
                getattr(entry, name)(5, 1)


@pytest.mark.parametrize(
    ("call", "what"),
    [
        (lambda: Engine(["AAPL"]), "instrument"),  # type: ignore[list-item]
        (lambda: Engine(limits=5), "limits"),  # type: ignore[arg-type]
        (lambda: Engine([Instrument("AAPL")]).resize(None), "limits"),  # type: ignore[arg-type]
    ],
)
def test_an_engine_says_what_it_needs(call: Callable[[], Any], what: str) -> None:
    """Not an AttributeError from inside."""
    with pytest.raises(InvalidTypeError, match=f"{what}: found"):
        call()


def test_a_closed_engine_is_closed_also_where_assertions_are_off() -> None:
    """`python -O` removes them: memory that was freed must not be read."""
    code = "from ome.engine import Engine; e = Engine(); e.close(); e.event_hash"
    done = subprocess.run([sys.executable, "-O", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "EngineClosedError" in done.stderr


def test_the_version_is_that_of_the_package() -> None:
    """As a user asks for it."""
    assert ome.__version__ == version("ome")
