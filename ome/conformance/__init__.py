"""Replays with known results: tapes of real order flow, scenarios of other engines' test suites, and days of LOBSTER
data.

Each is one function over any market that has the two methods of `Market`: the embedded engine, the reference model, a client of a server.
"""

from __future__ import annotations

from ome.conformance.cases import CaseResult, CasesResult, Outcome, run_cases
from ome.conformance.lobster import LobsterResult, LobsterTape, lobster_tape, run_lobster
from ome.conformance.market import Market, MarketFactory
from ome.conformance.tape import Action, Book, Mismatch, Progress, Step, TapeResult, commands_of, read_tape, run_steps, run_tape

__all__ = [
    "Action",
    "Book",
    "CaseResult",
    "CasesResult",
    "LobsterResult",
    "LobsterTape",
    "Market",
    "MarketFactory",
    "Mismatch",
    "Outcome",
    "Progress",
    "Step",
    "TapeResult",
    "commands_of",
    "lobster_tape",
    "read_tape",
    "run_cases",
    "run_lobster",
    "run_steps",
    "run_tape",
]
