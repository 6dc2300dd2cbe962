"""Order entry: one session with a server, from logon to logout.

A frame that was sent stays here until its commands are answered, because the server may find its ring full and refuse the end of a frame
(BUSY): that end is sent again, with the same session sequences. A refusal names the session sequence where it starts, and so its frame.

Answers come in the order of the commands, but for orders refused before they were sequenced. So what is answered is counted; those few are
taken out of the count by their client order ids.
"""

from __future__ import annotations

import struct
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from decimal import Decimal
from itertools import islice
from types import TracebackType
from typing import Final, Unpack

import numpy as np
import numpy.typing as npt

from ome.attributes import AttributeOptions
from ome.client.directory import InstrumentDirectory
from ome.client.errors import FrameRejected, LogonRefused, ReportGap, SessionLost, TimedOut, explain
from ome.client.reports import REPORT_TEMPLATE, Inbox, Report, Reports, UnreadReports, answer_count, early_rejections, report_object
from ome.codec.layouts import (
    COMMAND,
    COMMAND_MESSAGE,
    EXECUTION_REPORT_MESSAGE,
    FRAME_REJECT_MESSAGE,
    HEADER_SIZE,
    LOGON_ANSWER_MESSAGE,
    LOGOUT_MESSAGE,
    SCHEMA_ID,
    SCHEMA_VERSION,
    TEMPLATES,
)
from ome.codec.records import encode_commands
from ome.codec.requests import (
    OrderOptions,
    amend_order,
    cancel_order,
    heartbeat_message,
    logon_message,
    logout_message,
    mass_cancel,
    new_order,
    reduce_order,
)
from ome.codec.wire import numbered_messages, template_id
from ome.codec.words import SelfTradeName, SelfTradeScopeName, SideName, Time, TimeInForceName
from ome.enums import DESCRIPTIONS, CommandKind, Policy, Reason, SelfTradePrevention, SelfTradeScope, Side, TimeInForce
from ome.errors import InvalidTypeError, InvalidValueError, NotCopyable, OmeError
from ome.messages import Command
from ome.transport import Context, SendStatus, why_no_connection
from ome.units import Integer, Number, integer_of, units_of

__all__ = ["Logon", "Order", "OrderEntry"]

