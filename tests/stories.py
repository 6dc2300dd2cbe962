"""Commands and events as a person reads them: one line each, with names for numbers, and without what says nothing."""

from __future__ import annotations

import struct
from enum import IntEnum, IntFlag
from typing import Any, Final

from ome.codec import RECORD_SIZE, Records, record_bytes
from ome.enums import (
    CommandFlags,
    CommandKind,
    EventFlags,
    EventKind,
    InstrumentFlags,
    OrderType,
    Reason,
    SelfTradePrevention,
    SelfTradeScope,
    SessionFlags,
    Side,
    Term,
    TimeInForce,
)

__all__ = ["tell_commands", "tell_events"]

_ORDER: Final = struct.Struct("<8xQQqqIHHIIBBBBHBB")
_EVENT: Final = struct.Struct("<QQQqqQIHHIBBBB")
_LIMITS: Final = struct.Struct("<8xQIIIIII")
_INSTRUMENT: Final = struct.Struct("<8xQ16sqI8xIxBBxH")
_SESSION: Final = struct.Struct("<8xQ16s12xHHH10xH")
_NULL: Final = -(2**63)
_TWO_ORDERS: Final = (EventKind.TRADE, EventKind.PREVENTED)


def tell_commands(commands: Records) -> list[str]:
    """A line for each record; further records of a command are indented."""
    data = record_bytes(commands)
    return [_tell_command(data[start : start + RECORD_SIZE]) for start in range(0, len(data), RECORD_SIZE)]


def tell_events(events: Records) -> list[str]:
    """A line for each event."""
    return [_tell_event(*values) for values in _EVENT.iter_unpack(record_bytes(events))]


def _name(kind: type[IntEnum] | type[IntFlag], value: int) -> str:
    """The name of a value, or where it has none what it is."""
    if issubclass(kind, IntFlag):
        known = [flag.name or "" for flag in kind if flag & value]
        rest = value & ~sum(kind)
        return "|".join([*known, *([hex(rest)] if rest else [])])
    try:
        return str(kind(value).name)
    except ValueError:
        return f"{kind.__name__}({value})"


def _number(value: int) -> str:
    """A number; near a power of two that limits something, by its distance from it."""
    if value == _NULL:
        return "null"
    for power in (60, 62, 63, 64):
        if value and abs(abs(value) - 2**power) <= 2**12:
            away = abs(value) - 2**power
            return f"{'-' if value < 0 else ''}2^{power}{f'{away:+d}' if away else ''}"
    return str(value)


def _order_id(value: int) -> str:
    """An order id as generation:slot."""
    return f"{value >> 32}:{value & 0xFFFFFFFF}"


def _line(*parts: object, **values: Any) -> str:
    """The parts that are not empty, then the values that are not zero."""
    words = [str(part) for part in parts if str(part)]
    return " ".join([*words, *(f"{name}={value if isinstance(value, str) else _number(value)}" for name, value in values.items() if value)])


def _tell_command(record: bytes) -> str:
    fields = _ORDER.unpack(record)
    time, reference, price, quantity, account, participant, session, number, instrument, kind, side, order_type, tif, flags, last, last2 = (
        fields
    )
    name = _name(CommandKind, kind)
    who = {"participant": participant, "session": session, "session_sequence": number, "time": time}
    flag_names = _name(CommandFlags, flags)
    tail = {"reserved": last | last2 << 8}
    if kind == CommandKind.NEW_ORDER:
        order = (_name(Side, side), _name(OrderType, order_type), _name(TimeInForce, tif))
        prevention = _name(SelfTradePrevention, last) if last else ""
        scope = _name(SelfTradeScope, last2) if last or last2 else ""
        terms = {"price": price, "quantity": quantity, "id": reference, "instrument": instrument, "account": account}
        return _line(name, *order, flag_names, prevention, scope, **terms, **who)
    if kind == CommandKind.ORDER_TERMS:
        signed = reference - 2**64 if reference >= 2**63 else reference
        pairs = ((side, signed), (order_type, price), (tif, quantity))
        terms_told = [f"{_name(Term, term)}={_number(value)}" for term, value in pairs if term or value]
        return "    " + _line(name, *terms_told, flag_names, **who, **tail)
    if kind in (CommandKind.CANCEL_ORDER, CommandKind.REDUCE_ORDER, CommandKind.AMEND_ORDER):
        target = _order_id(reference) if flags & CommandFlags.BY_ORDER_ID else str(reference)
        changes = {
            "price": price if kind == CommandKind.AMEND_ORDER else 0,
            "quantity": 0 if kind == CommandKind.CANCEL_ORDER else quantity,
        }
        if kind != CommandKind.CANCEL_ORDER and not quantity:
            changes["quantity"] = "0"
        return _line(name, target, flag_names, **changes, instrument=instrument, **who, **tail)
    if kind == CommandKind.MASS_CANCEL:
        given = {"id": reference, "target_session": price & 0xFFFF, "account": account, "instrument": instrument}
        return _line(name, _name(Side, side) if side else "", flag_names, **given, **who, **tail)
    if kind == CommandKind.EXPIRE_ORDERS:
        return _line(name, flag_names, cutoff=str(reference), instrument=instrument, **who, **tail)
    if kind == CommandKind.SET_LAST_PRICE:
        return _line(name, price=str(price), instrument=instrument, **who, **tail)
    if kind == CommandKind.DEFINE_LIMITS:
        _, orders, levels, instruments, sessions, specials, rules = _LIMITS.unpack_from(record)
        return _line(name, orders=orders, levels=levels, instruments=instruments, sessions=sessions, specials=specials, rules=rules)
    if kind == CommandKind.DEFINE_INSTRUMENT:
        _, symbol, tick, collar, number, _, _, options = _INSTRUMENT.unpack_from(record)
        return _line(name, number, symbol.rstrip(b"\0"), _name(InstrumentFlags, options), tick=tick, collar_ticks=collar)
    if kind == CommandKind.DEFINE_SESSION:
        _, text, owner, number, count, options = _SESSION.unpack_from(record)
        return _line(name, number, text.rstrip(b"\0"), _name(SessionFlags, options), participant=owner, session_number=str(count))
    return _line(name, record.hex())


def _tell_event(
    sequence: int,
    order_id: int,
    client_order_id: int,
    price: int,
    quantity: int,
    other: int,
    account: int,
    participant: int,
    session: int,
    instrument: int,
    kind: int,
    side: int,
    reason: int,
    flags: int,
) -> str:
    is_about_command = kind in (EventKind.REJECTED, EventKind.DEFINED, EventKind.COMPLETED)
    meaning = OrderType if kind == EventKind.STOP_SET else CommandKind if is_about_command else EventFlags
    last = _name(meaning, flags)
    head = (f"#{sequence}", _name(EventKind, kind), _name(Reason, reason) if reason else "", _name(Side, side) if side else "")
    order = {"order": _order_id(order_id) if order_id else "", "id": client_order_id, "price": price, "quantity": quantity}
    if kind in _TWO_ORDERS:
        resting_id = account | participant << 32 | session << 48
        return _line(*head, last, **order, resting=_order_id(other), resting_id=resting_id, instrument=instrument)
    owner = {"account": account, "participant": participant, "session": session, "time": other}
    return _line(*head, last, **order, instrument=instrument, **owner)
