"""Scenarios in neutral form: inputs and expected results. A file is a JSON list of cases.

A case is `{"name", "source", "features", "steps", "expect"}`. Its steps run in order on empty books:

- `new`: `id`, `side` (buy, sell), `type` (limit, market, stop, stop_limit), `tif` (gtc, day, gtd, ioc, fok,
  fok_budget), `qty`, `price` of an order with a limit. Sometimes `stop_price`; `display_qty`, the peak of an iceberg;
  `post_only`; `slippage`, how many ticks from the best opposite price an order without limit may trade; `budget` of a
  fok_budget, whose limit it is: a price next to it has no effect. Beyond the common form: `hidden`, `min_qty`,
  `expire_time` of a gtd (without it, none comes), `stp`, the self-trade prevention (cancel_newest, cancel_oldest,
  cancel_both, decrement).
- `cancel`: `id`. `reduce`: `id`, `qty` to take off. `amend`: `id`, and `price`, `qty` (the new open quantity) or `total_qty` (the new
  total), `stop_price` of an order that waits; `post_only` says what the order is already.
- `mass_cancel`: the orders of `acct`, or without it of everybody; of `symbol` and `side` if they are given.
- `set_last`: the last trade price of `symbol`, or without it of all, becomes `price`.
- All except set_last have an optional `acct`, the sender, and all have an optional `symbol`.

`expect` has the expected results, each key optional: `trades` in order, `{"maker", "taker", "price", "qty"}`; `book`,
all levels `{"bids": [[price, qty], ...], "asks": ...}` best first, displayed quantity only: neither the reserve of an
iceberg nor hidden orders; or `books` by symbol; `rejected`, ids of the commands refused; `cancelled`, `[[id, qty],
...]` of cancelled orders and lots taken off, in order; `waiting_stops`, ids in any order. `checkpoints` are such
expectations after a number of steps.

A case that uses anything outside the tables below is skipped, under the name of the missing feature. It never passes.

An account is a participant: `acct` of a new order owns it; orders without one all belong to one participant. A step
without an `acct` comes from the order's owner. A step about another participant's order names it by order id, because
client order ids belong to their owner.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Final

from ome.codec import decode_events, encode_commands
from ome.conformance.market import Market, MarketFactory
from ome.enums import CommandFlags, OrderType, SelfTradePrevention, Side, Term, TimeInForce
from ome.errors import InvalidValueError
from ome.instruments import Instrument
from ome.messages import (
    NULL_VALUE,
    Accepted,
    AmendOrder,
    Cancelled,
    CancelOrder,
    Command,
    Event,
    MassCancel,
    NewOrder,
    Reduced,
    ReduceOrder,
    Rejected,
    SetLastPrice,
    Terms,
    Trade,
    Triggered,
)

__all__ = ["CaseResult", "CasesResult", "Outcome", "run_cases"]

# What can be run: operation, key, values. `int` is any whole number that a record holds, `bool` what is there or not, `object` anything
# that names something.
SUPPORTED: Final[Mapping[str, Mapping[str, type | frozenset[str]]]] = {
    "new": {
        "id": object,
        "side": frozenset({"buy", "sell"}),
        "type": frozenset({"limit", "market", "stop", "stop_limit"}),
        "tif": frozenset({"gtc", "day", "gtd", "ioc", "fok", "fok_budget"}),
        "qty": int,
        "price": int,
        "stop_price": int,
        "display_qty": int,
        "min_qty": int,
        "slippage": int,
        "budget": int,
        "expire_time": int,
        "post_only": bool,
        "hidden": bool,
        "stp": frozenset({"none", "cancel_newest", "cancel_oldest", "cancel_both", "decrement"}),
        "acct": object,
        "symbol": object,
    },
    "cancel": {"id": object, "acct": object, "symbol": object},
    "reduce": {"id": object, "qty": int, "acct": object, "symbol": object},
    "amend": {
        "id": object,
        "price": int,
        "qty": int,
        "total_qty": int,
        "stop_price": int,
        "post_only": bool,
        "acct": object,
        "symbol": object,
    },
    "mass_cancel": {"side": frozenset({"buy", "sell"}), "acct": object, "symbol": object},
    "set_last": {"price": int, "symbol": object},
}
REQUIRED: Final[Mapping[str, tuple[str, ...]]] = {
    "new": ("id", "side", "qty"),
    "cancel": ("id",),
    "reduce": ("id", "qty"),
    "amend": ("id",),
    "mass_cancel": (),
    "set_last": ("price",),
}
EXPECTATIONS: Final = frozenset({"trades", "book", "books", "rejected", "cancelled", "waiting_stops"})
# Labels of a case that name a way for the venue to behave which its steps alone may not show: with the key of the steps that does show
# it, or None where nothing does.
SHOWN_BY: Final[Mapping[str, str | None]] = {
    "auction": None,
    "expiry": None,
    "halt": None,
    "hidden": "hidden",
    "iceberg": "display_qty",
    "min_qty": "min_qty",
    "self_trade": "stp",
    "stp": "stp",
}
# Labels that are options of the instruments.
OPTIONS: Final = frozenset({"market_to_limit", "post_only_slides"})
_CASE_KEYS: Final = frozenset({"name", "source", "features", "steps", "expect"})

_SIDES: Final = {"buy": Side.BUY, "sell": Side.SELL}
_TYPES: Final = {
    "limit": OrderType.LIMIT,
    "market": OrderType.MARKET,
    "stop": OrderType.STOP,
    "stop_limit": OrderType.STOP_LIMIT,
}
_WITHOUT_LIMIT: Final = {OrderType.LIMIT: OrderType.MARKET, OrderType.STOP_LIMIT: OrderType.STOP}
_TIMES_IN_FORCE: Final = {
    "gtc": TimeInForce.GTC,
    "day": TimeInForce.DAY,
    "gtd": TimeInForce.GTD,
    "ioc": TimeInForce.IOC,
    "fok": TimeInForce.FOK,
    "fok_budget": TimeInForce.FOK,
}
_TERMS: Final = {
    "stop_price": Term.STOP_PRICE,
    "display_qty": Term.DISPLAY_QUANTITY,
    "min_qty": Term.MINIMUM_QUANTITY,
    "slippage": Term.COLLAR_TICKS,
    "budget": Term.BUDGET,
    "expire_time": Term.EXPIRE_TIME,
}
_WITH_LIMIT: Final = frozenset({"limit", "stop_limit"})
_STOPS: Final = frozenset({"stop", "stop_limit"})
_FAR_FUTURE: Final = 2**63 - 1

Json = Any
"""What a JSON file holds."""


class Outcome(Enum):
    """How a case ended."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseResult:
    """One case. `differences` say what was expected and found where it failed; `missing` names what it needs where it was skipped."""

    file: str
    name: str
    outcome: Outcome
    differences: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CasesResult:
    """All cases in the order in which they ran. `seconds` is the time that it took."""

    cases: tuple[CaseResult, ...]
    seconds: float

    def count(self, outcome: Outcome) -> int:
        """How many cases ended so."""
        return sum(case.outcome is outcome for case in self.cases)

    @property
    def failed(self) -> tuple[CaseResult, ...]:
        """The cases that failed."""
        return tuple(case for case in self.cases if case.outcome is Outcome.FAILED)

    @property
    def skipped_by_feature(self) -> Counter[str]:
        """What is missing, and how many cases were skipped for it; a case that misses several things counts for each."""
        return Counter(name for case in self.cases for name in case.missing)


