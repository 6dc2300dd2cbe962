"""DefineLimits, DefineInstrument, DefineSession and DefineAccount. Source: docs/RULES.md, Definitions."""

from __future__ import annotations

import dataclasses
from typing import Final

from ome.enums import InstrumentFlags, Reason, SessionFlags
from ome.messages import Command, DefineAccount, DefineInstrument, DefineLimits, DefineSession
from ome.reference.book import Book
from ome.reference.market import Market
from ome.reference.records import Row

__all__ = ["define"]

TICK_MAX: Final = 2**62
DECIMALS_MAX: Final = 18
_INSTRUMENT_FLAGS: Final = sum(InstrumentFlags)
_SESSION_FLAGS: Final = sum(SessionFlags)


def define(market: Market, command: Row, definition: Command) -> None:
    """DEFINED, or REJECTED where a number does not follow the last or is in use, a name is taken, or a value is out of range."""
    match definition:
        case DefineLimits():
            is_good = _are_the_limits(market, definition)
        case DefineInstrument():
            if is_good := _is_good_instrument(market, definition):
                market.books.append(Book(definition))
                market.symbols.add(definition.symbol)
        case DefineSession():
            if is_good := _is_good_session(market, definition):
                if not _is_known(market, definition):
                    market.begin_session(definition.session, definition.participant)
                market.sessions[definition.session] = definition
        case DefineAccount():
            if is_good := _is_good_account(market, definition):
                market.accounts[definition.account] = definition.participant_name
        case _:
            raise AssertionError("only definitions come here")
    if is_good:
        market.events.say_defined(command)
    else:
        market.events.reject(command, Reason.BAD_DEFINITION)


def _are_the_limits(market: Market, definition: DefineLimits) -> bool:
    """Exactly those of the engine: who changes them has resized it before."""
    unknown = () if market.has_accounts else ("account_count_max", "limit_flags")
    return all(getattr(definition, name) == value for name, value in dataclasses.asdict(market.limits).items() if name not in unknown)


def _is_good_instrument(market: Market, definition: DefineInstrument) -> bool:
    number = len(market.books) + 1
    return (
        definition.instrument == number <= market.limits.instrument_count_max
        and 1 <= definition.tick <= TICK_MAX
        and definition.price_decimals <= DECIMALS_MAX
        and definition.quantity_decimals <= DECIMALS_MAX
        and not definition.instrument_flags & ~_INSTRUMENT_FLAGS
        and _is_name(definition.symbol)
        and definition.symbol not in market.symbols
    )


def _is_good_session(market: Market, definition: DefineSession) -> bool:
    if market.has_sessions and definition.session_flags & ~_SESSION_FLAGS:
        return False
    if _is_known(market, definition):
        return True
    former = market.sessions.get(definition.session)
    others = [session for session in market.sessions.values() if session is not former]
    return (
        1 <= definition.session <= market.limits.session_count_max
        and 1 <= definition.participant <= market.limits.session_count_max
        and _is_name(definition.participant_name)
        and not any(_is_same_session(session, definition) for session in others)
        and (former is None or not market.has_live_order(former.participant, former.session))
        and _is_good_participant(market, definition, others)
    )


def _is_known(market: Market, definition: DefineSession) -> bool:
    """Whether the session has this number already: then only what it has chosen changes. Not in the first version of the rules."""
    former = market.sessions.get(definition.session)
    return (
        market.has_sessions and former is not None and former.participant == definition.participant and _is_same_session(former, definition)
    )


def _is_same_session(one: DefineSession, other: DefineSession) -> bool:
    return (one.participant_name, one.session_number) == (other.participant_name, other.session_number)


def _is_good_participant(market: Market, definition: DefineSession, others: list[DefineSession]) -> bool:
    """The number that the name has, or a new name's: one that nobody has and that no live order is of."""
    numbers = {session.participant_name: session.participant for session in others}
    if definition.participant_name in numbers:
        return numbers[definition.participant_name] == definition.participant
    return definition.participant not in numbers.values() and not market.has_live_order(definition.participant)


def _is_good_account(market: Market, definition: DefineAccount) -> bool:
    """An account other than 0 for a name, of which there is room; only an account that was defined before can belong to nobody."""
    if definition.account in market.accounts:
        return not definition.participant_name or _is_name(definition.participant_name)
    has_room = len(market.accounts) < market.limits.account_count_max
    return definition.account != 0 and has_room and _is_name(definition.participant_name)


def _is_name(name: bytes) -> bool:
    """Whether these are 1 to 16 printable ASCII characters without space."""
    return 1 <= len(name) <= 16 and all(0x21 <= character <= 0x7E for character in name)
