"""Which numbers participants and sessions have.

A name that logs on gets numbers. They become the engine's, and so durable, only when it sends a command. Until then
they are borrowed, and are free again when the connection is gone. When no number is left, a number is used again whose
session has no live order and no connection. It belongs to its former owner until the new session is defined.

Strangers decide how often they log on, so a logon looks at a bounded number of sessions. The next logon continues where
it stopped.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from ome.engine import SessionState
from ome.enums import Reason

__all__ = ["Lease", "SessionRegistry"]

_LENT_COUNT_TO_SWEEP = 64
_LOOKS = 64  # at sessions, in one logon that finds no free number


class _Look(Protocol):
    """What the gateway's loop knows of a session: ome_gateway_session_t."""

    peer: int
    order_count: int
    is_defined: int


@dataclass(frozen=True, slots=True)
class Lease:
    """The numbers of a session: `is_defined` when the engine has them; `is_reused` when the engine still has them as somebody else's."""

    participant: int
    session: int
    is_defined: bool
    is_reused: bool


@dataclass(slots=True)
class _Entry:
    name: bytes
    number: int
    participant: int
    is_defined: bool
    former: _Entry | None = None
    """Whose the number is until this one is defined."""


class SessionRegistry:
    """Participant and session numbers by name and the client's own session number.

    `look` says what the loop knows of a session. A participant has at most `per_participant` sessions.
    """

    def __init__(self, known: Iterable[SessionState], session_count_max: int, per_participant: int, look: Callable[[int], _Look]) -> None:
        self._per_participant = per_participant
        self._look = look
        self._entries: dict[int, _Entry] = {}  # by session; the first is the one that logged on, or was found in use, longest ago
        self._by_name: defaultdict[bytes, dict[int, int]] = defaultdict(dict)  # sessions by the client's numbers
        self._participants: dict[bytes, int] = {}
        self._name_counts: Counter[int] = Counter()  # of a participant's number; two while another one borrows it
        self._holds: Counter[bytes] = Counter()  # by name: drop copies, for which a participant keeps its number
        self._lent: dict[int, None] = {}  # borrowed numbers; the first was borrowed, or found in use, longest ago
        self._sweep_at = _LENT_COUNT_TO_SWEEP
        self._in_use_count = 0  # sessions found in use since one was found that is not
        for state in known:
            self._enter(state.session, _Entry(state.participant_name.encode("ascii"), state.session_number, state.participant, True))
        self._free_sessions = _Free(session_count_max, self._entries)
        self._free_participants = _Free(session_count_max, self._name_counts)

    def sessions(self) -> Iterator[int]:
        """Every session with numbers, borrowed or defined."""
        return iter(tuple(self._entries))

    def log_on(self, name: bytes, number: int) -> Lease | Reason:
        """Numbers for a name and a session number, or why there are none."""
        session = self._by_name[name].get(number, 0) if name in self._by_name else 0
        if session == 0:
            found = self._lend(name, number)
            if isinstance(found, Reason):
                return found
            session = found
        entry = self._entries.pop(session)
        self._entries[session] = entry  # the last to be used again
        if (entry.name, entry.number) != (name, number):
            return Reason.BUSY  # the engine is being asked whether somebody else may have it
        if entry.former is None and self._look(session).is_defined:
            self.define(session, entry.participant)
        return Lease(entry.participant, session, entry.is_defined, entry.former is not None)

    def hold(self, name: bytes) -> int | Reason:
        """The participant number of a name, or one that it may have, for a drop copy; it keeps it until `release`."""
        participant = self._participants.get(name, 0) or self._free_participants.take()
        if participant == 0 or self._name_counts[participant] > 1:
            return Reason.BUSY  # as below; or the number changes hands, and its reports are still, or not yet, those of the name
        if name not in self._participants:
            self._participants[name] = participant
            self._name_counts[participant] += 1
        self._holds[name] += 1
        return participant

    def release(self, name: bytes) -> None:
        """A drop copy of the name is gone."""
        self._holds[name] -= 1
        if self._holds[name] == 0:
            del self._holds[name]
            self._forget_name(name)

    def define(self, session: int, participant: int) -> None:
        """The engine knows the session, or will when it has read what is on its way."""
        entry = self._entries[session]
        if not entry.is_defined:
            entry.is_defined = True
            self._lent.pop(session, None)
            former, entry.former = entry.former, None
            if former is not None:
                self._leave(former)

    def forget(self, session: int) -> None:
        """Removes a session that the engine refused, or whose borrowed numbers nobody uses."""
        entry = self._entries.pop(session, None)
        if entry is None:
            return
        self._lent.pop(session, None)
        self._leave(entry)
        if entry.former is not None:
            self._entries[session] = entry.former
        else:
            self._free_sessions.give(session)

    def forget_former(self, session: int) -> None:
        """Removes whose the number was: the engine refused that session, while another one waits for the number."""
        entry = self._entries[session]
        if entry.former is not None:
            self._leave(entry.former)
            entry.former = None

    def _lend(self, name: bytes, number: int) -> int | Reason:
        if len(self._lent) >= self._sweep_at:
            self._sweep(tuple(self._lent))
            self._sweep_at = max(_LENT_COUNT_TO_SWEEP, 2 * len(self._lent))
        if name in self._by_name and len(self._by_name[name]) >= self._per_participant:
            self._sweep(tuple(self._by_name[name].values()))
            if name in self._by_name and len(self._by_name[name]) >= self._per_participant:
                return Reason.SESSION_ALLOWANCE_REACHED
        former = None
        session = self._free_sessions.take()
        if session == 0:
            self._sweep(tuple(itertools.islice(self._lent, _LOOKS)))
            session = self._free_sessions.take() or self._idle()
            former = self._entries.pop(session, None)
        if session == 0:
            return Reason.SESSION_LIMIT_REACHED if self._in_use_count >= len(self._entries) else Reason.BUSY
        participant = self._participants.get(name, 0) or self._free_participants.take()
        if participant == 0:
            if former is None or former.name in self._holds:
                if former is None:
                    self._free_sessions.give(session)
                else:
                    self._entries[session] = former
                return Reason.BUSY  # there are more names than numbers while the engine is asked about one that changes hands
            participant = former.participant
        self._enter(session, _Entry(name, number, participant, False, former))
        self._lent[session] = None
        return session

    def _enter(self, session: int, entry: _Entry) -> None:
        self._entries[session] = entry
        self._by_name[entry.name][entry.number] = session
        if entry.name not in self._participants:
            self._participants[entry.name] = entry.participant
            self._name_counts[entry.participant] += 1

    def _leave(self, entry: _Entry) -> None:
        del self._by_name[entry.name][entry.number]
        if not self._by_name[entry.name]:
            del self._by_name[entry.name]
            self._forget_name(entry.name)

    def _forget_name(self, name: bytes) -> None:
        """The number of a name that nobody uses any more is free."""
        if name in self._by_name or name in self._holds:
            return
        participant = self._participants.pop(name)
        self._name_counts[participant] -= 1
        if self._name_counts[participant] == 0:
            del self._name_counts[participant]
            self._free_participants.give(participant)

    def _sweep(self, sessions: Iterable[int]) -> None:
        """Frees the numbers that sessions without a connection have borrowed."""
        for session in sessions:
            if session not in self._lent:
                continue
            del self._lent[session]
            self._lent[session] = None  # the last to be looked at again
            if self._entries[session].former is not None:
                continue  # the engine is being asked
            look = self._look(session)
            if look.is_defined:
                self.define(session, self._entries[session].participant)
            elif not look.peer:
                self.forget(session)

    def _idle(self) -> int:
        """A session that is defined and has no live order and no connection, of those that logged on longest ago; or 0."""
        for session in tuple(itertools.islice(self._entries, _LOOKS)):
            look = self._look(session)
            entry = self._entries[session]
            if entry.is_defined and not look.peer and not look.order_count:
                self._in_use_count = 0
                return session
            del self._entries[session]
            self._entries[session] = entry  # the last to be looked at again
            self._in_use_count += 1
        return 0


class _Free:
    """Numbers from 1 on that nobody has: those that were given back, then the next that was never used."""

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
