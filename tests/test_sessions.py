"""Who has which session number: numbers are lent at logon, durable with the first command, and used again. Over real sockets."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from venues import Wire, journal_commands, new_order, venue_config

from ome.client import OrderEntry
from ome.codec import define_instrument, define_session, encode_commands
from ome.codec.wire import encode_message
from ome.engine import SessionState
from ome.enums import CommandKind, EventKind, Reason
from ome.errors import InvalidValueError
from ome.gateway.registry import Lease, SessionRegistry
from ome.instruments import Instrument
from ome.messages import Limits
from ome.server import Server

FEW = Limits(order_count_max=2_000, level_count_max=1_000, instrument_count_max=8, session_count_max=4)


@contextmanager
def few_sessions(directory: Path, **fields: object) -> Iterator[Server]:
    """A venue with four session numbers."""
    with Server(venue_config(directory, limits=FEW, **fields)) as server:
        yield server


def defined_sessions(directory: Path) -> list[tuple[str, int, int]]:
    """Name, session number and session of each definition in the journal."""
    return [
        (bytes(row["participant_name"]).decode(), int(row["session_number"]), int(row["session"]))
        for row in journal_commands(directory)
        if row["kind"] == CommandKind.DEFINE_SESSION
    ]


def test_a_session_that_sends_no_command_leaves_no_trace(tmp_path: Path) -> None:
    """More names log on by one connection than there are numbers; the journal knows of none, and the next one gets on and trades."""
    with few_sessions(tmp_path) as server:
        with Wire(server.orders_endpoint) as wire:
            for number in range(6):
                answer = wire.log_on(f"GUEST{number}")
                assert answer["reason"] == Reason.NONE
        with Wire(server.orders_endpoint) as wire:
            assert wire.log_on("FIRM1")["reason"] == Reason.NONE
            wire.say(new_order())
            assert wire.hear_report()["kind"] == EventKind.ACCEPTED
    assert [name for name, _, _ in defined_sessions(tmp_path)] == ["FIRM1"]


def test_numbers_become_durable_in_the_order_of_first_commands(tmp_path: Path) -> None:
    """Three log on, the last trades first: each keeps the numbers that its logon said, also after a restart."""
    told: dict[str, tuple[int, int]] = {}
    with few_sessions(tmp_path) as server, Wire(server.orders_endpoint) as one, Wire(server.orders_endpoint) as two:
        for name, wire in (("FIRM1", one), ("FIRM2", two)):
            answer = wire.log_on(name)
            told[name] = answer["participant"], answer["session"]
        for wire in (two, one):
            wire.say(new_order(price=50))
            assert wire.hear_report()["kind"] == EventKind.ACCEPTED
    assert [name for name, _, _ in defined_sessions(tmp_path)] == ["FIRM2", "FIRM1"]
    with few_sessions(tmp_path) as server:
        for name, numbers in told.items():
            with Wire(server.orders_endpoint) as wire:
                answer = wire.log_on(name)
                assert (answer["participant"], answer["session"]) == numbers
                wire.say(new_order(client_order_id=7, price=50))
                assert wire.hear_report()["kind"] == EventKind.ACCEPTED


def test_a_number_is_used_again_when_nothing_of_its_session_lives(tmp_path: Path) -> None:
    """Twenty participants trade and leave nothing behind, with four numbers; whoever has an order in the book keeps its number."""
    with few_sessions(tmp_path) as server:
        with Wire(server.orders_endpoint) as keeper:
            kept = keeper.log_on("KEEPER")
            keeper.say(new_order(client_order_id=1, price=10))
            assert keeper.hear_report()["kind"] == EventKind.ACCEPTED
        for number in range(20):
            with Wire(server.orders_endpoint) as wire:
                assert wire.log_on(f"FIRM{number}")["reason"] == Reason.NONE
                wire.say(new_order(client_order_id=1, price=20))
                assert wire.hear_report()["kind"] == EventKind.ACCEPTED
                wire.say(encode_message("CancelOrder", client_order_id=1))
                assert wire.hear_report()["kind"] == EventKind.CANCELLED
        with Wire(server.orders_endpoint) as keeper:
            again = keeper.log_on("KEEPER")
            assert (again["participant"], again["session"], again["report_sequence"]) == (kept["participant"], kept["session"], 1)
            keeper.say(encode_message("CancelOrder", client_order_id=1))
            assert keeper.hear_report()["kind"] == EventKind.CANCELLED
    sessions = [session for _, _, session in defined_sessions(tmp_path)]
    assert len(sessions) == 21
    assert sessions.count(kept["session"]) == 1
    with few_sessions(tmp_path) as server:
        assert server.summary is not None
        assert server.summary.recovered_commands > 20


def test_a_participant_has_a_small_allowance_of_sessions(tmp_path: Path) -> None:
    """The third session of a participant that may have two is refused; one of another participant is not."""
    with (
        few_sessions(tmp_path, sessions_per_participant=2) as server,
        Wire(server.orders_endpoint) as one,
        Wire(server.orders_endpoint) as two,
        Wire(server.orders_endpoint) as three,
    ):
        assert one.log_on("FIRM1", 1)["reason"] == Reason.NONE
        assert two.log_on("FIRM1", 2)["reason"] == Reason.NONE
        assert three.log_on("FIRM1", 3)["reason"] == Reason.SESSION_ALLOWANCE_REACHED
        assert three.log_on("FIRM2", 3)["reason"] == Reason.NONE


def test_a_logon_is_refused_when_every_number_is_in_use(tmp_path: Path) -> None:
    """Four connections hold the four numbers; when one is gone there is one again."""
    with few_sessions(tmp_path) as server:
        wires = [Wire(server.orders_endpoint) for _ in range(4)]
        for number, wire in enumerate(wires):
            assert wire.log_on(f"FIRM{number}")["reason"] == Reason.NONE
        with Wire(server.orders_endpoint) as late:
            assert late.log_on("LATE")["reason"] == Reason.SESSION_LIMIT_REACHED
            wires.pop().close()
            deadline = 200
            while late.log_on("LATE")["reason"] != Reason.NONE:
                deadline -= 1
                assert deadline, "the number of a connection that is gone was not free again"
        for wire in wires:
            wire.close()


def test_a_routing_id_of_the_peers_choice_is_no_way_past_the_logon(tmp_path: Path) -> None:
    """A client with a routing id of its own logs on, goes away and comes back with the same id: it has to log on again."""
    with Server(venue_config(tmp_path)) as server:
        with Wire(server.orders_endpoint, routing_id=b"\0\0\0\0\1") as wire:
            wire.log_on("FIRM1")
            wire.say(new_order())
            assert wire.hear_report()["kind"] == EventKind.ACCEPTED
        with Wire(server.orders_endpoint, routing_id=b"\0\0\0\0\1") as wire:
            name, reject = wire.ask(new_order(client_order_id=2))
            assert (name, reject["reason"]) == ("FrameReject", Reason.NOT_LOGGED_ON)


def test_two_that_wait_for_the_same_number_are_both_answered(tmp_path: Path) -> None:
    """While the engine is asked whether the number may be another's, two log on as the same session: each hears something."""
    limits = Limits(order_count_max=100, level_count_max=100, instrument_count_max=2, session_count_max=1)
    with Server(venue_config(tmp_path, limits=limits)) as server:
        with Wire(server.orders_endpoint) as wire:
            wire.log_on("FIRST")
            wire.ask(new_order(quantity=0))  # the number is its own
        answers = []
        for turn in range(10):
            with Wire(server.orders_endpoint) as one, Wire(server.orders_endpoint) as other:
                for wire in (one, other):  # both connections stand before either logs on
                    assert wire.ask(new_order())[1]["reason"] == Reason.NOT_LOGGED_ON
                for wire in (one, other):
                    wire.say(encode_message("Logon", participant_name=b"T%d" % turn, session_number=0))
                for wire in (one, other):
                    name, fields = wire.hear()
                    assert name == "LogonAnswer"
                    answers.append(fields["reason"])
        assert Reason.NONE in answers


