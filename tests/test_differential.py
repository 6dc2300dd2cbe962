"""The core and the reference are two readings of docs/RULES.md: on any commands they say the same, byte for byte."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import strategies
from differential import BARE, SETTINGS, TINY, Setting, compare, difference, shrink, story
from flows import Mix, flow, record_of, terms_records
from hypothesis import note, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from stories import tell_commands, tell_events
from strategies import Said, Target

from ome.codec import COMMAND, EVENT, Records, decode_events, encode_commands, record_bytes, records_of
from ome.engine import Engine
from ome.enums import CommandKind, EventFlags, EventKind, OrderType, Reason, SelfTradePrevention, SelfTradeScope, Term, TimeInForce
from ome.messages import Accepted, Amended, Cancelled, Limits, Trade
from ome.reference import ReferenceEngine

TOOL = Path(__file__).parent.parent / "tools" / "differential"


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("seed", [1, 2])
def test_core_and_reference_agree_on_random_commands(seed: int, setting: str) -> None:
    """D1: the same commands give the same events, byte for byte, and the same hashes, in both implementations."""
    found = compare(seed, 12_000, SETTINGS[setting])
    assert found is None, story(shrink(found))


@pytest.mark.slow
@pytest.mark.parametrize("setting", SETTINGS)
def test_core_and_reference_agree_on_a_million_random_commands(setting: str) -> None:
    """D1: the same commands give the same events, byte for byte, and the same hashes, in both implementations."""
    for seed in (20_260_101, 20_260_102):
        found = compare(seed, 125_000, SETTINGS[setting])
        assert found is None, story(shrink(found))


class TwoEngines(RuleBasedStateMachine):
    """One command at a time through both engines; hypothesis shrinks what it finds to the shortest story."""

    def __init__(self) -> None:
        super().__init__()
        self.core = Engine(limits=strategies.LIMITS)
        self.reference = ReferenceEngine(strategies.LIMITS)
        self.live: dict[int, Target] = {}
        self._apply(encode_commands(strategies.opening()))

    def teardown(self) -> None:
        self.core.close()

    def _apply(self, records: Records) -> None:
        expected, found = self.reference.apply_records(records), self.core.apply_records(records)
        if record_bytes(found) != record_bytes(expected):
            note("\n".join(["the core says:", *tell_events(found), "the reference says:", *tell_events(expected)]))
        assert record_bytes(found) == record_bytes(expected)
        self._hear(expected)

    def _hear(self, events: Records) -> None:
        """Keeps the list of live orders."""
        for event in decode_events(events):
            if isinstance(event, Trade):
                if event.flags & EventFlags.AGGRESSOR_FILLED:
                    del self.live[event.order_id]
                if event.flags & EventFlags.RESTING_FILLED:
                    del self.live[event.resting_order_id]
            elif isinstance(event, Cancelled):
                del self.live[event.order_id]
            elif isinstance(event, (Accepted, Amended)):
                self.live[event.order_id] = Target(event.order_id, event.participant, event.client_order_id, event.instrument)

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def change(self, data: st.DataObject) -> None:
        """A change of an order that lives."""
        target = data.draw(st.sampled_from(list(self.live.values())))
        self._apply(data.draw(strategies.changes(target)).records)

    @rule(said=strategies.commands())
    def apply(self, said: Said) -> None:
        """Any command."""
        self._apply(said.records)

    @rule(order=strategies.orders())
    def enter(self, order: Said) -> None:
        """Most commands are orders, so that there is a book."""
        self._apply(order.records)

    @invariant()
    def they_agree(self) -> None:
        """Hashes are equal, and each engine's own invariants hold."""
        self.core.check()
        self.reference.check()
        assert self.core.event_hash == self.reference.event_hash
        assert self.core.state_hash == self.reference.state_hash


@pytest.mark.slow
def test_core_and_reference_agree_on_every_command_that_hypothesis_finds() -> None:
    """D1, D2: command by command the engines say the same and their states are the same, also where a command is refused."""
    machine = TwoEngines.TestCase
    machine.settings = settings(max_examples=100, stateful_step_count=50, deadline=None, print_blob=True)
    machine().runTest()


