"""One case on its market: its steps are sent, what they cause is noted, and compared with what is expected."""

from __future__ import annotations

import json
from typing import Final

from ome.codec import decode_events, encode_commands
from ome.conformance.case_commands import CaseCommands
from ome.conformance.case_files import STOPS, Json, order_type_of
from ome.conformance.market import Market, MarketFactory
from ome.enums import Side
from ome.instruments import Instrument
from ome.messages import Accepted, Cancelled, Command, Event, Reduced, Rejected, Trade, Triggered

__all__ = ["CaseRun"]

# Labels that are options of the instruments.
OPTIONS: Final = frozenset({"market_to_limit", "post_only_slides"})


class CaseRun:
    """One case on its market: what its steps have caused so far. `labels` are the features that the case names."""

    def __init__(self, market_factory: MarketFactory, symbols: list[str | None], labels: set[str]) -> None:
        self._instruments = {symbol: number for number, symbol in enumerate(symbols, 1)}
        options = {label: label in labels for label in OPTIONS}
        instruments = [Instrument(f"CASE{number}", tick=1, signed_prices=True, **options) for number in self._instruments.values()]
        self._market: Market = market_factory(instruments)
        self._commands = CaseCommands(self._instruments)
        self._waiting: dict[int, Json] = {}  # stops that have not triggered, by order id
        self._found: dict[str, list[Json]] = {"trades": [], "rejected": [], "cancelled": []}

    def apply(self, step: Json) -> None:
        """Sends the commands that the step says, and notes what they cause."""
        for command in self._commands.of_step(step):
            for event in decode_events(self._market.apply_records(encode_commands([command]))):
                self._note(step, command, event)

    def _note(self, step: Json, command: Command, event: Event) -> None:
        match event:
            case Accepted():
                self._commands.take(command, event)
                if order_type_of(step) in STOPS:
                    self._waiting[event.order_id] = step["id"]
            case Rejected():
                self._found["rejected"].append(step.get("id", step["op"]))
            case Triggered():
                self._waiting.pop(event.order_id, None)
            case Cancelled() | Reduced():
                self._found["cancelled"].append([self._commands.name_of(event.client_order_id), event.quantity])
                if isinstance(event, Cancelled):
                    self._waiting.pop(event.order_id, None)
            case Trade():
                maker, taker = self._commands.name_of(event.resting_client_order_id), self._commands.name_of(event.client_order_id)
                self._found["trades"].append({"maker": maker, "taker": taker, "price": event.price, "qty": event.quantity})

    def differences(self, expect: Json) -> list[str]:
        """What is not as expected now: a sentence for each key of `expect` that differs, with what was expected and found."""
        texts = []
        for key, expected in expect.items():
            if key == "book":
                found: Json = self._book(self._instruments.get(None, 1))
            elif key == "books":
                found = {symbol: self._book(self._instruments[symbol]) for symbol in expected}
            elif key == "waiting_stops":
                found = list(self._waiting.values())
                if isinstance(expected, list) and sorted(map(repr, found)) == sorted(map(repr, expected)):
                    continue
            else:
                found = self._found[key]
            if found != expected:
                texts.append(f"{key}: expected {json.dumps(expected)}, found {json.dumps(found)}")
        return texts

    def _book(self, instrument: int) -> Json:
        sides = {"bids": Side.BUY, "asks": Side.SELL}
        return {name: [list(level[:2]) for level in self._market.levels(instrument, side, None)] for name, side in sides.items()}
