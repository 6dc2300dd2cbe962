"""Commands, events and orders as people read them: names for numbers, decimals for units; as fields for a program, or as a line.

This is the only place that turns records into words. `names.Names` knows what the numbers mean; `describe_commands`, `describe_events`,
`describe_order`, `describe_session` and `describe_account` give fields by name, `command_line`, `event_line`, `order_line`, `session_line`
and `account_line` make a line of those.

Prices and quantities are decimals, as `price` and `quantity`, where the instrument is known, and otherwise integers, as `price_units` and
`quantity_lots`. Values that no enumeration has stay numbers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from enum import IntEnum, IntFlag
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ome.attributes import ATTRIBUTES
from ome.codec import RECORD_SIZE, Records, decode_commands, decode_events, record_bytes
from ome.engine import AccountState, OpenOrder, SessionState
from ome.enums import (
    CommandFlags,
    CommandKind,
    EventFlags,
    EventKind,
    InstrumentFlags,
    LimitFlags,
    OrderType,
    Reason,
    SelfTradePrevention,
    SelfTradeScope,
    SessionFlags,
    Side,
    Term,
    TimeInForce,
)
from ome.instruments import Instrument
from ome.messages import Command, Completed, Defined, DefineInstrument, Event, OrderTerms, UnknownCommand
from ome.recovery.names import Names
from ome.units import number_of

__all__ = [
    "Described",
    "account_line",
    "command_line",
    "describe_account",
    "describe_commands",
    "describe_events",
    "describe_order",
    "describe_session",
    "event_line",
    "instruments_meant",
    "lines_of",
    "order_line",
    "printable",
    "session_line",
    "time_text",
]

Described = dict[str, Any]
"""Fields by name; what the values are, the head of this module says."""

_ENUMERATIONS: Final[Mapping[str, type[IntEnum]]] = {
    "side": Side,
    "order_type": OrderType,
    "time_in_force": TimeInForce,
    "self_trade_prevention": SelfTradePrevention,
    "self_trade_scope": SelfTradeScope,
    "reason": Reason,
    "command_kind": CommandKind,
    **{name: attribute.enumeration for name, attribute in ATTRIBUTES.items() if attribute.enumeration is not None},
}
_OR_NOTHING: Final = ("side", *ATTRIBUTES)  # where 0 is none
_ENUMERATED_TERMS: Final = {attribute.term: attribute.enumeration for attribute in ATTRIBUTES.values() if attribute.enumeration is not None}
_TERMS_OF_PRICE: Final = (Term.STOP_PRICE, Term.TRAIL_AMOUNT)
_TERMS_OF_QUANTITY: Final = (Term.DISPLAY_QUANTITY, Term.MINIMUM_QUANTITY)
_ORDER_TERMS: Final = int(CommandKind.ORDER_TERMS)
_KIND_WIDTH: Final = max(len(kind.name) for kind in CommandKind)
_IN_HEAD: Final = ("sequence", "time", "timestamp_ns", "kind", "participant", "participant_name", "session", "instrument")
_SAYS_NOTHING: Final[tuple[object, ...]] = (None, 0, "", "none", [], "account")  # "account" is the scope where none was given


def time_text(time_ns: int) -> str:
    """A moment in UTC, with all its nanoseconds.

    >>> time_text(1_772_357_400_000_000_123)
    '2026-03-01T09:30:00.000000123Z'
    """
    seconds, rest = divmod(time_ns, 10**9)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


def describe_commands(commands: Records, names: Names, instruments: npt.NDArray[np.uint32] | None = None) -> list[Described]:
    """The fields of each command. `instruments` are those that the commands are about, where they say it elsewhere: of terms."""
    data = record_bytes(commands)
    about = commands["instrument"] if instruments is None else instruments
    described = []
    for index, (message, sequence, instrument) in enumerate(
        zip(decode_commands(commands), commands["sequence"].tolist(), about.tolist(), strict=True)
    ):
        fields = _describe(message, sequence, instrument, names)
        if isinstance(message, OrderTerms):
            fields["terms"] = list(_terms(message, names.instruments.get(instrument)))
        if isinstance(message, UnknownCommand):
            fields["body"] = data[index * RECORD_SIZE + 8 : (index + 1) * RECORD_SIZE].hex()
        described.append(fields)
    return described


def describe_events(events: Records, names: Names) -> list[Described]:
    """The fields of each event."""
    return [_describe(message, message.sequence, message.instrument, names) for message in decode_events(events)]


def _describe(message: Command | Event, sequence: int, instrument: int, names: Names) -> Described:
    values = {field.name: getattr(message, field.name) for field in dataclasses.fields(message)}
    is_event = isinstance(message, Event)
    fields: Described = {"sequence": sequence}
    if (time_ns := values.get("timestamp_ns")) is not None:
        fields |= {"time": time_text(time_ns), "timestamp_ns": time_ns}
    kind = EventKind(message.kind).name.lower() if is_event else _name(CommandKind, message.kind)
    fields["kind"] = kind
    if (participant := values.get("participant")) is not None:
        fields |= {"participant": participant, "participant_name": names.participants.get(participant), "session": values["session"]}
    known = names.instruments.get(instrument)
    fields |= {"instrument": instrument, "symbol": known.symbol if known is not None else None}
    for name, value in values.items():
        if name in fields and not isinstance(value, bytes):
            continue
        if name in ("post_only", "hidden", "terms") or name[:-1] in ("term_", "value_"):
            continue  # flags, and what is described with its instrument
        if name == "price":
            called, fields_value = names.price(instrument, value)
            fields[called] = fields_value
        elif name == "quantity":
            if isinstance(message, Completed):
                fields["order_count"] = value
            elif isinstance(message, Defined):
                fields["report_count"] = value
            else:
                called, fields_value = names.quantity(instrument, value)
                fields[called] = fields_value
        elif name == "tick" and isinstance(message, DefineInstrument):
            fields["tick"] = number_of(value, message.price_decimals)
        elif name == "flags":
            own = value | CommandFlags.POST_ONLY * values.get("post_only", False) | CommandFlags.HIDDEN * values.get("hidden", False)
            fields["flags"] = _flags(EventFlags if is_event else CommandFlags, own)
        elif name == "instrument_flags":
            fields["instrument_flags"] = _flags(InstrumentFlags, value)
        elif name == "limit_flags":
            fields["limit_flags"] = _flags(LimitFlags, value)
        elif name == "session_flags":
            fields["session_flags"] = _flags(SessionFlags, value)
        elif name in _OR_NOTHING and value == 0:
            fields[name] = None
        elif name in _ENUMERATIONS:
            fields[name] = _name(_ENUMERATIONS[name], value)
        elif isinstance(value, bytes):
            fields[name] = printable(value)
        else:
            fields[name] = value
    return fields


def printable(name: bytes) -> str:
    """A name, which in a command that is refused may be any bytes; what is not printable in hexadecimal."""
    return "".join(chr(byte) if 32 <= byte < 127 else f"\\x{byte:02x}" for byte in name)


def _name(kind: type[IntEnum], value: int) -> str | int:
    try:
        return kind(value).name.lower()
    except ValueError:
        return value


def _flags(kind: type[IntFlag], value: int) -> list[str]:
    """The names of the flags, and what has none in hexadecimal."""
    rest = value & ~sum(kind)
    return [str(flag.name).lower() for flag in kind if flag & value] + ([hex(rest)] if rest else [])


def _terms(message: OrderTerms, instrument: Instrument | None) -> Iterator[Described]:
    given = ((message.term_1, message.value_1), (message.term_2, message.value_2), (message.term_3, message.value_3))
    for term, value in given:
        if term or value:
            yield {"term": _name(Term, term), "value": _term_value(term, value, instrument)}


def _term_value(term: int, value: int, instrument: Instrument | None) -> Decimal | int | str:
    if term == Term.EXPIRE_TIME and value >= 0:
        return time_text(value)
    if term in _ENUMERATED_TERMS:
        return _name(_ENUMERATED_TERMS[Term(term)], value)
    if instrument is not None:
        if term in _TERMS_OF_PRICE:
            return instrument.price(value)
        if term in _TERMS_OF_QUANTITY:
            return instrument.quantity(value)
        if term == Term.BUDGET:
            return number_of(value, instrument.price_decimals + instrument.quantity_decimals)
    return value


def instruments_meant(commands: Records, before: int) -> npt.NDArray[np.uint32]:
    """The instrument that each command is about: its own, of terms that of the command that they continue.

    `before` is the instrument of the command that came before these.
    """
    own: npt.NDArray[np.uint32] = commands["instrument"].copy()
    heads = np.where(commands["kind"] == _ORDER_TERMS, -1, np.arange(len(own)))
    heads = np.maximum.accumulate(heads)
    return np.where(heads < 0, np.uint32(before), own[heads])


def describe_order(order: OpenOrder, names: Names) -> Described:
    """The fields of an order that lives, in the order in which they are read."""
    marks = [name for name in ("is_waiting", "is_hidden", "is_post_only") if getattr(order, name)]
    return {
        "order_id": order.order_id,
        "client_order_id": order.client_order_id,
        "participant": order.participant,
        "participant_name": names.participants.get(order.participant),
        "session": order.session,
        "account": order.account,
        "side": order.side.name.lower(),
        "order_type": order.order_type.name.lower(),
        "time_in_force": order.time_in_force.name.lower(),
        "price": order.price,
        "leaves_quantity": order.leaves_quantity,
        "cumulative_quantity": order.cumulative_quantity,
        "displayed_quantity": order.displayed_quantity,
        "peak_quantity": order.peak_quantity,
        "stop_price": order.stop_price,
        "trail_amount": order.trail_amount,
        "trail_basis_points": order.trail_basis_points,
        "deadline": time_text(order.deadline_ns) if order.deadline_ns else None,
        "marks": [mark.removeprefix("is_") for mark in marks],
        "self_trade_prevention": order.self_trade_prevention.name.lower(),
        "self_trade_scope": order.self_trade_scope.name.lower(),
        "self_trade_group": order.self_trade_group,
        **order.attributes.words(),
    }


def describe_session(session: SessionState) -> Described:
    """The fields of a session that is defined."""
    return {
        "session": session.session,
        "participant": session.participant,
        "participant_name": session.participant_name,
        "session_number": session.session_number,
        "session_flags": _flags(SessionFlags, session.flags),
        "command_sequence": session.command_sequence,
        "report_sequence": session.report_sequence,
    }


def describe_account(account: AccountState) -> Described:
    """The fields of an account that was ever defined; without a name it belongs to nobody."""
    return {"account": account.account, "participant_name": account.participant_name or None}


def command_line(fields: Described) -> str:
    """A command in one line: sequence, time, kind, who, symbol, then what it says."""
    return (
        f"{fields['sequence']:>10}  {fields['time']}  {_who(fields):<12} {fields['symbol'] or _number(fields):<8} "
        f"{fields['kind']!s:<{_KIND_WIDTH}}  {_rest(fields)}"
    ).rstrip()


def event_line(fields: Described) -> str:
    """An event in one line, without what its command says already."""
    return f"{fields['kind']:<9} {fields['symbol'] or _number(fields)} {_rest(fields)}".rstrip()


def order_line(fields: Described) -> str:
    """An order in one line."""
    rest = {name: value for name, value in fields.items() if name not in ("order_id", "price", "leaves_quantity")}
    rest = {name: value for name, value in rest.items() if value or not name.endswith("_quantity")}
    return f"{fields['order_id']:>20}  {_who(fields):<12} {fields['leaves_quantity']!s:>10} @ {fields['price']!s:<12} {_rest(rest)}"


def session_line(fields: Described) -> str:
    """A session in one line."""
    return f"session {_who(fields):<18} {_rest(fields)}".rstrip()


def account_line(fields: Described) -> str:
    """An account in one line."""
    return f"account {fields['account']} {fields['participant_name'] or 'of nobody'}"


def _who(fields: Mapping[str, Any]) -> str:
    participant, session = fields.get("participant"), fields.get("session")
    if not participant and not session:
        return "-"
    return f"{fields['participant_name'] or participant}/{session}"


def _number(fields: Mapping[str, Any]) -> str:
    return f"#{fields['instrument']}" if fields["instrument"] else "-"


def _rest(fields: Mapping[str, Any]) -> str:
    """Side, type and time in force as words, quantity and price as 10 @ 1.50, then all else by name that says something."""
    words = [str(fields[name]) for name in ("side", "order_type", "time_in_force") if fields.get(name)]
    quantity, price = (
        next((f"{fields[name]}{unit}" for name, unit in names if fields.get(name) is not None), None)
        for names in ((("quantity", ""), ("quantity_lots", " lots")), (("price", ""), ("price_units", " units")))
    )
    if quantity is not None:
        words.append(quantity)
    if price is not None:
        words.append(f"@ {price}")
    said = (*_IN_HEAD, "symbol", "side", "order_type", "time_in_force", "quantity", "quantity_lots", "price", "price_units")
    for name, value in fields.items():
        if name not in said and (isinstance(value, Decimal) or value not in _SAYS_NOTHING):
            words.append(f"{name.removesuffix('_quantity')} {_text(value)}")
    return " ".join(words)


def _text(value: object) -> str:
    if isinstance(value, list):
        return "|".join(f"{part['term']}={part['value']}" if isinstance(part, dict) else str(part) for part in value)
    return str(value)


def lines_of(fields: Described, events: Iterable[Described]) -> Iterator[str]:
    """A command and, further in, its events."""
    yield command_line(fields)
    for event in events:
        yield f"{'':>12}{event_line(event)}"
