"""Execution reports: as arrays for who counts them, as objects for who reads them."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

import numpy as np
import numpy.typing as npt

from ome.attributes import ATTRIBUTES, NO_ATTRIBUTES, Attributes
from ome.client.directory import InstrumentDirectory
from ome.codec.layouts import EXECUTION_REPORT_MESSAGE, HEADER_SIZE, MESSAGE_CLASSES, NULL_VALUE, SCHEMA_ID, SCHEMA_VERSION
from ome.enums import DESCRIPTIONS, CommandKind, EventFlags, EventKind, MessageClass, OrderType, Reason, Side
from ome.errors import InvalidValueError, one_of

__all__ = ["REPORT_TEMPLATES", "Inbox", "OrderId", "Report", "Reports", "UnreadReports", "answered_kinds", "report_object"]

Reports = npt.NDArray[np.void]
"""A one-dimensional array of dtype EXECUTION_REPORT_MESSAGE."""

REPORT_TEMPLATES = tuple(template for template, sent in MESSAGE_CLASSES.items() if sent is MessageClass.REPORT)
_NO_FLAGS: Final = EventFlags(0)
_KINDS: Final = frozenset(int(kind) for kind in EventKind)
_SIZE = EXECUTION_REPORT_MESSAGE.itemsize
_HEADERS = tuple((_SIZE - HEADER_SIZE) | template << 16 | SCHEMA_ID << 32 | SCHEMA_VERSION << 48 for template in REPORT_TEMPLATES)


class OrderId(int):
    """The engine's id of an order, as reports have it, which is told from a client order id by its type.

    >>> OrderId(4_294_967_297)
    4294967297
    """

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What happened to an order. Fields as ExecutionReport in the schema, in the instrument's decimal numbers.

    `symbol` is empty, and numbers are counted in price units and lots, where the report is of no instrument: a rejected command named one
    that does not exist, or a mass cancel meant all. `side` and `command_kind` are None where the report has none; `price` is None where a
    refused amend left it unchanged. In COMPLETED `last_quantity` counts orders; in PREVENTED it is what did not trade. In TRIGGERED and
    STOP_SET `price` is the stop price; STOP_SET has the `order_type` too, which is None in all others. ATTRIBUTES comes right after the
    ACCEPTED of an order that has some: `attributes` says them, and price and quantities say nothing. In all others `attributes` has none.
    `session` and `participant` are the numbers of the session that the report is for.
    """

    kind: EventKind
    order_id: OrderId
    client_order_id: int
    symbol: str
    side: Side | None
    price: Decimal | None
    last_quantity: Decimal
    leaves_quantity: Decimal
    cumulative_quantity: Decimal
    trade_id: int
    reason: Reason
    is_aggressor: bool
    command_kind: CommandKind | None
    account: int
    engine_sequence: int
    report_sequence: int
    timestamp_ns: int
    order_type: OrderType | None = None
    flags: EventFlags = _NO_FLAGS
    session: int = 0
    participant: int = 0
    attributes: Attributes = NO_ATTRIBUTES

    @property
    def is_resting(self) -> bool:
        """The order is in the book after this."""
        return EventFlags.RESTS in self.flags

    @property
    def is_waiting(self) -> bool:
        """The order waits for its stop price after this; in a cancel, it did."""
        return EventFlags.WAITING in self.flags

    @property
    def is_final(self) -> bool:
        """Nothing more will be said about the order: it is filled, cancelled, or was never taken."""
        if self.kind == EventKind.REJECTED:
            return self.command_kind == CommandKind.NEW_ORDER
        return self.leaves_quantity == 0 and self.kind in (EventKind.TRADE, EventKind.CANCELLED)


