"""The instruments of a venue, as the answer to a logon tells them: by symbol and by number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

from ome.errors import InvalidValueError, one_of
from ome.instruments import Instrument
from ome.units import Integer, integer_of

__all__ = ["InstrumentDirectory"]


class InstrumentDirectory(Mapping[str, Instrument]):
    """Instruments by symbol, in the order of their numbers. `by_number` is the same by number, `number` gives the number of a symbol."""

    def __init__(self, numbered: Mapping[int, Instrument]) -> None:
        self.define(numbered)

    def define(self, numbered: Mapping[int, Instrument]) -> None:
        """From now on there are these, by number: a venue may have more of them when a session comes back."""
        self.by_number = dict(sorted(numbered.items()))
        self._numbers = {instrument.symbol: number for number, instrument in self.by_number.items()}

    @classmethod
    def from_definitions(cls, definitions: npt.NDArray[np.void]) -> InstrumentDirectory:
        """The instruments that DefineInstrument messages (dtype COMMAND_MESSAGE) define."""
        numbered = {}
        for row in definitions:
            numbered[int(row["instrument"])] = Instrument.defined(
                bytes(row["symbol"]).decode("ascii"),
                tick_units=int(row["tick"]),
                price_decimals=int(row["price_decimals"]),
                quantity_decimals=int(row["quantity_decimals"]),
                collar_ticks=int(row["collar_ticks"]),
                flags=int(row["instrument_flags"]),
            )
        return cls(numbered)

    def number(self, instrument: str | Integer) -> int:
        """The number of the instrument with this symbol; a number stands for itself.

        Raises InvalidValueError where there is none, InvalidTypeError for another type.
        """
        number = self._numbers.get(instrument) if isinstance(instrument, str) else integer_of(instrument, "instrument")
        if number is None or number not in self.by_number:
            raise InvalidValueError("instrument", found=instrument, allowed=one_of(self._numbers, "none is defined"))
        return number

    def instrument(self, instrument: str | Integer) -> Instrument:
        """The instrument with this symbol or number. Raises as `number`."""
        return self.by_number[self.number(instrument)]

    def __getitem__(self, symbol: str) -> Instrument:
        return self.by_number[self._numbers[symbol]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._numbers)

    def __len__(self) -> int:
        return len(self._numbers)
