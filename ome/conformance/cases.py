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

A case that uses anything outside the tables of `case_needs` is skipped, under the name of the missing feature. It
never passes.

An account is a participant: `acct` of a new order owns it; orders without one all belong to one participant. A step
without an `acct` comes from the order's owner. A step about another participant's order names it by order id, because
client order ids belong to their owner.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from ome.conformance.case_files import Json, case_paths, expectations_of, read_cases, symbols_of, without_nothing
from ome.conformance.case_needs import missing_of
from ome.conformance.case_run import CaseRun
from ome.conformance.market import MarketFactory

__all__ = ["CaseResult", "CasesResult", "Outcome", "run_cases"]


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
    for path in case_paths(paths):
        for number, case in enumerate(read_cases(path), 1):
            results.append(_run_case(case, path.name, str(case.get("name", f"case {number}")), market_factory))
    return CasesResult(cases=tuple(results), seconds=time.perf_counter() - started)


def _run_case(case: Json, file: str, name: str, market_factory: MarketFactory) -> CaseResult:
    steps = [without_nothing(step) for step in case["steps"]]
    expectations = expectations_of(case["expect"], len(steps))
    symbols = symbols_of(steps, [each for _, each in expectations])
    missing = missing_of(case, steps, expectations, symbols)
    if missing:
        return CaseResult(file=file, name=name, outcome=Outcome.SKIPPED, missing=tuple(missing))
    run = CaseRun(market_factory, symbols, {str(label) for label in case.get("features") or []})
    differences: list[str] = []
    for done in range(len(steps) + 1):
        if done:
            run.apply(steps[done - 1])
        for after, expect in expectations:
            if after == done:
                differences += [f"after step {done}, {text}" for text in run.differences(expect)]
    outcome = Outcome.FAILED if differences else Outcome.PASSED
    return CaseResult(file=file, name=name, outcome=outcome, differences=tuple(differences))
