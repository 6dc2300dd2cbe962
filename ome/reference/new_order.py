"""NewOrder. Source: docs/RULES.md, NewOrder, Stops, Order of checks."""

from __future__ import annotations

from typing import Final

from ome.attributes import ATTRIBUTES
from ome.enums import EventKind, Reason, SelfTradePrevention, SelfTradeScope, Term, TimeInForce
from ome.reference.book import Book
from ome.reference.events import WAITING
from ome.reference.market import OPEN_QUANTITY_MAX, QUANTITY_MAX, Market
from ome.reference.matching import enter, post_only_price
from ome.reference.orders import LIMIT, RESTING_TIMES, STOP, TRAILING_STOP, TRAILING_STOP_LIMIT, TYPES_WITH_LIMIT, Order
from ome.reference.prices import why_distance_refused, why_price_refused
from ome.reference.records import CONTINUED, HIDDEN, POST_ONLY, Row
from ome.reference.stops import favourable, is_reached, trailed_price
from ome.reference.terms import Terms, are_order_terms_good
from ome.reference.triggers import look_at_stops

__all__ = ["new_order"]

ACCEPTED: Final = int(EventKind.ACCEPTED)
GTD: Final = int(TimeInForce.GTD)
_TYPES: Final = range(LIMIT, TRAILING_STOP_LIMIT + 1)
_TIMES: Final = range(min(TimeInForce), max(TimeInForce) + 1)
_INSTRUCTION_MAX: Final = int(max(SelfTradePrevention))
_SCOPE_MAX: Final = int(max(SelfTradeScope))
_FLAGS: Final = CONTINUED | POST_ONLY | HIDDEN
_ATTRIBUTES: Final = tuple(int(attribute.term) for attribute in ATTRIBUTES.values())
_SPECIAL_TERMS: Final = frozenset((int(Term.DISPLAY_QUANTITY), int(Term.SELF_TRADE_GROUP), *_ATTRIBUTES))


def new_order(market: Market, command: Row, terms: Terms) -> None:
    """ACCEPTED, then the order waits, joins the book or enters; or REJECTED."""
    reason = _why_refused(market, command, terms)
    if reason is not None:
        market.events.reject(command, reason)
        return
    book = market.books[command.instrument - 1]
    order = _order_of(market, book, command, terms)
    market.accept(order)
    if order.order_type >= STOP:
        _wait(market, book, order)
    elif order.would_rest and not order.minimum_quantity and not book.opposite(order.side).is_crossed_by(order.price):
        market.rest(order, ACCEPTED)
    else:
        market.events.say_accepted(order)
        look_at_stops(market, book, enter(market, order))


def _order_of(market: Market, book: Book, command: Row, terms: Terms) -> Order:
    """The order that a good command asks for, under an id of its own."""
    order = Order(
        order_id=market.ids.take(),
        client_order_id=command.client_order_id,
        instrument=command.instrument,
        side=command.side,
        order_type=command.order_type,
        time_in_force=command.time_in_force,
        price=command.price if command.order_type in TYPES_WITH_LIMIT else 0,
        leaves=command.quantity,
        account=command.account,
        participant=command.participant,
        session=command.session,
    )
    if command.flags:
        order.is_post_only = command.flags & POST_ONLY != 0
        order.is_hidden = command.flags & HIDDEN != 0
    if command.last_bytes:
        order.instruction = command.self_trade_prevention
        order.scope = command.self_trade_scope
    if given := terms.values:
        order.group = given.get(Term.SELF_TRADE_GROUP, 0)
        order.peak = given.get(Term.DISPLAY_QUANTITY, 0)
        order.deadline_ns = given.get(Term.EXPIRE_TIME, 0)
        order.minimum_quantity = given.get(Term.MINIMUM_QUANTITY, 0)
        order.collar_ticks = given.get(Term.COLLAR_TICKS)
        order.budget = given.get(Term.BUDGET)
        order.stop_price = given.get(Term.STOP_PRICE, 0)
        order.trail_amount = given.get(Term.TRAIL_AMOUNT, 0)
        order.trail_basis_points = given.get(Term.TRAIL_BASIS_POINTS, 0)
        order.attributes = tuple(given.get(term, 0) for term in _ATTRIBUTES)
    if order.is_post_only and order.order_type == LIMIT:
        slid = post_only_price(book, order.side, order.price)
        assert slid is not None, "T6: an order that would take is refused before"
        order.price = slid
    if order.is_trailing and book.last_trade_price is not None:
        trailed = trailed_price(book.definition, order, book.last_trade_price)
        order.stop_price = favourable(order, trailed) if Term.STOP_PRICE in terms.values else trailed
    return order


def _wait(market: Market, book: Book, order: Order) -> None:
    """S1: the order waits for its stop price, or triggers at once where that is reached."""
    order.entry = market.events.sequence
    if is_reached(order, book.last_trade_price):
        market.events.say_accepted(order)
        look_at_stops(market, book, (), [order])
    else:
        book.stops.join(order)
        market.events.say_accepted(order, flags=WAITING)
        market.events.say_stop_set(order)


