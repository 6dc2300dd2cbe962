"""CancelOrder, ReduceOrder and AmendOrder. Source: docs/RULES.md, sections of these names, Order of checks, A1 to A6."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ome.enums import EventKind, Reason, Term
from ome.messages import NULL_VALUE
from ome.reference.book import Book
from ome.reference.events import KEPT_PRIORITY, RESTS, WAITING
from ome.reference.market import OPEN_QUANTITY_MAX, QUANTITY_MAX, Market
from ome.reference.matching import meet_and_settle, post_only_price
from ome.reference.orders import PEAK_COUNT_MAX, TRAILING_STOP_LIMIT, Order
from ome.reference.prices import why_distance_refused, why_price_refused
from ome.reference.records import BY_ORDER_ID, CONTINUED, OPEN_QUANTITY, Row
from ome.reference.stops import is_reached
from ome.reference.terms import Terms, are_amend_terms_good
from ome.reference.triggers import look_at_stops

__all__ = ["amend_order", "cancel_order", "reduce_order"]

AMENDED: Final = int(EventKind.AMENDED)


def _found(market: Market, command: Row, flags: int) -> Order | Reason:
    """Checks 3 to 7, A5: the order that a command means, or why it is refused. `flags` are those that belong to the command."""
    if not market.is_session_known(command):
        return Reason.UNKNOWN_SESSION
    if command.flags & ~flags:
        return Reason.BAD_FLAGS
    reference = command.client_order_id
    if command.flags & BY_ORDER_ID:
        order = market.live.get(reference)
        if order is None:
            return Reason.ORDER_CLOSED if market.ids.was_given(reference) else Reason.UNKNOWN_ORDER
    else:
        order = market.live_by_client_id.get((command.participant, reference))
        if order is None:
            return Reason.UNKNOWN_ORDER
    if order.participant != command.participant:
        return Reason.NOT_OWNER
    if command.instrument not in (0, order.instrument):
        return Reason.WRONG_INSTRUMENT
    return order


def _answer_elsewhere(market: Market, command: Row, order: Order) -> None:
    """Section CancelOrder, ReduceOrder: what happens to the order is reported to its session, so another one that asked is answered."""
    if market.has_sessions and order.session != command.session:
        market.events.say_completed_elsewhere(command)


def cancel_order(market: Market, command: Row) -> None:
    """A5: what is left of a live order is gone."""
    order = _found(market, command, BY_ORDER_ID)
    if isinstance(order, Reason):
        market.events.reject(command, order)
        return
    _answer_elsewhere(market, command, order)
    market.cancel(order, Reason.REQUESTED)


def reduce_order(market: Market, command: Row) -> None:
    """A1: a live order loses lots and keeps its place; where it loses all, it is cancelled."""
    order = _found(market, command, BY_ORDER_ID)
    if isinstance(order, Reason):
        market.events.reject(command, order)
        return
    if command.quantity <= 0:
        market.events.reject(command, Reason.ZERO_QUANTITY if command.quantity == 0 else Reason.NEGATIVE_QUANTITY)
        return
    _answer_elsewhere(market, command, order)
    if command.quantity < order.leaves:
        market.reduce(order, command.quantity)
    else:
        market.cancel(order, Reason.REDUCED_AWAY)


@dataclass(slots=True, kw_only=True)
class _Change:
    """What an order is to be after an amend."""

    price: int
    leaves: int
    stop_price: int
    client_order_id: int


def amend_order(market: Market, command: Row, terms: Terms) -> None:
    """A1 to A4: a live order gets another price, quantity, stop price or client order id; or REJECTED."""
    order = _found(market, command, BY_ORDER_ID | OPEN_QUANTITY | CONTINUED)
    change = order if isinstance(order, Reason) else _change_of(market, command, order, terms)
    if isinstance(order, Reason) or isinstance(change, Reason):
        assert isinstance(change, Reason), "a reason is kept"
        market.events.reject(command, change)
        return
    _answer_elsewhere(market, command, order)
    if change.leaves <= 0:
        market.cancel(order, Reason.AMENDED_AWAY)
    elif order.is_waiting:
        _amend_waiting(market, order, change)
    else:
        _amend_resting(market, order, change)


def _change_of(market: Market, command: Row, order: Order, terms: Terms) -> _Change | Reason:
    """Checks 8 to 14 of an AmendOrder: what the order is to be, or the first reason that applies. D2: nothing has changed by then."""
    if not are_amend_terms_good(order, terms):
        return Reason.BAD_TERM
    if command.quantity != NULL_VALUE and command.quantity < 0:
        return Reason.NEGATIVE_QUANTITY
    change = _Change(
        price=command.price if command.price != NULL_VALUE and order.has_limit else order.price,
        leaves=_new_leaves(command, order),
        stop_price=terms.values.get(Term.STOP_PRICE, order.stop_price),
        client_order_id=terms.values.get(Term.NEW_CLIENT_ORDER_ID, order.client_order_id),
    )
    book = market.book_of(order)
    is_renamed = change.client_order_id != order.client_order_id
    if _is_too_large(book, order, change.leaves) or 0 < order.peak * PEAK_COUNT_MAX < change.leaves:
        return Reason.QUANTITY_TOO_LARGE
    reason = _why_prices_refused(book, command, order, terms)
    if reason is not None:
        return reason
    if is_renamed and (order.participant, change.client_order_id) in market.live_by_client_id:
        return Reason.DUPLICATE_CLIENT_ORDER_ID
    if order.is_waiting or change.leaves <= 0:
        return change
    if order.is_post_only:
        price = post_only_price(book, order.side, change.price)
        if price is None:
            return Reason.POST_ONLY_WOULD_TAKE
        change.price = price
    rests_elsewhere = change.price != order.price and not book.opposite(order.side).is_crossed_by(change.price)
    if rests_elsewhere and not market.has_room_at(book.side(order.side), change.price):
        return Reason.LEVEL_LIMIT_REACHED
    return change


def _new_leaves(command: Row, order: Order) -> int:
    """A2: the new quantity is the total, unless OPEN_QUANTITY says that it is what is open."""
    if command.quantity == NULL_VALUE:
        return order.leaves
    return command.quantity if command.flags & OPEN_QUANTITY else command.quantity - order.cumulative


def _is_too_large(book: Book, order: Order, leaves: int) -> bool:
    """Check 10. What waits is not in the open quantity of its side."""
    if leaves > QUANTITY_MAX or order.cumulative + leaves > OPEN_QUANTITY_MAX:
        return True
    return not order.is_waiting and book.side(order.side).open_quantity - order.leaves + leaves > OPEN_QUANTITY_MAX


def _why_prices_refused(book: Book, command: Row, order: Order, terms: Terms) -> Reason | None:
    """Check 11: a new limit, or distance, of an order that has one; then a new stop price."""
    reason = None
    if command.price != NULL_VALUE and order.has_limit:
        check = why_distance_refused if order.order_type == TRAILING_STOP_LIMIT else why_price_refused
        reason = check(book.definition, command.price)
    if reason is None and Term.STOP_PRICE in terms.values:
        reason = why_price_refused(book.definition, terms.values[Term.STOP_PRICE])
    return reason


def _amend_resting(market: Market, order: Order, change: _Change) -> None:
    """A1, A3, A4: the order keeps its place, joins the back of a queue, or trades where it crosses."""
    _take_over_client_id(market, order, change)
    if change.price == order.price and change.leaves <= order.leaves:
        flags = market.shrink(order, order.leaves - change.leaves)
        market.events.say(AMENDED, order, order.leaves, flags=flags | RESTS)
        return
    flags = market.leave(order)
    order.price = change.price
    order.leaves = change.leaves
    book = market.book_of(order)
    if not book.opposite(order.side).is_crossed_by(order.price):
        market.rest(order, AMENDED, flags)
        return
    market.events.say(AMENDED, order, order.leaves, flags=flags)
    look_at_stops(market, book, meet_and_settle(market, order, order.price))


def _amend_waiting(market: Market, order: Order, change: _Change) -> None:
    """S1, S2: another stop price, or more lots, and the order queues behind the others at its stop price, or triggers at once."""
    keeps_place = change.stop_price == order.stop_price and change.leaves <= order.leaves
    book = market.book_of(order)
    book.stops.leave(order)
    order.price = change.price
    order.leaves = change.leaves
    order.stop_price = change.stop_price
    if not keeps_place:
        order.entry = market.events.sequence
    _take_over_client_id(market, order, change)
    if is_reached(order, book.last_trade_price):
        market.events.say(AMENDED, order, order.leaves)
        look_at_stops(market, book, (), [order])
        return
    book.stops.join(order)
    market.events.say(AMENDED, order, order.leaves, flags=WAITING | KEPT_PRIORITY if keeps_place else WAITING)
    market.events.say_stop_set(order)


def _take_over_client_id(market: Market, order: Order, change: _Change) -> None:
    """A6: from now on the order has the client order id of the amend."""
    if change.client_order_id != order.client_order_id:
        market.rename(order, change.client_order_id)
