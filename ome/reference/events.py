"""The events of the engine as records, in the order in which they happen. Source: docs/RULES.md, What each command says."""

from __future__ import annotations

import struct
from collections import Counter
from typing import Final

from ome.enums import CommandKind, EventFlags, EventKind, Reason
from ome.reference import hashes
from ome.reference.orders import Order
from ome.reference.records import BY_ORDER_ID, Row

__all__ = ["HIDDEN", "KEPT_PRIORITY", "RESTS", "WAITING", "WAS_RESTING", "EventLog"]

RESTS: Final = int(EventFlags.RESTS)
KEPT_PRIORITY: Final = int(EventFlags.KEPT_PRIORITY)
WAS_RESTING: Final = int(EventFlags.WAS_RESTING)
HIDDEN: Final = int(EventFlags.HIDDEN)
WAITING: Final = int(EventFlags.WAITING)
_AGGRESSOR_FILLED: Final = int(EventFlags.AGGRESSOR_FILLED)
_RESTING_FILLED: Final = int(EventFlags.RESTING_FILLED)
_ACCEPTED: Final = int(EventKind.ACCEPTED)
_ATTRIBUTES: Final = int(EventKind.ATTRIBUTES)
_TRADE: Final = int(EventKind.TRADE)
_PREVENTED: Final = int(EventKind.PREVENTED)
_TRIGGERED: Final = int(EventKind.TRIGGERED)
_DISPLAYED: Final = int(EventKind.DISPLAYED)
_STOP_SET: Final = int(EventKind.STOP_SET)

_ORDER_EVENT: Final = struct.Struct("<QQQqqQIHHIBBBB")  # also for events about a command
_ATTRIBUTES_EVENT: Final = struct.Struct("<QQQ4IQIHHIBBBB")
_NO_ATTRIBUTES: Final = (0, 0, 0, 0)
_PAIR_EVENT: Final = struct.Struct("<QQQqqQQIBBBB")  # Trade and Prevented, which name two orders
_NEW_ORDER, _CANCEL_ORDER, _REDUCE_ORDER, _AMEND_ORDER = (
    int(kind) for kind in (CommandKind.NEW_ORDER, CommandKind.CANCEL_ORDER, CommandKind.REDUCE_ORDER, CommandKind.AMEND_ORDER)
)


