"""The whole state as blocks of eight words, for its hash. Source: docs/RULES.md, Hashes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, repeat
from typing import Final

from ome.enums import SelfTradeScope, TimeInForce
from ome.messages import NULL_VALUE
from ome.reference.book import Book
from ome.reference.hashes import Words, unsigned
from ome.reference.market import Market
from ome.reference.orders import Order
from ome.reference.terms import Continued

__all__ = ["session_progress", "state_words"]

DAY: Final = int(TimeInForce.DAY)
PARTICIPANT: Final = int(SelfTradeScope.PARTICIPANT)


def state_words(market: Market) -> Iterator[Words]:
    """The blocks, numbered as on the page."""
    events = market.events
    counts = (len(market.books), len(market.sessions), len(market.live), market.ids.slots_ever_used)
    yield (events.sequence, market.time_ns, market.trade_count, events.count, *counts)  # 1
    for number, book in enumerate(market.books, 1):  # 2
        yield _instrument_words(number, book)
    for number, session in sorted(market.sessions.items()):  # 3
        name = _name_words(session.participant_name)
        yield (number, session.participant, session.session_number, *name, *session_progress(market, number))
        if market.has_accounts and (past := market.past_reports(session.participant)):
            yield (past, 0, 0, 0, 0, 0, 0, 0)
    for book in market.books:  # 4
        for level in chain(book.bids, book.asks):
            for order in level:
                yield _order_words(order)
                if order.is_special:
                    yield (order.peak, order.displayed, order.deadline_ns, order.group, 0, 0, 0, 0)
                    yield from _attribute_words(order)
    for book in market.books:  # 5
        for order in book.stops:
            yield _order_words(order)
            yield from _waiting_words(order)
            yield from _attribute_words(order)
    if market.continued is not None:  # 6
        yield from _continued_words(market.continued)
    for account, participant_name in market.accounts.items():  # 7
        yield (account, *_name_words(participant_name), 0, 0, 0, 0, 0)


def session_progress(market: Market, number: int) -> tuple[int, int, int]:
    """Flags, the last number taken and the count of reports of a session that is defined; 0 each in the first version of the rules."""
    if not market.has_sessions:
        return 0, 0, 0
    return market.sessions[number].session_flags, market.command_sequences[number], market.events.report_sequences[number]


def _instrument_words(number: int, book: Book) -> Words:
    terms = book.definition
    options = terms.price_decimals | terms.quantity_decimals << 8 | terms.instrument_flags << 16 | terms.collar_ticks << 32
    last_price = unsigned(NULL_VALUE if book.last_trade_price is None else book.last_trade_price)
    return (number, terms.tick, options, *_name_words(terms.symbol), last_price, 0, 0)


def _order_words(order: Order) -> Words:
    marks = (
        order.is_special
        | order.is_post_only << 1
        | (order.time_in_force == DAY) << 2
        | order.is_hidden << 3
        | order.instruction << 4
        | (order.scope == PARTICIPANT) << 7
    )
    return (
        order.order_id,
        order.client_order_id,
        unsigned(order.price),
        order.leaves,
        order.cumulative,
        order.account | order.participant << 32 | order.session << 48,
        order.side | marks << 8,
        order.instrument,
    )


def _waiting_words(order: Order) -> Iterator[Words]:
    has_collar, has_budget = order.collar_ticks is not None, order.budget is not None
    yield (
        order.peak,
        0,
        order.deadline_ns,
        order.group,
        unsigned(order.stop_price),
        order.trail_amount,
        order.trail_basis_points,
        order.order_type | order.time_in_force << 8 | has_collar << 16 | has_budget << 17,
    )
    yield (order.minimum_quantity, order.collar_ticks or 0, unsigned(order.budget or 0), order.entry, 0, 0, 0, 0)


def _attribute_words(order: Order) -> Iterator[Words]:
    """One block for an order that has attributes, two of them in a word."""
    if any(order.attributes):
        values = (*order.attributes, 0, 0)
        yield (values[0] | values[1] << 32, 0, 0, 0, 0, 0, 0, 0)


def _continued_words(continued: Continued) -> Iterator[Words]:
    command, terms = continued.command, continued.terms
    kinds = command.kind | command.side << 8 | command.order_type << 16 | command.time_in_force << 24
    given = terms.one_was_bad | sum(1 << term for term in terms.values)
    yield (
        command.client_order_id,
        unsigned(command.price),
        unsigned(command.quantity),
        command.account | command.participant << 32 | command.session << 48,
        kinds | command.flags << 32 | command.last_bytes << 48,
        command.instrument,
        given,
        command.timestamp_ns,
    )
    values = chain((unsigned(terms.values.get(term, 0)) for term in range(1, 17)), repeat(0))
    for _ in range(2):
        yield (next(values), next(values), next(values), next(values), next(values), next(values), next(values), next(values))


def _name_words(name: bytes) -> tuple[int, int]:
    padded = name.ljust(16, b"\0")
    return int.from_bytes(padded[:8], "little"), int.from_bytes(padded[8:], "little")