def test_a_definition_that_was_on_its_way_is_no_answer_to_who_waits_for_the_number(tmp_path: Path) -> None:
    """One trades and goes; before its definition is on disk another one asks for its number, and must not become it."""
    limits = Limits(order_count_max=100, level_count_max=100, instrument_count_max=2, session_count_max=1)
    for turn in range(5):
        with Server(venue_config(tmp_path / str(turn), limits=limits)) as server, Wire(server.orders_endpoint) as wire:
            wire.log_on("FIRST")
            wire.say(new_order())
            wire.say(encode_message("Logout"))
            wire.say(encode_message("Logon", participant_name=b"SECOND", session_number=0, next_report_sequence=1))
            answer = next(fields for name, fields in iter(wire.hear, None) if name == "LogonAnswer")
            assert answer["reason"] == Reason.SESSION_LIMIT_REACHED, "the order of the first keeps the number"


def test_an_instrument_defined_past_the_gateway_trades(tmp_path: Path) -> None:
    """The embedder defines an instrument while the venue runs; clients that log on then know it and trade it."""
    gold = Instrument("GOLD", tick="0.1")
    with few_sessions(tmp_path) as server:
        assert server.submit(encode_commands([define_instrument(gold, 3), define_instrument(gold, 4)])) == 0
        with Wire(server.orders_endpoint) as wire:
            wire.log_on("FIRM1")
            wire.say(new_order())
            assert wire.hear_report()["kind"] == EventKind.ACCEPTED, "what was submitted before has been applied"
        with OrderEntry(server.orders_endpoint, "FIRM2") as client:
            assert client.instruments["GOLD"] == gold
            assert client.wait_for(client.buy("GOLD", 1, at="1.5")).kind == EventKind.ACCEPTED