class Inbox:
    """Frames of reports that came and were not taken yet, oldest first; of `len(inbox)` reports."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._frames: deque[bytes] = deque()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def read(self, frame: bytes) -> Reports:
        """The reports of a frame. Raises InvalidValueError for a header that is not a report's."""
        headers = np.frombuffer(frame, "<u8").reshape(-1, _SIZE // 8)[:, 0]
        is_wrong = np.logical_and.reduce([headers != header for header in _HEADERS])
        if is_wrong.any():
            raise InvalidValueError(
                "message header",
                where=self._where,
                found=hex(int(headers[is_wrong][0])),
                allowed=one_of([hex(header) for header in _HEADERS]),
            )
        return np.frombuffer(frame, EXECUTION_REPORT_MESSAGE)

    def put(self, frame: bytes, count: int) -> None:
        """Keeps a frame of so many reports."""
        self._frames.append(frame)
        self._count += count

    def take(self) -> Reports:
        """All reports, one after the other, read-only."""
        return self.drop(self._count)

    def drop(self, count: int) -> Reports:
        """The oldest `count` reports."""
        frames = []
        missing = count * _SIZE
        while missing > 0:
            frame = self._frames.popleft()
            if len(frame) > missing:
                self._frames.appendleft(frame[missing:])
                frame = frame[:missing]
            frames.append(frame)
            missing -= len(frame)
        self._count -= count
        return np.frombuffer(frames[0] if len(frames) == 1 else b"".join(frames), EXECUTION_REPORT_MESSAGE)


class UnreadReports:
    """Reports that wait to be read one by one: the oldest of all, or the oldest about an order. Each of these takes constant time."""

    def __init__(self) -> None:
        self._rows: dict[int, bytes] = {}  # by a number that counts up
        self._first = 0  # no row has a smaller number
        self._end = 0
        self._about: dict[int, tuple[int, int]] = {}  # the first and the last row about each client order id,
        self._next_about: dict[int, int] = {}  # and from each of them to the next

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, reports: Reports) -> None:
        """Puts reports behind the others, but for those of a kind that a later version has."""
        data = reports.tobytes()
        for index, (client_order_id, kind) in enumerate(zip(reports["client_order_id"].tolist(), reports["kind"].tolist(), strict=True)):
            if kind not in _KINDS:
                continue
            self._rows[self._end] = data[index * _SIZE : (index + 1) * _SIZE]
            first, last = self._about.get(client_order_id, (self._end, self._end))
            if last != self._end:
                self._next_about[last] = self._end
            self._about[client_order_id] = (first, self._end)
            self._end += 1

    def take(self) -> np.void | None:
        """The oldest, or None."""
        if not self._rows:
            return None
        while self._first not in self._rows:  # taken before, as one about its order
            self._first += 1
        return self._take(self._first)

    def take_about(self, client_order_id: int) -> np.void | None:
        """The oldest about an order, or None."""
        numbers = self._about.get(client_order_id)
        return None if numbers is None else self._take(numbers[0])

    def _take(self, number: int) -> np.void:
        row: np.void = np.frombuffer(self._rows.pop(number), EXECUTION_REPORT_MESSAGE)[0]
        client_order_id = int(row["client_order_id"])
        first, last = self._about.pop(client_order_id)
        assert number == first, "the oldest of all is the oldest about its order"
        if first != last:
            self._about[client_order_id] = (self._next_about.pop(first), last)
        return row


def _answers() -> npt.NDArray[np.uint8]:
    table = np.zeros((256, 256), dtype=np.uint8)
    table[[EventKind.REJECTED, EventKind.COMPLETED]] = _SAYS_ITSELF
    table[EventKind.ACCEPTED] = CommandKind.NEW_ORDER
    table[EventKind.AMENDED] = CommandKind.AMEND_ORDER
    table[EventKind.REDUCED, Reason.NONE] = CommandKind.REDUCE_ORDER
    table[EventKind.CANCELLED, Reason.REQUESTED] = CommandKind.CANCEL_ORDER
    table[EventKind.CANCELLED, Reason.REDUCED_AWAY] = CommandKind.REDUCE_ORDER
    table[EventKind.CANCELLED, Reason.AMENDED_AWAY] = CommandKind.AMEND_ORDER
    return table


_SAYS_ITSELF: Final = 255
_ANSWERS: Final = _answers()  # by kind and reason: each command has exactly one report that answers it; the others follow from one


def answered_kinds(reports: Reports) -> npt.NDArray[np.uint8]:
    """For each report the kind of command that it answers, or 0 where it says what followed."""
    kinds = _ANSWERS[reports["kind"], reports["reason"]]
    return np.where(kinds == _SAYS_ITSELF, reports["command_kind"], kinds)


def report_object(row: np.void, instruments: InstrumentDirectory) -> Report:
    """A report as an object."""
    number = int(row["instrument"])
    is_count = row["kind"] == EventKind.COMPLETED
    has_attributes = row["kind"] == EventKind.ATTRIBUTES
    last_quantity = 0 if has_attributes else int(row["last_quantity"])
    instrument = instruments.by_number.get(number)
    price = Decimal if instrument is None else instrument.price
    quantity = Decimal if instrument is None else instrument.quantity
    return Report(
        kind=EventKind(int(row["kind"])),
        order_id=OrderId(row["order_id"]),
        client_order_id=int(row["client_order_id"]),
        symbol="" if instrument is None else instrument.symbol,
        side=Side(int(row["side"])) if row["side"] in (Side.BUY, Side.SELL) else None,
        price=None if has_attributes or row["price"] == NULL_VALUE else price(int(row["price"])),
        last_quantity=Decimal(last_quantity) if is_count else quantity(last_quantity),
        leaves_quantity=quantity(int(row["leaves_quantity"])),
        cumulative_quantity=quantity(int(row["cumulative_quantity"])),
        trade_id=int(row["trade_id"]),
        reason=Reason(int(row["reason"])) if int(row["reason"]) in DESCRIPTIONS else Reason.NONE,
        is_aggressor=bool(row["is_aggressor"]),
        command_kind=CommandKind(int(row["command_kind"])) if row["command_kind"] else None,
        account=int(row["account"]),
        engine_sequence=int(row["engine_sequence"]),
        report_sequence=int(row["report_sequence"]),
        timestamp_ns=int(row["timestamp_ns"]),
        order_type=OrderType(int(row["order_type"])) if row["kind"] == EventKind.STOP_SET else None,
        flags=EventFlags(0 if has_attributes else int(row["flags"])),
        session=int(row["session"]),
        participant=int(row["participant"]),
        attributes=Attributes.of(int(row[name]) for name in ATTRIBUTES) if has_attributes else NO_ATTRIBUTES,
    )