def met(commands: Records, limits: Limits) -> tuple[set[int], set[int], set[tuple[int, int]]]:
    """The kinds and reasons of the events that the reference says to these commands, and which flag stands in which kind."""
    events = ReferenceEngine(limits).apply_records(commands)
    flags = {
        (kind, 1 << bit)
        for kind, flags in zip(events["kind"].tolist(), events["flags"].tolist(), strict=True)
        for bit in range(8)
        if flags >> bit & 1
    }
    return set(events["kind"].tolist()), set(events["reason"].tolist()), flags


def test_flows_replace_sessions_and_participants_and_try_to_where_orders_are_alive() -> None:
    """Section Definitions: flows define sessions in any order, use numbers again, and are refused that where something lives."""
    seen: Counter[str] = Counter()
    for seed, limits in ((5, Limits()), (6, TINY)):
        engine, names = ReferenceEngine(limits), dict[int, bytes]()
        commands = flow(seed, 20_000, limits=limits, apply=ReferenceEngine(limits).apply_records)
        events = engine.apply_records(commands)
        of_sessions = events[events["command_kind"] == CommandKind.DEFINE_SESSION]
        of_sessions = of_sessions[np.isin(of_sessions["kind"], (EventKind.DEFINED, EventKind.REJECTED))]
        sessions: list[int] = []
        for event in of_sessions:
            command = commands[int(event["sequence"]) - 1]
            session, participant, name = int(command["session"]), int(command["participant"]), bytes(command["participant_name"])
            if event["kind"] == EventKind.REJECTED:
                seen["refused, though in use by nobody else"] += session in sessions and names.get(participant) == name
                continue
            seen["in another order"] += any(other > session for other in sessions)
            seen["session replaced"] += session in sessions
            seen["participant replaced"] += names.get(participant, name) != name
            sessions.append(session)
            names[participant] = name
    assert all(seen[what] > 2 for what in seen), seen
    assert len(seen) == 4


def test_flows_of_every_rule_meet_every_kind_of_event_every_reason_and_every_flag() -> None:
    """Section What each command says: nothing that the engine can say is left out by the flows that the engines are compared on."""
    kinds: set[int] = set()
    reasons: set[int] = set()
    flags: set[tuple[int, int]] = set()
    for seed, count, limits in ((5, 60_000, Limits()), (6, 10_000, TINY), (7, 2_000, BARE), (8, 2_000, SETTINGS["restricted"].limits)):
        more = met(flow(seed, count, limits=limits, apply=ReferenceEngine(limits).apply_records, instruments=6), limits)
        kinds, reasons, flags = kinds | more[0], reasons | more[1], flags | more[2]
    assert kinds == set(EventKind)
    assert reasons >= {reason for reason in Reason if reason < Reason.FRAME_EMPTY}
    rests, kept, was_resting, hidden, waiting = (
        EventFlags.RESTS,
        EventFlags.KEPT_PRIORITY,
        EventFlags.WAS_RESTING,
        EventFlags.HIDDEN,
        EventFlags.WAITING,
    )
    expected = {
        EventKind.ACCEPTED: {rests, hidden, waiting},
        EventKind.TRADE: {EventFlags.AGGRESSOR_FILLED, EventFlags.RESTING_FILLED, hidden},
        EventKind.CANCELLED: {was_resting, hidden, waiting},
        EventKind.REDUCED: {was_resting, kept, hidden, waiting},
        EventKind.AMENDED: {was_resting, rests, kept, hidden, waiting},
        EventKind.RESTED: {rests, hidden},
        EventKind.DISPLAYED: {rests, was_resting, kept},
    }
    assert {(kind, flag) for kind, members in expected.items() for flag in members} <= flags


def test_flows_of_every_rule_say_every_order_type_term_and_instruction() -> None:
    """Section NewOrder: every value of every enumeration of an order is in the flow, and commands of one to four records."""
    commands = flow(8, 30_000)
    new = commands[commands["kind"] == CommandKind.NEW_ORDER]
    for name, values in (
        ("order_type", OrderType),
        ("time_in_force", TimeInForce),
        ("self_trade_prevention", SelfTradePrevention),
        ("self_trade_scope", SelfTradeScope),
    ):
        assert set(new[name].tolist()) >= {int(value) for value in values}
    terms = commands[commands["kind"] == CommandKind.ORDER_TERMS]
    assert {int(term) for name in ("term_1", "term_2", "term_3") for term in terms[name]} >= set(map(int, Term))
    assert set(commands["kind"].tolist()) >= set(map(int, CommandKind))