@pytest.mark.parametrize("session", [1, 2, 60_000])
def test_sessions_are_defined_at_a_logon_alone(tmp_path: Path, session: int) -> None:
    """The embedder may not define one: a client may have borrowed its numbers, and would be the embedder's session at its next logon."""
    with few_sessions(tmp_path) as server, Wire(server.orders_endpoint) as wire:
        assert wire.log_on("FIRM1")["session"] == 1
        house = define_session("HOUSE", participant=session, session=session, session_number=0)
        gold = define_instrument(Instrument("GOLD"), 3)
        with pytest.raises(InvalidValueError, match="DefineSession"):
            server.submit(encode_commands([gold, house]))
        wire.say(new_order())
        assert wire.hear_report()["kind"] == EventKind.ACCEPTED
    assert defined_sessions(tmp_path) == [("FIRM1", 0, 1)]
    assert not any(row["instrument"] == 3 for row in journal_commands(tmp_path) if row["kind"] == CommandKind.DEFINE_INSTRUMENT)


def test_each_answer_to_a_definition_is_of_its_command(tmp_path: Path) -> None:
    """The same number again and again, refused before and after it is taken: clients are told the instrument that the engine has."""
    gold, iron, zinc = Instrument("GOLD", tick="0.1"), Instrument("IRON", tick="5"), Instrument("ZINC")
    with few_sessions(tmp_path) as server:
        for number in range(40):  # more than there are: nothing of a refused one stays
            assert server.submit(encode_commands([define_instrument(zinc, 1 + number % 2)])) == 0
        taken = define_instrument(gold, 3)
        spoiled = dataclasses.replace(taken, tick=0)
        assert server.submit(encode_commands([spoiled, taken, define_instrument(iron, 3)])) == 0
        assert server.submit(encode_commands([define_instrument(iron, 4), define_instrument(zinc, 4)])) == 0
        with Wire(server.orders_endpoint) as wire:
            wire.log_on("FIRM1")
            wire.say(new_order())
            assert wire.hear_report()["kind"] == EventKind.ACCEPTED, "what was submitted before has been applied"
        with OrderEntry(server.orders_endpoint, "FIRM2") as client:
            assert (client.instruments["GOLD"], client.instruments["IRON"]) == (gold, iron)
            assert "ZINC" not in client.instruments
            assert client.wait_for(client.buy("IRON", 1, at="10")).kind == EventKind.ACCEPTED


