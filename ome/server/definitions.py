"""Definitions that the configuration has and the journal lacks: they are sent through the ring, like every command."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from ome.codec import Records, decode_commands, define_instrument, define_limits, instrument_of
from ome.config import ServerConfig, listed
from ome.engine import EngineView
from ome.enums import CommandKind, Reason
from ome.instruments import Instrument
from ome.messages import Command, DefineInstrument, DefineLimits
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
        self._instruments: dict[int, Instrument] = {}
        self._noted: dict[int, DefineInstrument] = {}
        self._missing: list[Command] = []
        if view.state.sequence == 0 or has_new_limits:
            self._missing.append(define_limits(config.limits))
        known = view.instruments
        self._instruments.update(known.values())
        self._known_count = len(known)
        for wanted in config.instruments:
            if wanted.symbol not in known:
                number = len(self._instruments) + 1
                self._instruments[number] = wanted
                self._missing.append(define_instrument(wanted, number))

    def tell(self, on_instrument: Callable[[int, Instrument], None]) -> None:
        """Tells the number of each instrument that the engine has: those that it has now, and those that it gets."""
        self._on_instrument = on_instrument
        for number in range(1, self._known_count + 1):
            on_instrument(number, self._instruments[number])

    @property
    def instrument_count(self) -> int:
        """Instruments once all is defined."""
        return len(self._instruments)

    def send_limits(self, submit: Callable[[Command], bool]) -> None:
        """Sends the limits, where they are to be sent, before any other command: from then on a replay has an engine of these sizes."""
        if self._missing and isinstance(self._missing[0], DefineLimits):
            self._left = 1  # its answer comes when the gateway runs
            submit(self._missing.pop(0))

    def send(self, submit: Callable[[Command], bool], raise_failure: Callable[[], None], has_failed: Callable[[], bool]) -> None:
        """Sends the rest, and waits until all has taken effect. Raises what `raise_failure` raises, or ServerError."""
        with self._changed:
            self._left += len(self._missing)
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

    def note(self, commands: Records) -> None:
        """Commands are about to be sent that the configuration does not have: an instrument that one defines is told when it is there."""
        if (commands["kind"] == CommandKind.DEFINE_INSTRUMENT).any():
            with self._changed:
                for command in decode_commands(commands):
                    if isinstance(command, DefineInstrument):
                        self._noted[command.instrument] = command

    def on_defined(self, kind: int, instrument: int, reason: Reason) -> None:
        """The engine has answered a definition."""
        with self._changed:
            if reason is not Reason.NONE:
                self._refused.append(f"{CommandKind(kind).name} {instrument}: {reason.name}")
            elif kind == CommandKind.DEFINE_INSTRUMENT:
                if instrument in self._noted:
                    self._instruments[instrument] = instrument_of(self._noted.pop(instrument))
                self._on_instrument(instrument, self._instruments[instrument])
            self._left = max(0, self._left - 1)
            self._changed.notify_all()