def _why_refused(market: Market, command: Row, terms: Terms) -> Reason | None:
    """Section Order of checks, NewOrder: the first that fails gives the reason. D2: nothing has changed by then."""
    if not market.is_session_known(command):
        return Reason.UNKNOWN_SESSION
    if (reason := market.why_account_refused(command)) is not None:
        return reason
    if not market.is_instrument(command.instrument):
        return Reason.UNKNOWN_INSTRUMENT
    if command.side not in (1, 2):
        return Reason.BAD_SIDE
    if command.order_type not in _TYPES:
        return Reason.BAD_ORDER_TYPE
    if command.time_in_force not in _TIMES:
        return Reason.BAD_TIME_IN_FORCE
    if command.flags and not _are_flags_good(command):
        return Reason.BAD_FLAGS
    if command.last_bytes and not _is_instruction_good(command):
        return Reason.BAD_SELF_TRADE_PREVENTION
    book = market.books[command.instrument - 1]
    if not are_order_terms_good(book.definition, command, terms):
        return Reason.BAD_TERM
    if command.quantity <= 0:
        return Reason.ZERO_QUANTITY if command.quantity == 0 else Reason.NEGATIVE_QUANTITY
    if command.quantity > QUANTITY_MAX or book.side(command.side).open_quantity + command.quantity > OPEN_QUANTITY_MAX:
        return Reason.QUANTITY_TOO_LARGE
    return (
        _why_prices_refused(book, command, terms)
        or _why_time_refused(market, book, command, terms)
        or _why_no_room(market, command, terms)
        or (_why_cannot_rest(market, book, command) if command.order_type == LIMIT else None)
    )


def _are_flags_good(command: Row) -> bool:
    """Check 9: known flags, POST_ONLY and HIDDEN with a limit, POST_ONLY with a time in force that rests."""
    if command.flags & ~_FLAGS:
        return False
    if command.flags & (POST_ONLY | HIDDEN) and command.order_type not in TYPES_WITH_LIMIT:
        return False
    return not command.flags & POST_ONLY or command.time_in_force in RESTING_TIMES


def _is_instruction_good(command: Row) -> bool:
    """Check 10, X1, X2: a known instruction and scope; no scope but the default without instruction."""
    if command.self_trade_prevention > _INSTRUCTION_MAX or command.self_trade_scope > _SCOPE_MAX:
        return False
    return command.self_trade_prevention != SelfTradePrevention.NONE or command.self_trade_scope == SelfTradeScope.ACCOUNT


def _why_prices_refused(book: Book, command: Row, terms: Terms) -> Reason | None:
    """Check 14: the limit, or the distance of a TRAILING_STOP_LIMIT; then the stop price."""
    reason = None
    if command.order_type == TRAILING_STOP_LIMIT:
        reason = why_distance_refused(book.definition, command.price)
    elif command.order_type in TYPES_WITH_LIMIT:
        reason = why_price_refused(book.definition, command.price)
    if reason is None and Term.STOP_PRICE in terms.values:
        reason = why_price_refused(book.definition, terms.values[Term.STOP_PRICE])
    return reason


def _why_time_refused(market: Market, book: Book, command: Row, terms: Terms) -> Reason | None:
    """Checks 15 and 16, T2, S6: the deadline is to come; a trailing stop has something to start from."""
    if command.time_in_force == GTD and terms.values[Term.EXPIRE_TIME] <= market.time_ns:
        return Reason.ALREADY_EXPIRED
    if command.order_type >= TRAILING_STOP and Term.STOP_PRICE not in terms.values and book.last_trade_price is None:
        return Reason.NO_LAST_PRICE
    return None


def _why_no_room(market: Market, command: Row, terms: Terms) -> Reason | None:
    """Checks 17 to 19, A6: the client order id is free, and so are an order slot and, for a special order, a special one."""
    if command.client_order_id and (command.participant, command.client_order_id) in market.live_by_client_id:
        return Reason.DUPLICATE_CLIENT_ORDER_ID
    if not market.ids.has_free:
        return Reason.ORDER_LIMIT_REACHED
    is_special = command.order_type >= STOP or command.time_in_force == GTD or not _SPECIAL_TERMS.isdisjoint(terms.values)
    if is_special and len(market.special) >= market.limits.special_count_max:
        return Reason.SPECIAL_LIMIT_REACHED
    return None


def _why_cannot_rest(market: Market, book: Book, command: Row) -> Reason | None:
    """Checks 20 and 21 of a LIMIT, T6: post-only does not take; where all of it rests there is a level for it."""
    price: int | None = command.price
    if command.flags & POST_ONLY:
        price = post_only_price(book, command.side, command.price)
    if price is None:
        return Reason.POST_ONLY_WOULD_TAKE
    rests_whole = command.time_in_force in RESTING_TIMES and not book.opposite(command.side).is_crossed_by(price)
    if rests_whole and not market.has_room_at(book.side(command.side), price):
        return Reason.LEVEL_LIMIT_REACHED
    return None
