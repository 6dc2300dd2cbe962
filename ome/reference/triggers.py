"""Stops trigger, one after another, until none is left. Source: docs/RULES.md, Stops, S1 to S4, S6."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final

from ome.enums import EventKind, Reason
from ome.reference.book import Book
from ome.reference.market import OPEN_QUANTITY_MAX, Market
from ome.reference.matching import enter, post_only_price
from ome.reference.orders import LIMIT, MARKET, STOP_LIMIT, TRAILING_STOP_LIMIT, Order
from ome.reference.prices import kept_within

__all__ = ["look_at_stops"]

TRIGGERED: Final = int(EventKind.TRIGGERED)


def look_at_stops(market: Market, book: Book, prices: Iterable[int], reached: Iterable[Order] = ()) -> None:
    """S2, S4: elects stops for these last trade prices, and for those of every order that triggers, behind those elected before.

    `reached` are orders that triggered as they came. Each order triggers once, so there are no more rounds than stops.
    """
    elected = deque(reached)
    for price in prices:
        elected += _elect(book, price)
    while elected:
        for price in _trigger(market, book, elected.popleft()):
            elected += _elect(book, price)


def _elect(book: Book, price: int) -> list[Order]:
    """S1, S6: this is the last trade price now; trailing stops move, then those reached are elected."""
    book.last_trade_price = price
    book.stops.trail(price)
    return book.stops.elect(price)


def _trigger(market: Market, book: Book, order: Order) -> list[int]:
    """S3, S4: a stop becomes a limit or a market order and enters, every check again. Returns as `enter`."""
    market.events.say(TRIGGERED, order, order.leaves)
    if order.order_type == TRAILING_STOP_LIMIT:
        order.price = kept_within(book.definition, order.stop_price + order.price)
    order.order_type = LIMIT if order.order_type in (STOP_LIMIT, TRAILING_STOP_LIMIT) else MARKET
    if not order.is_special:
        market.special.discard(order.order_id)
    if book.side(order.side).open_quantity + order.leaves > OPEN_QUANTITY_MAX:
        market.cancel_aggressor(order, Reason.QUANTITY_TOO_LARGE)
        return []
    if order.is_post_only:
        price = post_only_price(book, order.side, order.price)
        if price is None:
            market.cancel_aggressor(order, Reason.POST_ONLY_WOULD_TAKE)
            return []
        order.price = price
    return enter(market, order)
