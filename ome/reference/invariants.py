"""The invariants between any two commands, and the whole state as text if one is broken. Source: docs/RULES.md."""

from __future__ import annotations

from itertools import chain

from ome.enums import Side
from ome.reference.book import Book, BookSide, Level
from ome.reference.market import OPEN_QUANTITY_MAX, QUANTITY_MAX, Market
from ome.reference.orders import LIMIT, RESTING_TIMES, STOP, TRAILING_STOP_LIMIT, Order
from ome.reference.prices import why_price_refused
from ome.reference.records import CONTINUED
from ome.reference.stops import favourable, is_reached, trailed_price

__all__ = ["assert_invariants", "dump"]


def assert_invariants(market: Market) -> None:
    """Raises AssertionError, which names the rule or what is broken."""
    resting: dict[int, Order] = {}
    waiting: dict[int, Order] = {}
    level_count = 0
    for number, book in enumerate(market.books, 1):
        for side in (book.bids, book.asks):
            orders = _check_side(number, book, side)
            assert not resting.keys() & orders.keys(), "an order id is in the books twice"
            resting |= orders
            level_count += len(side)
        waiting |= _check_stops(number, book)
        if len(book.bids) and len(book.asks):
            assert book.bids.best.price < book.asks.best.price, f"P4: the book of instrument {number} is crossed"
    assert level_count == market.level_count <= market.limits.level_count_max, "the count of levels is wrong or above its limit"
    assert not resting.keys() & waiting.keys(), "S1: an order waits and is in the book"
    assert resting | waiting == market.live, "the live orders are not those in the books and those that wait"
    _check_indexes(market)
    market.ids.check(set(market.live))
    if market.continued is not None:
        assert market.continued.command.flags & CONTINUED, "a command waits for terms that it did not announce"


def _check_side(number: int, book: Book, side: BookSide) -> dict[int, Order]:
    """Asserts what holds inside one side; returns its orders by id."""
    orders: dict[int, Order] = {}
    sign = -1 if side.side == Side.BUY else 1
    prices = [level.price * sign for level in side]
    assert prices == sorted(set(prices)), "P1: levels are not in the order of their prices"
    for level in side:
        assert level.displayed or level.hidden, f"P5: the level at {level.price} is empty"
        assert why_price_refused(book.definition, level.price) is None, f"the price {level.price} is not valid"
        _check_queues(level)
        for order in level:
            place = (order.instrument, order.side, order.price)
            assert place == (number, side.side, level.price), f"order {order.order_id} is in the wrong place"
            _check_resting(order)
            orders[order.order_id] = order
    assert side.open_quantity == sum(order.leaves for order in orders.values()) <= OPEN_QUANTITY_MAX, "the sum of a side is wrong"
    return orders


def _check_queues(level: Level) -> None:
    for queue, is_hidden in ((level.displayed, False), (level.hidden, True)):
        arrivals = [order.arrival for order in queue.values()]
        assert arrivals == sorted(set(arrivals)), f"P1: a queue at {level.price} is not in the order of arrival"
        assert list(queue) == [order.order_id for order in queue.values()], f"a queue at {level.price} has an order under another id"
        assert all(order.is_hidden == is_hidden for order in queue.values()), f"P7: an order at {level.price} is in the wrong queue"


def _check_resting(order: Order) -> None:
    assert 0 < order.leaves <= QUANTITY_MAX, f"P5: order {order.order_id} has {order.leaves} lots open"
    assert 0 <= order.cumulative <= OPEN_QUANTITY_MAX, f"order {order.order_id} has traded {order.cumulative} lots"
    assert order.order_type == LIMIT, f"T1: order {order.order_id} rests without a limit"
    assert order.time_in_force in RESTING_TIMES, f"T3: order {order.order_id} must not rest"
    if order.peak:
        assert not order.is_hidden, f"order {order.order_id} is hidden and has a peak"
        assert 0 < order.displayed <= min(order.peak, order.leaves), f"I1: order {order.order_id} displays {order.displayed} lots"
    else:
        assert order.displayed == 0, f"order {order.order_id} displays lots without a peak"


def _check_stops(number: int, book: Book) -> dict[int, Order]:
    """Asserts what holds for the waiting orders of a book; returns them by id."""
    orders = list(book.stops)
    ranks = [(order.side, order.stop_price if order.side == Side.BUY else -order.stop_price, order.entry) for order in orders]
    assert ranks == sorted(set(ranks)), "S2: waiting orders are not in the order in which they would trigger"
    for order in orders:
        name = f"waiting order {order.order_id}"
        assert order.instrument == number, f"{name} is in the wrong place"
        assert STOP <= order.order_type <= TRAILING_STOP_LIMIT, f"{name} has nothing to wait for"
        assert why_price_refused(book.definition, order.stop_price) is None, f"{name} has a stop price that is not valid"
        assert 0 < order.leaves <= QUANTITY_MAX, f"{name} has {order.leaves} lots open"
        assert order.cumulative == 0 == order.displayed, f"{name} has traded or displays lots"
        assert not is_reached(order, book.last_trade_price), f"S1: {name} is past its trigger"
        if order.is_trailing:
            assert bool(order.trail_amount) != bool(order.trail_basis_points), f"{name} has no distance, or two"
        if order.is_trailing and book.last_trade_price is not None:
            nearest = favourable(order, trailed_price(book.definition, order, book.last_trade_price))
            assert order.stop_price == nearest, f"S6: {name} has not followed the market"
    return {order.order_id: order for order in orders}


def _check_indexes(market: Market) -> None:
    named = [order for order in market.live.values() if order.client_order_id]
    by_client_id = {(order.participant, order.client_order_id): order for order in named}
    assert len(by_client_id) == len(named), "A6: a client order id is live twice"
    assert by_client_id == market.live_by_client_id, "the index of client order ids is not that of the live orders"
    assert market.special == {order.order_id for order in market.live.values() if order.is_special}, "the special orders are others"
    assert len(market.special) <= market.limits.special_count_max, "there are more special orders than the limit"
    deadlines = sorted((order.deadline_ns, order.order_id) for order in market.live.values() if order.deadline_ns)
    assert deadlines == list(market.deadlines), "the deadlines are not those of the live orders"
    assert not deadlines or deadlines[0][0] > market.time_ns, "T7: an order lives past its deadline"


def dump(market: Market) -> str:
    """Everything, for a reader."""
    count = f"{len(market.live)} live orders, {market.level_count} levels, {len(market.special)} special orders"
    lines = [f"sequence {market.events.sequence}, time {market.time_ns}, {count}, limits {market.limits}"]
    for number, book in enumerate(market.books, 1):
        lines.append(f"instrument {number}: last price {book.last_trade_price}, {book.definition}")
        for side in (book.bids, book.asks):
            for level in side:
                lots = sum(order.leaves for order in level)
                lines.append(f"  {side.side.name} {level.price}: {lots} lots")
                lines += [f"    {order}" for order in chain(level.displayed.values(), level.hidden.values())]
        lines += [f"  waits: {order}" for order in book.stops]
    if market.continued is not None:
        lines.append(f"waits for terms: {market.continued}")
    return "\n".join(lines)