def test_a_plain_flow_has_orders_cancels_reduces_and_amends_only() -> None:
    """The plain mix: no rule beyond limit and market orders with GTC, IOC and FOK, but for what is spoiled."""
    commands = flow(9, 20_000, bad_share=0.0, mix=Mix.PLAIN)
    plain = {CommandKind.NEW_ORDER, CommandKind.CANCEL_ORDER, CommandKind.REDUCE_ORDER, CommandKind.AMEND_ORDER}
    definitions = {CommandKind.DEFINE_LIMITS, CommandKind.DEFINE_INSTRUMENT, CommandKind.DEFINE_SESSION}
    assert set(commands["kind"].tolist()) == plain | definitions
    new = commands[commands["kind"] == CommandKind.NEW_ORDER]
    assert set(new["order_type"].tolist()) == {OrderType.LIMIT, OrderType.MARKET}
    assert set(new["time_in_force"].tolist()) == {TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK}
    assert not new["flags"].any()
    assert not new["self_trade_prevention"].any()


class WrongPrice(Engine):
    """A core with a defect: a trade prints one unit off where it leaves the aggressor open."""

    def apply_records(self, commands: Records | bytes) -> Records:
        events = records_of(bytearray(record_bytes(super().apply_records(commands))), EVENT)
        wrong = (events["kind"] == EventKind.TRADE) & (events["flags"] & 4 == 0)
        events["price"][wrong] += 1
        return events


def test_a_defect_is_found_and_its_story_is_short() -> None:
    """The comparison can fail: a wrong price in some trades is found and shrunk to the definitions and orders that it takes."""

    def broken(limits: Limits) -> Engine:
        return WrongPrice(limits=limits)

    found = compare(3, 5_000, Setting(TINY, Mix.PLAIN), make=broken)
    assert found is not None
    short = shrink(found, make=broken)
    assert difference(short.commands, TINY, broken) == "events"
    assert difference(short.commands, TINY) is None
    assert len(short.commands) <= 12, story(short, broken)
    assert story(short, broken).count(" TRADE ") >= 2


class Forgetful(Engine):
    """A core with a defect that no event shows: after a thousand commands its state is another."""

    @property
    def state_hash(self) -> int:
        return super().state_hash ^ (self.state.sequence > 1_000)


def test_a_defect_that_only_the_state_shows_is_found_at_its_command() -> None:
    """The comparison can fail: a state that differs without an event that does is found at the first command after which it does."""
    found = compare(4, 10_000, SETTINGS["tiny"], make=lambda limits: Forgetful(limits=limits))
    assert found is not None
    assert len(found.commands) == 1_001
    assert found.what.startswith("state_hash")


def test_the_command_compares_and_prints_its_seed() -> None:
    """tools/differential exits 0 where nothing differs, and says the seed."""
    done = subprocess.run([sys.executable, str(TOOL), "--commands", "2500", "--seed", "5"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("seed 5, ") == len(SETTINGS) == 6


def test_a_story_tells_records_and_events_by_name() -> None:
    """Numbers have names, what says nothing is left out, further records are indented."""
    order = record_of(
        kind=CommandKind.NEW_ORDER,
        side=1,
        order_type=3,
        time_in_force=1,
        quantity=5,
        client_order_id=7,
        instrument=1,
        flags=4,
        participant=1,
    )
    terms = terms_records({"timestamp_ns": 0, "participant": 1, "session": 0}, [(Term.STOP_PRICE, 9)])
    commands = records_of(record_bytes(encode_commands(strategies.opening()[:2])) + order + terms, COMMAND)
    assert tell_commands(commands)[2:] == [
        "NEW_ORDER BUY STOP GTC CONTINUED quantity=5 id=7 instrument=1 participant=1",
        "    ORDER_TERMS STOP_PRICE=9 participant=1",
    ]
    events = tell_events(ReferenceEngine(strategies.LIMITS).apply_records(commands))
    assert events[-2:] == [
        "#4 ACCEPTED BUY WAITING order=1:1 id=7 quantity=5 instrument=1 participant=1",
        "#4 STOP_SET BUY STOP order=1:1 id=7 price=9 quantity=5 instrument=1 participant=1",
    ]
