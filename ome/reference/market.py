"""The state of the engine between two commands, and the changes of an order: it becomes live, rests, shrinks, leaves,
ends.

The rules are in the modules of the commands; this module keeps books, indexes and counts consistent. Source:
docs/RULES.md.
"""

from __future__ import annotations

import dataclasses
from typing import Final

from sortedcontainers import SortedSet

from ome.enums import EventKind, LimitFlags, Reason
from ome.errors import InvalidValueError
from ome.messages import DefineSession, Limits
from ome.reference.book import Book, BookSide
from ome.reference.events import HIDDEN, KEPT_PRIORITY, RESTS, WAITING, WAS_RESTING, EventLog
from ome.reference.orders import Order, OrderIds
from ome.reference.records import Row
from ome.reference.terms import Continued

__all__ = ["Market"]

ACCEPTED, CANCELLED = int(EventKind.ACCEPTED), int(EventKind.CANCELLED)
DISPLAYED, REDUCED = int(EventKind.DISPLAYED), int(EventKind.REDUCED)
RULES_WITH_SESSIONS: Final = 1
RULES_WITH_ACCOUNTS: Final = 2
QUANTITY_MAX: Final = 2**60
OPEN_QUANTITY_MAX: Final = 2**62


class Market:
    """The state of an engine. `events` is where it says what happens."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.events = EventLog()
        self.time_ns = 0  # the highest timestamp so far
        self.trade_count = 0
        self.books: list[Book] = []  # of instrument 1, 2, ...
        self.symbols: set[bytes] = set()  # of the instruments
        self.sessions: dict[int, DefineSession] = {}  # by number, in the order of their definition
        self.command_sequences: dict[int, int] = {}  # of the last record taken from each session that is defined
        self.accounts: dict[int, bytes] = {}  # the participant's name of each, or nothing; in the order of their first definitions
        self.ids = OrderIds(limits.order_count_max)
        self.live: dict[int, Order] = {}  # at rest and waiting, by order id
        self.live_by_client_id: dict[tuple[int, int], Order] = {}  # by participant and client order id
        self.special: set[int] = set()  # ids of live orders that count against special_count_max
        self.deadlines: SortedSet[tuple[int, int]] = SortedSet()  # deadline and order id of each live order that has one
        self.level_count = 0
        self.continued: Continued | None = None  # the command that waits for more terms
        self.events.has_sessions = self.has_sessions

    def resize(self, limits: Limits) -> None:
        """Section Definitions: other limits, which hold all that there is. Raises InvalidValueError where they do not."""
        if limits.rules_version < self.limits.rules_version:
            allowed = f"at least {self.limits.rules_version}, which the engine follows"
            raise InvalidValueError("rules_version", where="limits", found=limits.rules_version, allowed=allowed)
        for name, used in (
            ("order_count_max", self.ids.slots_ever_used),
            ("level_count_max", self.level_count),
            ("instrument_count_max", len(self.books)),
            ("session_count_max", max((max(one.session, one.participant) for one in self.sessions.values()), default=0)),
            ("special_count_max", len(self.special)),
            ("account_count_max", len(self.accounts)),
        ):
            if getattr(limits, name) < used:
                raise InvalidValueError(name, where="limits", found=getattr(limits, name), allowed=f"at least {used}, which are in use")
        had_sessions, had_accounts = self.has_sessions, self.has_accounts
        self.limits = limits
        self.events.has_sessions = self.has_sessions
        if self.has_sessions and not had_sessions:
            for number, session in self.sessions.items():
                self.sessions[number] = dataclasses.replace(session, session_flags=0)
                self.begin_session(number, session.participant)
        if self.has_accounts and not had_accounts:
            self.events.begin_participant_reports({number: session.participant for number, session in self.sessions.items()})
        self.ids.slot_count_max = limits.order_count_max

    # Sessions

    @property
    def has_sessions(self) -> bool:
        """Section Versions of the rules: whether the commands and reports of sessions are counted."""
        return self.limits.rules_version >= RULES_WITH_SESSIONS

    def begin_session(self, number: int, participant: int) -> None:
        """Section Sessions: nothing was taken from the session, and nothing reported to it."""
        if self.has_accounts:
            self.events.give_session(number, participant)
        if self.has_sessions:
            self.command_sequences[number] = 0
            self.events.report_sequences[number] = 0

    def past_reports(self, participant: int) -> int:
        """D10: reports of a participant to sessions that it no longer has. Those of sessions that it has are counted there."""
        own = sum(self.events.report_sequences[number] for number, of in self.events.participants.items() if of == participant)
        return self.events.participant_reports[participant] - own

    # Accounts

    @property
    def has_accounts(self) -> bool:
        """Section Versions of the rules: whether accounts can belong to participants."""
        return self.limits.rules_version >= RULES_WITH_ACCOUNTS

    def why_account_refused(self, command: Row) -> Reason | None:
        """D9, check 4: an account belongs to nobody, or to the participant whose order it is. Account 0 is none."""
        if command.account == 0 or not self.has_accounts:
            return None
        name = self.accounts.get(command.account)
        if not name:
            return Reason.UNKNOWN_ACCOUNT if self.limits.limit_flags & LimitFlags.ACCOUNTS_RESTRICTED else None
        numbers = {session.participant for session in self.sessions.values() if session.participant_name == name}
        return None if command.participant in numbers else Reason.ACCOUNT_NOT_OWNED

    # Questions

    def book_of(self, order: Order) -> Book:
        """The book of the order's instrument."""
        return self.books[order.instrument - 1]

    def is_instrument(self, number: int) -> bool:
        """Whether this instrument is defined."""
        return 1 <= number <= len(self.books)

    def is_session_known(self, command: Row) -> bool:
        """Check 3: session 0 is the embedder itself; any other is defined, and for this participant."""
        if command.session == 0:
            return True
        session = self.sessions.get(command.session)
        return session is not None and session.participant == command.participant

    def has_live_order(self, participant: int, session: int | None = None) -> bool:
        """Section Definitions: whether an order of the participant, of all or of those that came by this session, is at rest or waits."""
        return any(order.participant == participant and session in (None, order.session) for order in self.live.values())

    def has_room_at(self, side: BookSide, price: int) -> bool:
        """Section Order of checks: whether an order can rest at this price: there is a level, or one is free."""
        return side.has_level(price) or self.level_count < self.limits.level_count_max

    # The life of an order

    def accept(self, order: Order) -> None:
        """The order is live from now on."""
        self.live[order.order_id] = order
        if order.client_order_id:
            self.live_by_client_id[order.participant, order.client_order_id] = order
        if order.is_special:
            self.special.add(order.order_id)
            if order.deadline_ns:
                self.deadlines.add((order.deadline_ns, order.order_id))

    def rename(self, order: Order, client_order_id: int) -> None:
        """Section AmendOrder: the order has another client order id."""
        if order.client_order_id:
            del self.live_by_client_id[order.participant, order.client_order_id]
        order.client_order_id = client_order_id
        self.live_by_client_id[order.participant, client_order_id] = order

    def close(self, order: Order) -> None:
        """A6: the order is live no longer: its client order id may be used again, its slot too."""
        del self.live[order.order_id]
        if order.client_order_id:
            del self.live_by_client_id[order.participant, order.client_order_id]
        if order.order_id in self.special:
            self.special.remove(order.order_id)
            self.deadlines.discard((order.deadline_ns, order.order_id))
        self.ids.release(order.order_id)

    def rest(self, order: Order, kind: int, flags: int = 0) -> None:
        """Section NewOrder, step 5: the order joins its level, and an event of `kind` says so. I1: an iceberg shows its peak only."""
        self.level_count += self.book_of(order).side(order.side).join(order)
        if order.is_hidden or order.peak:
            flags |= HIDDEN
        if kind == ACCEPTED:
            self.events.say_accepted(order, flags=flags | RESTS)
        else:
            self.events.say(kind, order, order.leaves, flags=flags | RESTS)
        if order.peak:
            self.events.say(DISPLAYED, order, order.displayed, flags=RESTS)

    def leave(self, order: Order) -> int:
        """The order leaves the book, an iceberg's peak first. Returns the flags of the event that says why."""
        if order.peak:
            self.events.say(DISPLAYED, order, -order.displayed, flags=WAS_RESTING)
        self.drop(order)
        return self.flags_at_rest(order)

    def drop(self, order: Order) -> None:
        """P5: the order is out of the book, and its level too if it is empty. No event is published."""
        self.level_count -= self.book_of(order).side(order.side).leave(order)

    def shrink(self, order: Order, quantity: int) -> int:
        """A1: the order keeps its place with `quantity` lots less. An iceberg's reserve goes first; if its peak
        shrinks, an event says so.

        Returns the flags of the event that says why.
        """
        if order.is_waiting:
            order.leaves -= quantity
            return WAITING | KEPT_PRIORITY
        gone = self.book_of(order).side(order.side).shrink(order, quantity)
        if gone:
            self.events.say(DISPLAYED, order, -gone, flags=WAS_RESTING | RESTS | KEPT_PRIORITY)
        return self.flags_at_rest(order) | KEPT_PRIORITY

    @staticmethod
    def flags_at_rest(order: Order) -> int:
        """Section CancelOrder: events of a hidden order and of an iceberg have HIDDEN in addition to WAS_RESTING."""
        return WAS_RESTING | HIDDEN if order.is_hidden or order.peak else WAS_RESTING

    def cancel(self, order: Order, reason: Reason) -> None:
        """What is left of an order at rest or waiting is gone."""
        if order.is_waiting:
            self.book_of(order).stops.leave(order)
            flags = WAITING
        else:
            flags = self.leave(order)
        self.events.say(CANCELLED, order, order.leaves, flags=flags, reason=reason)
        self.close(order)

    def cancel_aggressor(self, order: Order, reason: Reason) -> None:
        """What is left of an order that is neither in the book nor waiting is gone."""
        self.events.say(CANCELLED, order, order.leaves, reason=reason)
        self.close(order)

    def reduce(self, order: Order, quantity: int, reason: Reason = Reason.NONE) -> None:
        """A1: the order loses `quantity` lots, fewer than it has, and keeps its place."""
        flags = self.shrink(order, quantity)
        self.events.say(REDUCED, order, quantity, flags=flags, reason=reason)
