"""Order entry: one session with a server, from logon to logout, as one object.

Its parts: `orders` makes the commands, `session` sends, receives and keeps alive, `retransmission` has what is unanswered, `received` what
is unread, `failures` what went wrong.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from types import TracebackType
from typing import Unpack

import numpy as np
import numpy.typing as npt

from ome.attributes import AttributeOptions
from ome.client.errors import TimedOut
from ome.client.failures import Failures
from ome.client.frames import session_end
from ome.client.liveness import Liveness
from ome.client.logon import Logon, log_on
from ome.client.orders import Order, Orders
from ome.client.received import ReceivedReports
from ome.client.reports import Report, Reports, report_object
from ome.client.retransmission import SentFrames
from ome.client.session import Session
from ome.codec.layouts import COMMAND, COMMAND_MESSAGE
from ome.codec.records import encode_commands
from ome.codec.requests import OrderOptions, logon_message
from ome.codec.words import SelfTradeName, SelfTradeScopeName, SideName, Time, TimeInForceName
from ome.enums import Policy, Reason, SelfTradePrevention, SelfTradeScope, Side, TimeInForce
from ome.errors import InvalidTypeError, InvalidValueError, NotCopyable, OmeError
from ome.keys import ClientKeys
from ome.messages import Command
from ome.transport import Context
from ome.units import Integer, Number, integer_of

__all__ = ["Logon", "Order", "OrderEntry"]


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

    With `keys` (ome.keys) the connection is encrypted, and the server knows who connects; a server that has keys takes no other connection.

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
        keys: ClientKeys | None = None,
    ) -> None:
        self._where = f"session {session_number} of {participant} at {endpoint}"
        self._timeout = timeout
        life = Liveness(liveness, heartbeat)
        if reports_kept < 1:
            raise InvalidValueError("reports_kept", found=reports_kept, allowed="1 or more")
        frame = logon_message(participant, session_number, heartbeat)
        self._is_closed = False
        self._own_context = Context() if context is None else None
        shared = context or self._own_context
        assert shared is not None, "a context is given or made"
        try:
            socket = shared.connect_client(endpoint, keys=keys)
            try:
                self.logon, self.instruments = log_on(socket, frame, endpoint=endpoint, where=self._where, timeout=timeout)
            except BaseException:
                socket.close(0)
                raise
        except BaseException:
            if self._own_context is not None:
                self._own_context.close()
            raise
        self._failures = Failures()
        self._sent = SentFrames(self._where, timeout, self._failures)
        self._received = ReceivedReports(self._where, self.logon.report_sequence, reports_kept, self._failures)
        self._session = Session(
            socket,
            where=self._where,
            timeout=timeout,
            liveness=life,
            sent=self._sent,
            received=self._received,
            failures=self._failures,
        )
        # Unique among the participant's live orders, whatever its other sessions do and however often this one comes back.
        first_client_order_id = self.logon.session << 48 | (self.logon.server_time_ns // 1000 & (1 << 48) - 1)
        self._orders = Orders(self.instruments, first_client_order_id)

    def __enter__(self) -> OrderEntry:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        try:
            self.close()
        except OmeError:
            if kind is None:
                raise

    def __repr__(self) -> str:
        state = "lost" if self._failures.loss is not None else f"{self.pending} pending"
        return f"<OrderEntry: {self._where}, {self.policy.name.lower()}, {len(self.instruments)} instruments, {state}>"

    @property
    def policy(self) -> Policy:
        """How durable a command is before it is reported."""
        return self.logon.policy

    @property
    def pending(self) -> int:
        """Commands sent that no report received so far answers. Exact while a participant's sessions leave each other's orders alone."""
        return self._sent.pending

    @property
    def unanswered(self) -> tuple[int, ...]:
        """Client order ids of the commands that no report received so far answers, oldest first; exact as `pending` is."""
        return self._sent.unanswered

    @property
    def report_sequence(self) -> int:
        """The last report that was received; at first that of the logon."""
        return self._received.sequence

    @property
    def reports_dropped(self) -> int:
        """Reports that nobody read in time."""
        return self._received.dropped

    @property
    def errors_dropped(self) -> int:
        """Errors that no method raised in time."""
        return self._failures.dropped

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
        command, order = self._orders.new(Side.BUY, symbol, quantity, at, options, account, client_order_id)
        self._send_one(command)
        return order

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
        command, order = self._orders.new(Side.SELL, symbol, quantity, at, options, account, client_order_id)
        self._send_one(command)
        return order

    def cancel(self, order: Order) -> None:
        """Asks to cancel what is left of an order, one that `buy`, `sell` or `amend` returned; so do `reduce` and `amend`.

        Raises InvalidTypeError for anything else.
        """
        self._send_one(self._orders.cancel(order))

    def reduce(self, order: Order, quantity: Number) -> None:
        """Asks to take `quantity` off an order, which keeps its place in the queue."""
        self._send_one(self._orders.reduce(order, quantity))

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
        command, amended = self._orders.amend(order, at, quantity, open_quantity, stop, limit_offset, client_order_id)
        self._send_one(command)
        return amended

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
        self._send_one(self._orders.mass_cancel(symbol, side, account, session))

    def reports(self, timeout: float = 1.0) -> Iterator[Report]:
        """Reports in the order of the engine, each once; ends when none has come for `timeout` seconds.

        Raises ReportGap where some are missing.
        """
        while len(self._received.objects) or self._session.receive_unread(timeout):
            row = self._received.objects.take()
            if row is not None:
                yield report_object(row, self.instruments)

    def wait_for(self, order: Order | Integer, timeout: float | None = None) -> Report:
        """The next report about an order, given itself or by its client order id; reports of other orders stay for `reports`.

        Raises TimedOut when none comes within `timeout` seconds (by default the session's), ReportGap where reports are missing.
        """
        wanted = order.client_order_id if isinstance(order, Order) else integer_of(order, "client_order_id")
        seconds = self._timeout if timeout is None else timeout
        deadline = time.monotonic() + seconds
        while (row := self._received.objects.take_about(wanted)) is None:
            if not self._session.receive_unread(max(0.0, deadline - time.monotonic())):
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
        if not isinstance(commands, np.ndarray) or commands.ndim != 1 or commands.dtype not in (COMMAND, COMMAND_MESSAGE):
            found = commands.dtype if isinstance(commands, np.ndarray) else type(commands).__name__
            raise InvalidTypeError("commands", found=found, allowed="a one-dimensional array of dtype COMMAND or COMMAND_MESSAGE")
        self._session.send(commands, count)

    def receive(self, timeout: float = 0.0) -> Reports:
        """The reports that have come (dtype EXECUTION_REPORT_MESSAGE, read-only), in the order of the engine.

        Waits up to `timeout` seconds for the first. Raises ReportGap where some are missing; the next call gives those after the gap.
        """
        return self._session.receive(timeout)

    def close(self) -> None:
        """Waits until all commands are answered, logs out, waits for the server's answer and closes. Closing twice does nothing.

        Reports that came before the answer can still be read. Raises TimedOut when no answer comes, FrameRejected where one is left, and
        SessionLost, with their ids, where commands are unanswered and no method has said so.
        """
        if self._is_closed:
            return
        self._is_closed = True
        try:
            self._session.log_out()
        finally:
            failures = self._failures
            loss = None if failures.is_loss_raised else failures.loss
            failures.loss = failures.loss or session_end(Reason.NONE, self._where)
            self._session.socket.close(0)  # all was answered, or nothing will be
            if self._own_context is not None:
                self._own_context.close()
        failures.raise_error()
        if loss is not None and loss.unanswered:
            raise loss

    def _send_one(self, command: Command) -> None:
        self.send(encode_commands([command]))