def run_cases(paths: Path | str | Iterable[Path | str], market_factory: MarketFactory) -> CasesResult:
    """Runs all cases of the files, each on a market of its own; a folder means the `.json` files in it, by name.

    A difference is a result, not an exception. Raises InvalidValueError for a file that is not a list of cases.
    """
    started = time.perf_counter()
    results = []
    for path in _files(paths):
        for number, case in enumerate(_cases(path), 1):
            results.append(_run_case(case, path.name, str(case.get("name", f"case {number}")), market_factory))
    return CasesResult(cases=tuple(results), seconds=time.perf_counter() - started)


def _files(paths: Path | str | Iterable[Path | str]) -> list[Path]:
    files: list[Path] = []
    for path in [Path(paths)] if isinstance(paths, (str, Path)) else map(Path, paths):
        files += sorted(path.glob("*.json")) if path.is_dir() else [path]
    if not files:
        raise InvalidValueError("cases", found="no file", allowed="files of cases, or folders with .json files")
    return files


def _cases(path: Path) -> list[Json]:
    allowed = "a JSON list of cases, each with a list of steps and an object of expectations"
    try:
        cases = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidValueError("cases", where=str(path), found=str(error), allowed=allowed) from error
    if not isinstance(cases, list):
        raise InvalidValueError("cases", where=str(path), found=type(cases).__name__, allowed=allowed)
    for number, case in enumerate(cases, 1):
        if not isinstance(case, dict) or not isinstance(case.get("steps"), list) or not isinstance(case.get("expect"), dict):
            raise InvalidValueError("case", where=f"{path}, case {number}", found=repr(case)[:80], allowed=allowed)
        if not all(isinstance(step, dict) for step in case["steps"]):
            raise InvalidValueError("steps", where=f"{path}, case {number}", found=repr(case["steps"])[:80], allowed="objects")
    return list(cases)


