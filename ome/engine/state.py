"""What an engine is made with and what is in it, in numbers: limits, counts, sessions, accounts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ome._native import CData, ffi, lib
from ome.errors import InvalidValueError
from ome.messages import Limits

__all__ = ["AccountState", "EngineState", "SessionState", "accounts_of", "limits_in", "limits_of", "misfit", "sessions_of", "state_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineState:
    """The counts of an engine since its first command: records, not commands, in `sequence`; what lives now in levels and special orders.

    `order_slot_count`: slots that orders ever used at once; an order id is never given twice, so they stay.
    """

    sequence: int
    time_ns: int
    trade_count: int
    event_count: int
    instrument_count: int
    session_count: int
    participant_count: int
    level_count: int
    special_count: int
    order_slot_count: int
    account_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionState:
    """A session that is defined: its number, its participant's name and number, and which of the participant's sessions it is.

    `flags`: what it has chosen, SessionFlags. `command_sequence`: of the last message taken from it. `report_sequence`: of its last
    report. `defined_sequence`: of the command that defined it. These are 0 where the engine follows the first version of the rules.
    """

    session: int
    participant: int
    participant_name: str
    session_number: int
    flags: int
    command_sequence: int
    report_sequence: int
    defined_sequence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountState:
    """An account that was ever defined, and the name of the participant that it belongs to; "": to nobody."""

    account: int
    participant_name: str


def state_of(engine: CData) -> EngineState:
    """All counts of an engine at once."""
    status = ffi.new("ome_engine_status_t *")
    lib.ome_engine_status(engine, status)
    return EngineState(**{name: getattr(status, name) for name in EngineState.__slots__})


def sessions_of(engine: CData) -> list[SessionState]:
    """Every session that is defined in an engine, by rising number."""
    status = ffi.new("ome_engine_status_t *")
    lib.ome_engine_status(engine, status)
    found = ffi.new("ome_session_view_t *")
    result: list[SessionState] = []
    for number in range(1, status.session_count_max + 1):
        if len(result) == status.session_count:
            break
        if lib.ome_engine_session(engine, number, found) != lib.OME_OK:
            continue
        name = ffi.string(found.participant_name, 16).decode("ascii")
        result.append(
            SessionState(
                session=number,
                participant=found.participant,
                participant_name=name,
                session_number=found.session_number,
                flags=found.flags,
                command_sequence=found.command_sequence,
                report_sequence=found.report_sequence,
                defined_sequence=found.defined_sequence,
            )
        )
    return result


def accounts_of(engine: CData) -> list[AccountState]:
    """Every account that was ever defined in an engine, in the order of their first definitions."""
    found = ffi.new("ome_account_view_t *")
    result: list[AccountState] = []
    while lib.ome_engine_account_owner(engine, len(result), found) == lib.OME_OK:
        result.append(AccountState(account=found.account, participant_name=ffi.string(found.participant_name, 16).decode("ascii")))
    return result


def limits_in(engine: CData) -> Limits:
    """The limits that an engine has."""
    status = ffi.new("ome_engine_status_t *")
    lib.ome_engine_status(engine, status)
    return Limits(**{name: getattr(status, name) for name in Limits.__slots__})


def limits_of(limits: Limits) -> CData:
    """Limits for C, an ome_limits_t *."""
    return ffi.new("ome_limits_t *", {name: getattr(limits, name) for name in Limits.__slots__})


def misfit(state: EngineState, sessions: Iterable[SessionState], rules_version: int, limits: Limits, where: str) -> InvalidValueError:
    """What of an engine in this state, with these sessions and rules, does not fit into other limits."""
    used = {
        "order_count_max": state.order_slot_count,
        "level_count_max": state.level_count,
        "instrument_count_max": state.instrument_count,
        # There may be gaps below the highest number of a session or participant.
        "session_count_max": max((max(session.session, session.participant) for session in sessions), default=0),
        "special_count_max": state.special_count,
        "rules_version": rules_version,
        "account_count_max": state.account_count,
    }
    too_few = [name for name, count in used.items() if getattr(limits, name) < count]
    found = ", ".join(f"{name} {getattr(limits, name):,}" for name in too_few)
    allowed = "at least " + ", ".join(f"{name} {used[name]:,}" for name in too_few) + ", which are in use"
    return InvalidValueError("limits", where=where, found=found, allowed=allowed)
