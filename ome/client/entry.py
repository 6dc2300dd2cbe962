"""What the two kinds of order entry share: how they are made, what they know, and what their methods are made of.

Each method that sends is a method of `Orders`, which makes the command, and a way to send it. So its arguments are written once, and are
named and typed in both kinds.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt

from ome.client.connected import RECONNECT_S, Connected
from ome.client.logon import LogonOptions
from ome.client.orders import Orders
from ome.codec.layouts import COMMAND, COMMAND_MESSAGE
from ome.codec.records import encode_commands
from ome.codec.requests import CancelOnDisconnectName
from ome.errors import InvalidTypeError, InvalidValueError
from ome.keys import ClientKeys
from ome.messages import Command
from ome.transport import Context
from ome.units import Integer

__all__ = ["Entry", "describe"]


class Entry(Connected):
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
        super().__init__(
            endpoint,
            options,
            timeout,
            context=context,
            liveness=liveness,
            reconnect=reconnect,
            reports_kept=reports_kept,
            keys=keys,
        )
        self._orders = Orders(self._protocol.instruments)
        self._batch: list[Command] | None = None

    @property
    def pending(self) -> int:
        """Commands sent that no report received so far answers."""
        return self._protocol.sent.pending

    @property
    def unanswered(self) -> tuple[int, ...]:
        """Client order ids of the commands that no report received so far answers, oldest first."""
        return self._protocol.sent.unanswered

    @property
    def _state(self) -> str:
        return f"{self.pending} pending"

    def _begin(self) -> None:
        """The first logon was answered. The ids of new orders are unique among the participant's, whatever its other sessions do, and
        however often this one is made anew."""
        self._orders.next_client_order_id = self.logon.session << 48 | (self.logon.server_time_ns // 1000 & (1 << 48) - 1)

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
