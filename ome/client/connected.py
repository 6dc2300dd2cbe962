"""What all that a client logs on for shares: how it is made, what it knows of itself, and how it ends."""

from __future__ import annotations

import time
from collections.abc import Callable

from ome.client.directory import InstrumentDirectory
from ome.client.errors import SessionLost
from ome.client.link import Link
from ome.client.logon import Logon, LogonOptions
from ome.client.protocol import OrderEntryProtocol, Phase
from ome.enums import Policy
from ome.errors import NotCopyable
from ome.keys import ClientKeys
from ome.transport import ClientSocket, Context

__all__ = ["RECONNECT_S", "Connected"]

RECONNECT_S = 30.0
"""Seconds for which a session tries to come back, where nothing else is given: longer than most venues take to start."""


class Connected(NotCopyable):
    """Reports of a venue, over any number of connections. `OrderEntry`, `DropCopy` and those for asyncio say how they are used."""

    _use_instead = "one of its own for each process or thread"

    def __init__(
        self,
        endpoint: str,
        options: LogonOptions,
        timeout: float,
        *,
        context: Context | None,
        liveness: float,
        reconnect: float | None,
        reports_kept: int,
        keys: ClientKeys | None,
    ) -> None:
        self._endpoint = endpoint
        self._where = f"{options} at {endpoint}"
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
        self._context = context
        self._keys = keys
        self._own_context: Context | None = None
        self._is_closed = False

    def __repr__(self) -> str:
        protocol = self._protocol
        if protocol.logon_count == 0:
            return f"<{type(self).__name__}: {self._where}, not logged on>"
        state = "lost" if protocol.is_over else self._state if self.is_connected else "waiting for a connection"
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

    @property
    def _state(self) -> str:
        """How one that is connected is doing."""
        return f"report {self.report_sequence}"

    def _begin(self) -> None:
        """The first logon was answered."""

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
