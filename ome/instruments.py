"""An instrument as its user describes it, and its conversions between decimal numbers and the integers of the wire."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from ome.enums import InstrumentFlags
from ome.errors import InvalidTypeError, InvalidValueError
from ome.units import DECIMALS_MAX, Integer, Number, decimal_of, integer_of, number_of, units_of

__all__ = ["COLLAR_TICKS_MAX", "NAME_SIZE", "PRICE_MAX", "QUANTITY_MAX", "TICK_MAX", "Instrument"]

NAME_SIZE = 16
COLLAR_TICKS_MAX = 2**32 - 1
PRICE_MAX = 2**62
QUANTITY_MAX = 2**60
TICK_MAX = 2**62


@dataclass(frozen=True, slots=True, init=False)
class Instrument:
    """What is traded.

    `symbol` is 1 to 16 printable ASCII characters without space; `tick` the smallest price step; a price unit is 10^-`price_decimals`
    (by default as many decimals as the tick has) and a lot 10^-`quantity_decimals`. With `signed_prices` a price may be zero or negative.
    An order without limit trades at most `collar_ticks` away from the best opposite price, 0 for any price. With `market_to_limit` what a
    market order leaves rests at its last price; with `post_only_slides` a post-only order that would trade rests one tick away from the
    opposite best instead of being refused.

    Conversions: `price_units` and `price`, `lots` and `quantity`; `tick_units` and `flags` are what a DefineInstrument carries.

    >>> apple = Instrument("AAPL", tick="0.01")
    >>> apple.price_units("150.25"), apple.price(15025), apple.lots(100)
    (15025, Decimal('150.25'), 100)

    Raises InvalidTypeError for floats, InvalidValueError for values outside these ranges.
    """

    symbol: str
    tick: Decimal
    price_decimals: int
    quantity_decimals: int
    signed_prices: bool
    collar_ticks: int
    market_to_limit: bool
    post_only_slides: bool

    def __init__(
        self,
        symbol: str,
        *,
        tick: Number = "0.01",
        price_decimals: Integer | None = None,
        quantity_decimals: Integer = 0,
        signed_prices: bool = False,
        collar_ticks: Integer = 0,
        market_to_limit: bool = False,
        post_only_slides: bool = False,
    ) -> None:
        where = f"instrument {_checked_symbol(symbol)}"
        step = decimal_of(tick, f"tick in {where}")
        if price_decimals is None:
            exponent = step.as_tuple().exponent
            assert isinstance(exponent, int), "a finite number has an exponent"
            price_decimals = max(0, -exponent)
        price_decimals = integer_of(price_decimals, "price_decimals", 0, DECIMALS_MAX, where=where)
        for name, value in (
            ("symbol", symbol),
            ("price_decimals", price_decimals),
            ("quantity_decimals", integer_of(quantity_decimals, "quantity_decimals", 0, DECIMALS_MAX, where=where)),
            ("tick", step),
            ("signed_prices", bool(signed_prices)),
            ("collar_ticks", integer_of(collar_ticks, "collar_ticks", 0, COLLAR_TICKS_MAX, where=where)),
            ("market_to_limit", bool(market_to_limit)),
            ("post_only_slides", bool(post_only_slides)),
        ):
            object.__setattr__(self, name, value)
        if not 1 <= units_of(step, price_decimals, f"tick in {where}") <= TICK_MAX:
            raise InvalidValueError("tick", where=where, found=tick, allowed=f"above 0, to {number_of(TICK_MAX, price_decimals)}")

    @classmethod
    def defined(
        cls, symbol: str, *, tick_units: int, price_decimals: int, quantity_decimals: int, collar_ticks: int, flags: int
    ) -> Instrument:
        """The instrument that a DefineInstrument with these fields defines.

        >>> Instrument.defined("AAPL", tick_units=1, price_decimals=2, quantity_decimals=0, collar_ticks=0, flags=0) == Instrument("AAPL")
        True
        """
        return cls(
            symbol,
            tick=number_of(tick_units, price_decimals),
            price_decimals=price_decimals,
            quantity_decimals=quantity_decimals,
            signed_prices=bool(flags & InstrumentFlags.SIGNED_PRICES),
            collar_ticks=collar_ticks,
            market_to_limit=bool(flags & InstrumentFlags.MARKET_TO_LIMIT),
            post_only_slides=bool(flags & InstrumentFlags.POST_ONLY_SLIDES),
        )

    @property
    def tick_units(self) -> int:
        """The tick in price units."""
        return units_of(self.tick, self.price_decimals)

    @property
    def flags(self) -> InstrumentFlags:
        """The `instrument_flags` of its definition."""
        return (
            (InstrumentFlags.SIGNED_PRICES if self.signed_prices else InstrumentFlags(0))
            | (InstrumentFlags.MARKET_TO_LIMIT if self.market_to_limit else 0)
            | (InstrumentFlags.POST_ONLY_SLIDES if self.post_only_slides else 0)
        )

    def price_units(self, price: Number) -> int:
        """`price` in price units. Raises InvalidTypeError for a float, InvalidValueError for a price out of range or off the tick."""
        what = f"price of {self.symbol}"
        units = units_of(price, self.price_decimals, what)
        lowest = -PRICE_MAX if self.signed_prices else 1
        if not lowest <= units <= PRICE_MAX:
            raise InvalidValueError(what, found=price, allowed=f"{self.price(lowest)} to {self.price(PRICE_MAX)}")
        if units % self.tick_units:
            raise InvalidValueError(what, found=price, allowed=f"a multiple of {self.tick}")
        return units

    def price(self, units: int) -> Decimal:
        """The price that is `units` price units."""
        return number_of(units, self.price_decimals)

    def lots(self, quantity: Number) -> int:
        """`quantity` in lots. Raises InvalidTypeError for a float, InvalidValueError unless it is a whole number of lots from 1 to 2^60."""
        what = f"quantity of {self.symbol}"
        lots = units_of(quantity, self.quantity_decimals, what)
        if not 1 <= lots <= QUANTITY_MAX:
            raise InvalidValueError(what, found=quantity, allowed=f"{self.quantity(1)} to {self.quantity(QUANTITY_MAX)}")
        return lots

    def quantity(self, lots: int) -> Decimal:
        """The quantity that is `lots` lots."""
        return number_of(lots, self.quantity_decimals)


def _checked_symbol(symbol: str) -> str:
    if not isinstance(symbol, str):
        raise InvalidTypeError("symbol", found=symbol, allowed="str")
    if not 1 <= len(symbol) <= NAME_SIZE or not all("!" <= character <= "~" for character in symbol):
        raise InvalidValueError("symbol", found=symbol, allowed=f"1 to {NAME_SIZE} printable ASCII characters without space")
    return symbol