_LOGON_ANSWER: Final = template_id("LogonAnswer")
_LOGOUT: Final = template_id("Logout")
_FRAME_REJECT: Final = template_id("FrameReject")
_HEARTBEAT: Final = template_id("Heartbeat")
_ORDER_TERMS: Final = int(CommandKind.ORDER_TERMS)
_HEADER: Final = struct.Struct("<4H")
_DRAIN_FRAMES: Final = 256  # received in a row before the caller gets its turn
_SEND_FRAMES: Final = 16  # sent in a row before looking for what came: a server ends a session that does not read
_BUSY_WAIT_MIN: Final = 0.001  # seconds before the refused end of a frame is sent again; doubles to the maximum
_BUSY_WAIT_MAX: Final = 0.05
_ASK_AFTER: Final = 1.0  # seconds of silence before the server is asked for a sign of life
_LOOK_EVERY: Final = 0.25  # seconds of waiting at most before the session is looked after
_UNREAD_MANY_BYTES: Final = 1 << 20
_ERRORS_KEPT: Final = 1_000
_HEARTBEAT_MIN: Final = 0.1  # seconds
_HEARTBEAT_MAX: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Logon:
    """What the server said at logon: LogonAnswer, field by field."""

    epoch: int
    server_time_ns: int
    engine_sequence: int
    report_sequence: int
    frame_message_count_max: int
    participant: int
    session: int
    policy: Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An order as it was entered. `price` is None for a market order."""

    client_order_id: int
    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal | None
    time_in_force: TimeInForce
    account: int


@dataclass(slots=True)
class _Sent:
    """Messages that were sent in one frame: a run of an array whose rows are messages."""

    messages: npt.NDArray[np.void]
    first_sequence: int
    sent_count_end: int
    """Commands sent up to the end of this frame, without those that were answered early."""
    early: set[int] = field(default_factory=set)
    """Client order ids of its new orders whose answers overtook those of others."""

    @property
    def command_count(self) -> int:
        """Terms belong to the command before them."""
        return int(np.count_nonzero(self.messages["template_id"] != _ORDER_TERMS))

    def has_new_order(self, client_order_id: int) -> bool:
        """Whether a NewOrder with this id is in the frame, and was not answered early."""
        found = (self.messages["client_order_id"] == client_order_id) & (self.messages["template_id"] == CommandKind.NEW_ORDER)
        return client_order_id not in self.early and bool(found.any())

    def client_order_ids(self) -> list[int]:
        """Those of its commands, without those that were answered early."""
        commands = self.messages[self.messages["template_id"] != _ORDER_TERMS]
        ids = commands["client_order_id"].tolist()
        if not self.early:
            return list(ids)
        return [
            client_order_id
            for client_order_id, template in zip(ids, commands["template_id"].tolist(), strict=True)
            if template != CommandKind.NEW_ORDER or client_order_id not in self.early
        ]


class OrderEntry(NotCopyable):
    """A session with a server; made, it is logged on. Use it in a `with` statement: leaving it logs out and waits for the server's answer.

    - `buy`, `sell`, `cancel`, `reduce`, `amend`, `mass_cancel` send one command each.
    - `reports` and `wait_for` give what the server says about orders, as objects.
    - `send` and `receive` do the same with arrays, without work per order in Python. A report is given once, as a row or as an object.
    - `instruments`, `logon`, `policy` are what the server said; `pending` counts the commands without an answer, `unanswered` gives their
      client order ids, `report_sequence` is the last report that was received.

    `session_number` tells a participant's sessions apart; a second logon with the same one takes the session over. `timeout` is how many
    seconds to wait for an answer to logon and logout, for room in the queue to the server, and while the server is busy. Sessions may share
    a `context`; without one, each has its own.

    A session does something only while one of its methods runs:

    - When a method has heard nothing for a second, it asks the server for a sign of life. It raises SessionLost after `liveness` seconds
      without any. Time between calls does not count.
    - With `heartbeat` (0.1 to 60 seconds), the server ends a session from which it has heard nothing for three times that long. Every
      method sends a sign of life when one is due, and while it waits; a program that calls none for so long loses its session. Without
      `heartbeat` the server does not watch the session.
    - A server does not wait for a client that does not read: it ends the session with SLOW_CONSUMER.
    - At most `reports_kept` reports wait here to be read (100 to 400 bytes each). The oldest go first, and `reports_dropped` counts them.
      Of errors that no method has raised yet, 1,000 are kept, and `errors_dropped` counts the others.

    Every method may raise SessionLost, those that send before anything is sent. Sending and receiving also raise FrameRejected,
    InvalidValueError for bytes that are not the protocol's, and TimedOut where the server stays busy. The constructor raises LogonRefused,
    TimedOut, EndpointError and InvalidValueError. One thread uses a session.
    """

    _use_instead = "a session of its own for each process or thread: another `session_number`"

    def __init__(
        self,
        endpoint: str,
        participant: str,
        session_number: int = 0,
        timeout: float = 5.0,
        *,
        context: Context | None = None,
        liveness: float = 5.0,
        heartbeat: float | None = None,
        reports_kept: int = 1_000_000,
    ) -> None:
        self._where = f"session {session_number} of {participant} at {endpoint}"
        self._endpoint = endpoint
        self._timeout = timeout
        if not liveness > 0:
            raise InvalidValueError("liveness", found=liveness, allowed="a number of seconds above 0")
        if heartbeat is not None and not _HEARTBEAT_MIN <= heartbeat <= _HEARTBEAT_MAX:
            raise InvalidValueError("heartbeat", found=heartbeat, allowed=f"{_HEARTBEAT_MIN} to {_HEARTBEAT_MAX} s, or None")
        if reports_kept < 1:
            raise InvalidValueError("reports_kept", found=reports_kept, allowed="1 or more")
        frame = logon_message(participant, session_number, heartbeat)
        self._liveness = liveness
        self._heartbeat = heartbeat
        self._look_every = min(_LOOK_EVERY, liveness / 4, _LOOK_EVERY if heartbeat is None else heartbeat / 2)
        self._looked_at = self._said_at = time.monotonic()
        self._silence = 0.0  # seconds in which methods ran and heard nothing
        self._is_asked = False  # for a sign of life
        self._heartbeat_count = 0
        self._reports_kept = reports_kept
        self.reports_dropped = 0
        """Reports that nobody read in time."""
        self.errors_dropped = 0
        """Errors that no method raised in time."""
        self._own_context = Context() if context is None else None
        shared = context or self._own_context
        assert shared is not None, "a context is given or made"
        self._inbox = Inbox(self._where)
        self._objects = UnreadReports()
        self._failures: deque[OmeError] = deque()  # not yet raised; each is raised once
        self._lost: SessionLost | None = None  # raised for ever
        self._is_loss_raised = False
        self._is_closed = False
        self._sent: deque[_Sent] = deque()
        self._refused: list[_Sent] = []  # to be sent again, in the order of their sequences
        self._resend_at = 0.0
        self._busy_wait = _BUSY_WAIT_MIN
        self._progress_at = 0.0
        self._next_sequence = 1
        self._sent_count = 0  # commands whose answers come in their turn, without those refused
        self._answered_count = 0  # of them
        try:
            self._socket = shared.connect_client(endpoint)
            try:
                self.logon, self.instruments = self._log_on(frame)
            except BaseException:
                self._socket.close(0)
                raise
        except BaseException:
            if self._own_context is not None:
                self._own_context.close()
            raise
        self.report_sequence = self.logon.report_sequence
        # Unique among the participant's live orders, whatever its other sessions do and however often this one comes back.
        self._next_client_order_id = self.logon.session << 48 | (self.logon.server_time_ns // 1000 & (1 << 48) - 1)

    def __enter__(self) -> OrderEntry:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        try:
            self.close()
        except OmeError:
            if kind is None:
                raise

    def __repr__(self) -> str:
        state = "lost" if self._lost is not None else f"{self.pending} pending"
        return f"<OrderEntry: {self._where}, {self.policy.name.lower()}, {len(self.instruments)} instruments, {state}>"

    @property
    def policy(self) -> Policy:
        """How durable a command is before it is reported."""
        return self.logon.policy

    @property
    def pending(self) -> int:
        """Commands sent that no report received so far answers. Exact while a participant's sessions leave each other's orders alone."""
        return self._sent_count - self._answered_count + sum(part.command_count for part in self._refused)

    @property
    def unanswered(self) -> tuple[int, ...]:
        """Client order ids of the commands that no report received so far answers, oldest first; exact as `pending` is."""
        ids = [client_order_id for part in self._sent for client_order_id in part.client_order_ids()]
        answered = len(ids) - (self._sent_count - self._answered_count)
        refused = [client_order_id for part in self._refused for client_order_id in part.client_order_ids()]
        return tuple(ids[max(0, answered) :] + refused)

    def buy(
        self,
        symbol: str | Integer,
        quantity: Number,
        at: Number | None = None,
        *,
        tif: TimeInForceName | TimeInForce | None = None,
        expires: Time | None = None,
        post_only: bool = False,
        hidden: bool = False,
        display: Number | None = None,
        minimum: Number | None = None,
        budget: Number | None = None,
        collar_ticks: Integer | None = None,
        stop: Number | None = None,
        trail: Number | None = None,
        trail_percent: Number | None = None,
        limit_offset: Number | None = None,
        self_trade: SelfTradeName | SelfTradePrevention | None = None,
        self_trade_scope: SelfTradeScopeName | SelfTradeScope | None = None,
        self_trade_group: Integer | None = None,
        account: Integer = 0,
        client_order_id: Integer | None = None,
        **attributes: Unpack[AttributeOptions],
    ) -> Order:
        """Sends an order to buy `quantity` at the limit `at`, or at any price (a market order) where that is None.

        `symbol` may be an instrument number. Numbers are Decimal, str, int or integers of numpy.

        How long it lives:
        - `tif`: "gtc" (until cancelled; the default), "day", "gtd" (until `expires`; the default with it), "ioc" (what does not trade at
          once is cancelled), "fok" (all of it at once, or nothing).
        - `expires`: deadline of a "gtd" order, nanoseconds since 1970 or a datetime with a time zone.

        What it does in the book:
        - `post_only`: never takes. `hidden`: not displayed. `display`: an iceberg, which displays so much at a time.
        - `minimum`: so much trades at once, or the order is cancelled whole.
        - `budget`: of a "fok", the highest cost of a buy or the lowest proceeds of a sell, price times quantity.
        - `collar_ticks`: how far from the best opposite price an order without limit may trade, in ticks.

        When it enters the market:
        - `stop`: when the last trade is at this price or past it. Then it is a market order, or with a limit a limit order.
        - `trail`, `trail_percent`: a stop that follows the last trade at this distance, a price or a percentage ("0.01" to "100"). `stop`
          says where it starts, `limit_offset` (a signed price) how far from its stop price its limit will be.

        What happens where it would trade with its own:
        - `self_trade`: "none", "cancel_newest", "cancel_oldest", "cancel_both" or "decrement".
        - `self_trade_scope`: what its own is: "account" (the default), "participant", or "group" (the default with `self_trade_group`, 1 to
          2^32 - 1).

        What the venue must know about it: order attributes such as `capacity` ("agency", "principal", "riskless_principal"), those of
        `ome.attributes.AttributeOptions`. The market keeps and reports them, and does not use them.

        Who it is: `account` is a number; `client_order_id` is made where none is given.

        Raises InvalidTypeError for a float or a bool, InvalidValueError where a value is not allowed.
        """
        options = OrderOptions(
            tif=tif,
            expires=expires,
            post_only=post_only,
            hidden=hidden,
            display=display,
            minimum=minimum,
            budget=budget,
            collar_ticks=collar_ticks,
            stop=stop,
            trail=trail,
            trail_percent=trail_percent,
            limit_offset=limit_offset,
            self_trade=self_trade,
            self_trade_scope=self_trade_scope,
            self_trade_group=self_trade_group,
            **attributes,
        )
        return self._enter(Side.BUY, symbol, quantity, at, options, account, client_order_id)

    def sell(
        self,
        symbol: str | Integer,
        quantity: Number,
        at: Number | None = None,
        *,
        tif: TimeInForceName | TimeInForce | None = None,
        expires: Time | None = None,
        post_only: bool = False,
        hidden: bool = False,
        display: Number | None = None,
        minimum: Number | None = None,
        budget: Number | None = None,
        collar_ticks: Integer | None = None,
        stop: Number | None = None,
        trail: Number | None = None,
        trail_percent: Number | None = None,
        limit_offset: Number | None = None,
        self_trade: SelfTradeName | SelfTradePrevention | None = None,
        self_trade_scope: SelfTradeScopeName | SelfTradeScope | None = None,
        self_trade_group: Integer | None = None,
        account: Integer = 0,
        client_order_id: Integer | None = None,
        **attributes: Unpack[AttributeOptions],
    ) -> Order:
        """Sends an order to sell; else as `buy`."""
        options = OrderOptions(
            tif=tif,
            expires=expires,
            post_only=post_only,
            hidden=hidden,
            display=display,
            minimum=minimum,
            budget=budget,
            collar_ticks=collar_ticks,
            stop=stop,
            trail=trail,
            trail_percent=trail_percent,
            limit_offset=limit_offset,
            self_trade=self_trade,
            self_trade_scope=self_trade_scope,
            self_trade_group=self_trade_group,
            **attributes,
        )
        return self._enter(Side.SELL, symbol, quantity, at, options, account, client_order_id)

    def cancel(self, order: Order) -> None:
        """Asks to cancel what is left of an order, one that `buy`, `sell` or `amend` returned; so do `reduce` and `amend`.

        Raises InvalidTypeError for anything else.
        """
        self._send_one(cancel_order(_order(order).client_order_id, instrument=self.instruments.number(order.symbol)))

    def reduce(self, order: Order, quantity: Number) -> None:
        """Asks to take `quantity` off an order, which keeps its place in the queue."""
        lots = self.instruments[_order(order).symbol].lots(quantity)
        self._send_one(reduce_order(order.client_order_id, lots, instrument=self.instruments.number(order.symbol)))

    def amend(
        self,
        order: Order,
        at: Number | None = None,
        quantity: Number | None = None,
        open_quantity: Number | None = None,
        *,
        stop: Number | None = None,
        limit_offset: Number | None = None,
        client_order_id: Integer | None = None,
    ) -> Order:
        """Asks for a new price, and for a new total `quantity` (with what has traded) or a new `open_quantity`. None leaves it as it is.

        While it waits, a stop takes a new price `stop`, and a trailing stop with a limit a new `limit_offset`. `client_order_id` is the id
        that the order has from then on (cancel-replace): the order that is returned has it.
        Raises InvalidValueError where two exclude each other, else as `buy`.
        """
        if quantity is not None and open_quantity is not None:
            raise InvalidValueError("quantity and open_quantity", where="amend", found=(quantity, open_quantity), allowed="one of them")
        if at is not None and limit_offset is not None:
            raise InvalidValueError("at and limit_offset", where="amend", found=(at, limit_offset), allowed="one of them")
        instrument = self.instruments[_order(order).symbol]
        wanted = quantity if open_quantity is None else open_quantity
        price = None if at is None else instrument.price_units(at)
        if limit_offset is not None:
            price = units_of(limit_offset, instrument.price_decimals, "limit_offset")
        self._send_one(
            amend_order(
                order.client_order_id,
                price=price,
                lots=None if wanted is None else instrument.lots(wanted),
                is_open_quantity=open_quantity is not None,
                stop_price=None if stop is None else instrument.price_units(stop),
                new_client_order_id=client_order_id,
                instrument=self.instruments.number(order.symbol),
            )
        )
        return order if client_order_id is None else replace(order, client_order_id=int(client_order_id))

    def mass_cancel(
        self,
        symbol: str | Integer | None = None,
        side: SideName | Side | None = None,
        *,
        account: Integer | None = None,
        session: Integer | None = None,
    ) -> None:
        """Asks to cancel all orders of the participant, waiting ones included: those of an instrument, a side, an account where given.

        `session` means those that came by that one of its sessions, by the number in its `logon`. Each order is reported to its session,
        and at the end COMPLETED with their number.
        """
        number = 0 if symbol is None else self.instruments.number(symbol)
        self._send_one(mass_cancel(instrument=number, side=side, account=account, session=session))

    def reports(self, timeout: float = 1.0) -> Iterator[Report]:
        """Reports in the order of the engine, each once; ends when none has come for `timeout` seconds.

        Raises ReportGap where some are missing.
        """
        while len(self._objects) or self._receive_unread(timeout):
            row = self._objects.take()
            if row is not None:
                yield report_object(row, self.instruments)

    def wait_for(self, order: Order | Integer, timeout: float | None = None) -> Report:
        """The next report about an order, given itself or by its client order id; reports of other orders stay for `reports`.

        Raises TimedOut when none comes within `timeout` seconds (by default the session's), ReportGap where reports are missing.
        """
        wanted = order.client_order_id if isinstance(order, Order) else integer_of(order, "client_order_id")
        seconds = self._timeout if timeout is None else timeout
        deadline = time.monotonic() + seconds
        while (row := self._objects.take_about(wanted)) is None:
            if not self._receive_unread(max(0.0, deadline - time.monotonic())):
                found = f"none; {self.reports_dropped} reports were dropped unread" if self.reports_dropped else "none"
                raise TimedOut(f"report about client order id {wanted}", where=self._where, found=found, allowed=f"one within {seconds} s")
        return report_object(row, self.instruments)

    def send(self, commands: npt.NDArray[np.void], messages_per_frame: int | None = None) -> None:
        """Sends commands (dtype COMMAND or COMMAND_MESSAGE), as many in a frame as the server allows or as `messages_per_frame` says.

        The template is the header's, or the kind of a COMMAND. What the server writes, and the session sequence, need not be filled. The
        messages of a command stay in one frame. Returns when all is in the queue to the server; reports that come meanwhile are kept.
        Raises TimedOut when that queue stays full, InvalidTypeError for another array, InvalidValueError where a command has more messages
        than a frame.
        """
        most = self.logon.frame_message_count_max
        count = most if messages_per_frame is None else messages_per_frame
        if not 1 <= count <= most:
            raise InvalidValueError("messages_per_frame", found=count, allowed=f"1 to {most}")
        messages = self._pack(commands)
        self._look()
        self._raise_failure()
        if self.pending == 0:
            self._progress_at = time.monotonic()
        for index, part in enumerate(_cut(messages, count)):
            if index and index % _SEND_FRAMES == 0:
                self._look()
                self._raise_failure()
            while self._refused:  # what comes later must not overtake it
                self._wait_a_little(time.monotonic() + self._timeout)
                self._raise_failure()
            self._send_part(_Sent(part, self._next_sequence, 0))
            self._next_sequence += len(part)

    def receive(self, timeout: float = 0.0) -> Reports:
        """The reports that have come (dtype EXECUTION_REPORT_MESSAGE, read-only), in the order of the engine.

        Waits up to `timeout` seconds for the first. Raises ReportGap where some are missing; the next call gives those after the gap.
        """
        deadline = time.monotonic() + timeout
        while True:
            self._look()
            if len(self._inbox):
                return self._take_reports()
            self._raise_failure()
            if time.monotonic() >= deadline:
                return np.empty(0, dtype=EXECUTION_REPORT_MESSAGE)
            self._wait_a_little(deadline)

    def close(self) -> None:
        """Waits until all commands are answered, logs out, waits for the server's answer and closes. Closing twice does nothing.

        Reports that came before the answer can still be read. Raises TimedOut when no answer comes, FrameRejected where one is left, and
        SessionLost, with their ids, where commands are unanswered and no method has said so.
        """
        if self._is_closed:
            return
        self._is_closed = True
        try:
            self._log_out()
        finally:
            lost = None if self._is_loss_raised else self._lost
            self._lost = self._lost or self._ended(Reason.NONE)
            self._socket.close(0)  # all was answered, or nothing will be
            if self._own_context is not None:
                self._own_context.close()
        if self._failures:
            raise self._failures.popleft()
        if lost is not None and lost.unanswered:
            raise lost

    def _log_on(self, frame: bytes) -> tuple[Logon, InstrumentDirectory]:
        deadline = time.monotonic() + self._timeout
        self._socket.send(frame)
        while (answer := self._socket.receive()) is None:
            self._socket.read_connection()
            if self._socket.is_lost:
                raise SessionLost("connection", where=self._where, found="closed before the logon was answered", allowed="a LogonAnswer")
            if time.monotonic() >= deadline:
                is_connected = self._socket.connection_count > 0
                found = "no answer" if is_connected else f"no connection: {why_no_connection(self._endpoint)}"
                raise TimedOut("answer to the logon", where=self._where, found=found, allowed=f"one within {self._timeout} s")
            self._socket.wait(deadline - time.monotonic())
        return self._read_logon_answer(answer)

    def _read_logon_answer(self, frame: bytes) -> tuple[Logon, InstrumentDirectory]:
        template = _template_of(frame, self._where)
        if template == _FRAME_REJECT:
            raise self._rejection(np.frombuffer(frame, FRAME_REJECT_MESSAGE)[0])
        if template == _LOGOUT:
            raise self._ended(int(np.frombuffer(frame, LOGOUT_MESSAGE)[0]["reason"]))
        if template != _LOGON_ANSWER:
            raise InvalidValueError("template", where=self._where, found=template, allowed="LogonAnswer, FrameReject or Logout")
        answer = np.frombuffer(frame, LOGON_ANSWER_MESSAGE, count=1)[0]
        if answer["reason"] != Reason.NONE:
            raise LogonRefused(f"logon ({explain(answer['reason'])})", where=self._where, found=_reason(answer["reason"]))
        definitions = np.frombuffer(bytearray(frame[LOGON_ANSWER_MESSAGE.itemsize :]), COMMAND_MESSAGE)
        if len(definitions) != int(answer["instrument_count"]):
            raise InvalidValueError("instruments", where=self._where, found=len(definitions), allowed=str(int(answer["instrument_count"])))
        logon = Logon(
            epoch=int(answer["epoch"]),
            server_time_ns=int(answer["server_time_ns"]),
            engine_sequence=int(answer["engine_sequence"]),
            report_sequence=int(answer["report_sequence"]),
            frame_message_count_max=int(answer["frame_message_count_max"]),
            participant=int(answer["participant"]),
            session=int(answer["session"]),
            policy=Policy(int(answer["policy"])),
        )
        return logon, InstrumentDirectory.from_definitions(definitions)

    def _log_out(self) -> None:
        """Waits for the answers to what was sent, which may still be refused or be reported, then says goodbye."""
        self._notice_loss()
        deadline = time.monotonic() + self._timeout
        while self._lost is None and self.pending > 0 and time.monotonic() < deadline:
            self._wait_a_little(deadline)
        deadline = time.monotonic() + self._timeout
        logout = logout_message()
        is_sent = False
        while self._lost is None:
            is_sent = is_sent or self._socket.send(logout) == SendStatus.SENT
            if time.monotonic() >= deadline:
                raise TimedOut("answer to the logout", where=self._where, found="none", allowed=f"one within {self._timeout} s")
            self._wait_a_little(deadline, to_send=not is_sent)

    def _enter(
        self,
        side: Side,
        symbol: str | Integer,
        quantity: Number,
        at: Number | None,
        options: OrderOptions,
        account: Integer,
        client_order_id: Integer | None,
    ) -> Order:
        number = self.instruments.number(symbol)
        instrument = self.instruments.by_number[number]
        instrument.lots(quantity)
        if at is not None:
            instrument.price_units(at)
        if client_order_id is None:
            client_order_id = self._next_client_order_id
            self._next_client_order_id += 1
        command = new_order(
            instrument,
            side,
            quantity,
            at,
            options,
            instrument=number,
            account=account,
            client_order_id=client_order_id,
        )
        self._send_one(command)
        return Order(
            client_order_id=command.client_order_id,
            symbol=instrument.symbol,
            side=side,
            quantity=instrument.quantity(command.quantity),
            price=None if at is None else instrument.price(command.price),
            time_in_force=TimeInForce(command.time_in_force),
            account=command.account,
        )

    def _send_one(self, command: Command) -> None:
        self.send(encode_commands([command]))

    def _pack(self, commands: npt.NDArray[np.void]) -> npt.NDArray[np.void]:
        """The commands as messages, numbered."""
        if not isinstance(commands, np.ndarray) or commands.ndim != 1 or commands.dtype not in (COMMAND, COMMAND_MESSAGE):
            found = commands.dtype if isinstance(commands, np.ndarray) else type(commands).__name__
            raise InvalidTypeError("commands", found=found, allowed="a one-dimensional array of dtype COMMAND or COMMAND_MESSAGE")
        return numbered_messages(commands, self._next_sequence)

    def _send_part(self, part: _Sent) -> None:
        """Sends one frame. Raises TimedOut where there is no room in time."""
        deadline = time.monotonic() + self._timeout
        while not self._try_send(part):
            self._raise_failure()
            if time.monotonic() >= deadline:
                raise TimedOut("room in the queue to the server", where=self._where, found="none", allowed=f"some within {self._timeout} s")
            self._wait_a_little(deadline, to_send=True)
            self._raise_failure()

    def _try_send(self, part: _Sent) -> bool:
        """Hands one frame to the socket, if that is connected and has room."""
        self._notice_loss()
        if self._lost is not None or self._socket.send(part.messages.view("u1").data) != SendStatus.SENT:
            return False
        self._said_at = time.monotonic()
        self._sent_count += part.command_count
        part.sent_count_end = self._sent_count
        self._sent.append(part)
        return True

    def _wait_a_little(self, deadline: float, to_send: bool = False) -> None:
        """Sleeps until something happens, `deadline` at most, and does what it takes."""
        now = time.monotonic()
        until = min(deadline, now + self._look_every, self._resend_at if self._may_send_again() else deadline)
        self._socket.wait(max(0.0, until - now), to_send=to_send)
        self._look()

    def _look(self) -> None:
        """Takes what has come, notices a lost connection, keeps the session alive, and sends again what was refused and is due."""
        self._notice_loss()
        if self._lost is not None:
            return
        is_heard = False
        for _ in range(_DRAIN_FRAMES):
            frame = self._socket.receive()
            if frame is None:
                break
            is_heard = True
            self._read_frame(frame)
            if self._lost is not None:
                return
        self._keep_alive(is_heard)
        if self._lost is None and self._may_send_again() and time.monotonic() >= self._resend_at:
            while self._refused and self._try_send(self._refused[0]):
                del self._refused[0]

    def _may_send_again(self) -> bool:
        """Whether something was refused, and all that was sent behind it too. Until then a new frame could overtake one of these."""
        if not self._refused:
            return False
        return not self._sent or (self._sent[-1].first_sequence - self._refused[0].first_sequence) % 2**32 >= 2**31

    def _notice_loss(self) -> None:
        if self._lost is not None:
            return
        if self._socket.is_closed:
            self._lose("connection", "closed with its context", "an open connection")
            return
        self._socket.read_connection()
        if not self._socket.is_lost:
            return
        unread_bytes = 0
        while self._lost is None and (frame := self._socket.receive()) is not None:  # came before the loss was noticed
            self._read_frame(frame)
            unread_bytes += len(frame)
        found = "closed by the server or the network"
        if unread_bytes >= _UNREAD_MANY_BYTES:  # the server's Logout stood behind more of them, and did not arrive
            found += f", with {unread_bytes:,} bytes unread: a server ends a session that does not read (SLOW_CONSUMER)"
        self._lose("connection", found, "an open connection")

    def _keep_alive(self, is_heard: bool) -> None:
        """Says something where that is due, asks where nothing was heard for long, and gives the session up where that does not help."""
        now = time.monotonic()
        if is_heard:
            self._silence, self._is_asked = 0.0, False
        else:  # what the program did between two looks, or that it was stopped, is no silence
            self._silence += min(now - self._looked_at, self._look_every)
        self._looked_at = now
        if self._silence >= self._liveness:
            self._lose("session", f"nothing heard for {self._liveness} s", "a sign of life of the server")
            return
        is_asking = not self._is_asked and self._silence >= min(_ASK_AFTER, self._liveness / 2)
        if is_asking or (self._heartbeat is not None and now - self._said_at >= self._heartbeat / 2):
            self._is_asked = self._say_heartbeat(now) or self._is_asked

    def _say_heartbeat(self, now: float) -> bool:
        """Whether there was room for it."""
        if self._socket.send(heartbeat_message(self._heartbeat_count + 1)) != SendStatus.SENT:
            return False
        self._heartbeat_count += 1
        self._said_at = now
        return True

    def _lose(self, what: str, found: str, allowed: str, reason: Reason = Reason.NONE) -> None:
        """Ends the session here, if it has not ended. What was received stays."""
        if self._lost is not None:
            return
        unanswered = self.unanswered
        if unanswered:
            found = f"{found}; {len(unanswered)} commands are unanswered"
        self._lost = SessionLost(what, where=self._where, found=found, allowed=allowed)
        self._lost.reason, self._lost.unanswered = reason, unanswered
        self._socket.close(0)  # libzmq would connect again, and send what it still holds to a server that does not know the session

    def _read_frame(self, frame: bytes) -> None:
        template = _template_of(frame, self._where)
        if template == REPORT_TEMPLATE:
            self._count_answers(self._inbox.add(frame))
            self._drop_oldest()
        elif template == _FRAME_REJECT:
            self._read_rejection(np.frombuffer(frame, FRAME_REJECT_MESSAGE)[0])
        elif template == _LOGOUT:
            self._read_logout(int(np.frombuffer(frame, LOGOUT_MESSAGE)[0]["reason"]))
        elif template != _HEARTBEAT:
            allowed = "ExecutionReport, FrameReject, Heartbeat or Logout"
            raise InvalidValueError("template", where=self._where, found=template, allowed=allowed)

    def _read_logout(self, reason: int) -> None:
        end = self._ended(reason)
        self._lose(end.what, str(end.found), end.allowed, end.reason)

    def _count_answers(self, reports: Reports) -> None:
        """Counts the commands that reports answer, and forgets the frames of commands that are answered whole."""
        early = early_rejections(reports)
        self._answered_count += answer_count(reports) - len(early)
        for client_order_id in early:
            self._count_early(client_order_id)
        while self._sent and self._sent[0].sent_count_end <= self._answered_count:
            self._sent.popleft()
        self._note_progress(time.monotonic())

    def _count_early(self, client_order_id: int) -> None:
        """Takes a new order that was refused out of its turn out of the count."""
        for position in range(len(self._sent) - 1, -1, -1):
            if self._sent[position].has_new_order(client_order_id):
                self._sent[position].early.add(client_order_id)
                self._uncount(position, 1)
                return
        self._answered_count += 1

    def _uncount(self, position: int, count: int) -> None:
        """Of the frame at this position of what was sent, so many commands are no longer waited for in their turn."""
        for part in islice(self._sent, position, None):
            part.sent_count_end -= count
        self._sent_count -= count

    def _drop_oldest(self) -> None:
        """Drops the oldest reports where more are kept than may be."""
        while len(self._objects) and len(self._objects) + len(self._inbox) > self._reports_kept:
            self._objects.take()
            self.reports_dropped += 1
        if len(self._inbox) > self._reports_kept:
            sequences = self._inbox.drop(len(self._inbox) - self._reports_kept)["report_sequence"]
            self.reports_dropped += len(sequences)
            expected, wrong = self._unexpected(sequences)
            self.report_sequence = int(sequences[-1])
            if len(wrong):
                self._fail(ReportGap(where=self._where, expected=int(expected[wrong[0]]), found=int(sequences[wrong[0]])))

    def _unexpected(self, sequences: npt.NDArray[np.uint64]) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.intp]]:
        """The sequences that reports should have, and where those that they have are others."""
        expected = np.arange(self.report_sequence + 1, self.report_sequence + 1 + len(sequences), dtype=np.uint64)
        return expected, np.flatnonzero(sequences != expected)

    def _read_rejection(self, reject: np.void) -> None:
        if reject["reason"] == Reason.BUSY and self._take_back(reject):
            return
        if reject["reason"] == Reason.UNKNOWN_TEMPLATE and reject["found"] == _HEARTBEAT:
            return  # a server of before there were heartbeats: it is alive
        # Refused whole, and for good: it is the first frame of that size that has not been answered.
        count = int(reject["rejected_count"])
        position = next((position for position, part in enumerate(self._sent) if len(part.messages) == count), None)
        if position is None:
            self._answered_count += count
        else:
            self._uncount(position, self._sent[position].command_count)
            del self._sent[position]
        self._fail(self._rejection(reject))

    def _take_back(self, reject: np.void) -> bool:
        """Keeps the end of a frame that a busy server did not take, to send it again. False where the refusal names no frame."""
        if bytes(reject["field"]) != b"session_sequence":
            return False
        first_sequence, count = int(reject["found"]), int(reject["rejected_count"])
        for position in range(len(self._sent) - 1, -1, -1):
            part = self._sent[position]
            index = (first_sequence - part.first_sequence) % 2**32
            if index + count == len(part.messages):
                break
        else:
            return False
        refused = _Sent(part.messages[index:], part.first_sequence + index, 0)
        self._uncount(position, refused.command_count)
        part.messages = part.messages[:index]
        if index == 0:
            del self._sent[position]
        self._refused.append(refused)
        self._refused.sort(key=lambda waiting: waiting.first_sequence)
        self._pause_sending(has_progress=bool(reject["accepted_count"] > 0))
        return True

    def _pause_sending(self, *, has_progress: bool) -> None:
        """Sets when to send again; complains where the server has been busy for too long."""
        now = time.monotonic()
        if has_progress:
            self._note_progress(now)
        elif now - self._progress_at > self._timeout:
            found = f"{sum(part.command_count for part in self._refused)} commands refused"
            self._fail(TimedOut("server is busy", where=self._where, found=found, allowed=f"room within {self._timeout} s"))
        self._resend_at = now + self._busy_wait
        self._busy_wait = min(_BUSY_WAIT_MAX, 2 * self._busy_wait)

    def _note_progress(self, now: float) -> None:
        self._progress_at = now
        self._busy_wait = _BUSY_WAIT_MIN

    def _take_reports(self) -> Reports:
        """The reports in the inbox, counted and checked for gaps."""
        reports = self._inbox.take()
        sequences = reports["report_sequence"]
        expected, wrong = self._unexpected(sequences)
        if len(wrong):
            first = int(wrong[0])
            self._inbox.put_back(reports[first:])  # for the next call
            if first == 0:
                self.report_sequence = int(sequences[0]) - 1
                raise ReportGap(where=self._where, expected=int(expected[0]), found=int(sequences[0]))
            reports, sequences = reports[:first], sequences[:first]
        self.report_sequence = int(sequences[-1])
        return reports

    def _receive_unread(self, timeout: float) -> bool:
        """Whether reports came within `timeout` seconds; they are then among those that wait to be read."""
        found = self.receive(timeout)
        self._objects.add(found)
        return len(found) > 0

    def _fail(self, error: OmeError) -> None:
        """Keeps an error until a method raises it."""
        if len(self._failures) == _ERRORS_KEPT:
            self._failures.popleft()
            self.errors_dropped += 1
        self._failures.append(error)

    def _raise_failure(self) -> None:
        """Raises what went wrong and was not raised yet; a lost session is raised again and again."""
        if self._failures:
            raise self._failures.popleft()
        if self._lost is not None:
            self._is_loss_raised = True
            raise self._lost

    def _rejection(self, reject: np.void) -> FrameRejected:
        return FrameRejected(
            where=self._where,
            reason=_reason(reject["reason"]),
            field=bytes(reject["field"]).decode("ascii", "replace"),
            found=int(reject["found"]),
            allowed=int(reject["allowed"]),
            message_index=int(reject["message_index"]),
            byte_offset=int(reject["byte_offset"]),
            accepted_count=int(reject["accepted_count"]),
            rejected_count=int(reject["rejected_count"]),
        )

    def _ended(self, reason: int) -> SessionLost:
        """What a Logout with this reason means."""
        is_asked_for = reason in (Reason.NONE, Reason.REQUESTED)
        what, found = ("logout", "logged out") if is_asked_for else ("session", explain(reason))
        lost = SessionLost(what, where=self._where, found=found, allowed="a session that is logged on")
        lost.reason = Reason.NONE if is_asked_for else _reason(reason)
        return lost


def _cut(messages: npt.NDArray[np.void], most: int) -> list[npt.NDArray[np.void]]:
    """Frames of at most so many messages. Terms stay with the command that they belong to."""
    is_terms = messages["template_id"] == _ORDER_TERMS
    frames = []
    start = 0
    while start < len(messages):
        end = min(start + most, len(messages))
        while start < end < len(messages) and is_terms[end]:
            end -= 1
        if end == start:
            raise InvalidValueError("command", found=f"more than {most} messages", allowed="as many as a frame may have")
        frames.append(messages[start:end])
        start = end
    return frames


def _reason(value: int) -> Reason:
    """NONE for a reason of a later version: `explain` still gives its number."""
    return Reason(int(value)) if int(value) in DESCRIPTIONS else Reason.NONE


def _template_of(frame: bytes, where: str) -> int:
    """The template of a frame's first message. Raises InvalidValueError for an unknown header, or where the frame is not whole."""
    header = _HEADER.unpack_from(frame) if len(frame) >= HEADER_SIZE else (0, 0, 0, 0)
    block_length, template, schema, version = header
    size = block_length + HEADER_SIZE
    is_known = template in TEMPLATES and block_length == TEMPLATES[template][1] and (schema, version) == (SCHEMA_ID, SCHEMA_VERSION)
    is_whole = len(frame) % size == 0 if template in (REPORT_TEMPLATE, _LOGON_ANSWER) else len(frame) == size
    if not (is_known and is_whole):
        found = f"{len(frame)} bytes with the header {header}"
        raise InvalidValueError(
            "frame", where=where, found=found, allowed=f"whole messages of schema {SCHEMA_ID}, version {SCHEMA_VERSION}"
        )
    return int(template)


def _order(order: Order) -> Order:
    if not isinstance(order, Order):
        raise InvalidTypeError("order", found=order, allowed="an Order, as `buy` and `sell` return it")
    return order
