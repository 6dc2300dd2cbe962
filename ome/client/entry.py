"""What the two kinds of order entry share: how they are made, what they know, and what their methods are made of.

Each method that sends is a method of `Orders`, which makes the command, and a way to send it. So its arguments are written once, and are
named and typed in both kinds.
"""

from __future__ import annotations

import functools
import inspect
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt

from ome.client.directory import InstrumentDirectory
from ome.client.errors import SessionLost
from ome.client.link import Link
from ome.client.logon import Logon, LogonOptions
from ome.client.orders import Orders
from ome.client.protocol import OrderEntryProtocol, Phase
from ome.codec.layouts import COMMAND, COMMAND_MESSAGE
from ome.codec.records import encode_commands
from ome.codec.requests import CancelOnDisconnectName
from ome.enums import Policy
from ome.errors import InvalidTypeError, InvalidValueError, NotCopyable
from ome.keys import ClientKeys
from ome.messages import Command
from ome.transport import ClientSocket, Context
from ome.units import Integer

__all__ = ["RECONNECT_S", "Entry", "describe"]

RECONNECT_S = 30.0
"""Seconds for which a session tries to come back, where nothing else is given: longer than most venues take to start."""


class Entry(NotCopyable):
    """A session with a server. `OrderEntry` and `AsyncOrderEntry` say how it is used."""

    _use_instead = "a session of its own for each process or thread: another `session_number`"

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
        options = LogonOptions(
            participant=participant,
            session_number=session_number,
            heartbeat=heartbeat,
            next_report=next_report,
            cancel_on_disconnect=cancel_on_disconnect,
            takeover=takeover,
            login_id=login_id,
            secret=secret,
        )
        self._endpoint = endpoint
        self._where = f"session {session_number} of {participant} at {endpoint}"
        self._timeout = timeout
        self._protocol = OrderEntryProtocol(
            options,
            where=self._where,
            timeout=timeout,
            liveness=liveness,
            reconnect=reconnect,
            reports_kept=reports_kept,
            now=time.monotonic(),
        )
        self._orders = Orders(self._protocol.instruments)
        self._batch: list[Command] | None = None
        self._context = context
        self._keys = keys
        self._own_context: Context | None = None
        self._is_closed = False

    def __repr__(self) -> str:
        protocol = self._protocol
        if protocol.logon_count == 0:
            return f"<{type(self).__name__}: {self._where}, not logged on>"
        state = "lost" if protocol.is_over else f"{self.pending} pending" if self.is_connected else "waiting for a connection"
        return f"<{type(self).__name__}: {self._where}, {self.policy.name.lower()}, {len(self.instruments)} instruments, {state}>"

    @property
    def logon(self) -> Logon:
        """The answer to the last logon."""
        return self._protocol.logon

    @property
    def instruments(self) -> InstrumentDirectory:
        """The instruments of the venue, as the last logon said."""
        return self._protocol.instruments

    @property
    def policy(self) -> Policy:
        """How durable a command is before it is reported."""
        return self.logon.policy

    @property
    def is_connected(self) -> bool:
        """Whether the session is logged on, as far as is known."""
        return self._protocol.phase is Phase.OPEN

    @property
    def logon_count(self) -> int:
        """Logons that there have been: one, and one more for each time that the session came back."""
        return self._protocol.logon_count

    @property
    def pending(self) -> int:
        """Commands sent that no report received so far answers."""
        return self._protocol.sent.pending

    @property
    def unanswered(self) -> tuple[int, ...]:
        """Client order ids of the commands that no report received so far answers, oldest first."""
        return self._protocol.sent.unanswered

    @property
    def report_sequence(self) -> int:
        """The last report that was received; at first that of the logon."""
        return self._protocol.received.sequence

    @property
    def reports_dropped(self) -> int:
        """Reports that nobody read in time."""
        return self._protocol.received.dropped

    @property
    def errors_dropped(self) -> int:
        """Errors that no method raised in time."""
        return self._protocol.failures.dropped

    def _connect(self, on_socket: Callable[[ClientSocket | None], None] = lambda _: None) -> Link:
        """Starts to connect. Raises EndpointError."""
        if self._context is None:
            self._context = self._own_context = Context()
        return Link(self._protocol, self._context, self._endpoint, on_socket, keys=self._keys)

    def _begin(self) -> None:
        """The first logon was answered. The ids of new orders are unique among the participant's, whatever its other sessions do, and
        however often this one is made anew."""
        self._orders.next_client_order_id = self.logon.session << 48 | (self.logon.server_time_ns // 1000 & (1 << 48) - 1)

    def _finish(self) -> SessionLost | None:
        """Ends the session; the loss that is to be raised: of commands that are unanswered, where no method has said so."""
        failures = self._protocol.failures
        is_said = failures.is_loss_raised
        self._protocol.end()
        loss = failures.loss
        return None if is_said or loss is None or not loss.unanswered else loss

    def _release(self) -> None:
        """Frees the context where it is the session's own."""
        if self._own_context is not None:
            self._own_context.close()

    def _collects(self, command: Command) -> bool:
        """Whether a batch collects commands, and has this one now."""
        if self._batch is None:
            return False
        self._batch.append(command)
        return True

    @contextmanager
    def _batching(self) -> Iterator[list[Command]]:
        """Collects the commands of the methods that send one."""
        if self._batch is not None:
            raise InvalidValueError("batch", where=self._where, found="a batch in a batch", allowed="one at a time")
        collected: list[Command] = []
        self._batch = collected
        try:
            yield collected
        finally:
            self._batch = None

    def _check(self, commands: npt.NDArray[np.void], messages_per_frame: int | None) -> int:
        """How many messages a frame may have."""
        most = self.logon.frame_message_count_max
        count = most if messages_per_frame is None else messages_per_frame
        if not 1 <= count <= most:
            raise InvalidValueError("messages_per_frame", found=count, allowed=f"1 to {most}")
        if not isinstance(commands, np.ndarray) or commands.ndim != 1 or commands.dtype not in (COMMAND, COMMAND_MESSAGE):
            found = commands.dtype if isinstance(commands, np.ndarray) else type(commands).__name__
            raise InvalidTypeError("commands", found=found, allowed="a one-dimensional array of dtype COMMAND or COMMAND_MESSAGE")
        return count

    @staticmethod
    def _records(commands: list[Command]) -> npt.NDArray[np.void]:
        return encode_commands(commands)


def describe(send: Callable[..., object], build: Callable[..., object], given: int = 0) -> None:
    """Gives a method that sends the name, the text and the signature of the one that makes its command, without its first arguments."""
    functools.update_wrapper(send, build)
    signature = inspect.signature(build)
    own, *others = signature.parameters.values()
    send.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[own, *others[given:]], return_annotation=inspect.Signature.empty
    )
