"""Order entry: one session with a server, from logon to logout, as one object whose methods wait.

Its parts: `orders` makes the commands, `protocol` knows what is said when, `link` has the socket, `session` waits.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Concatenate, ParamSpec, TypeVar

import numpy as np
import numpy.typing as npt

from ome.client.connected import RECONNECT_S
from ome.client.entry import Entry, describe
from ome.client.errors import TimedOut
from ome.client.orders import Order, Orders, client_order_id_of
from ome.client.receiver import Receiver
from ome.client.reports import Report, report_object
from ome.codec.requests import CancelOnDisconnectName
from ome.enums import Side
from ome.keys import ClientKeys
from ome.messages import Command
from ome.transport import Context
from ome.units import Integer

__all__ = ["OrderEntry"]

P = ParamSpec("P")
R = TypeVar("R")


def _sends(build: Callable[Concatenate[Orders, P], tuple[Command, R]]) -> Callable[Concatenate[OrderEntry, P], R]:
    """A method that sends the command that `build` makes, and returns what it gives for it."""

    def send(entry: OrderEntry, /, *args: P.args, **kwargs: P.kwargs) -> R:
        command, result = build(entry._orders, *args, **kwargs)
        entry._send_one(command)
        return result

    describe(send, build)
    return send


def _enters(build: Callable[Concatenate[Orders, Side, P], tuple[Command, R]], side: Side) -> Callable[Concatenate[OrderEntry, P], R]:
    """The same for orders of one side."""

    def send(entry: OrderEntry, /, *args: P.args, **kwargs: P.kwargs) -> R:
        command, result = build(entry._orders, side, *args, **kwargs)
        entry._send_one(command)
        return result

    describe(send, build, given=1)
    return send


class OrderEntry(Entry, Receiver):
    """A session with a server; made, it is logged on. Use it in a `with` statement: leaving it logs out and waits for the server's answer.

    - `buy`, `sell`, `cancel`, `reduce`, `amend`, `mass_cancel` send one command each; in a `batch`, all of them together.
    - `reports` and `wait_for` give what the server says about orders, as objects.
    - `send` and `receive` do the same with arrays, without work per order in Python. A report is given once, as a row or as an object.
    - `instruments`, `logon`, `policy` are what the server said; `pending` counts the commands without an answer, `unanswered` gives their
      client order ids, `report_sequence` is the last report that was received.

    The session survives its connection. When that breaks, or the server restarts, it comes back by itself: commands that the server has not
    taken are sent again, reports that were missed come, and each command is taken and each report given exactly once. It gives up after
    `reconnect` seconds without success (0 or None: at once), and then every method raises SessionLost. It does not come back where the
    session was taken over, or the venue ended it for sending too much. `is_connected` and `logon_count` say how it is.

    What it is:

    - `session_number` tells a participant's sessions apart; a logon with the same one takes the session over, unless `takeover` is False:
      then LogonRefused (SESSION_IN_USE) is raised where it has a connection. `secret` is the participant's, `login_id` any number.
    - `next_report`: go on with the report of this number, which is stored somewhere plus one; None is with the next new one.
    - `cancel_on_disconnect`: "disconnect" has the venue cancel the session's orders when its connection is lost, "logout" also when it logs
      out; "never" leaves them.
    - `timeout` is how many seconds to wait for an answer to logon and logout, for room for commands, and while the server is busy. Sessions
      may share a `context`; without one, each has its own.

    It does something only while one of its methods runs:

    - When a method has heard nothing for a second, it asks the server for a sign of life. After `liveness` seconds without any it gives the
      connection up. Time between calls does not count.
    - Each side says something at least every `heartbeat` seconds (0.1 to 60; None is the server's choice). A program that calls no method
      for three times as long loses its connection, and comes back with its next call. With `cancel_on_disconnect` its orders are gone then.
    - A server does not wait for a client that does not read: it ends the connection. The client gets what it missed when it reads again.
    - At most `reports_kept` reports wait here to be read (100 to 400 bytes each). The oldest go first, and `reports_dropped` counts them.
      Of errors that no method has raised yet, 1,000 are kept, and `errors_dropped` counts the others.

    With `keys` (ome.keys) the connection is encrypted, and the server knows who connects; a server that has keys takes no other connection.

    Every method may raise SessionLost, those that send before anything is sent. Sending and receiving also raise what went wrong and does
    not end the session: FrameRejected, OrdersRefused, ReportGap, InvalidValueError for bytes that are not the protocol's, and TimedOut
    where the server stays busy. The constructor raises LogonRefused, TimedOut, EndpointError and InvalidValueError. One thread uses it.
    """

    def __init__(
        self,
        endpoint: str,
        participant: str,
        session_number: Integer = 0,
        timeout: float = 5.0,
        *,
        context: Context | None = None,
        liveness: float = 5.0,
        heartbeat: float | None = None,
        reconnect: float | None = RECONNECT_S,
        reports_kept: int = 1_000_000,
        next_report: Integer | None = None,
        cancel_on_disconnect: CancelOnDisconnectName = "never",
        takeover: bool = True,
        login_id: Integer = 0,
        secret: bytes | str | None = None,
        keys: ClientKeys | None = None,
    ) -> None:
        super().__init__(
            endpoint,
            participant,
            session_number,
            timeout,
            context=context,
            liveness=liveness,
            heartbeat=heartbeat,
            reconnect=reconnect,
            reports_kept=reports_kept,
            next_report=next_report,
            cancel_on_disconnect=cancel_on_disconnect,
            takeover=takeover,
            login_id=login_id,
            secret=secret,
            keys=keys,
        )
        self._log_on()

    buy = _enters(Orders.new, Side.BUY)
    sell = _enters(Orders.new, Side.SELL)
    cancel = _sends(Orders.cancel)
    reduce = _sends(Orders.reduce)
    amend = _sends(Orders.amend)
    mass_cancel = _sends(Orders.mass_cancel)

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Sends what the methods in it ask for at its end, in as few frames as there can be; nothing where an exception leaves it."""
        with self._batching() as commands:
            yield
        if commands:
            self.send(self._records(commands))

    def wait_for(self, order: Order | Integer, timeout: float | None = None) -> Report:
        """The next report about an order, given itself or by its client order id; reports of other orders stay for `reports`.

        The id that `mass_cancel` returns is one, too; an OrderId is not. Raises TimedOut when none comes within `timeout` seconds (by
        default the session's).
        """
        wanted = client_order_id_of(order)
        seconds = self._timeout if timeout is None else timeout
        deadline = time.monotonic() + seconds
        while (row := self._protocol.received.objects.take_about(wanted)) is None:
            if not self._session.receive_unread(max(0.0, deadline - time.monotonic())):
                found = f"none; {self.reports_dropped} reports were dropped unread" if self.reports_dropped else "none"
                raise TimedOut(f"report about client order id {wanted}", where=self._where, found=found, allowed=f"one within {seconds} s")
        return report_object(row, self.instruments)

    def send(self, commands: npt.NDArray[np.void], messages_per_frame: int | None = None) -> None:
        """Sends commands (dtype COMMAND or COMMAND_MESSAGE), as many in a frame as the server allows or as `messages_per_frame` says.

        The template is the header's, or the kind of a COMMAND. What the server writes, and the session sequence, need not be filled. The
        messages of a command stay in one frame. Returns when all was sent; reports that come meanwhile are kept.
        Raises TimedOut when the server takes no more for `timeout` seconds, or there is no connection for so long: it says how much was
        sent, and the rest is not. InvalidTypeError for another array, InvalidValueError where a command has more messages than a frame.
        """
        self._session.send(commands, self._check(commands, messages_per_frame))

    def _send_one(self, command: Command) -> None:
        if not self._collects(command):
            self.send(self._records([command]))
