"""The book of an instrument as the market sees it: displayed quantities at their prices."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from ome._native import CData, ffi, lib
from ome.engine.state import state_of
from ome.enums import Side
from ome.instruments import Instrument
from ome.units import Integer, integer_of

__all__ = ["Book", "Level", "book_of", "levels_of"]

_DEPTH_MAX: Final = 2**24  # levels of one side; more than an engine can hold


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """A price level as the market sees it: the quantity displayed, and how many orders display it."""

    price: Decimal
    quantity: Decimal
    order_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """Both sides of a book as the market sees it, best level first. Hidden orders and reserves are not in it."""

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


def book_of(engine: CData, number: int, instrument: Instrument, depth: Integer | None) -> Book:
    """The best `depth` levels (None: all) of both sides of an instrument, whose number is given too."""

    def side(which: Side) -> tuple[Level, ...]:
        return tuple(
            Level(price=instrument.price(price), quantity=instrument.quantity(lots), order_count=count)
            for price, lots, count in levels_of(engine, number, which, depth)
        )

    return Book(bids=side(Side.BUY), asks=side(Side.SELL))


def levels_of(engine: CData, number: int, side: Side, depth: Integer | None) -> list[tuple[int, int, int]]:
    """The best `depth` levels (None: all) of a side, best first, as integers: price units, lots displayed, orders that display them."""
    wanted = state_of(engine).level_count if depth is None else integer_of(depth, "depth")
    capacity = min(wanted, _DEPTH_MAX)
    found = ffi.new("ome_depth_t[]", max(capacity, 1))
    count = lib.ome_engine_levels(engine, number, side, capacity, found)
    return [(found[i].price, found[i].quantity, found[i].order_count) for i in range(count)]