# The registry by itself


@dataclass
class FakeLook:
    """A session as the gateway's loop has it."""

    peer: int = 0
    order_count: int = 0
    is_defined: int = 0


@dataclass
class FakeVenue:
    """A registry beside a plain picture of an engine: which session is defined as whose, and who is connected."""

    session_count_max: int
    known: dict[int, tuple[bytes, int, int]] = field(default_factory=dict)
    looks: dict[int, FakeLook] = field(default_factory=dict)

    def __post_init__(self) -> None:
        states = [
            SessionState(
                session=session,
                participant=participant,
                session_number=number,
                participant_name=name.decode(),
                flags=0,
                command_sequence=0,
                report_sequence=0,
                defined_sequence=0,
            )
            for session, (name, number, participant) in self.known.items()
        ]
        self.registry = SessionRegistry(states, self.session_count_max, self.session_count_max, self.look)

    def look(self, session: int) -> FakeLook:
        return self.looks.setdefault(session, FakeLook())

    def accept_definition(self, session: int, name: bytes, number: int, participant: int) -> bool:
        """The engine's rules: docs/RULES.md, DefineSession."""
        others = {other: entry for other, entry in self.known.items() if other != session}
        if any((name, number) == entry[:2] for entry in others.values()):
            return False
        has = {entry[2] for entry in others.values() if entry[0] == name}
        used = {entry[2] for entry in others.values()}
        if (has and participant not in has) or (not has and participant in used):
            return False
        self.known[session] = (name, number, participant)
        return True


@pytest.mark.parametrize("seed", range(20))
def test_what_the_registry_lends_the_engine_takes(seed: int) -> None:
    """Names come, go, trade and leave orders, with few numbers: no two that are connected share one, and definitions are taken."""
    generator = random.Random(seed)
    venue = FakeVenue(6)
    connected: dict[int, tuple[bytes, int, int]] = {}
    refused = 0
    for peer in range(1, 2_000):
        name, number = b"P%d" % generator.randrange(8), generator.randrange(2)
        found = venue.registry.log_on(name, number)
        if isinstance(found, Reason):
            refused += 1
            assert len(venue.looks) >= 6
        else:
            session, participant = found.session, found.participant
            former = connected.get(session)
            assert former is None or former[:2] == (name, number) or not venue.look(session).is_defined, "a number in use was lent"
            if found.is_reused:  # it is the former's until the engine has agreed
                if not venue.accept_definition(session, name, number, participant):
                    venue.registry.forget(session)
                    continue
                venue.registry.define(session, participant)
                venue.look(session).is_defined = 1
            else:
                venue.look(session).is_defined = found.is_defined
            venue.look(session).peer = peer
            connected[session] = (name, number, participant)
            if generator.random() < 0.6 and not venue.look(session).is_defined:
                if venue.accept_definition(session, name, number, participant):
                    venue.look(session).is_defined = 1
                    if generator.random() < 0.5:  # or it is found out later
                        venue.registry.define(session, participant)
                    venue.look(session).order_count = generator.randrange(2)
                else:
                    venue.registry.forget(session)
                    venue.look(session).peer = 0
                    connected.pop(session)
        for session in list(connected):
            if generator.random() < 0.4:
                venue.look(session).peer = 0
                connected.pop(session)
        for look in venue.looks.values():
            if generator.random() < 0.2:
                look.order_count = 0
        names = {session: entry[:2] for session, entry in venue.known.items()}
        assert len(set(names.values())) == len(names), "one name and number has two sessions"
    assert refused < 1_500


