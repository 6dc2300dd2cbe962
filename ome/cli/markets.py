"""The markets that conformance commands can run against: the core, the reference model, a server over the wire."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from ome.codec import define_instrument
from ome.config import ServerConfig
from ome.conformance import Market, MarketFactory
from ome.conformance.wire import SYNC_INSTRUMENT, WireMarket
from ome.engine import Engine
from ome.enums import Policy
from ome.instruments import Instrument
from ome.reference import ReferenceEngine
from ome.server import Server

__all__ = ["core_markets", "reference_markets", "wire_markets"]


@contextlib.contextmanager
def core_markets() -> Iterator[MarketFactory]:
    """Engines in this process; each is freed when the next is made."""
    with contextlib.ExitStack() as stack:

        def make(instruments: Sequence[Instrument]) -> Market:
            stack.close()
            return stack.enter_context(Engine(instruments))

        yield make


@contextlib.contextmanager
def reference_markets() -> Iterator[MarketFactory]:
    """Reference models."""

    def make(instruments: Sequence[Instrument]) -> Market:
        engine = ReferenceEngine()
        for number, instrument in enumerate(instruments, 1):
            engine.apply(define_instrument(instrument, number))
        return engine

    yield make


@contextlib.contextmanager
def wire_markets() -> Iterator[MarketFactory]:
    """Servers with sockets and a journal, on free ports and in fresh folders; each is stopped when the next is made."""
    with contextlib.ExitStack() as stack:

        def make(instruments: Sequence[Instrument]) -> Market:
            stack.close()
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ome-")))
            config = ServerConfig(
                directory=directory,
                orders_endpoint="tcp://127.0.0.1:0",
                feed_endpoint="tcp://127.0.0.1:0",
                requests_endpoint="",
                policy=Policy.COMMIT,
                instruments=(*instruments, SYNC_INSTRUMENT),
            )
            server = stack.enter_context(Server(config))
            return stack.enter_context(contextlib.closing(WireMarket(server.orders_endpoint, server.feed_endpoint, server.submit)))

        yield make
