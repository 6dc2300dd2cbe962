"""An order enters: the orders that it meets, and the rest of the order.

Source: docs/RULES.md, NewOrder, steps 1 to 5, What could trade, Post-only.
"""

from __future__ import annotations

from collections.abc import Iterator

from ome.enums import EventKind, InstrumentFlags, Reason, SelfTradePrevention, Side, TimeInForce
from ome.reference.book import Book, BookSide, Level
from ome.reference.events import RESTS, WAS_RESTING
from ome.reference.market import Market
from ome.reference.orders import LIMIT, Order
from ome.reference.prices import why_price_refused
from ome.reference.self_trade import NONE, is_own_group, prevent

__all__ = ["enter", "meet_and_settle", "post_only_price"]

IOC, FOK = int(TimeInForce.IOC), int(TimeInForce.FOK)
BUY = int(Side.BUY)
RESTED, DISPLAYED = int(EventKind.RESTED), int(EventKind.DISPLAYED)
MARKET_TO_LIMIT, POST_ONLY_SLIDES = int(InstrumentFlags.MARKET_TO_LIMIT), int(InstrumentFlags.POST_ONLY_SLIDES)


def enter(market: Market, order: Order) -> list[int]:
    """Steps 1 to 5 of an order that was accepted or has triggered.

    Returns the prices for which stops are looked at: of its first trade and, where that is another, of its last.
    """
    book = market.book_of(order)
    limit = limit_in_force(book, order)
    reason = why_killed(book, order, limit)
    if reason is not None:
        market.cancel_aggressor(order, reason)
        return []
    return meet_and_settle(market, order, limit)


def limit_in_force(book: Book, order: Order) -> int | None:
    """Step 1, T1: its own limit, or else the collar: so many ticks from the best opposite price, the narrower of the two."""
    if order.has_limit:
        return order.price
    collars = [] if order.collar_ticks is None else [order.collar_ticks]
    if book.definition.collar_ticks:
        collars.append(book.definition.collar_ticks)
    opposite = book.opposite(order.side)
    if not collars or not len(opposite):
        return None
    distance = min(collars) * book.definition.tick
    return opposite.best.price + distance if order.side == BUY else opposite.best.price - distance


def why_killed(book: Book, order: Order, limit: int | None) -> Reason | None:
    """Step 2, T4, T5, T9: decided before any trade, by what could trade."""
    if order.time_in_force != FOK and not order.minimum_quantity:
        return None
    quantity, cost = could_trade(book.opposite(order.side), order, limit)
    if order.time_in_force == FOK:
        if quantity < order.leaves:
            return Reason.FILL_OR_KILL
        if order.budget is not None and (cost > order.budget if order.side == BUY else cost < order.budget):
            return Reason.BUDGET
    return Reason.MINIMUM_QUANTITY if quantity < order.minimum_quantity else None


def could_trade(opposite: BookSide, order: Order, limit: int | None) -> tuple[int, int]:
    """Section What could trade, T4: the lots that would trade at once, and the sum of their prices. Nothing changes."""
    still_open, quantity, cost = order.leaves, 0, 0
    for level in opposite.within(limit):
        for resting, lots in _portions(level, order):
            taken = min(still_open, lots)
            if not is_own_group(order, resting):
                quantity += taken
                cost += taken * level.price
            elif order.instruction == SelfTradePrevention.CANCEL_OLDEST:
                continue
            elif order.instruction != SelfTradePrevention.DECREMENT:
                return quantity, cost
            still_open -= taken
            if not still_open:
                return quantity, cost
    return quantity, cost


def _portions(level: Level, order: Order) -> Iterator[tuple[Order, int]]:
    """What an order would meet in a level: what is displayed, reserves, hidden orders. One of its own group is met once, whole."""
    for resting in level.displayed.values():
        yield resting, resting.leaves if is_own_group(order, resting) else resting.shown
    for resting in level.displayed.values():
        if resting.leaves > resting.shown and not is_own_group(order, resting):
            yield resting, resting.leaves - resting.shown
    for resting in level.hidden.values():
        yield resting, resting.leaves


def meet_and_settle(market: Market, order: Order, limit: int | None) -> list[int]:
    """Steps 3 to 5. Returns as `enter`."""
    prices = _meet(market, order, limit)
    if order.order_id in market.live:
        _settle(market, order, prices)
    return prices


def _meet(market: Market, aggressor: Order, limit: int | None) -> list[int]:
    """Step 3, P1 to P3, P7, I3: trades best level first, each from its front, at the resting orders' prices, as long as it crosses.

    Returns the price of its first trade and, where that is another, of its last. Self-trade prevention may end the aggressor.
    """
    opposite = market.book_of(aggressor).opposite(aggressor.side)
    has_group = aggressor.instruction != NONE
    first_price = last_price = None
    while aggressor.leaves and opposite.is_crossed_by(limit):
        resting = opposite.best.first
        if has_group and is_own_group(aggressor, resting):
            if not prevent(market, aggressor, resting):
                break
            continue
        _trade(market, opposite, aggressor, resting)
        last_price = resting.price
        if first_price is None:
            first_price = last_price
    if first_price is None or last_price is None:
        return []
    return [first_price] if first_price == last_price else [first_price, last_price]


def _trade(market: Market, opposite: BookSide, aggressor: Order, resting: Order) -> None:
    """P2, P5, I2: one trade, at the resting order's price, with what it shows (all of it where it is hidden)."""
    quantity = min(aggressor.leaves, resting.displayed if resting.peak else resting.leaves)
    opposite.trade(resting, quantity)
    aggressor.leaves -= quantity
    aggressor.cumulative += quantity
    market.trade_count += 1
    market.events.say_trade(aggressor, resting, quantity)
    if not resting.leaves:
        market.drop(resting)
        market.close(resting)
    elif resting.peak and not resting.displayed:
        opposite.refresh(resting)
        market.events.say(DISPLAYED, resting, resting.displayed, flags=WAS_RESTING | RESTS)


def _settle(market: Market, order: Order, prices: list[int]) -> None:
    """Steps 4 and 5, T1 to T3, S4: what is left rests or is cancelled."""
    book = market.book_of(order)
    if not order.leaves:
        market.close(order)
    elif order.would_rest:
        # Whoever crossed has emptied a level. One that has triggered and did not cross may find none free.
        if market.has_room_at(book.side(order.side), order.price):
            market.rest(order, RESTED)
        else:
            market.cancel_aggressor(order, Reason.LEVEL_LIMIT_REACHED)
    elif order.has_limit:
        market.cancel_aggressor(order, Reason.IMMEDIATE_OR_CANCEL)
    elif prices and book.definition.instrument_flags & MARKET_TO_LIMIT and order.time_in_force not in (IOC, FOK):
        order.order_type = LIMIT
        order.price = prices[-1]
        market.rest(order, RESTED)
    else:
        market.cancel_aggressor(order, Reason.COLLAR if len(book.opposite(order.side)) else Reason.NO_LIQUIDITY)


def post_only_price(book: Book, side: int, price: int) -> int | None:
    """T6: where a post-only order with this limit comes to rest: there if it does not cross; one tick from the opposite best where the
    instrument slides; nowhere (None) otherwise, or where that is no price of the instrument."""
    opposite = book.opposite(side)
    if not opposite.is_crossed_by(price):
        return price
    if not book.definition.instrument_flags & POST_ONLY_SLIDES:
        return None
    tick = book.definition.tick
    slid = opposite.best.price - tick if side == BUY else opposite.best.price + tick
    return slid if why_price_refused(book.definition, slid) is None else None
