"""Requests: a participant's open orders, fills and sessions, and the instruments, asked on the venue's address of requests.

It has a socket of its own and takes no session over, so it can run beside any number of sessions of the participant.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from types import TracebackType
from typing import Any, Final

import numpy as np

from ome.attributes import ATTRIBUTES, Attributes
from ome.client.directory import InstrumentDirectory
from ome.client.errors import LogonRefused, SessionLost, TimedOut, check_address, explain, not_admitted
from ome.client.frames import reason_of
from ome.client.reports import Report, report_object
from ome.codec.layouts import COMMAND_MESSAGE, EXECUTION_REPORT_MESSAGE, HEADER_SIZE, TEMPLATES
from ome.codec.requests import logon_message
from ome.codec.wire import decode_message, encode_message
from ome.codec.words import Time, time_ns
from ome.enums import OrderFlags, OrderType, Reason, SelfTradePrevention, SelfTradeScope, SessionFlags, Side, TimeInForce
from ome.errors import InvalidValueError, NotCopyable, OmeError
from ome.instruments import Instrument
from ome.keys import ClientKeys
from ome.transport import Context, SendStatus, why_no_connection
from ome.units import Integer, integer_of

__all__ = ["FillsGone", "OpenOrder", "OrderStatus", "Requests", "SessionStatus"]

_BUSY_PAUSE_S: Final = 0.01
_UINT16_MAX: Final = 2**16 - 1
_UINT64_MAX: Final = 2**64 - 1


class FillsGone(OmeError):  # noqa: N818
    """The venue does not have trades that old."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenOrder:
    """An order that rests in the book or waits for its stop price. What it does not have is None.

    `leaves_quantity` is all that is open, `displayed_quantity` what the market sees of it, `reserve_quantity` what an iceberg does not show
    yet. `price` is the limit, of a waiting TRAILING_STOP_LIMIT the distance of its limit. Stop price, trail, minimum, budget and collar are
    those of an order that waits. `deadline_ns` is nanoseconds since 1970.
    """

    order_id: int
    client_order_id: int
    symbol: str
    side: Side
    order_type: OrderType
    time_in_force: TimeInForce
    price: Decimal | None
    stop_price: Decimal | None
    leaves_quantity: Decimal
    cumulative_quantity: Decimal
    displayed_quantity: Decimal
    peak_quantity: Decimal | None
    reserve_quantity: Decimal | None
    minimum_quantity: Decimal | None
    trail_amount: Decimal | None
    trail_basis_points: int | None
    budget: int | None
    collar_ticks: int | None
    deadline_ns: int | None
    account: int
    session: int
    is_waiting: bool
    is_hidden: bool
    is_post_only: bool
    self_trade_prevention: SelfTradePrevention
    self_trade_scope: SelfTradeScope
    self_trade_group: int | None
    attributes: Attributes


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderStatus:
    """What the venue says of one order: the open order; or None, and ORDER_CLOSED or UNKNOWN_ORDER.

    It was so after the command `engine_sequence`.
    """

    order: OpenOrder | None
    reason: Reason
    engine_sequence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionStatus:
    """A session of the participant. `session_number` is the one it logs on with, `session` its number in the engine.

    `command_sequence` is of the last message taken from it, `report_sequence` of its last report.
    """

    session: int
    session_number: int
    session_flags: SessionFlags
    is_connected: bool
    command_sequence: int
    report_sequence: int


