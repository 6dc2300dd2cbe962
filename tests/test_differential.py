"""The core and the reference are two readings of docs/RULES.md: on any commands they say the same, byte for byte."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import strategies
from differential import LIMITS, TINY, compare, difference, shrink, story
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from ome.codec import EVENT, Records, encode_commands, record_bytes, records_of
from ome.engine import Engine
from ome.enums import EventKind
from ome.messages import Command, Limits
from ome.reference import ReferenceEngine

TOOL = Path(__file__).parent.parent / "tools" / "differential"


@pytest.mark.parametrize("limits", LIMITS)
@pytest.mark.parametrize("seed", [1, 2])
def test_core_and_reference_agree_on_random_commands(seed: int, limits: str) -> None:
    """D1: the same commands give the same events, byte for byte, and the same hashes, in both implementations."""
    found = compare(seed, 25_000, LIMITS[limits])
    assert found is None, story(shrink(found))


@pytest.mark.slow
@pytest.mark.parametrize("limits", LIMITS)
def test_core_and_reference_agree_on_a_million_random_commands(limits: str) -> None:
    """D1: the same commands give the same events, byte for byte, and the same hashes, in both implementations."""
    found = compare(20_260_101, 1_000_000, LIMITS[limits], instruments=6)
    assert found is None, story(shrink(found))


class TwoEngines(RuleBasedStateMachine):
    """One command at a time through both engines; hypothesis shrinks what it finds to the shortest story."""

    def __init__(self) -> None:
        super().__init__()
        self.core = Engine(limits=strategies.LIMITS)
        self.reference = ReferenceEngine(strategies.LIMITS)
        self._apply(*strategies.opening())

    def teardown(self) -> None:
        self.core.close()

    def _apply(self, *commands: Command) -> None:
        records = encode_commands(commands)
        assert record_bytes(self.core.apply(records)) == record_bytes(self.reference.apply_records(records))

    @rule(command=strategies.commands())
    def apply(self, command: Command) -> None:
        """Any command."""
        self._apply(command)

    @rule(order=strategies.orders())
    def enter(self, order: Command) -> None:
        """Most commands are orders, so that there is a book."""
        self._apply(order)

    @invariant()
    def they_agree(self) -> None:
        """Hashes are equal, and each engine's own invariants hold."""
        self.core.check()
        self.reference.check()
        assert self.core.event_hash == self.reference.event_hash
        assert self.core.state_hash == self.reference.state_hash


def test_core_and_reference_agree_on_every_command_that_hypothesis_finds() -> None:
    """D1, D2: command by command the engines say the same and their states are the same, also where a command is refused."""
    machine = TwoEngines.TestCase
    machine.settings = settings(max_examples=60, stateful_step_count=50, deadline=None, print_blob=True)
    machine().runTest()


class WrongPrice(Engine):
    """A core with a defect: a trade prints one unit off where it leaves the aggressor open."""

    def apply(self, commands: Records | bytes) -> Records:
        events = records_of(bytearray(record_bytes(super().apply(commands))), EVENT)
        wrong = (events["kind"] == EventKind.TRADE) & (events["flags"] & 4 == 0)
        events["price"][wrong] += 1
        return events

    apply_records = apply


def test_a_defect_is_found_and_its_story_is_short() -> None:
    """The comparison can fail: a wrong price in some trades is found and shrunk to the definitions and orders that it takes."""

    def broken(limits: Limits) -> Engine:
        return WrongPrice(limits=limits)

    found = compare(3, 5_000, TINY, make=broken)
    assert found is not None
    short = shrink(found, make=broken)
    assert difference(short.commands, TINY, broken) == "events"
    assert difference(short.commands, TINY) is None
    assert len(short.commands) <= 12, story(short, broken)
    assert story(short, broken).count("Trade(") >= 2


class Forgetful(Engine):
    """A core with a defect that no event shows: after a thousand commands its state is another."""

    @property
    def state_hash(self) -> int:
        return super().state_hash ^ (self.state.sequence > 1_000)


def test_a_defect_that_only_the_state_shows_is_found_at_its_command() -> None:
    """The comparison can fail: a state that differs without an event that does is found at the first command after which it does."""
    found = compare(4, 10_000, TINY, make=lambda limits: Forgetful(limits=limits))
    assert found is not None
    assert len(found.commands) == 1_001
    assert found.what.startswith("state_hash")


def test_the_command_compares_and_prints_its_seed() -> None:
    """tools/differential exits 0 where nothing differs, and says the seed."""
    done = subprocess.run([sys.executable, str(TOOL), "--commands", "2000", "--seed", "5"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("seed 5, ") == len(LIMITS) == 2
