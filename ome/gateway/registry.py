"""Which numbers participants and sessions have.

A name that logs on gets numbers, which are the engine's, and so durable, only once it sends a command. Until then they are lent: they are free
again when the connection is gone. When no number is left, one is used again whose session has no live order and no connection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from ome.engine import SessionState
from ome.enums import Reason

__all__ = ["SessionRegistry"]

_LENT_COUNT_TO_SWEEP = 64


class _Look(Protocol):
    """What the gateway's loop knows of a session: ome_gateway_session_t."""

    peer: int
    order_count: int
    is_defined: int


@dataclass(slots=True)
class _Entry:
    name: bytes
    number: int
    participant: int
    is_defined: bool
    former: _Entry | None = None
    """Whose the number was, until this one is defined."""


class SessionRegistry:
    """Participant and session numbers by name and the client's own session number.

    `look` says what the loop knows of a session. A participant has at most `per_participant` sessions.
    """

    def __init__(self, known: Iterable[SessionState], session_count_max: int, per_participant: int, look: Callable[[int], _Look]) -> None:
        self._session_count_max = session_count_max
        self._per_participant = per_participant
        self._look = look
        self._entries: dict[int, _Entry] = {}  # by session; the first is the one that logged on longest ago
        self._by_name: dict[tuple[bytes, int], int] = {}
        self._participants: dict[bytes, int] = {}
        self._session_counts: dict[bytes, int] = {}
        self._used_participants: set[int] = set()
        self._lent: set[int] = set()
        self._sweep_at = _LENT_COUNT_TO_SWEEP
        for session in known:
            self._enter(
                session.session, _Entry(session.participant_name.encode("ascii"), session.session_number, session.participant, True)
            )
        self._free_sessions = _Free(session_count_max, self._entries)
        self._free_participants = _Free(session_count_max, self._used_participants)

    def sessions(self) -> Iterator[int]:
        """Every session with numbers, lent or defined."""
        return iter(tuple(self._entries))

    def is_defined(self, session: int) -> bool:
        """Whether the engine knows the session, or will when it has read what is on its way."""
        entry = self._entries.get(session)
        return entry is not None and entry.is_defined

    def log_on(self, name: bytes, number: int) -> tuple[int, int] | Reason:
        """Participant and session for a name and a session number, or why there are none."""
        session = self._by_name.get((name, number))
        if session is not None:
            entry = self._entries.pop(session)
            self._entries[session] = entry  # the last to be used again
            if self._look(session).is_defined:
                self.define(session)
            return entry.participant, session
        if len(self._lent) >= self._sweep_at:
            self._sweep()
        if self._session_counts.get(name, 0) >= self._per_participant and not self._free_one_of(name):
            return Reason.SESSION_ALLOWANCE_REACHED
        former = None
        session = self._free_sessions.take()
        if session == 0:
            session, former = self._reuse()
        if session == 0:
            return Reason.SESSION_LIMIT_REACHED
        participant = self._participants.get(name, 0)
        if participant == 0 and former is not None and former.name not in self._participants:
            participant = former.participant  # nobody else may have it while the engine knows it as the former's
        participant = participant or self._free_participants.take()
        self._enter(session, _Entry(name, number, participant, False, former))
        self._lent.add(session)
        return participant, session

    def define(self, session: int) -> None:
        """The engine knows the session, or will when it has read what is on its way."""
        entry = self._entries.get(session)
        if entry is None or entry.is_defined:
            return
        former, entry.former = entry.former, None
        entry.is_defined = True
        self._lent.discard(session)
        if former is not None and former.name not in self._participants and former.participant != entry.participant:
            self._give_participant(former.participant)

    def forget(self, session: int) -> None:
        """The engine did not take the session, or nobody uses what was lent."""
        entry = self._leave(session)
        if entry is None:
            return
        if entry.former is not None:
            self._enter(session, entry.former)
        else:
            self._free_sessions.give(session)
        if entry.name not in self._participants and (entry.former is None or entry.former.participant != entry.participant):
            self._give_participant(entry.participant)

    def _give_participant(self, participant: int) -> None:
        self._used_participants.discard(participant)
        self._free_participants.give(participant)

    def _leave(self, session: int) -> _Entry | None:
        entry = self._entries.pop(session, None)
        if entry is None:
            return None
        self._lent.discard(session)
        del self._by_name[entry.name, entry.number]
        self._session_counts[entry.name] -= 1
        if self._session_counts[entry.name] == 0:
            del self._session_counts[entry.name]
            del self._participants[entry.name]
        return entry

    def _enter(self, session: int, entry: _Entry) -> None:
        self._entries[session] = entry
        self._by_name[entry.name, entry.number] = session
        self._participants[entry.name] = entry.participant
        self._used_participants.add(entry.participant)
        self._session_counts[entry.name] = self._session_counts.get(entry.name, 0) + 1

    def _sweep(self) -> None:
        """Takes back what was lent to those that are gone."""
        for session in tuple(self._lent):
            look = self._look(session)
            if look.is_defined:
                self.define(session)
            elif not look.peer:
                self.forget(session)
        self._sweep_at = max(_LENT_COUNT_TO_SWEEP, 2 * len(self._lent))

    def _is_idle(self, session: int) -> bool:
        look = self._look(session)
        return not look.peer and not look.order_count

    def _free_one_of(self, name: bytes) -> bool:
        """Whether a participant that has as many sessions as it may has one less when those that are gone are taken back."""
        self._sweep()
        return self._session_counts.get(name, 0) < self._per_participant

    def _reuse(self) -> tuple[int, _Entry | None]:
        """The number of the session that logged on longest ago, of those without live orders and connection, and whose it was; else 0."""
        self._sweep()
        session = self._free_sessions.take()
        if session:
            return session, None
        idle = next((session for session, entry in self._entries.items() if entry.is_defined and self._is_idle(session)), 0)
        return (idle, self._leave(idle)) if idle else (0, None)


class _Free:
    """Numbers from 1 on that nobody has: those that were given back first, then the next that was never used."""

    def __init__(self, most: int, used: Iterable[int]) -> None:
        self._most = most
        taken = set(used)
        self._next = max(taken, default=0) + 1
        self._given = [number for number in range(self._next - 1, 0, -1) if number not in taken]

    def take(self) -> int:
        """A free number, or 0."""
        if self._given:
            return self._given.pop()
        if self._next > self._most:
            return 0
        self._next += 1
        return self._next - 1

    def give(self, number: int) -> None:
        """The number is free again."""
        self._given.append(number)
