"""Execution reports: as arrays for who counts them, as objects for who reads them."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import numpy.typing as npt

from ome.client.directory import InstrumentDirectory
from ome.codec.layouts import EXECUTION_REPORT_MESSAGE, HEADER_SIZE, NULL_VALUE, SCHEMA_ID, SCHEMA_VERSION
from ome.enums import CommandKind, EventKind, Reason, Side
from ome.errors import InvalidValueError

__all__ = ["REPORT_TEMPLATE", "Report", "Reports", "count_answers", "join_frames", "report_objects"]

Reports = npt.NDArray[np.void]
"""A one-dimensional array of dtype EXECUTION_REPORT_MESSAGE."""

REPORT_TEMPLATE = 132
_SIZE = EXECUTION_REPORT_MESSAGE.itemsize
_HEADER = (_SIZE - HEADER_SIZE) | REPORT_TEMPLATE << 16 | SCHEMA_ID << 32 | SCHEMA_VERSION << 48


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What happened to an order. Fields as ExecutionReport in the schema, in the instrument's decimal numbers.

    `symbol` is empty, and numbers are counted in price units and lots, where the report is of no instrument: a rejected command named one
    that does not exist, or a mass cancel meant all. `side` and `command_kind` are None where the report has none; `price` is None where a
    refused amend left it unchanged. In COMPLETED `last_quantity` counts orders; in TRIGGERED `price` is the stop price; in PREVENTED
    `last_quantity` is what did not trade. `engine_sequence` is 0 where an order was refused before it was sequenced (STORAGE_LOW).
    """

    kind: EventKind
    order_id: int
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

    @property
    def is_final(self) -> bool:
        """Nothing more will be said about the order: it is filled, cancelled, or was never taken."""
        if self.kind == EventKind.REJECTED:
            return self.command_kind == CommandKind.NEW_ORDER
        return self.leaves_quantity == 0 and self.kind in (EventKind.TRADE, EventKind.CANCELLED)


def join_frames(frames: list[bytes], where: str) -> Reports:
    """The reports of several frames, one after the other, read-only. Raises InvalidValueError for a header that is not a report's."""
    data = frames[0] if len(frames) == 1 else b"".join(frames)
    headers = np.frombuffer(data, "<u8").reshape(-1, _SIZE // 8)[:, 0]
    if (headers != _HEADER).any():
        raise InvalidValueError("message header", where=where, found=hex(int(headers[headers != _HEADER][0])), allowed=hex(_HEADER))
    return np.frombuffer(data, EXECUTION_REPORT_MESSAGE)


def _answers() -> npt.NDArray[np.bool_]:
    table = np.zeros((256, 256), dtype=np.bool_)
    table[[EventKind.ACCEPTED, EventKind.REJECTED, EventKind.AMENDED, EventKind.COMPLETED]] = True
    table[EventKind.REDUCED, Reason.NONE] = True
    table[EventKind.CANCELLED, [Reason.REQUESTED, Reason.AMENDED_AWAY, Reason.REDUCED_AWAY]] = True
    return table


_ANSWERS = _answers()  # by kind and reason: each command has exactly one report that answers it; the others follow from one


def count_answers(reports: Reports) -> int:
    """How many of the reports answer a command, rather than say what followed."""
    return int(np.count_nonzero(_ANSWERS[reports["kind"], reports["reason"]]))


def report_objects(reports: Reports, instruments: InstrumentDirectory) -> list[Report]:
    """The reports as objects."""
    return [_report(row, instruments) for row in reports]


def _report(row: np.void, instruments: InstrumentDirectory) -> Report:
    number = int(row["instrument"])
    is_count = row["kind"] == EventKind.COMPLETED
    instrument = instruments.by_number.get(number)
    price = Decimal if instrument is None else instrument.price
    quantity = Decimal if instrument is None else instrument.quantity
    return Report(
        kind=EventKind(int(row["kind"])),
        order_id=int(row["order_id"]),
        client_order_id=int(row["client_order_id"]),
        symbol="" if instrument is None else instrument.symbol,
        side=Side(int(row["side"])) if row["side"] in (Side.BUY, Side.SELL) else None,
        price=None if row["price"] == NULL_VALUE else price(int(row["price"])),
        last_quantity=Decimal(int(row["last_quantity"])) if is_count else quantity(int(row["last_quantity"])),
        leaves_quantity=quantity(int(row["leaves_quantity"])),
        cumulative_quantity=quantity(int(row["cumulative_quantity"])),
        trade_id=int(row["trade_id"]),
        reason=Reason(int(row["reason"])),
        is_aggressor=bool(row["is_aggressor"]),
        command_kind=CommandKind(int(row["command_kind"])) if row["command_kind"] else None,
        account=int(row["account"]),
        engine_sequence=int(row["engine_sequence"]),
        report_sequence=int(row["report_sequence"]),
        timestamp_ns=int(row["timestamp_ns"]),
    )