def _run_case(case: Json, file: str, name: str, market_factory: MarketFactory) -> CaseResult:
    steps = [_without_nothing(step) for step in case["steps"]]
    expectations = _expectations(case["expect"], len(steps))
    symbols = _symbols(steps, [each for _, each in expectations])
    missing = sorted({*_missing_of_case(case), *_missing_of_steps(steps), *_missing_of_expectations(expectations, len(steps), symbols)})
    if missing:
        return CaseResult(file=file, name=name, outcome=Outcome.SKIPPED, missing=tuple(missing))
    run = _Run(market_factory, symbols, {str(label) for label in case.get("features") or []})
    differences: list[str] = []
    for done in range(len(steps) + 1):
        if done:
            run.apply(steps[done - 1])
        for after, expect in expectations:
            if after == done:
                differences += [f"after step {done}, {text}" for text in run.differences(expect)]
    outcome = Outcome.FAILED if differences else Outcome.PASSED
    return CaseResult(file=file, name=name, outcome=outcome, differences=tuple(differences))


def _without_nothing(given: Json) -> Json:
    """An object without the keys that say nothing: null and false."""
    return {key: value for key, value in given.items() if value is not None and value is not False}


def _expectations(expect: Json, step_count: int) -> list[tuple[Json, Json]]:
    """Pairs of a number of steps and what is expected after them. Checkpoints are an object by that number, or a list of objects with it.

    The number is None, which no run reaches, where a checkpoint has another form.
    """
    final = _without_nothing(expect)
    checkpoints = final.pop("checkpoints", [])
    pairs: list[tuple[Json, Json]] = []
    given = checkpoints.items() if isinstance(checkpoints, dict) else ((None, each) for each in checkpoints)
    for key, each in given:
        if not isinstance(each, dict):
            pairs.append((None, {}))
        elif key is not None:
            pairs.append((int(key) if key.isdecimal() else None, each))
        else:
            number = next((name for name, value in each.items() if isinstance(value, int)), None)
            pairs.append((each.get(number), {name: value for name, value in each.items() if name != number}))
    return [*pairs, (step_count, final)]


def _symbols(steps: list[Json], expects: list[Json]) -> list[str | None]:
    """All symbols that the case names, and None where an order has none."""
    named = [_symbol(step) for step in steps if step.get("op") == "new" or "symbol" in step]
    return list(dict.fromkeys([*named, *(symbol for expect in expects for symbol in expect.get("books", {}))])) or [None]


def _symbol(step: Json) -> str | None:
    return str(step["symbol"]) if "symbol" in step else None


# What a case needs that is not there.


def _missing_of_case(case: Json) -> list[str]:
    keys = {key for step in case["steps"] for key in step}
    labels = [str(label) for label in case.get("features") or []]
    return [str(key) for key in case.keys() - _CASE_KEYS] + [label for label in labels if label in SHOWN_BY and SHOWN_BY[label] not in keys]


def _missing_of_steps(steps: list[Json]) -> list[str]:
    names = [name for step in steps for name in _missing_of_step(step)]
    post_only = {str(step.get("id")) for step in steps if step.get("op") == "new" and "post_only" in step}
    if any(step.get("op") == "amend" and "post_only" in step and str(step.get("id")) not in post_only for step in steps):
        names.append("amend to post_only")
    return names


