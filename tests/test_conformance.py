"""Tapes, cases and LOBSTER days: what is right passes and is counted, what is wrong is found, what cannot be read is refused."""

from __future__ import annotations

import gzip
import json
import os
import random
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Engine, EngineFactory

from ome.client.reports import Reports
from ome.codec import EVENT, Records, decode_events, encode_commands, encode_events
from ome.codec.layouts import EXECUTION_REPORT_MESSAGE
from ome.conformance import (
    CaseResult,
    CasesResult,
    MarketFactory,
    Mismatch,
    Outcome,
    lobster_tape,
    read_tape,
    run_cases,
    run_lobster,
    run_tape,
)
from ome.conformance.wire import events_of_reports
from ome.enums import EventKind, Reason, Side
from ome.errors import InvalidValueError
from ome.instruments import Instrument
from ome.messages import DefineInstrument, Event, Limits, Rejected, Trade

SHARED = Path(os.environ.get("OME_SHARED", Path(__file__).resolve().parents[2] / "shared"))
DATA = SHARED / "data"
DAY = DATA / "LOBSTER_SampleFile_AMZN_2012-06-21_5.zip"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"no real order flow: {DATA} is not there (set OME_SHARED)")
needs_cases = pytest.mark.skipif(not (SHARED / "cases").is_dir(), reason=f"no cases: {SHARED / 'cases'} is not there (set OME_SHARED)")


def opened(engine: Engine, instruments: Sequence[Instrument]) -> Engine:
    """The engine with these instruments defined."""
    for number, each in enumerate(instruments, 1):
        definition = DefineInstrument(
            instrument=number,
            symbol=each.symbol.encode(),
            tick=each.tick_units,
            price_decimals=each.price_decimals,
            quantity_decimals=each.quantity_decimals,
            instrument_flags=each.flags,
        )
        (event,) = decode_events(engine.apply_records(encode_commands([definition])))
        assert not isinstance(event, Rejected)
    return engine


@pytest.fixture
def market_factory(engine_factory: EngineFactory) -> MarketFactory:
    """Makes a market of each engine of the project."""
    return lambda instruments: opened(engine_factory(Limits()), instruments)


Spoil = Callable[[list[Event]], list[Event]]


class SpoiltMarket:
    """A market whose events are changed on their way out, to see that a run notices."""

    def __init__(self, engine: Engine, spoil: Spoil) -> None:
        self._engine = engine
        self._spoil = spoil

    def apply_records(self, commands: Records) -> Records:
        """The engine's events, spoilt."""
        events = self._spoil(decode_events(self._engine.apply_records(commands)))
        records = encode_events(events)
        assert records.dtype == EVENT
        return records

    def levels(self, instrument: int, side: Side, depth: int | None) -> Sequence[tuple[int, int, int]]:
        """The engine's levels."""
        levels: Sequence[tuple[int, int, int]] = self._engine.levels(instrument, side, depth)
        return levels


# Tapes.

GOOD_TAPE = """\
# comments say nothing
0,S,1,sell,101,10
0,S,2,sell,101,5
0,S,3,sell,103,7
0,S,4,buy,99,8

0,=,101,15,99,8,103,7,0,0
1,X,5,buy,101,12
1,T,1,5,101,10
1,T,2,5,101,2
1,=,101,3,99,8,103,7,0,0
2,X,6,buy,101,9
2,T,2,6,101,3
3,L,7,buy,104,10
3,T,3,7,103,7
3,=,0,0,104,3,0,0,99,8
4,R,7,1
4,M,4,104,5
4,R,4,5
5,A,1,sell,106,4
5,M,1,104,6
5,T,7,1,104,2
5,=,104,4,0,0,0,0,0,0
6,D,1
6,A,8,buy,-5,1
6,A,9,sell,0,2
6,=,0,2,-5,1
7,M,9,-5,2
7,T,8,9,-5,1
7,=,-5,1,0,0
"""


def written(path: Path, text: str) -> Path:
    """`path`, holding `text`."""
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    return path


@pytest.mark.parametrize("name", ["good.csv", "good.csv.gz"])
def test_a_tape_that_holds_passes_and_is_counted(name: str, tmp_path: Path, market_factory: MarketFactory) -> None:
    """Every code, ids used again, prices below zero, empty sides, an amend that trades: all lines hold, and all are counted."""
    result = run_tape(written(tmp_path / name, GOOD_TAPE), market_factory)
    commands = sum(line.split(",")[1] in "SAXLRMD" for line in GOOD_TAPE.splitlines() if line[:1].isdigit())
    assert (result.commands, result.trades, result.books) == (commands, GOOD_TAPE.count(",T,"), GOOD_TAPE.count(",=,"))
    assert result.instrument.tick == 1


@pytest.mark.parametrize(
    ("line", "instead", "found_at", "text"),
    [
        ("0,=,101,15,99,8,103,7,0,0", "0,=,101,15,99,9,103,7,0,0", 7, "found 101,15,99,8,103,7,0,0"),
        ("0,=,101,15,99,8,103,7,0,0", "0,=,101,15,99,8,103,7,98,1", 7, "expected 101,15,99,8,103,7,98,1"),
        ("0,=,101,15,99,8,103,7,0,0", "0,=,101,15,99,8,0,0,0,0", 7, "found 101,15,99,8,103,7,0,0"),
        ("1,T,1,5,101,10", "1,T,1,5,100,10", 8, "TRADE 1 with 5, 10 at 100"),
        ("1,T,1,5,101,10", "1,T,2,5,101,10", 8, "TRADE 2 with 5"),
        ("1,T,1,5,101,10", "1,T,1,5,101,9", 8, "10 at 101"),
        ("1,T,1,5,101,10\n", "", 8, "found ACCEPTED 5, 12 at 101; TRADE 1 with 5"),
        ("1,T,2,5,101,2\n", "", 8, "TRADE 2 with 5, 2 at 101"),
        ("1,T,2,5,101,2\n", "1,T,2,5,101,2\n1,T,3,5,103,1\n", 8, "TRADE 3 with 5"),
        ("1,T,1,5,101,10\n1,T,2,5,101,2\n", "1,T,2,5,101,2\n1,T,1,5,101,10\n", 8, "expected ACCEPTED 5, 12 at 101; TRADE 2 with 5"),
        ("2,X,6,buy,101,9", "2,A,6,buy,101,3", 12, "expected ACCEPTED 6, 3 at 101; TRADE 2 with 6, 3 at 101; RESTED 6, 0 at 101"),
        ("2,X,6,buy,101,9", "2,L,6,buy,101,9", 16, "found 0,0,104,3,0,0,101,6"),
        ("3,L,7,buy,104,10", "3,X,7,buy,104,10", 16, "found 0,0,99,8,0,0,0,0"),
        ("5,A,1,sell,106,4", "5,A,1,sell,104,2", 20, "TRADE 7 with 1"),
        ("5,A,1,sell,106,4", "5,A,7,sell,106,4", 20, "DUPLICATE_CLIENT_ORDER_ID"),
        ("6,D,1", "6,D,3", 24, "UNKNOWN_ORDER"),
        ("4,R,7,1", "4,R,3,1", 17, "UNKNOWN_ORDER"),
        ("4,M,4,104,5", "4,M,3,104,5", 18, "UNKNOWN_ORDER"),
        ("5,T,7,1,104,2\n", "", 21, "TRADE 7 with 1, 2 at 104"),
        ("6,A,9,sell,0,2", "6,A,9,sell,0,0", 26, "ZERO_QUANTITY"),
    ],
)
def test_the_first_line_of_a_tape_that_does_not_hold_is_named(
    line: str, instead: str, found_at: int, text: str, *, tmp_path: Path, market_factory: MarketFactory
) -> None:
    """One changed line is found at its row and line, or at those of the command that it changes, with what was expected and found."""
    assert GOOD_TAPE.count(line) == 1
    path = written(tmp_path / "bad.csv", GOOD_TAPE.replace(line, instead))
    with pytest.raises(Mismatch) as caught:
        run_tape(path, market_factory)
    assert caught.value.line == found_at
    assert caught.value.row == int(GOOD_TAPE.splitlines()[found_at - 1].split(",")[0])
    assert text in str(caught.value)
    assert "bad.csv" in str(caught.value)


