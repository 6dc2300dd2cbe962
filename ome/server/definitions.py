"""Definitions that the configuration has and the journal lacks: they are sent through the ring, like every command."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

from ome._native import lib
from ome.codec import Records, decode_commands, define_instrument, define_limits, instrument_of
from ome.config import ServerConfig, listed
from ome.engine import EngineView
from ome.enums import CommandKind, Reason
from ome.instruments import Instrument
from ome.messages import Command, DefineInstrument, DefineLimits
from ome.server.accounts import AccountsWatch
from ome.server.errors import ServerError

__all__ = ["Definitions"]

_TIMEOUT_S = 60.0


class Definitions:
    """Defines what is missing, and says when it has taken effect."""

    def __init__(self, config: ServerConfig, view: EngineView, *, has_new_limits: bool) -> None:
        self._config = config
        self._on_instrument: Callable[[int, Instrument], None] = lambda number, instrument: None
        self._changed = threading.Condition()
        self._left = 0
        self._refused: list[str] = []
        self._awaited: deque[DefineInstrument] = deque()  # sent and not answered yet; the answers come in this order
        self._missing: list[Command] = []
        if view.state.sequence == 0 or has_new_limits:
            self._missing.append(define_limits(config.limits))
        known = view.instruments
        self._known = tuple(known.values())
        wanted = [instrument for instrument in config.instruments if instrument.symbol not in known]
        self.accounts = AccountsWatch(config.accounts_file, view.account_owners, config.limits.account_count_max)
        self._missing += self.accounts.missing
        self._missing += [define_instrument(instrument, number) for number, instrument in enumerate(wanted, len(self._known) + 1)]
        self.instrument_count = len(self._known) + len(wanted)
        """Instruments once all is defined."""

    def tell(self, on_instrument: Callable[[int, Instrument], None]) -> None:
        """Tells the number of each instrument that the engine has: those that it has now, and those that it gets."""
        self._on_instrument = on_instrument
        for number, instrument in self._known:
            on_instrument(number, instrument)

    def send_limits(self, submit: Callable[[Command], bool]) -> None:
        """Sends the limits, where they are to be sent, before any other command: from then on a replay has an engine of these sizes."""
        if self._missing and isinstance(self._missing[0], DefineLimits):
            self._left = 1  # its answer comes when the gateway runs
            submit(self._missing.pop(0))

    def send(self, submit: Callable[[Command], bool], raise_failure: Callable[[], None], has_failed: Callable[[], bool]) -> None:
        """Sends the rest, and waits until all has taken effect. Raises what `raise_failure` raises, or ServerError."""
        with self._changed:
            self._left += len(self._missing)
            self._awaited.extend(command for command in self._missing if isinstance(command, DefineInstrument))
        for command in self._missing:
            if not submit(command):
                break
        deadline = time.monotonic() + _TIMEOUT_S
        with self._changed:
            while self._left and not self._refused and not has_failed() and time.monotonic() < deadline:
                self._changed.wait(0.1)
        raise_failure()
        if self._left or self._refused:
            raise ServerError(
                "definitions",
                where=self._config.source,
                found=listed(self._refused) or "no answer",
                allowed="definitions that the engine takes",
            )

    def submit(self, commands: Records, send: Callable[[Records], int]) -> int:
        """Sends commands that the configuration does not have: an instrument that one of them defines is told when it is there."""
        sent = decode_commands(commands[commands["kind"] == CommandKind.DEFINE_INSTRUMENT])
        if not sent:
            return send(commands)
        with self._changed:
            status = send(commands)
            if status == lib.OME_OK:
                self._awaited.extend(command for command in sent if isinstance(command, DefineInstrument))
            return status

    def on_defined(self, kind: int, instrument: int, reason: Reason) -> None:
        """The engine has answered a definition."""
        with self._changed:
            command = self._awaited.popleft() if kind == CommandKind.DEFINE_INSTRUMENT else None
            if reason is Reason.NONE and command is not None:
                self._on_instrument(instrument, instrument_of(command))
            if self._left:
                if reason is not Reason.NONE:
                    self._refused.append(f"{CommandKind(kind).name} {instrument}: {reason.name}")
                self._left -= 1
                self._changed.notify_all()