def _missing_of_step(step: Json) -> list[str]:
    operation = str(step.get("op"))
    keys = SUPPORTED.get(operation)
    if keys is None:
        return [operation]
    names = []
    for key, value in step.items():
        if key == "op":
            continue
        allowed = keys.get(key)
        if allowed is None:
            names.append(key)
        elif isinstance(allowed, frozenset):
            names += [] if isinstance(value, str) and value in allowed else [str(value)]
        elif not _is_a(allowed, value):
            names.append(f"{key} {value!r}")
    names += [f"{operation} without {key}" for key in _required(step) if key not in step]
    if "qty" in step and "total_qty" in step:
        names.append("amend with qty and total_qty")
    return names + (_contradictions(step) if operation == "new" else [])


def _required(step: Json) -> tuple[str, ...]:
    """The keys without which the step says nothing."""
    required = REQUIRED[step["op"]]
    if step["op"] == "new":
        order_type = _type(step)
        required += ("price",) if order_type in _WITH_LIMIT and step.get("tif") != "fok_budget" else ()
        required += ("stop_price",) if order_type in _STOPS else ()
        required += ("budget",) if step.get("tif") == "fok_budget" else ()
    return required


def _type(step: Json) -> str:
    """The type of a new order."""
    return str(step.get("type", "limit"))


def _contradictions(step: Json) -> list[str]:
    """What a new order has that its type does not, so that nobody can say what is meant."""
    belongs = {
        "stop_price": _type(step) in _STOPS,
        "slippage": _type(step) not in _WITH_LIMIT,
        "budget": step.get("tif") == "fok_budget",
        "expire_time": step.get("tif") == "gtd",
    }
    names = [
        f"{key} of {step.get('tif' if key in ('budget', 'expire_time') else 'type')}" for key in belongs if key in step and not belongs[key]
    ]
    return names + [f"{key} {step[key]}" for key in ("display_qty", "min_qty") if isinstance(step.get(key), int) and step[key] <= 0]


def _is_a(allowed: type, value: Json) -> bool:
    if allowed is bool or isinstance(value, bool):
        return allowed is bool and isinstance(value, bool)
    return isinstance(value, int) and NULL_VALUE < value < -NULL_VALUE if allowed is int else isinstance(value, (int, str))


def _missing_of_expectations(expectations: list[tuple[Json, Json]], step_count: int, symbols: list[str | None]) -> list[str]:
    names = []
    for after, expect in expectations:
        if not isinstance(after, int) or not 0 <= after <= step_count:
            names.append(f"checkpoint after {after}")
        names += [f"expect {key}" for key in expect.keys() - EXPECTATIONS]
        if "book" in expect and len(symbols) > 1 and None not in symbols:
            names.append("book of several symbols")
    return names if any(expect for _, expect in expectations) else [*names, "expect"]


