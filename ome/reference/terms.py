"""Commands of more than one record, and the allowed values of their terms. Source: docs/RULES.md, Commands of more than one record."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from ome.attributes import ATTRIBUTES
from ome.enums import SelfTradeScope, Term, TimeInForce
from ome.messages import NULL_VALUE, DefineInstrument
from ome.reference.orders import MARKET, PEAK_COUNT_MAX, STOP, STOP_LIMIT, TRAILING_STOP, TRAILING_STOP_LIMIT, Order
from ome.reference.records import CONTINUED, HIDDEN, POST_ONLY, Row, signed

__all__ = ["NO_TERMS", "Continued", "Terms", "are_amend_terms_good", "are_order_terms_good"]

TERM_MAX: Final = max(Term)
_ATTRIBUTE_MAX: Final = {int(attribute.term): attribute.value_max for attribute in ATTRIBUTES.values()}
FOK, GTD = int(TimeInForce.FOK), int(TimeInForce.GTD)
GROUP: Final = int(SelfTradeScope.GROUP)
_STOPS: Final = (STOP, STOP_LIMIT)
_TRAILING: Final = (TRAILING_STOP, TRAILING_STOP_LIMIT)


@dataclass(slots=True)
class Terms:
    """The terms of a command so far: the first value that each was given. `one_was_bad`: something is wrong that no later record mends."""

    values: dict[int, int] = field(default_factory=dict)
    one_was_bad: bool = False

    def add(self, record: Row) -> None:
        """Takes the three terms of an OrderTerms record, whose values are in the places of an order's id, price and quantity."""
        if record.flags & ~CONTINUED or record.last_bytes:
            self.one_was_bad = True
        for term, value in (
            (record.side, signed(record.client_order_id)),
            (record.order_type, record.price),
            (record.time_in_force, record.quantity),
        ):
            if term == Term.NONE:
                self.one_was_bad |= value != 0
            elif term > TERM_MAX or term in self.values:
                self.one_was_bad = True
            else:
                self.values[term] = value


NO_TERMS: Final = Terms()


@dataclass(slots=True)
class Continued:
    """A NewOrder or AmendOrder whose terms have not all come yet."""

    command: Row
    terms: Terms = field(default_factory=Terms)

    def is_continued_by(self, record: Row) -> bool:
        """Whether this record, an OrderTerms, is of the same participant and session."""
        return (record.participant, record.session) == (self.command.participant, self.command.session)


def are_order_terms_good(instrument: DefineInstrument, command: Row, terms: Terms) -> bool:
    """Check 11 of a NewOrder: the table of terms, of an order whose type, time in force, flags and scope are known."""
    given = terms.values
    if (
        terms.one_was_bad
        or (command.order_type in _STOPS and Term.STOP_PRICE not in given)
        or (command.order_type in _TRAILING and (Term.TRAIL_AMOUNT in given) == (Term.TRAIL_BASIS_POINTS in given))
        or (command.time_in_force == GTD and Term.EXPIRE_TIME not in given)
        or (command.self_trade_scope == GROUP and Term.SELF_TRADE_GROUP not in given)
    ):
        return False
    for term, value in given.items():
        if not _belongs(term, command) or not _is_in_range(term, value, instrument, command.quantity):
            return False
    return True


def _belongs(term: int, command: Row) -> bool:
    """Whether this term may be given with this order."""
    match term:
        case Term.STOP_PRICE:
            return command.order_type >= STOP
        case Term.TRAIL_AMOUNT | Term.TRAIL_BASIS_POINTS:
            return command.order_type in _TRAILING
        case Term.DISPLAY_QUANTITY:
            return not command.flags & HIDDEN
        case Term.MINIMUM_QUANTITY:
            return not command.flags & POST_ONLY
        case Term.EXPIRE_TIME:
            return command.time_in_force == GTD
        case Term.BUDGET:
            return command.time_in_force == FOK
        case Term.COLLAR_TICKS:
            return command.order_type in (MARKET, STOP, TRAILING_STOP)
        case Term.SELF_TRADE_GROUP:
            return command.self_trade_scope == GROUP
        case _:
            return term in _ATTRIBUTE_MAX


def _is_in_range(term: int, value: int, instrument: DefineInstrument, quantity: int) -> bool:
    """Whether a term may have this value. A stop price is checked later, as a price."""
    match term:
        case Term.TRAIL_AMOUNT:
            return instrument.tick <= value <= 2**62 and value % instrument.tick == 0
        case Term.TRAIL_BASIS_POINTS:
            return 1 <= value <= 10_000
        case Term.DISPLAY_QUANTITY:
            return 1 <= value <= 2**60 and quantity <= value * PEAK_COUNT_MAX
        case Term.MINIMUM_QUANTITY:
            return 1 <= value <= quantity
        case Term.EXPIRE_TIME:
            return value >= 1
        case Term.BUDGET:
            return value != NULL_VALUE
        case Term.COLLAR_TICKS:
            return 0 <= value <= 2**32 - 1
        case Term.SELF_TRADE_GROUP:
            return 1 <= value <= 2**32 - 1
        case _ if term in _ATTRIBUTE_MAX:
            return 1 <= value <= _ATTRIBUTE_MAX[term]
        case _:
            return True


def are_amend_terms_good(order: Order, terms: Terms) -> bool:
    """Check 8 of an AmendOrder: another client order id for any order, another stop price for a STOP or STOP_LIMIT that waits."""
    allowed = {Term.NEW_CLIENT_ORDER_ID, Term.STOP_PRICE} if order.order_type in _STOPS else {Term.NEW_CLIENT_ORDER_ID}
    return not terms.one_was_bad and terms.values.keys() <= allowed and terms.values.get(Term.NEW_CLIENT_ORDER_ID, 1) >= 1