class Requests(NotCopyable):
    """A connection that asks, for a participant; made, it is logged on. Use it in a `with` statement.

    `orders`, `order`, `sessions`, `instruments` and `fills` each ask and wait for the answer, `timeout` seconds at most for each page. All
    that they give was on disk where the venue's policy is commit. `participant` is the participant's number, 0 before its first command.

    `secret` is the participant's; with `keys` the connection is encrypted.

    Methods raise TimedOut, SessionLost, and InvalidValueError for an answer that is not the protocol's or a value that is not allowed. The
    constructor raises LogonRefused too. One thread uses it.
    """

    _use_instead = "one for each process or thread"

    def __init__(
        self,
        endpoint: str,
        participant: str,
        *,
        timeout: float = 5.0,
        context: Context | None = None,
        secret: bytes | str | None = None,
        keys: ClientKeys | None = None,
    ) -> None:
        self._where = f"requests of {participant} at {endpoint}"
        self._endpoint = endpoint
        self._timeout = timeout
        self._request_id = 0
        self._directory: InstrumentDirectory | None = None
        frame = logon_message(participant, secret=secret)
        self._own_context = Context() if context is None else None
        shared = context or self._own_context
        assert shared is not None, "a context is given or made"
        try:
            self._socket = shared.connect_client(endpoint, keys=keys)
            try:
                self.participant = self._log_on(frame)
            except BaseException:
                self._socket.close(0)
                raise
        except BaseException:
            if self._own_context is not None:
                self._own_context.close()
            raise

    def __enter__(self) -> Requests:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection."""
        self._socket.close(0)
        if self._own_context is not None:
            self._own_context.close()

    def orders(self, symbol: str | Integer | None = None, *, session: Integer | None = None) -> list[OpenOrder]:
        """All open orders; with `symbol` of an instrument, with `session` those that the session of this number entered.

        Each order that was open all the while is there once; one that came or ended meanwhile may be there or not.
        """
        fields = {
            "instrument": 0 if symbol is None else self.instruments().number(symbol),
            "target_session": 0 if session is None else integer_of(session, "session", 1, _UINT16_MAX),
        }
        return [self._order(message) for message in self._pages("OrdersRequest", **fields)]

    def order(self, client_order_id: Integer | None = None, *, order_id: Integer | None = None) -> OrderStatus:
        """One order, by its client order id or its order id."""
        if (client_order_id is None) == (order_id is None):
            raise InvalidValueError("order", where="Requests.order", found="both ids, or none", allowed="client_order_id or order_id")
        fields = {
            "client_order_id": 0 if client_order_id is None else integer_of(client_order_id, "client_order_id", 0, _UINT64_MAX),
            "order_id": 0 if order_id is None else integer_of(order_id, "order_id", 1, _UINT64_MAX),
        }
        answer, messages = self._ask("OrderStatusRequest", **fields)
        found = self._order(messages[0]) if messages else None
        return OrderStatus(order=found, reason=Reason(answer["reason"]), engine_sequence=answer["engine_sequence"])

    def instruments(self) -> InstrumentDirectory:
        """The instruments, as they were when this was first called, or a method met one that was not among them."""
        if self._directory is None:
            messages = b"".join(self._pages("InstrumentsRequest"))
            self._directory = InstrumentDirectory.from_definitions(np.frombuffer(messages, COMMAND_MESSAGE))
        return self._directory

    def sessions(self) -> list[SessionStatus]:
        """The participant's sessions that have sent a command."""
        return [
            SessionStatus(
                session=fields["session"],
                session_number=fields["session_number"],
                session_flags=SessionFlags(fields["session_flags"]),
                is_connected=bool(fields["is_connected"]),
                command_sequence=fields["command_sequence"],
                report_sequence=fields["report_sequence"],
            )
            for _, fields in map(decode_message, self._pages("SessionsRequest"))
        ]

    def fills(self, since: Time | None = None) -> list[Report]:
        """The participant's trades since a time (nanoseconds since 1970, or a datetime with a time zone), oldest first.

        None: since the last end of day, or midnight UTC. Raises FillsGone where the venue does not have trades that old.
        """
        since_ns = 0 if since is None else time_ns(since, "since")
        reports = np.frombuffer(b"".join(self._pages("FillsRequest", since_ns=since_ns)), EXECUTION_REPORT_MESSAGE)
        for number in set(reports["instrument"].tolist()):
            self._instrument(number)
        return [report_object(report, self.instruments()) for report in reports]

    # ---- questions and answers ----

    def _log_on(self, frame: bytes) -> int:
        name, answer = decode_message(self._exchange(frame)[0])
        if name != "LogonAnswer":
            raise InvalidValueError("message", where=self._where, found=name, allowed="LogonAnswer")
        check_address(answer, "requests", self._where)
        if answer["reason"] != Reason.NONE:
            raise LogonRefused(f"logon ({explain(answer['reason'])})", where=self._where, found=reason_of(answer["reason"]))
        participant: int = answer["participant"]
        return participant

    def _pages(self, name: str, **fields: int) -> Iterator[bytes]:
        """The messages of all pages."""
        cursor = 0
        while True:
            answer, messages = self._ask(name, cursor=cursor, **fields)
            if answer["reason"] == Reason.REPORTS_GONE:
                raise FillsGone(
                    "fills", where=self._where, found=explain(answer["reason"]), allowed="a time that the journal reaches back to"
                )
            yield from messages
            cursor = answer["next_cursor"]
            if cursor == 0:
                return

    def _ask(self, name: str, **fields: int) -> tuple[dict[str, Any], list[bytes]]:
        """Asks, and again while the venue is busy, until the time is over."""
        deadline = time.monotonic() + self._timeout
        while True:
            self._request_id += 1
            first, *messages = self._exchange(encode_message(name, request_id=self._request_id, **fields))
            kind, answer = decode_message(first)
            if kind != "RequestAnswer" or answer["request_id"] != self._request_id or answer["message_count"] != len(messages):
                raise InvalidValueError("message", where=self._where, found=(kind, answer), allowed=f"the answer to {self._request_id}")
            if answer["reason"] != Reason.BUSY:
                return answer, messages
            if time.monotonic() >= deadline:
                raise TimedOut("answer", where=self._where, found=explain(answer["reason"]), allowed=f"one within {self._timeout} s")
            time.sleep(_BUSY_PAUSE_S)

    def _exchange(self, frame: bytes) -> list[bytes]:
        """Sends one frame and gives the messages of the next that comes."""
        deadline = time.monotonic() + self._timeout
        is_sent = self._socket.send(frame) == SendStatus.SENT
        while (answer := self._socket.receive()) is None:
            self._socket.read_connection()
            if self._socket.is_refused:
                raise not_admitted(self._where)
            if self._socket.is_lost:
                raise SessionLost(
                    "connection", where=self._where, found="closed by the server or the network", allowed="an open connection"
                )
            if not is_sent or time.monotonic() >= deadline:
                found = "none"
                if self._socket.connection_count == 0:
                    why = why_no_connection(self._endpoint, wants="requests", has_failed=self._socket.has_failed)
                    found = f"no connection: {why}"
                raise TimedOut("answer", where=self._where, found=found, allowed=f"one within {self._timeout} s")
            self._socket.wait(deadline - time.monotonic())
        messages: list[bytes] = []
        offset = 0
        while offset < len(answer):
            name, fields = decode_message(answer, offset)
            if name in ("Logout", "FrameReject"):
                raise SessionLost("request", where=self._where, found=explain(fields["reason"]), allowed="an answer")
            end = offset + HEADER_SIZE + TEMPLATES[fields["template_id"]][1]
            messages.append(answer[offset:end])
            offset = end
        if not messages:
            raise InvalidValueError("frame", where=self._where, found="no bytes", allowed="an answer")
        return messages

    # ---- values ----

    def _instrument(self, number: int) -> Instrument:
        if number not in self.instruments().by_number:
            self._directory = None
        return self.instruments().instrument(number)

    def _order(self, message: bytes) -> OpenOrder:
        _, fields = decode_message(message)
        instrument = self._instrument(fields["instrument"])
        order_type, flags = OrderType(fields["order_type"]), OrderFlags(fields["order_flags"])
        has_limit = order_type in (OrderType.LIMIT, OrderType.STOP_LIMIT, OrderType.TRAILING_STOP_LIMIT)
        is_waiting = OrderFlags.WAITING in flags
        is_iceberg = fields["peak_quantity"] > 0
        return OpenOrder(
            order_id=fields["order_id"],
            client_order_id=fields["client_order_id"],
            symbol=instrument.symbol,
            side=Side(fields["side"]),
            order_type=order_type,
            time_in_force=TimeInForce(fields["time_in_force"]),
            price=instrument.price(fields["price"]) if has_limit else None,
            stop_price=instrument.price(fields["stop_price"]) if is_waiting else None,
            leaves_quantity=instrument.quantity(fields["leaves_quantity"]),
            cumulative_quantity=instrument.quantity(fields["cumulative_quantity"]),
            displayed_quantity=instrument.quantity(fields["displayed_quantity"]),
            peak_quantity=instrument.quantity(fields["peak_quantity"]) if is_iceberg else None,
            reserve_quantity=instrument.quantity(fields["reserve_quantity"]) if is_iceberg else None,
            minimum_quantity=instrument.quantity(fields["minimum_quantity"]) if fields["minimum_quantity"] else None,
            trail_amount=instrument.price(fields["trail_amount"]) if fields["trail_amount"] else None,
            trail_basis_points=fields["trail_basis_points"] or None,
            budget=fields["budget"] or None,
            collar_ticks=fields["collar_ticks"] or None,
            deadline_ns=fields["deadline_ns"] or None,
            account=fields["account"],
            session=fields["session"],
            is_waiting=is_waiting,
            is_hidden=OrderFlags.HIDDEN in flags,
            is_post_only=OrderFlags.POST_ONLY in flags,
            self_trade_prevention=SelfTradePrevention(fields["self_trade_prevention"]),
            self_trade_scope=SelfTradeScope(fields["self_trade_scope"]),
            self_trade_group=fields["self_trade_group"] or None,
            attributes=Attributes.of(fields[name] for name in ATTRIBUTES),
        )
