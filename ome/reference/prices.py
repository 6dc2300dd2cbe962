"""The valid prices of an instrument. Source: docs/RULES.md, Order of checks."""

from __future__ import annotations

from typing import Final

from ome.enums import InstrumentFlags, Reason
from ome.messages import DefineInstrument

__all__ = ["kept_within", "why_distance_refused", "why_price_refused"]

PRICE_MAX: Final = 2**62
SIGNED_PRICES: Final = int(InstrumentFlags.SIGNED_PRICES)


def why_price_refused(instrument: DefineInstrument, price: int) -> Reason | None:
    """In range from 1 to 2^62, with SIGNED_PRICES from -2^62 to 2^62; a multiple of the tick."""
    least = -PRICE_MAX if instrument.instrument_flags & SIGNED_PRICES else 1
    return _why_refused(instrument, price, least)


def why_distance_refused(instrument: DefineInstrument, distance: int) -> Reason | None:
    """S6: the limit of a TRAILING_STOP_LIMIT is a distance from its stop price, whatever prices the instrument has."""
    return _why_refused(instrument, distance, -PRICE_MAX)


def _why_refused(instrument: DefineInstrument, price: int, least: int) -> Reason | None:
    if not least <= price <= PRICE_MAX:
        return Reason.PRICE_OUT_OF_RANGE
    if price % instrument.tick:
        return Reason.PRICE_OFF_TICK
    return None


def kept_within(instrument: DefineInstrument, price: int) -> int:
    """S6: `price`, a multiple of the tick, or the highest or lowest price of the instrument on the tick where it is beyond that."""
    highest = PRICE_MAX // instrument.tick * instrument.tick
    lowest = -highest if instrument.instrument_flags & SIGNED_PRICES else instrument.tick
    return max(lowest, min(highest, price))
