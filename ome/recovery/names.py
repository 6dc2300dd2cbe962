"""What the numbers of a journal mean: its instruments and participants, as far as they are defined."""

from __future__ import annotations

import dataclasses
from decimal import Decimal
from typing import Final

import numpy as np

from ome.codec import RECORD_SIZE, Records, define_instrument, define_session, encode_commands, record_bytes
from ome.engine import Engine, EngineView, SessionState
from ome.enums import CommandKind, EventKind
from ome.errors import InvalidValueError
from ome.instruments import Instrument
from ome.messages import NULL_VALUE, DefineSession, Limits

__all__ = ["Names"]

_MANY_INSTRUMENTS: Final = Limits(order_count_max=1, level_count_max=1, special_count_max=0)
_OF_DEFINITIONS: Final = ("instrument_count_max", "session_count_max", "rules_version")  # what decides which of them are taken
_DEFINITIONS: Final = (int(CommandKind.DEFINE_INSTRUMENT), int(CommandKind.DEFINE_SESSION))


class Names:
    """What the numbers of a journal mean: its instruments and participants, as far as they are defined.

    `learn` takes the definitions among commands; who has an engine asks it, by `of`, or goes on from it, by `before`. `instruments` are by
    number, `participants` too: those of now, for a number is used again. `all_participants` are the names that any number has had.
    """

    def __init__(self) -> None:
        self.instruments: dict[int, Instrument] = {}
        self.participants: dict[int, str] = {}
        self.all_participants: set[str] = set()
        self._engine: Engine | None = None

    @classmethod
    def of(cls, view: EngineView) -> Names:
        """Those that an engine knows."""
        names = cls()
        names._take(view)
        return names

    @classmethod
    def before(cls, view: EngineView) -> Names:
        """Those that an engine knows, to learn what comes behind it."""
        names = cls()
        known = sorted(view.instruments.values(), key=lambda pair: pair[0])
        sizes = {name: getattr(view.limits, name) for name in _OF_DEFINITIONS}
        names._engine = Engine(limits=dataclasses.replace(_MANY_INSTRUMENTS, **sizes))
        names._engine.apply(encode_commands([define_instrument(instrument, number) for number, instrument in known]))
        names._engine.apply(encode_commands([_definition(session) for session in view.sessions]))
        names._take(names._engine)
        return names

    def _take(self, view: EngineView) -> None:
        self.instruments = dict(view.instruments.values())
        self.participants = {session.participant: session.participant_name for session in view.sessions}
        self.all_participants.update(self.participants.values())

    def learn(self, commands: Records, events: Records) -> None:
        """Takes the definitions among the next commands that the engine took, and leaves all others.

        `events` are those of the commands. Where there are none the journal is only read: then the definitions are taken that an engine
        without orders would take. That differs only for a session that was refused a number because orders were alive under it.
        """
        chosen = np.flatnonzero(np.isin(commands["kind"], _DEFINITIONS))
        if len(events):
            taken = events["sequence"][events["kind"] == EventKind.DEFINED]
            chosen = chosen[np.isin(commands["sequence"][chosen], taken)]
        if self._engine is None and len(commands):
            self._engine = Engine(limits=_limits_of(commands))
        if self._engine is None:
            return
        for command in commands[commands["kind"] == CommandKind.DEFINE_LIMITS]:
            self._engine.resize(_larger(self._engine.limits, command))
        if len(chosen):
            data = record_bytes(commands)
            self._engine.apply(b"".join(data[index * RECORD_SIZE : (index + 1) * RECORD_SIZE] for index in chosen.tolist()))
            self._take(self._engine)

    def instrument_number(self, symbol: str) -> int | None:
        """The number of a symbol, or None."""
        return next((number for number, instrument in self.instruments.items() if instrument.symbol == symbol), None)

    def participant_number(self, name: str) -> int | None:
        """The number of a participant's name, or None."""
        return next((number for number, known in self.participants.items() if known == name), None)

    def price(self, instrument: int, units: int) -> tuple[str, Decimal | int | None]:
        """How a price is called and what it is."""
        if units == NULL_VALUE:
            return "price", None
        known = self.instruments.get(instrument)
        return ("price_units", units) if known is None else ("price", known.price(units))

    def quantity(self, instrument: int, lots: int) -> tuple[str, Decimal | int | None]:
        """How a quantity is called and what it is."""
        if lots == NULL_VALUE:
            return "quantity", None
        known = self.instruments.get(instrument)
        return ("quantity_lots", lots) if known is None else ("quantity", known.quantity(lots))


def _larger(limits: Limits, command: Records) -> Limits:
    """Those that hold what was defined before and what may be defined behind a change of limits."""
    try:
        return dataclasses.replace(limits, **{name: max(getattr(limits, name), int(command[name])) for name in _OF_DEFINITIONS})
    except InvalidValueError:
        return limits


def _limits_of(commands: Records) -> Limits:
    """Of an engine that takes definitions and nothing else, and as many as the journal's own."""
    first = commands[0]
    if first["kind"] != CommandKind.DEFINE_LIMITS:
        return _MANY_INSTRUMENTS
    try:
        return dataclasses.replace(_MANY_INSTRUMENTS, **{name: int(first[name]) for name in _OF_DEFINITIONS})
    except InvalidValueError:
        return _MANY_INSTRUMENTS


def _definition(session: SessionState) -> DefineSession:
    definition = define_session(
        session.participant_name, participant=session.participant, session=session.session, session_number=session.session_number
    )
    return dataclasses.replace(definition, session_flags=session.flags)