class EventLog:
    """Events so far: their number and rolling hash, and those that were not taken yet.

    `sequence` is that of the last record, `now_ns` the timestamp of the command that runs: every event of an order carries both.
    """

    def __init__(self) -> None:
        self.sequence = 0
        self.now_ns = 0
        self.count = 0
        self.hash = hashes.EVENTS_INITIAL
        self._said = bytearray()
        self.has_sessions = False  # whether the rules count the commands and reports of sessions
        self.participants: dict[int, int] = {}  # of each session that is defined, where the reports of participants are counted
        self.participant_reports: Counter[int] = Counter()  # by participant
        self.report_sequences: dict[int, int] = {}  # of each session that is defined: events reported to it; empty where none are counted

    def take(self) -> bytearray:
        """The events since the last call, as bytes; they enter the hash."""
        taken, self._said = self._said, bytearray()
        self.hash = hashes.fold_records(self.hash, taken)
        return taken

    def report_to(self, session: int) -> None:
        """Section Sessions: one more event is reported to this session, where it is defined."""
        if session in self.report_sequences:
            self.report_sequences[session] += 1
            self.participant_reports[self.participants.get(session, 0)] += 1

    def say(self, kind: int, order: Order, quantity: int, *, flags: int = 0, reason: int = 0) -> None:
        """An event of an order: any but Trade and Prevented. Triggered and StopSet carry the stop price, others the order's price."""
        self.count += 1
        if kind != _DISPLAYED:
            self.report_to(order.session)
        self._said += _ORDER_EVENT.pack(
            self.sequence,
            order.order_id,
            order.client_order_id,
            order.stop_price if kind in (_TRIGGERED, _STOP_SET) else order.price,
            quantity,
            self.now_ns,
            order.account,
            order.participant,
            order.session,
            order.instrument,
            kind,
            order.side,
            reason,
            flags,
        )

    def say_accepted(self, order: Order, *, flags: int = 0) -> None:
        """The order was taken; then its attributes, where it has some."""
        self.say(_ACCEPTED, order, order.leaves, flags=flags)
        if not any(order.attributes):
            return
        self.count += 1
        self.report_to(order.session)
        self._said += _ATTRIBUTES_EVENT.pack(
            self.sequence,
            order.order_id,
            order.client_order_id,
            *(order.attributes + _NO_ATTRIBUTES)[: len(_NO_ATTRIBUTES)],
            self.now_ns,
            order.account,
            order.participant,
            order.session,
            order.instrument,
            _ATTRIBUTES,
            order.side,
            0,
            0,
        )

    def say_stop_set(self, order: Order) -> None:
        """The stop price of an order that waits; its type is where others have flags. Not in the first version of the rules."""
        if self.has_sessions:
            self.say(_STOP_SET, order, order.leaves, flags=order.order_type)

    def say_trade(self, aggressor: Order, resting: Order, quantity: int) -> None:
        """P2: a trade, at the resting order's price. Both orders have traded already, so that it shows whether they are filled."""
        flags = (0 if aggressor.leaves else _AGGRESSOR_FILLED) | (0 if resting.leaves else _RESTING_FILLED)
        self._say_pair(_TRADE, aggressor, resting, quantity, flags | HIDDEN if resting.is_hidden else flags)

    def say_prevented(self, aggressor: Order, resting: Order, quantity: int) -> None:
        """X4: a trade that self-trade prevention has kept from happening."""
        self._say_pair(_PREVENTED, aggressor, resting, quantity, 0)

    def _say_pair(self, kind: int, aggressor: Order, resting: Order, quantity: int, flags: int) -> None:
        self.count += 1
        self.report_to(aggressor.session)
        self.report_to(resting.session)
        self._said += _PAIR_EVENT.pack(
            self.sequence,
            aggressor.order_id,
            aggressor.client_order_id,
            resting.price,
            quantity,
            resting.order_id,
            resting.client_order_id,
            aggressor.instrument,
            kind,
            aggressor.side,
            0,
            flags,
        )

    def begin_participant_reports(self, sessions: dict[int, int]) -> None:
        """D10: reports are counted by participant from here on; each begins with those of the sessions that it has."""
        self.participants = dict(sessions)
        self.participant_reports.clear()
        for session, participant in sessions.items():
            self.participant_reports[participant] += self.report_sequences[session]

    def give_session(self, session: int, participant: int) -> None:
        """D10: the session, which may have been another one's, is the participant's. A participant without sessions has no count."""
        former = self.participants.pop(session, 0)
        if former not in self.participants.values():
            del self.participant_reports[former]
        self.participants[session] = participant

    def say_defined(self, command: Row) -> None:
        """Section Definitions: a definition took effect. That of a session says how many reports its participant has."""
        of_session = command.kind == CommandKind.DEFINE_SESSION
        self._say_about(command, EventKind.DEFINED, quantity=self.participant_reports[command.participant] if of_session else 0)

    def say_completed(self, command: Row, *, quantity: int = 0) -> None:
        """A7, T7: a mass cancel, an expiry or a new last price is done. `quantity` is how many orders were cancelled."""
        is_mass_cancel = command.kind == CommandKind.MASS_CANCEL
        self._say_about(
            command,
            EventKind.COMPLETED,
            client_order_id=command.client_order_id if is_mass_cancel else 0,
            side=command.side if is_mass_cancel else 0,
            price=command.price if command.kind == CommandKind.SET_LAST_PRICE else 0,
            quantity=quantity,
        )

    def say_completed_elsewhere(self, command: Row) -> None:
        """Section CancelOrder, ReduceOrder: the sender's answer, where the order is of another session."""
        by_order_id = command.flags & BY_ORDER_ID
        self._say_about(
            command,
            EventKind.COMPLETED,
            order_id=command.client_order_id if by_order_id else 0,
            client_order_id=0 if by_order_id else command.client_order_id,
        )

    def reject(self, command: Row, reason: Reason) -> None:
        """D2, section Rejections: a command of orders is echoed as far as it has the fields, of any other kind only who, when and what for.

        The time is that of the command, which for one that waited in vain for its terms is not that of the last record.
        """
        kind = command.kind
        if kind in (_NEW_ORDER, _CANCEL_ORDER, _REDUCE_ORDER, _AMEND_ORDER):
            by_order_id = kind != _NEW_ORDER and command.flags & BY_ORDER_ID
            self._say_about(
                command,
                EventKind.REJECTED,
                reason=reason,
                order_id=command.client_order_id if by_order_id else 0,
                client_order_id=0 if by_order_id else command.client_order_id,
                price=command.price if kind in (_NEW_ORDER, _AMEND_ORDER) else 0,
                quantity=command.quantity if kind != _CANCEL_ORDER else 0,
                side=command.side if kind == _NEW_ORDER else 0,
                account=command.account,
            )
        elif kind == CommandKind.MASS_CANCEL:
            self._say_about(
                command,
                EventKind.REJECTED,
                reason=reason,
                client_order_id=command.client_order_id,
                side=command.side,
                account=command.account,
            )
        else:
            price = command.price if kind == CommandKind.SET_LAST_PRICE else 0
            self._say_about(command, EventKind.REJECTED, reason=reason, price=price)

    def _say_about(
        self,
        command: Row,
        kind: int,
        *,
        reason: int = 0,
        order_id: int = 0,
        client_order_id: int = 0,
        price: int = 0,
        quantity: int = 0,
        side: int = 0,
        account: int = 0,
    ) -> None:
        """An event of a command, not of an order: Rejected, Defined or Completed. Its last byte is the kind of the command."""
        self.count += 1
        if kind != EventKind.DEFINED:
            self.report_to(command.session)
        self._said += _ORDER_EVENT.pack(
            self.sequence,
            order_id,
            client_order_id,
            price,
            quantity,
            command.timestamp_ns,
            account,
            command.participant,
            command.session,
            0 if command.kind == CommandKind.ORDER_TERMS else command.instrument,
            kind,
            side,
            reason,
            command.kind,
        )