def test_more_names_than_numbers_while_one_changes_hands_wait() -> None:
    """A number is free, but no participant's: the former owner of another number has its own until the engine has answered."""
    venue = FakeVenue(3, known={1: (b"IDLE", 0, 1)})
    venue.look(1).is_defined = 1
    for number in range(2):
        twice = venue.registry.log_on(b"TWICE", number)
        assert isinstance(twice, Lease)
        venue.look(twice.session).peer = 1 + number
    waits = venue.registry.log_on(b"WAITS", 0)
    assert isinstance(waits, Lease)
    assert waits.is_reused
    assert isinstance(twice, Lease)
    venue.look(twice.session).peer = 0
    assert venue.registry.log_on(b"LATE", 0) is Reason.BUSY
    venue.registry.define(waits.session, waits.participant)
    late = venue.registry.log_on(b"LATE", 0)
    assert isinstance(late, Lease)
    assert late.participant not in (waits.participant, twice.participant)


def test_a_number_that_changes_hands_is_no_drop_copys() -> None:
    """The reports under it are the former owner's, until the engine has answered: neither name gets a drop copy before."""
    venue = FakeVenue(1, known={1: (b"IDLE", 0, 1)})
    venue.look(1).is_defined = 1
    waits = venue.registry.log_on(b"WAITS", 0)
    assert isinstance(waits, Lease)
    assert waits.is_reused
    assert venue.registry.hold(b"WAITS") is venue.registry.hold(b"IDLE") is Reason.BUSY
    venue.registry.define(waits.session, waits.participant)
    assert venue.registry.hold(b"WAITS") == waits.participant
    assert venue.registry.hold(b"IDLE") is Reason.BUSY


def test_a_logon_looks_at_a_bounded_number_of_sessions() -> None:
    """With all numbers in use a refusal must not cost a walk over them. An idle one is found all the same."""
    count = 1_000
    venue = FakeVenue(count, {session: (b"P%d" % session, 0, session) for session in range(1, count + 1)})
    for session in range(1, count + 1):
        venue.looks[session] = FakeLook(order_count=1, is_defined=1)
    looks = 0

    def counted(session: int) -> FakeLook:
        nonlocal looks
        looks += 1
        return venue.look(session)

    venue.registry._look = counted
    answers = []
    for peer in range(100):
        looks = 0
        answers.append(venue.registry.log_on(b"N%d" % peer, 0))
        assert looks <= 200, "a logon looked at too many sessions"
    assert answers[0] is Reason.BUSY
    assert answers[-1] is Reason.SESSION_LIMIT_REACHED
    venue.looks[700].order_count = 0
    found = [venue.registry.log_on(b"M%d" % peer, 0) for peer in range(20)]
    assert [lease.session for lease in found if not isinstance(lease, Reason)] == [700]


def test_a_refusal_of_the_allowance_looks_only_at_the_participants_own_sessions() -> None:
    """Others may have been lent any number of sessions."""
    venue = FakeVenue(1_000)
    registry = SessionRegistry([], 1_000, 4, venue.look)
    for number in range(1, 901):
        found = registry.log_on(b"P%d" % (number // 3), number)
        assert not isinstance(found, Reason)
        venue.look(found.session).peer = number
    mine = []
    for number in range(4):
        found = registry.log_on(b"MANY", number)
        assert not isinstance(found, Reason)
        venue.look(found.session).peer = 1_000 + number
        mine.append(found.session)
    looked: list[int] = []

    def noted(session: int) -> FakeLook:
        looked.append(session)
        return venue.look(session)

    registry._look = noted
    for number in range(4, 50):
        looked.clear()
        assert registry.log_on(b"MANY", number) is Reason.SESSION_ALLOWANCE_REACHED
        assert len(looked) <= 4
    venue.look(mine[0]).peer = 0
    assert not isinstance(registry.log_on(b"MANY", 99), Reason)
