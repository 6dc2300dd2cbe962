"""The instruments of an engine, read from it as they are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ome._native import ffi, lib
from ome.engine.calls import Handle
from ome.engine.state import state_of
from ome.errors import InvalidValueError, one_of
from ome.instruments import Instrument
from ome.units import Integer, integer_of

__all__ = ["EngineInstruments"]


class EngineInstruments:
    """Instruments by symbol and by number, however they were defined. `by_number` has those that were read so far."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle
        self._numbers: dict[str, int] = {}
        self.by_number: dict[int, Instrument] = {}

    def all(self) -> Mapping[str, tuple[int, Instrument]]:
        """Every instrument by symbol, with its number."""
        self._learn()
        return MappingProxyType({symbol: (number, self.by_number[number]) for symbol, number in self._numbers.items()})

    def number(self, instrument: str | Integer) -> int:
        """The number of an instrument, given by symbol or number, that `by_number` then has."""
        if isinstance(instrument, str):
            if instrument not in self._numbers:
                self._learn()
            number = self._numbers.get(instrument, 0)
        else:
            number = integer_of(instrument, "instrument")
        if self.find(number) is None:
            raise InvalidValueError("instrument", found=instrument, allowed=one_of(self._numbers, "none: no instrument is defined"))
        return number

    def find(self, number: int) -> Instrument | None:
        """The instrument of this number, if there is one."""
        if number not in self.by_number:
            self._learn()
        return self.by_number.get(number)

    def _learn(self) -> None:
        """Reads the instruments that were defined since the last time, however they were."""
        found = ffi.new("ome_instrument_view_t *")
        for number in range(len(self.by_number) + 1, state_of(self._handle.engine).instrument_count + 1):
            lib.ome_engine_instrument(self._handle.engine, number, found)
            symbol = ffi.string(found.symbol, 16).decode("ascii")
            self._numbers[symbol] = number
            self.by_number[number] = Instrument.defined(
                symbol,
                tick_units=found.tick,
                price_decimals=found.price_decimals,
                quantity_decimals=found.quantity_decimals,
                collar_ticks=found.collar_ticks,
                flags=found.flags,
            )