class _Run:
    """One case on its market: what its steps have caused so far."""

    def __init__(self, market_factory: MarketFactory, symbols: list[str | None], labels: set[str]) -> None:
        self._instruments = {symbol: number for number, symbol in enumerate(symbols, 1)}
        options = {label: label in labels for label in OPTIONS}
        instruments = [Instrument(f"CASE{number}", tick=1, signed_prices=True, **options) for number in self._instruments.values()]
        self._market: Market = market_factory(instruments)
        self._numbers: dict[Json, int] = {}  # client order id by the case's id
        self._names: dict[int, Json] = {}
        self._participants: dict[Json, int] = {None: 1}  # by account
        self._owners: dict[int, int] = {}  # participant by client order id
        self._order_ids: dict[tuple[int, int], int] = {}  # by participant and client order id
        self._waiting: dict[int, Json] = {}  # stops that have not triggered, by order id
        self._found: dict[str, list[Json]] = {"trades": [], "rejected": [], "cancelled": []}

    def apply(self, step: Json) -> None:
        """Sends the commands that the step says, and notes what they cause."""
        for command in self._commands(step):
            for event in decode_events(self._market.apply_records(encode_commands([command]))):
                self._note(step, command, event)

    def _note(self, step: Json, command: Command, event: Event) -> None:
        match event:
            case Accepted():
                self._owners[event.client_order_id] = command.participant
                self._order_ids[command.participant, event.client_order_id] = event.order_id
                if _type(step) in _STOPS:
                    self._waiting[event.order_id] = step["id"]
            case Rejected():
                self._found["rejected"].append(step.get("id", step["op"]))
            case Triggered():
                self._waiting.pop(event.order_id, None)
            case Cancelled() | Reduced():
                self._found["cancelled"].append([self._names[event.client_order_id], event.quantity])
                if isinstance(event, Cancelled):
                    self._waiting.pop(event.order_id, None)
            case Trade():
                maker, taker = self._names[event.resting_client_order_id], self._names[event.client_order_id]
                self._found["trades"].append({"maker": maker, "taker": taker, "price": event.price, "qty": event.quantity})

    def differences(self, expect: Json) -> list[str]:
        """What is not as expected now."""
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

    def _commands(self, step: Json) -> list[Command]:
        match step["op"]:
            case "new":
                return [self._new_order(step)]
            case "mass_cancel":
                return [self._mass_cancel(step)]
            case "set_last":
                given = [self._instruments[_symbol(step)]] if "symbol" in step else list(self._instruments.values())
                return [SetLastPrice(instrument=instrument, price=step["price"]) for instrument in given]
        return [self._about_order(step)]

    def _new_order(self, step: Json) -> NewOrder:
        order_type, time_in_force = _TYPES[_type(step)], step.get("tif", "gtc")
        if time_in_force == "fok_budget":
            order_type = _WITHOUT_LIMIT.get(order_type, order_type)
        terms: Terms = tuple((term, step[key]) for key, term in _TERMS.items() if key in step)
        if time_in_force == "gtd" and "expire_time" not in step:
            terms += ((Term.EXPIRE_TIME, _FAR_FUTURE),)
        return NewOrder(
            participant=self._participant(step.get("acct")),
            instrument=self._instruments[_symbol(step)],
            client_order_id=self._number(step),
            side=_SIDES[step["side"]],
            order_type=order_type,
            time_in_force=_TIMES_IN_FORCE[time_in_force],
            quantity=step["qty"],
            price=step.get("price", 0),
            post_only=step.get("post_only", False),
            hidden=step.get("hidden", False),
            self_trade_prevention=SelfTradePrevention[step.get("stp", "none").upper()],
            terms=terms,
        )

    def _mass_cancel(self, step: Json) -> MassCancel:
        has_account = "acct" in step
        return MassCancel(
            participant=self._participant(step["acct"]) if has_account else 0,
            instrument=self._instruments[_symbol(step)] if "symbol" in step else 0,
            side=_SIDES[step["side"]] if "side" in step else 0,
            flags=0 if has_account else CommandFlags.ANY_PARTICIPANT,
        )

    def _about_order(self, step: Json) -> Command:
        """A cancel, a reduce or an amend."""
        number = self._number(step)
        instrument = self._instruments[_symbol(step)] if "symbol" in step else 0
        participant = self._participant(step["acct"]) if "acct" in step else self._owners.get(number, 1)
        flags = 0
        if number in self._owners and (participant, number) not in self._order_ids:
            flags, number = CommandFlags.BY_ORDER_ID, self._order_ids[self._owners[number], number]
        if step["op"] == "cancel":
            return CancelOrder(participant=participant, instrument=instrument, client_order_id=number, flags=flags)
        if step["op"] == "reduce":
            return ReduceOrder(participant=participant, instrument=instrument, client_order_id=number, quantity=step["qty"], flags=flags)
        if "qty" in step:
            flags |= CommandFlags.OPEN_QUANTITY
        return AmendOrder(
            participant=participant,
            instrument=instrument,
            client_order_id=number,
            price=step.get("price", NULL_VALUE),
            quantity=step.get("qty", step.get("total_qty", NULL_VALUE)),
            flags=flags,
            terms=((Term.STOP_PRICE, step["stop_price"]),) if "stop_price" in step else (),
        )

    def _number(self, step: Json) -> int:
        number = self._numbers.setdefault(step["id"], len(self._numbers) + 1)
        self._names[number] = step["id"]
        return number

    def _participant(self, account: Json) -> int:
        return self._participants.setdefault(account, len(self._participants) + 1)