def trade_at_another_price(events: list[Event]) -> list[Event]:
    """Prints trades one worse."""
    return [each if not isinstance(each, Trade) else replaced(each, price=each.price + 1) for each in events]


def without_the_last(events: list[Event]) -> list[Event]:
    """Loses the last event."""
    return events[:-1]


def with_the_last_twice(events: list[Event]) -> list[Event]:
    """Says the last event twice."""
    return [*events, events[-1]]


def with_one_of_a_further_command(events: list[Event]) -> list[Event]:
    """Adds an event that no command caused."""
    return [*events, replaced(events[-1], sequence=events[-1].sequence + 1)]


def backwards(events: list[Event]) -> list[Event]:
    """Turns the order round."""
    return events[::-1]


def replaced(event: Any, **changes: int) -> Any:
    """The event with other values."""
    values = {name: getattr(event, name) for name in type(event).__dataclass_fields__ if name != "kind"}
    return type(event)(**{**values, **changes})


@pytest.mark.parametrize("spoil", [trade_at_another_price, without_the_last, with_the_last_twice, with_one_of_a_further_command, backwards])
def test_an_engine_that_says_something_else_is_caught(
    spoil: Spoil, tmp_path: Path, engine_factory: EngineFactory, market_factory: MarketFactory
) -> None:
    """Wrong, missing, doubled, added and disordered events all fail a tape that holds on the engine as it is."""
    path = written(tmp_path / "good.csv", GOOD_TAPE)
    run_tape(path, market_factory)
    with pytest.raises(Mismatch):
        run_tape(path, lambda instruments: SpoiltMarket(opened(engine_factory(Limits()), instruments), spoil))


@pytest.mark.parametrize(
    "line",
    [
        "nonsense",
        "7",
        "x,D,1",
        "7,Q,1",
        "7,,1",
        "7,SA,1,buy,1,1",
        "7,A,1,buy,1",
        "7,A,1,buy,1,1,1",
        "7,A,0,buy,1,1",
        "7,A,18446744073709551616,buy,1,1",
        "7,A,1,bought,1,1",
        "7,A,1,buy,1.5,1",
        "7,A,1,buy,9223372036854775808,1",
        "7,M,1,-9223372036854775808,1",
        "7,M,1,1",
        "7,D",
        "7,T,1,2,3,4",
        "7,=",
        "7,=,1,2,3",
        "7,=,1,2,3,x",
    ],
)
def test_a_line_of_another_form_is_refused_with_what_is_allowed(line: str, tmp_path: Path, market_factory: MarketFactory) -> None:
    """A line that is not a tape's says file, line, what was found and the form that its code has."""
    path = written(tmp_path / "bad.csv", f"{GOOD_TAPE}{line}\n")
    number = GOOD_TAPE.count("\n") + 1
    with pytest.raises(InvalidValueError, match=rf"tape line in bad\.csv, line {number}: found .*, allowed: .*row,"):
        run_tape(path, market_factory)


def test_a_tape_that_cannot_be_read_is_refused(tmp_path: Path, market_factory: MarketFactory) -> None:
    """Absent, empty, torn and binary files are errors of the file, not of the market."""
    whole = gzip.compress(GOOD_TAPE.encode() * 50)
    (tmp_path / "torn.csv.gz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "plain.csv.gz").write_text(GOOD_TAPE)
    (tmp_path / "binary.csv").write_bytes(b"0,D,\xff\n")
    written(tmp_path / "comments.csv", "# nothing\n")
    for name in ("absent.csv", "torn.csv.gz", "plain.csv.gz", "binary.csv", "comments.csv"):
        with pytest.raises(InvalidValueError, match=name):
            list(read_tape(tmp_path / name))
    with pytest.raises(InvalidValueError, match=r"absent\.csv"):
        run_tape(tmp_path / "absent.csv", market_factory)


def test_a_long_tape_without_books_is_applied_in_steps_and_its_last_line_counts(tmp_path: Path, market_factory: MarketFactory) -> None:
    """Commands before a book go in one call, but not without bound; trades stay with their command across the bound."""
    lines = [f"0,A,{number},sell,{number},1" for number in range(1, 3001)]
    lines += ["1,X,9999,buy,3000,3000", *(f"1,T,{number},9999,{number},1" for number in range(1, 3001)), "2,A,5,buy,1,1"]
    steps = list(read_tape(written(tmp_path / "long.csv", "\n".join(lines))))
    assert max(len(step.actions) for step in steps) <= 1024
    assert sum(len(step.actions) for step in steps) == 3002
    result = run_tape(tmp_path / "long.csv", market_factory)
    assert (result.commands, result.trades, result.books) == (3002, 3000, 0)
    with pytest.raises(Mismatch, match="line 6002"):
        run_tape(written(tmp_path / "long.csv", "\n".join([*lines[:-1], "2,D,5"])), market_factory)


@pytest.mark.slow
@needs_data
@pytest.mark.parametrize(("name", "commands", "trades", "books"), [("amzn", 235_120, 8_922, 153_416), ("aapl", 183_509, 23_614, 113_783)])
def test_the_real_tapes_hold(name: str, commands: int, trades: int, books: int, market_factory: MarketFactory) -> None:
    """Two real days, every line of them."""
    result = run_tape(DATA / f"{name}-2012-06-21.tape.csv.gz", market_factory)
    assert (result.commands, result.trades, result.books) == (commands, trades, books)


# Cases.


def new(number: Any, side: str, qty: int, price: int, **more: Any) -> dict[str, Any]:
    """A step that enters a limit order."""
    return {"op": "new", "id": number, "side": side, "type": "limit", "tif": "gtc", "qty": qty, "price": price, **more}


def ran(tmp_path: Path, market_factory: MarketFactory, steps: list[dict[str, Any]], expect: dict[str, Any], **more: Any) -> CaseResult:
    """The result of one case."""
    case = {"name": "a case", "source": "here", "features": [], "steps": steps, "expect": expect, **more}
    path = tmp_path / "cases.json"
    path.write_text(json.dumps([case]))
    (result,) = run_cases(path, market_factory).cases
    return result


def test_a_case_passes_when_all_that_it_expects_comes_out(tmp_path: Path, market_factory: MarketFactory) -> None:
    """Trades, books, refusals and cancels, of every operation, in the order in which they happened."""
    steps = [
        new(1, "sell", 10, 101),
        new(2, "sell", 5, 102, tif="fok"),
        new("three", "buy", 4, 101, tif="ioc"),
        {"op": "new", "id": 4, "side": "buy", "type": "market", "tif": "gtc", "qty": 1},
        {"op": "reduce", "id": 1, "qty": 2},
        {"op": "amend", "id": 1, "qty": 2},
        {"op": "amend", "id": 1, "total_qty": 8, "price": 100},
        {"op": "cancel", "id": 77},
        new(1, "buy", 1, 1),
        new(5, "buy", 1, -3, post_only=False, symbol=None),
        {"op": "amend", "id": 1, "total_qty": 5},
    ]
    expect: dict[str, Any] = {
        "trades": [{"maker": 1, "taker": "three", "price": 101, "qty": 4}, {"maker": 1, "taker": 4, "price": 101, "qty": 1}],
        "book": {"bids": [[-3, 1]], "asks": []},
        "rejected": [77, 1],
        "cancelled": [[2, 5], [1, 2], [1, 3]],
        "waiting_stops": [],
    }
    result = ran(tmp_path, market_factory, steps, expect)
    assert (result.outcome, result.differences) == (Outcome.PASSED, ())


@pytest.mark.parametrize(
    ("key", "wrong"),
    [
        ("trades", []),
        ("trades", [{"maker": 1, "taker": 2, "price": 101, "qty": 4}]),
        ("trades", [{"maker": 1, "taker": 2, "price": 102, "qty": 5}]),
        ("book", {"bids": [], "asks": [[101, 5]]}),
        ("book", {"bids": [[101, 2]], "asks": [[102, 1]]}),
        ("books", {"X": {"bids": [], "asks": []}, "Y": {"bids": [[1, 1]], "asks": []}}),
        ("rejected", [1]),
        ("cancelled", [[1, 1]]),
        ("waiting_stops", [1]),
    ],
)
def test_a_case_fails_with_what_was_expected_and_found(key: str, wrong: Any, tmp_path: Path, market_factory: MarketFactory) -> None:
    """Each expectation can fail, and says how."""
    symbol = {"symbol": "X"} if key == "books" else {}
    steps = [new(1, "sell", 5, 101, **symbol), new(2, "buy", 7, 101, **symbol)]
    result = ran(tmp_path, market_factory, steps, {key: wrong})
    assert result.outcome is Outcome.FAILED
    assert result.differences[0].startswith(f"after step 2, {key}: expected {json.dumps(wrong)}, found ")


@pytest.mark.parametrize(
    ("step", "missing"),
    [
        ({"op": "amends"}, ["amends"]),
        ({}, ["None"]),
        ({"op": "mass_cancel", "participant": "A"}, ["participant"]),
        ({"op": "set_last"}, ["set_last without price"]),
        (new(1, "buy", 1, 1, tif="fok_budget"), ["new without budget"]),
        (new(1, "buy", 1, 1, budget=9), ["budget of gtc"]),
        (new(1, "buy", 1, 1, expire_time=9), ["expire_time of gtc"]),
        (new(1, "buy", 1, 1, type="stop"), ["new without stop_price"]),
        (new(1, "buy", 1, 1, stop_price=9), ["stop_price of limit"]),
        (new(1, "buy", 1, 1, slippage=1), ["slippage of limit"]),
        (new(1, "buy", 1, 1, display_qty=0), ["display_qty 0"]),
        (new(1, "buy", 1, 1, post_only=1), ["post_only 1"]),
        (new(1, "buy", 1, 1, stp="cancel_smallest"), ["cancel_smallest"]),
        ({"op": "new", "id": 1, "side": "buy", "type": "stop_limit", "qty": 1, "stop_price": 2}, ["new without price"]),
        ({"op": "amend", "id": 9, "price": 2, "post_only": True}, ["amend to post_only"]),
        (new(1, "buy", 1, 1, type=["limit"]), ["['limit']"]),
        (new(1, "buy", 1, 1, never_heard_of=1), ["never_heard_of"]),
        (new(1, "short", 1, 1), ["short"]),
        (new(1, "buy", 1, 1.5), ["price 1.5"]),  # type: ignore[arg-type]
        (new(1, "buy", 2**63, 1), [f"qty {2**63}"]),
        (new([1], "buy", 1, 1), ["id [1]"]),
        ({"op": "new", "id": 1, "side": "buy", "qty": 1}, ["new without price"]),
        ({"op": "reduce", "id": 1}, ["reduce without qty"]),
        ({"op": "amend", "id": 1, "qty": 1, "total_qty": 1}, ["amend with qty and total_qty"]),
    ],
)
def test_a_case_that_needs_what_is_missing_is_skipped_by_its_name(
    step: dict[str, Any], missing: list[str], tmp_path: Path, market_factory: MarketFactory
) -> None:
    """It does not pass, though nothing that it expects is missing."""
    result = ran(tmp_path, market_factory, [new(9, "buy", 1, 1), step], {"trades": []})
    assert (result.outcome, list(result.missing)) == (Outcome.SKIPPED, missing)


@pytest.mark.parametrize(
    ("expect", "more", "missing"),
    [
        ({"trades": [], "auction_price": 5}, {}, "expect auction_price"),
        ({}, {}, "expect"),
        ({"trades": []}, {"features": ["limit", "stp"]}, "stp"),
        ({"trades": []}, {"features": ["iceberg"]}, "iceberg"),
        ({"trades": []}, {"features": ["auction"]}, "auction"),
        ({"trades": []}, {"settings": {"tick": 5}}, "settings"),
        ({"trades": [], "checkpoints": {"9": {"trades": []}}}, {}, "checkpoint after 9"),
        ({"trades": [], "checkpoints": [{"book": {}}]}, {}, "checkpoint after None"),
        ({"trades": [], "checkpoints": ["what"]}, {}, "checkpoint after None"),
        ({"checkpoints": {"1": {"hidden_book": {}}}}, {}, "expect hidden_book"),
    ],
)
def test_a_case_that_expects_what_is_missing_is_skipped(
    expect: dict[str, Any], more: dict[str, Any], missing: str, tmp_path: Path, market_factory: MarketFactory
) -> None:
    """An expectation that would not be looked at never makes a case pass."""
    result = ran(tmp_path, market_factory, [new(1, "buy", 1, 1)], expect, **more)
    assert (result.outcome, result.missing) == (Outcome.SKIPPED, (missing,))


def test_checkpoints_hold_after_their_step(tmp_path: Path, market_factory: MarketFactory) -> None:
    """Both forms: an object by number of steps, and a list of objects that carry it."""
    steps = [new(1, "sell", 5, 101), {"op": "cancel", "id": 1}]
    at_rest: dict[str, Any] = {"book": {"bids": [], "asks": [[101, 5]]}, "cancelled": []}
    gone: dict[str, Any] = {"book": {"bids": [], "asks": []}, "cancelled": [[1, 5]]}
    for checkpoints in ({"1": at_rest, "2": gone}, [{"after": 1, **at_rest}]):
        assert ran(tmp_path, market_factory, steps, {**gone, "checkpoints": checkpoints}).outcome is Outcome.PASSED
    for checkpoints in ({"1": gone}, [{"step": 2, **at_rest}]):
        result = ran(tmp_path, market_factory, steps, {**gone, "checkpoints": checkpoints})
        assert result.outcome is Outcome.FAILED


def test_an_order_belongs_to_its_account(tmp_path: Path, market_factory: MarketFactory) -> None:
    """A5: what another account asks is refused; without an account, the owner asks. A6: ids are unique for each account."""
    steps = [
        new(1, "buy", 5, 10, acct="MAX"),
        new(2, "buy", 5, 9),
        {"op": "cancel", "id": 1, "acct": "XAM"},
        {"op": "reduce", "id": 1, "qty": 1, "acct": "XAM"},
        {"op": "amend", "id": 2, "qty": 1, "acct": "MAX"},
        new(1, "buy", 3, 8, acct="MAX"),
        new(1, "buy", 2, 7, acct="XAM"),
        {"op": "cancel", "id": 1, "acct": "MAX"},
        {"op": "cancel", "id": 1, "acct": "MAX"},
        {"op": "cancel", "id": 1},
        {"op": "cancel", "id": 2},
    ]
    expect = {"rejected": [1, 1, 2, 1, 1], "cancelled": [[1, 5], [1, 2], [2, 5]], "book": {"bids": [], "asks": []}}
    result = ran(tmp_path, market_factory, steps, expect)
    assert (result.outcome, result.differences) == (Outcome.PASSED, ())


def test_another_accounts_order_is_asked_for_by_its_order_id(tmp_path: Path, engine_factory: EngineFactory) -> None:
    """So that the engine says that it is another's, not that it is unknown."""
    reasons: list[int] = []

    def noted(events: list[Event]) -> list[Event]:
        reasons.extend(each.reason for each in events if isinstance(each, Rejected))
        return events

    steps = [new(7, "buy", 5, 10, acct="MAX"), {"op": "cancel", "id": 7, "acct": "XAM"}, {"op": "cancel", "id": 8, "acct": "XAM"}]
    result = ran(tmp_path, lambda each: SpoiltMarket(opened(engine_factory(Limits()), each), noted), steps, {"rejected": [7, 8]})
    assert (result.outcome, reasons) == (Outcome.PASSED, [Reason.NOT_OWNER, Reason.UNKNOWN_ORDER])


def test_symbols_have_books_of_their_own(tmp_path: Path, market_factory: MarketFactory) -> None:
    """Orders of two symbols do not meet; a command for the wrong one is refused; `book` alone is that of orders without a symbol."""
    steps = [
        new(1, "buy", 5, 10, symbol="A"),
        new(2, "sell", 5, 10, symbol="B"),
        new(3, "sell", 5, 11),
        {"op": "cancel", "id": 1, "symbol": "B"},
    ]
    a: Any = {"bids": [[10, 5]], "asks": []}
    b: Any = {"bids": [], "asks": [[10, 5]]}
    empty: Any = {"bids": [], "asks": []}
    expect = {"books": {"A": a, "B": b, "C": empty}, "book": {"bids": [], "asks": [[11, 5]]}, "rejected": [1], "trades": []}
    assert ran(tmp_path, market_factory, steps, expect).outcome is Outcome.PASSED
    result = ran(tmp_path, market_factory, [steps[0], steps[1]], {"book": a})
    assert (result.outcome, result.missing) == (Outcome.SKIPPED, ("book of several symbols",))


@pytest.mark.parametrize(
    "text", ["{", "{}", "[1]", '[{"steps": [], "name": "x"}]', '[{"steps": [1], "expect": {}}]', '[{"steps": 1, "expect": {}}]']
)
def test_a_file_that_is_not_a_list_of_cases_is_refused(text: str, tmp_path: Path, market_factory: MarketFactory) -> None:
    """The error names the file and what is allowed."""
    (tmp_path / "bad.json").write_text(text)
    with pytest.raises(InvalidValueError, match=r"bad\.json.*allowed: "):
        run_cases([tmp_path / "bad.json"], market_factory)
    with pytest.raises(InvalidValueError, match="no file"):
        run_cases([], market_factory)


EMPTY: dict[str, Any] = {"bids": [], "asks": []}


def test_stops_of_a_case_wait_trigger_and_are_amended(tmp_path: Path, market_factory: MarketFactory) -> None:
    """S1: stops by a last price from outside and by trades; `waiting_stops` in any order; a price beside a stop says nothing."""
    steps = [
        {"op": "new", "id": 1, "side": "buy", "type": "stop", "tif": "gtc", "qty": 5, "price": 1, "stop_price": 56},
        {"op": "new", "id": 2, "side": "sell", "type": "stop_limit", "tif": "day", "qty": 7, "price": 50, "stop_price": 54},
        {"op": "new", "id": 3, "side": "sell", "type": "stop", "tif": "gtc", "qty": 1, "stop_price": 40},
        {"op": "set_last", "price": 55},
        {"op": "amend", "id": 3, "stop_price": 41, "qty": 2},
        new(4, "buy", 3, 54),
        new(5, "sell", 3, 54),
        {"op": "set_last", "price": 56},
        {"op": "cancel", "id": 3},
    ]
    expect = {
        "checkpoints": {"5": {"waiting_stops": [3, 1, 2], "book": EMPTY}, "7": {"waiting_stops": [1, 3]}},
        "trades": [
            {"maker": 4, "taker": 5, "price": 54, "qty": 3},
            {"maker": 2, "taker": 1, "price": 50, "qty": 5},
        ],
        "book": {"bids": [], "asks": [[50, 2]]},
        "waiting_stops": [],
        "cancelled": [[3, 2]],
        "rejected": [],
    }
    result = ran(tmp_path, market_factory, steps, expect)
    assert (result.outcome, result.differences) == (Outcome.PASSED, ())


def test_a_book_of_a_case_is_what_is_displayed(tmp_path: Path, market_factory: MarketFactory) -> None:
    """I1, P7: of an iceberg the peak, of a hidden order nothing; both trade. A peak says nothing of an order that never rests."""
    steps = [
        new(1, "sell", 100, 10, display_qty=20, post_only=True),
        new(2, "sell", 5, 10),
        new(3, "sell", 7, 10, hidden=True),
        {"op": "new", "id": 4, "side": "buy", "type": "market", "tif": "ioc", "qty": 30, "display_qty": 3},
        {"op": "amend", "id": 1, "total_qty": 60},
        new(5, "buy", 40, 10, tif="fok", min_qty=40),
        new(6, "buy", 40, 10, tif="gtd"),
    ]
    expect = {
        "checkpoints": {"3": {"book": {"bids": [], "asks": [[10, 25]]}}, "4": {"book": {"bids": [], "asks": [[10, 15]]}}},
        "trades": [
            {"maker": 1, "taker": 4, "price": 10, "qty": 20},
            {"maker": 2, "taker": 4, "price": 10, "qty": 5},
            {"maker": 1, "taker": 4, "price": 10, "qty": 5},
            {"maker": 1, "taker": 5, "price": 10, "qty": 15},
            {"maker": 1, "taker": 5, "price": 10, "qty": 20},
            {"maker": 3, "taker": 5, "price": 10, "qty": 5},
            {"maker": 3, "taker": 6, "price": 10, "qty": 2},
        ],
        "book": {"bids": [[10, 38]], "asks": []},
        "rejected": [],
        "cancelled": [],
    }
    result = ran(tmp_path, market_factory, steps, expect)
    assert (result.outcome, result.differences) == (Outcome.PASSED, ())


def test_a_budget_limits_the_cost_and_slippage_the_price(tmp_path: Path, market_factory: MarketFactory) -> None:
    """T9, T1: the limit of a fok_budget is its budget, whatever price stands beside it; slippage counts from the best opposite price."""
    steps = [
        new(1, "sell", 5, 100),
        new(2, "sell", 5, 102),
        new(3, "buy", 10, 1, tif="fok_budget", budget=1009),
        {"op": "new", "id": 4, "side": "buy", "type": "market", "tif": "gtc", "qty": 7, "slippage": 1},
        {"op": "new", "id": 5, "side": "buy", "type": "market", "tif": "fok_budget", "qty": 5, "budget": 510},
    ]
    trades = [{"maker": 1, "taker": 4, "price": 100, "qty": 5}, {"maker": 2, "taker": 5, "price": 102, "qty": 5}]
    result = ran(tmp_path, market_factory, steps, {"trades": trades, "cancelled": [[3, 10], [4, 2]], "book": EMPTY})
    assert (result.outcome, result.differences) == (Outcome.PASSED, ())


def test_a_mass_cancel_of_a_case_is_of_an_account_a_symbol_a_side_or_everybody(tmp_path: Path, market_factory: MarketFactory) -> None:
    """A7: what is not given means any; without an account it means everybody's orders."""
    orders = [
        new(1, "buy", 1, 10, acct="A", symbol="X"),
        new(2, "sell", 2, 20, acct="A", symbol="Y"),
        new(3, "buy", 3, 10, acct="B", symbol="X"),
        {"op": "new", "id": 4, "side": "buy", "type": "stop", "qty": 4, "stop_price": 9, "acct": "B", "symbol": "Y"},
    ]
    everything = [[1, 1], [2, 2], [3, 3], [4, 4]]
    for given, cancelled in (
        ({}, everything),
        ({"symbol": None, "side": None, "acct": None}, everything),
        ({"acct": "A"}, everything[:2]),
        ({"acct": "C"}, []),
        ({"side": "buy"}, [[1, 1], [3, 3], [4, 4]]),
        ({"symbol": "X"}, [[1, 1], [3, 3]]),
        ({"acct": "B", "symbol": "Y", "side": "buy"}, [[4, 4]]),
    ):
        waiting = [] if [4, 4] in cancelled else [4]
        expect = {"cancelled": cancelled, "rejected": [], "waiting_stops": waiting}
        result = ran(tmp_path, market_factory, [*orders, {"op": "mass_cancel", **given}], expect)
        assert (result.outcome, result.differences) == (Outcome.PASSED, ()), given


def test_a_last_price_is_of_a_symbol_or_of_all(tmp_path: Path, market_factory: MarketFactory) -> None:
    """S1: where it names none it triggers the stops of every symbol."""
    stops = [
        {"op": "new", "id": number, "side": "buy", "type": "stop", "qty": 1, "stop_price": 5, "symbol": symbol}
        for number, symbol in ((1, "X"), (2, "Y"))
    ]
    for given, waiting in (({"symbol": "X"}, [2]), ({}, [])):
        result = ran(tmp_path, market_factory, [*stops, {"op": "set_last", "price": 5, **given}], {"waiting_stops": waiting})
        assert (result.outcome, result.differences) == (Outcome.PASSED, ()), given


def test_self_trade_prevention_of_a_case_is_by_account(tmp_path: Path, market_factory: MarketFactory) -> None:
    """X1, X3: the order that comes in decides; what it takes off is cancelled, not traded. Orders without an account are one account's."""
    for instruction, cancelled, trades in (
        ("cancel_newest", [[3, 8]], []),
        ("cancel_oldest", [[1, 5]], [{"maker": 2, "taker": 3, "price": 10, "qty": 8}]),
        ("cancel_both", [[1, 5], [3, 8]], []),
        ("decrement", [[1, 5], [3, 5]], [{"maker": 2, "taker": 3, "price": 10, "qty": 3}]),
        ("none", [], [{"maker": 1, "taker": 3, "price": 10, "qty": 5}, {"maker": 2, "taker": 3, "price": 10, "qty": 3}]),
    ):
        steps = [new(1, "sell", 5, 10), new(2, "sell", 9, 10, acct="other"), new(3, "buy", 8, 10, stp=instruction)]
        expect = {"cancelled": cancelled, "trades": trades}
        result = ran(tmp_path, market_factory, steps, expect, features=["stp"])
        assert (result.outcome, result.differences) == (Outcome.PASSED, ()), instruction


def test_labels_that_are_options_of_an_instrument_set_them(tmp_path: Path, market_factory: MarketFactory) -> None:
    """T1, T6: both choices of the rules can be run."""
    steps = [
        new(1, "sell", 5, 10),
        {"op": "new", "id": 2, "side": "buy", "type": "market", "tif": "gtc", "qty": 7},
        new(3, "sell", 1, 10, post_only=True),
        {"op": "amend", "id": 3, "price": 9, "post_only": True},
    ]
    plain = {"cancelled": [[2, 2]], "book": {"bids": [], "asks": [[9, 1]]}}
    assert ran(tmp_path, market_factory, steps, plain).differences == ()
    to_limit = {"cancelled": [], "rejected": [3, 3], "book": {"bids": [[10, 2]], "asks": []}}
    assert ran(tmp_path, market_factory, steps, to_limit, features=["market_to_limit"]).differences == ()
    both = {"cancelled": [], "rejected": [], "book": {"bids": [[10, 2]], "asks": [[11, 1]]}}
    assert ran(tmp_path, market_factory, steps, both, features=["market_to_limit", "post_only_slides"]).differences == ()


@needs_cases
def test_the_cases_of_other_engines_pass(market_factory: MarketFactory) -> None:
    """What four public test suites say: all of it."""
    result: CasesResult = run_cases(SHARED / "cases", market_factory)
    assert result.failed == ()
    assert (result.count(Outcome.PASSED), result.count(Outcome.SKIPPED)) == (105, 0)


def session_reports(*rows: tuple[int, int, int, int, int]) -> Reports:
    """Reports of one session: sequence, kind, order id, trade id, whether it is the aggressor's."""
    reports = np.zeros(len(rows), dtype=EXECUTION_REPORT_MESSAGE)
    for name, values in zip(("engine_sequence", "kind", "order_id", "trade_id", "is_aggressor"), zip(*rows, strict=True), strict=True):
        reports[name] = values
    reports["client_order_id"] = reports["order_id"]
    return reports


def test_events_made_of_the_reports_of_several_sessions_stand_in_the_order_of_the_engine() -> None:
    """A cascade: who comes trades, then a stop of another session triggers and trades; each remainder follows its own last trade."""
    accepted, trade, cancelled, triggered = EventKind.ACCEPTED, EventKind.TRADE, EventKind.CANCELLED, EventKind.TRIGGERED
    first = session_reports((7, accepted, 1, 0, 0), (7, trade, 1, 4, 1), (7, cancelled, 1, 0, 0))
    second = session_reports((7, trade, 2, 4, 0), (7, triggered, 3, 0, 0), (7, trade, 3, 5, 1), (7, cancelled, 3, 0, 0))
    third = session_reports((7, trade, 4, 5, 0), (8, cancelled, 9, 0, 0))
    for sessions in ((first, second, third), (third, second, first)):
        found = [(int(each["kind"]), int(each["order_id"])) for each in events_of_reports(sessions, 99)]
        assert [each for each in found if each[0] == trade] == [(trade, 1), (trade, 3)]
        assert [each for each in found if each[0] == cancelled] == [(cancelled, 1), (cancelled, 3), (cancelled, 9)]


# LOBSTER days.

Level = dict[int, int]
NO_ASK, NO_BID = 9_999_999_999, -9_999_999_999


class Venue:
    """A venue that writes what it does as LOBSTER would. It shares nothing with the engines: a book is two dictionaries."""

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self.messages: list[str] = []
        self.rows: list[str] = []
        self.sides: dict[int, dict[int, Level]] = {1: {}, -1: {}}
        self.writing = False

    def row(self) -> str:
        """The best levels now."""
        asks = [(price, sum(level.values())) for price, level in sorted(self.sides[-1].items())][: self.depth]
        bids = [(price, sum(level.values())) for price, level in sorted(self.sides[1].items(), reverse=True)][: self.depth]
        asks += [(NO_ASK, 0)] * (self.depth - len(asks))
        bids += [(NO_BID, 0)] * (self.depth - len(bids))
        return ",".join(f"{ask},{size},{bid},{quantity}" for (ask, size), (bid, quantity) in zip(asks, bids, strict=True))

    def write(self, kind: int, order_id: int, size: int, price: int, direction: int) -> None:
        """Writes a message and the row after it, where what is in sight has changed."""
        row = self.row()
        changed = row != getattr(self, "last_row", None)
        self.last_row = row
        if self.writing and (changed or kind >= 5):
            self.messages.append(f"34200.{len(self.messages):09},{kind},{order_id},{size},{price},{direction}")
            self.rows.append(row)

    def submit(self, order_id: int, direction: int, price: int, size: int) -> None:
        """A limit order: it executes what it meets, and what is left rests."""
        other = self.sides[-direction]
        while size and other:
            best = min(other) if direction == 1 else max(other)
            if (best - price) * direction > 0:
                break
            maker, quantity = next(iter(other[best].items()))
            traded = min(size, quantity)
            size -= traded
            self.take(maker, -direction, best, traded)
            self.write(4, maker, traded, best, -direction)
        if size:
            self.sides[direction].setdefault(price, {})[order_id] = size
            self.write(1, order_id, size, price, direction)

    def take(self, order_id: int, direction: int, price: int, size: int) -> None:
        """Takes size off an order, and the order and its level away with the last of it."""
        level = self.sides[direction][price]
        level[order_id] -= size
        if not level[order_id]:
            del level[order_id]
        if not level:
            del self.sides[direction][price]

    def step(self, order_id: int, chance: random.Random) -> None:
        """Something happens."""
        mid = 2_000_000 + 100 * (order_id // 400)
        resting = [(each, direction, price) for direction in (1, -1) for price, level in self.sides[direction].items() for each in level]
        dice = chance.random()
        if dice < 0.05:
            self.write(5, 0, chance.randint(1, 9), mid, chance.choice((1, -1)))
        elif dice < 0.55 or len(resting) < 10:
            direction = chance.choice((1, -1))
            price = mid - direction * 100 * chance.randint(-2, 25)
            self.submit(order_id, direction, price, chance.randint(1, 200))
        else:
            each, direction, price = chance.choice(resting)
            size = self.sides[direction][price][each]
            part = chance.randint(1, size - 1) if size > 1 and dice < 0.65 else size
            self.take(each, direction, price, part)
            self.write(2 if part < size else 3, each, part, price, direction)


def day_of(seed: int, depth: int, count: int = 1500) -> Venue:
    """A random day; some of its orders were there before it began."""
    chance = random.Random(seed)
    venue = Venue(depth)
    for order_id in range(1, count):
        venue.writing = order_id > 100
        venue.step(order_id, chance)
    return venue


def files_of(messages: Sequence[str], rows: Sequence[str], folder: Path) -> Path:
    """A folder with the two files."""
    folder.mkdir(exist_ok=True)
    (folder / "TEST_2012-06-21_34200000_57600000_message_5.csv").write_text("".join(f"{each}\n" for each in messages))
    (folder / "TEST_2012-06-21_34200000_57600000_orderbook_5.csv").write_text("".join(f"{each}\n" for each in rows))
    return folder


@pytest.mark.parametrize("depth", [1, 2, 5, 10, 30])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_lobster_day_holds_at_any_number_of_levels(seed: int, depth: int, tmp_path: Path, market_factory: MarketFactory) -> None:
    """Every row is checked and every visible execution trades, with orders unseen, levels that come and go, and sides that run short."""
    print(f"seed {seed} depth {depth}")
    venue = day_of(seed, depth)
    result = run_lobster(files_of(venue.messages, venue.rows, tmp_path / "day"), market_factory)
    kinds = [message.split(",")[1] for message in venue.messages]
    assert (result.books, result.books_not_checked) == (len(venue.messages), {})
    assert result.trades == kinds.count("4") > 50
    assert result.executions_not_checked == {"execution of a hidden order": kinds.count("5")}
    assert (result.level_count, result.instrument.symbol) == (depth, "TEST")
    assert result.seeded > 0


def test_a_day_is_read_from_a_zip_a_folder_or_two_files_and_up_to_a_limit(tmp_path: Path, market_factory: MarketFactory) -> None:
    """All are the same day; a limit takes its first messages."""
    venue = day_of(4, 3, 600)
    folder = files_of(venue.messages, venue.rows, tmp_path / "day")
    messages, books = sorted(folder.iterdir())
    with zipfile.ZipFile(tmp_path / "day.zip", "w") as archive:
        archive.writestr("ReadMe.txt", "nothing")
        for path in (messages, books):
            archive.write(path, f"inside/{path.name}")
    told: list[int] = []
    results = [
        run_lobster(source, market_factory, told.append) for source in (folder, str(folder), tmp_path / "day.zip", (messages, books))
    ]
    assert {(each.messages, each.trades, each.instrument.symbol) for each in results} == {(len(venue.messages), results[0].trades, "TEST")}
    assert run_lobster(folder, market_factory, limit=7).books == 7
    assert [step.row for step in lobster_tape(folder, 3)] == [1, 2, 3]


def changed(line: str, field: int, by: int) -> str:
    """A line with one number changed."""
    fields = line.split(",")
    fields[field] = str(int(fields[field]) + by)
    return ",".join(fields)


@pytest.mark.parametrize(
    ("kind", "field", "by"),
    [
        ("4", 2, 10**9),
        ("4", 3, 1),
        ("4", 4, 100),
        ("4", 4, -100),
        ("1", 3, 1),
        ("1", 4, 100),
        ("2", 3, 1),
        ("2", 2, 10**9),
        ("3", 2, 10**9),
    ],
)
def test_a_changed_message_is_a_mismatch_at_its_row(kind: str, field: int, by: int, tmp_path: Path, market_factory: MarketFactory) -> None:
    """An execution with another order, size or price, a submission or a cancel of something else; of orders submitted in sight."""
    venue = day_of(5, 5)
    fields = [each.split(",") for each in venue.messages]
    index = next(
        number
        for number in range(300, len(fields))
        if fields[number][1] == kind and (kind == "1" or ["1", fields[number][2]] in [each[1:3] for each in fields[number - 30 : number]])
    )
    messages = [changed(each, field, by) if number == index else each for number, each in enumerate(venue.messages)]
    with pytest.raises(Mismatch) as caught:
        run_lobster(files_of(messages, venue.rows, tmp_path / "day"), market_factory)
    assert caught.value.row == index + 1


@pytest.mark.parametrize("field", range(12))
def test_a_changed_book_is_a_mismatch_at_its_row(field: int, tmp_path: Path, market_factory: MarketFactory) -> None:
    """Each number of a row counts, but what has just come into sight: then the row after tells."""
    venue = day_of(6, 5)
    index = next(number for number in range(200, 999) if venue.messages[number].split(",")[1] == "2")
    rows = [changed(each, field, 1) if number == index else each for number, each in enumerate(venue.rows)]
    with pytest.raises(Mismatch) as caught:
        run_lobster(files_of(venue.messages, rows, tmp_path / "day"), market_factory)
    assert caught.value.row == index + 1


def test_the_first_message_has_a_book_to_act_on(tmp_path: Path, market_factory: MarketFactory) -> None:
    """The first row stands after the first message: an execution there trades, with an order that was there before."""
    messages = ["1.0,4,7,10,101,-1", "1.1,4,7,5,101,-1", "1.2,3,8,2,99,1"]
    rows = ["101,5,99,2", f"{NO_ASK},0,99,2", f"{NO_ASK},0,{NO_BID},0"]
    result = run_lobster(files_of(messages, rows, tmp_path / "day"), market_factory)
    assert (result.trades, result.books, result.seeded) == (2, 3, 2)


def test_an_execution_out_of_time_priority_is_counted_and_not_traded(tmp_path: Path, market_factory: MarketFactory) -> None:
    """Where the data do not follow price and time, the order is reduced and the book still holds."""
    messages = ["1.0,1,1,10,101,-1", "1.1,1,2,10,101,-1", "1.2,4,2,4,101,-1", "1.3,4,1,10,101,-1"]
    rows = ["101,10,99,2", "101,20,99,2", "101,16,99,2", "101,6,99,2"]
    result = run_lobster(files_of(messages, rows, tmp_path / "day"), market_factory)
    assert (result.trades, result.books) == (1, 4)
    assert result.executions_not_checked == {"execution out of price and time priority": 1}


@pytest.mark.parametrize(
    ("between", "rows", "reason"),
    [
        (
            ["2.0,7,0,0,-1,-1", "2.1,1,5,3,98,-1", "2.2,4,1,10,101,-1", "2.3,7,0,0,1,-1"],
            ["101,10,99,2", "98,3,99,2", "105,1,97,4", "105,1,97,4"],
            "trading halt",
        ),
        (["2.0,6,-1,500,101,-1"], ["105,1,97,4"], "cross trade"),
        (["2.0,1,5,3,98,-1", "2.1,4,5,3,98,-1"], ["98,3,99,2", "105,1,97,4"], "crossed or locked book"),
        (["2.0,1,5,3,99,-1", "2.1,4,5,3,99,-1"], ["99,3,99,2", "105,1,97,4"], "crossed or locked book"),
    ],
)
def test_what_continuous_trading_cannot_follow_is_counted_and_the_book_built_anew(
    between: list[str], rows: list[str], reason: str, tmp_path: Path, market_factory: MarketFactory
) -> None:
    """Halts, crosses and crossed books: their rows are not checked, those before and after are."""
    messages = ["1.0,1,1,10,101,-1", *between, "3.0,1,8,6,104,-1", "3.1,4,8,6,104,-1"]
    book = ["101,10,99,2", *rows, "104,6,97,4", "105,1,97,4"]
    result = run_lobster(files_of(messages, book, tmp_path / "day"), market_factory)
    assert result.books_not_checked == {reason: len(between)}
    assert (result.books, result.trades) == (3, 1)
    executions = sum(each.split(",")[1] == "4" for each in between)
    assert result.executions_not_checked == ({reason: executions} if executions else {})
    with pytest.raises(Mismatch):
        run_lobster(files_of(messages, [*book[:-1], "105,1,97,5"], tmp_path / "day"), market_factory)


def test_a_level_that_no_message_made_is_a_mismatch(tmp_path: Path, market_factory: MarketFactory) -> None:
    """Only what lies beyond the worst level in sight may come from nowhere."""
    messages = ["1.0,5,0,1,100,1", "1.1,5,0,1,100,1"]
    rows = ["101,10,99,2,104,5,97,3", "101,10,99,2,103,1,97,3"]
    with pytest.raises(Mismatch, match=r"line 2 .*: book: expected 101,10,99,2,103,1,97,3; found 101,10,99,2,0,0,97,3"):
        run_lobster(files_of(messages, rows, tmp_path / "day"), market_factory)


def test_orders_are_seeded_by_name_where_messages_name_them_while_in_sight(tmp_path: Path, market_factory: MarketFactory) -> None:
    """A level that leaves before anything is said of its orders is one order; when it returns, those that trade stand as they trade."""
    messages = ["0.9,5,0,1,100,1", "1.0,1,5,3,100,-1", "1.1,3,5,3,100,-1", "1.2,2,7,1,101,-1", "1.3,4,8,4,101,-1", "1.4,4,7,2,101,-1"]
    rows = ["101,10,99,2", "100,3,99,2", "101,10,99,2", "101,9,99,2", "101,5,99,2", "101,3,99,2"]
    folder = files_of(messages, rows, tmp_path / "day")
    assert run_lobster(folder, market_factory).trades == 2
    actions = [action for step in lobster_tape(folder) for action in step.actions if action.code == "S" and action.price == 101]
    assert [(each.row, each.quantity) for each in actions] == [(1, 10), (3, 4), (3, 3), (3, 3)]
    assert [each.order_id for each in actions[1:3]] == [8, 7]
    assert all(each.order_id > 2**63 for each in (actions[0], actions[3]))


def test_an_order_named_during_a_halt_is_seeded_once(tmp_path: Path, market_factory: MarketFactory) -> None:
    """What messages say while they are not followed is not lost."""
    messages = ["1.0,1,1,10,101,-1", "2.0,7,0,0,-1,-1", "2.1,2,1,3,101,-1", "2.2,7,0,0,1,-1", "3.0,4,1,7,101,-1"]
    rows = ["101,15,99,2", "101,15,99,2", "101,12,99,2", "101,12,99,2", "101,5,99,2"]
    result = run_lobster(files_of(messages, rows, tmp_path / "day"), market_factory)
    assert (result.trades, result.books, result.books_not_checked) == (1, 2, {"trading halt": 3})


@pytest.mark.parametrize(
    ("messages", "rows"),
    [
        ([], []),
        (["1.0,1,1,10,101"], ["101,10,99,2"]),
        (["1.0,8,1,10,101,1"], ["101,10,99,2"]),
        (["1.0,1,1,10,101,0"], ["101,10,99,2"]),
        (["1.0,1,0,10,101,1"], ["101,10,99,2"]),
        (["1.0,1,x,10,101,1"], ["101,10,99,2"]),
        (["1.0,1,1,10,101,-1"], []),
        (["1.0,1,1,10,101,-1"], ["101,10,99,2"] * 2),
        (["1.0,1,1,10,101,-1"], ["101,10,99"]),
        (["1.0,1,1,10,101,-1"], ["101,10,99,y"]),
        (["1.0,1,1,10,101,-1"], [f"101,10,99,{2**70}"]),
        (["1.0,1,1,10,101,-1"] * 2, ["101,10,99,2", "101,10,99,2,102,5,98,5"]),
    ],
)
def test_files_that_are_not_lobsters_are_refused(
    messages: list[str], rows: list[str], tmp_path: Path, market_factory: MarketFactory
) -> None:
    """What was found and what is allowed, with the row."""
    with pytest.raises(InvalidValueError, match=r"found .*allowed: "):
        run_lobster(files_of(messages, rows, tmp_path / "day"), market_factory)


def test_a_source_without_the_two_files_is_refused(tmp_path: Path, market_factory: MarketFactory) -> None:
    """Nothing there, not a zip, neither file, several days."""
    (tmp_path / "day.zip").write_text("not a zip")
    (tmp_path / "empty").mkdir()
    folder = files_of(["1.0,1,1,10,101,-1"], ["101,10,99,2"], tmp_path / "day")
    (folder / "MORE_message_1.csv").write_text("")
    for source in (tmp_path / "absent.zip", tmp_path / "day.zip", tmp_path / "empty", folder, (tmp_path / "a", tmp_path / "b")):
        with pytest.raises(InvalidValueError, match="LOBSTER data"):
            run_lobster(source, market_factory)


@needs_data
def test_the_start_of_the_real_day_holds(market_factory: MarketFactory) -> None:
    """The first messages of a real day."""
    result = run_lobster(DAY, market_factory, limit=10_000)
    assert (result.books, result.books_not_checked) == (10_000, {})


@pytest.mark.slow
@needs_data
def test_the_real_day_holds(market_factory: MarketFactory) -> None:
    """All 155,935 books, and all visible executions but those that the day itself made out of turn."""
    result = run_lobster(DAY, market_factory)
    assert (result.books, result.books_not_checked, result.level_count) == (155_935, {}, 5)
    assert (result.trades, result.executions_not_checked["execution out of price and time priority"]) == (8_939, 35)
