"""Sessions over real sockets: what a client and the venue know of each other after any loss. docs/PROTOCOL.md, Order entry."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, Final

import pytest
from venues import Message, Wire, new_order, venue_config

from ome.codec.wire import encode_message
from ome.enums import CommandFlags, CommandKind, EventKind, LogonFlags, OrderType, Policy, Reason, SessionFlags, Side, Term
from ome.messages import Limits
from ome.metrics import Counters
from ome.recovery.snapshots import make_snapshot, snapshot_sequences
from ome.server import Server

CANCEL: Final = int(SessionFlags.CANCEL_ON_DISCONNECT)
CANCEL_ALSO_ON_LOGOUT: Final = int(SessionFlags.CANCEL_ON_DISCONNECT | SessionFlags.CANCEL_ON_LOGOUT)
HEARTBEAT: Final = encode_message("Heartbeat")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A venue with a journal."""
    with Server(venue_config(tmp_path)) as running:
        yield running


def heard(wire: Wire, count: int) -> list[Message]:
    """The next messages."""
    return [wire.hear() for _ in range(count)]


def asked(wire: Wire, frame: bytes, count: int) -> list[Message]:
    """What is heard after a frame."""
    wire.say(frame)
    return heard(wire, count)


def entered(wire: Wire, numbers: range, **fields: Any) -> list[Message]:
    """Reports of an order for each number, which rests at a price of its own."""
    return asked(wire, b"".join(new_order(client_order_id=number, price=number, **fields) for number in numbers), len(numbers))


def kinds(reports: list[Message]) -> list[EventKind]:
    """What happened."""
    return [EventKind(fields["kind"]) for _, fields in reports]


def wait_until(is_so: Callable[[], bool]) -> None:
    """Waits a while for something to become true."""
    deadline = time.monotonic() + 5
    while not is_so():
        assert time.monotonic() < deadline, "it has not become true"
        time.sleep(0.002)


# Commands


def test_a_message_that_comes_again_is_answered_from_what_happened_and_does_nothing(server: Server) -> None:
    """D5: the same reports with the same numbers and bytes: of orders that rest, trade, wait, are refused; of a mass cancel."""
    with Wire(server.orders_endpoint) as wire, Wire(server.orders_endpoint) as other:
        other.log_on("FIRM2")
        entered(other, range(90, 92), side=Side.SELL)
        wire.log_on("FIRM1")
        wire.numbers = False
        stop = new_order(flags=CommandFlags.CONTINUED, order_type=OrderType.STOP_LIMIT, client_order_id=2, session_sequence=2)
        terms = encode_message("OrderTerms", term_1=Term.STOP_PRICE, value_1=500, session_sequence=3)
        frames = [
            (new_order(client_order_id=1, quantity=15, session_sequence=1), 3),
            (stop + terms, 2),
            (new_order(quantity=-1, session_sequence=4), 1),
            (encode_message("MassCancel", client_order_id=77, session_sequence=5), 2),
        ]
        first = [asked(wire, frame, count) for frame, count in frames]
        assert [kinds(reports) for reports in first] == [
            [EventKind.ACCEPTED, EventKind.TRADE, EventKind.TRADE],
            [EventKind.ACCEPTED, EventKind.STOP_SET],
            [EventKind.REJECTED],
            [EventKind.CANCELLED, EventKind.COMPLETED],
        ]
        again = [asked(wire, frame, count) for frame, count in frames]
        assert again == first
        assert asked(wire, b"".join(frame for frame, _ in frames), sum(count for _, count in frames)) == [*chain.from_iterable(first)]
        assert wire.ask(encode_message("TestRequest", request_id=1))[1]["command_sequence"] == 5


def test_of_a_frame_that_was_taken_in_part_the_rest_is_taken(server: Server) -> None:
    """D5: the messages that were taken are answered again, the others are new."""
    with Wire(server.orders_endpoint) as wire:
        wire.log_on("FIRM1")
        wire.numbers = False
        messages = [new_order(client_order_id=number, session_sequence=number) for number in range(1, 6)]
        before = asked(wire, b"".join(messages[:3]), 3)
        after = asked(wire, b"".join(messages[1:]), 4)
        assert after[:2] == before[1:]
        assert [fields["report_sequence"] for _, fields in after] == [2, 3, 4, 5]


@pytest.mark.parametrize(
    ("numbers", "found", "allowed", "index"),
    [([4], 4, 3, 0), ([2**31 + 2], 2**31 + 2, 3, 0), ([0], 0, 3, 0), ([3, 5], 5, 4, 1), ([3, 3], 3, 4, 1), ([3, 0], 0, 4, 1)],
    ids=str,
)
def test_a_number_that_is_not_the_next_is_refused_with_the_one_expected(
    server: Server, numbers: list[int], found: int, allowed: int, index: int
) -> None:
    """D5: none of the frame is taken; the next number is still the next."""
    with Wire(server.orders_endpoint) as wire:
        wire.log_on("FIRM1")
        entered(wire, range(1, 3))
        wire.numbers = False
        name, reject = wire.ask(b"".join(new_order(session_sequence=number) for number in numbers))
        assert (name, reject["reason"], reject["field"]) == ("FrameReject", Reason.SEQUENCE_GAP, b"session_sequence")
        assert (reject["found"], reject["allowed"], reject["message_index"]) == (found, allowed, index)
        assert (reject["accepted_count"], reject["rejected_count"]) == (0, len(numbers))
        assert kinds(asked(wire, new_order(session_sequence=3), 1)) == [EventKind.ACCEPTED]


def test_what_was_seen_and_is_no_longer_in_memory_is_refused_as_seen(tmp_path: Path) -> None:
    """D5: after a restart the answer is in the journal only: SEQUENCE_SEEN, and a resend has it."""
    with Server(venue_config(tmp_path)) as server, Wire(server.orders_endpoint) as wire:
        wire.log_on("FIRM1")
        first = entered(wire, range(1, 4))
    with Server(venue_config(tmp_path)) as server, Wire(server.orders_endpoint) as wire:
        wire.log_on("FIRM1")
        wire.numbers = False
        name, reject = wire.ask(new_order(client_order_id=2, session_sequence=2))
        assert (name, reject["reason"], reject["found"], reject["allowed"]) == ("FrameReject", Reason.SEQUENCE_SEEN, 2, 4)
        answer, *again = asked(wire, encode_message("ResendRequest", next_report_sequence=1), 4)
        assert (answer[0], answer[1]["next_report_sequence"], answer[1]["reason"]) == ("ResendAnswer", 1, Reason.NONE)
        assert again == first


# Reports


def test_a_client_that_returns_gets_its_reports_from_where_it_was(server: Server) -> None:
    """D5: those it had not, also those made while it was away; then new ones, without a gap. 0 asks for new ones only."""
    with Wire(server.orders_endpoint) as gone:
        gone.log_on("FIRM1")
        first = entered(gone, range(100, 110), side=Side.SELL)
    with Wire(server.orders_endpoint) as other, Wire(server.orders_endpoint) as back:
        other.log_on("FIRM2")
        asked(other, new_order(price=200, quantity=15), 3)
        answer = back.log_on("FIRM1", next_report_sequence=4)
        assert (answer["report_sequence"], answer["command_sequence"], answer["first_report_sequence"]) == (12, 10, 1)
        reports = heard(back, 9)
        assert reports[:7] == first[3:]
        assert kinds(reports[7:]) == [EventKind.TRADE] * 2
        assert [fields["report_sequence"] for _, fields in entered(back, range(300, 303), side=Side.SELL)] == [13, 14, 15]
        assert back.log_on("FIRM1", login_id=9)["login_id"] == 9
        assert back.hears_nothing()


def test_who_asks_for_reports_that_there_are_not_is_told(server: Server) -> None:
    """A client that has more reports than the venue, as after a power cut under `async`, learns it at its logon and by a request."""
    with Wire(server.orders_endpoint) as wire:
        wire.log_on("FIRM1")
        entered(wire, range(1, 3))
        assert wire.log_on("FIRM1", next_report_sequence=9)["report_sequence"] == 2
        name, told = wire.hear()
        assert (name, told["next_report_sequence"], told["report_sequence"], told["reason"]) == ("ResendAnswer", 3, 2, Reason.SEQUENCE_GAP)
        assert wire.ask(encode_message("ResendRequest", next_report_sequence=4))[1]["reason"] == Reason.SEQUENCE_GAP
        assert wire.log_on("FIRM1", next_report_sequence=3)["reason"] == Reason.NONE
        assert wire.hears_nothing()


def test_reports_are_the_same_after_a_restart_whether_a_snapshot_is_there_or_not(tmp_path: Path) -> None:
    """D5: numbers and bytes of two sessions that trade with each other, from every number on, made again from the journal."""
    config = venue_config(tmp_path, snapshot_commands=0)
    random_numbers = random.Random(1)
    sent: dict[str, list[Message]] = {"FIRM1": [], "FIRM2": []}
    for _ in range(3):
        with Server(config) as server, Wire(server.orders_endpoint) as one, Wire(server.orders_endpoint) as two:
            wires = {"FIRM1": one, "FIRM2": two}
            for name, wire in wires.items():
                wire.log_on(name, next_report_sequence=1)
                assert heard(wire, len(sent[name])) == sent[name]
            first_id = 1_000 * len(sent["FIRM1"])
            for number in range(1, 120):
                wire = random_numbers.choice((one, two))
                side = random_numbers.choice((Side.BUY, Side.SELL))
                wire.say(new_order(client_order_id=first_id + number, side=side, price=random_numbers.randrange(95, 106), quantity=5))
            for name, wire in wires.items():
                while not wire.hears_nothing():
                    sent[name].append(wire.hear())
            make_snapshot(tmp_path, 5.0)
    with Server(config) as server, Wire(server.orders_endpoint) as wire:
        for name, reports in sent.items():
            for first in (len(reports), len(reports) // 2, 2):
                wire.log_on(name, next_report_sequence=first)
                assert heard(wire, len(reports) - first + 1) == reports[first - 1 :]


def test_reports_older_than_memory_come_from_the_journal_and_the_newest_follow(tmp_path: Path) -> None:
    """D5: with room for 4,096 reports, 12,000 are sent again in order; another session goes on meanwhile."""
    with Server(venue_config(tmp_path, reports_in_memory=4_096)) as server, Wire(server.orders_endpoint) as wire:
        wire.log_on("FIRM1")
        first: list[Message] = []
        for start in range(0, 12_000, 200):
            first += asked(wire, b"".join(new_order(client_order_id=start + i, quantity=0) for i in range(1, 201)), 200)
        with Wire(server.orders_endpoint) as back, Wire(server.orders_endpoint) as other:
            other.log_on("FIRM2")
            assert back.log_on("FIRM1", next_report_sequence=1)["first_report_sequence"] == 1
            more = entered(other, range(1, 50))
            assert len(more) == 49
            assert heard(back, 12_000) == first
            assert [fields["report_sequence"] for _, fields in entered(back, range(1, 3))] == [12_001, 12_002]


def test_reports_older_than_memory_come_though_a_snapshot_is_removed_or_broken_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D5: the venue removes old snapshots while they are looked through; nothing is gone as long as the journal has it."""
    with Server(venue_config(tmp_path, reports_in_memory=4_096)) as server, Wire(server.orders_endpoint) as wire:
        wire.log_on("FIRM1")
        first: list[Message] = []
        for start in range(0, 5_000, 200):
            first += asked(wire, b"".join(new_order(client_order_id=start + i, quantity=0) for i in range(1, 201)), 200)
        broken = Path(make_snapshot(tmp_path, 5.0).path)
        broken.write_bytes(broken.read_bytes()[:-1])
        there = [*snapshot_sequences(tmp_path), 1_000_000]
        monkeypatch.setattr("ome.recovery.snapshots.snapshot_sequences", lambda _: there)
        wire.log_on("FIRM1", next_report_sequence=1)
        assert heard(wire, 5_000) == first


def test_a_venue_without_a_journal_says_which_reports_are_gone(tmp_path: Path) -> None:
    """REPORTS_GONE, and those in memory follow."""
    config = venue_config(None, policy=Policy.MEMORY, reports_in_memory=4_096)
    with Server(config) as server, Wire(server.orders_endpoint) as wire:
        wire.log_on("FIRM1")
        for start in range(0, 5_000, 200):
            asked(wire, b"".join(new_order(client_order_id=start + i, quantity=0) for i in range(1, 201)), 200)
        answer = wire.log_on("FIRM1", next_report_sequence=1)
        assert answer["first_report_sequence"] == 5_000 - 4_096 + 1
        name, told = wire.hear()
        assert (name, told["reason"], told["next_report_sequence"]) == ("ResendAnswer", Reason.REPORTS_GONE, 5_000 - 4_096 + 1)
        assert [fields["report_sequence"] for _, fields in heard(wire, 4_096)] == list(range(905, 5_001))


def test_a_session_number_that_goes_to_another_participant_brings_none_of_its_reports(tmp_path: Path) -> None:
    """D5: the new session begins with no report, in memory and after a restart, whatever it asks for."""
    limits = Limits(order_count_max=10, level_count_max=10, instrument_count_max=2, session_count_max=1)
    with Server(venue_config(tmp_path, limits=limits)) as server, Wire(server.orders_endpoint) as wire:
        wire.log_on("FIRM1")
        asked(wire, new_order(quantity=0) * 1, 1)
        assert wire.ask(encode_message("Logout"))[0] == "Logout"
        wait_until(lambda: wire.log_on("FIRM2", next_report_sequence=1)["reason"] == Reason.NONE)
        assert wire.hears_nothing()
        mine = asked(wire, new_order(quantity=-1), 1)
        assert mine[0][1]["report_sequence"] == 1
    with Server(venue_config(tmp_path, limits=limits)) as server, Wire(server.orders_endpoint) as wire:
        assert wire.log_on("FIRM2", next_report_sequence=1)["report_sequence"] == 1
        assert heard(wire, 1) == mine
        assert wire.hears_nothing()


def test_a_stop_is_told_with_its_type_and_stop_price(server: Server) -> None:
    """STOP_SET follows its ACCEPTED, and each AMENDED while it waits."""
    with Wire(server.orders_endpoint) as wire:
        wire.log_on("FIRM1")
        stop = new_order(flags=CommandFlags.CONTINUED, order_type=OrderType.STOP_LIMIT, client_order_id=2)
        reports = asked(wire, stop + encode_message("OrderTerms", term_1=Term.STOP_PRICE, value_1=500), 2)
        amend = encode_message("AmendOrder", client_order_id=2, price=-(2**63), quantity=-(2**63), flags=CommandFlags.CONTINUED)
        reports += asked(wire, amend + encode_message("OrderTerms", term_1=Term.STOP_PRICE, value_1=501), 2)
        assert kinds(reports) == [EventKind.ACCEPTED, EventKind.STOP_SET, EventKind.AMENDED, EventKind.STOP_SET]
        assert [(fields["price"], fields["order_type"]) for _, fields in reports[1::2]] == [(500, 4), (501, 4)]


# The end of a connection


def ended(reports: list[Message], count: int) -> bool:
    """Whether the reports are those of so many orders that were cancelled because their session was gone."""
    *cancels, completed = reports
    return (
        [(fields["kind"], fields["reason"]) for _, fields in cancels] == [(EventKind.CANCELLED, Reason.DISCONNECTED)] * count
        and (completed[1]["kind"], completed[1]["command_kind"]) == (EventKind.COMPLETED, CommandKind.MASS_CANCEL)
        and completed[1]["last_quantity"] == count
    )


def leaves(wire: Wire, how: str) -> None:
    """Goes away in one way."""
    if how == "logout":
        assert wire.ask(encode_message("Logout"))[0] == "Logout"
    elif how == "silence":  # frozen: the connection is open, and nothing comes
        wait_until(lambda: any(name == "Logout" and told["reason"] == Reason.HEARTBEAT_TIMEOUT for name, told in [wire.hear()]))
    else:
        wire.close()


@pytest.mark.parametrize(
    ("how", "flags", "is_cancelled"),
    [
        ("close", CANCEL, True),
        ("close", 0, False),
        ("silence", CANCEL, True),
        ("silence", 0, False),
        ("logout", CANCEL, False),
        ("logout", CANCEL_ALSO_ON_LOGOUT, True),
    ],
)
def test_orders_are_cancelled_when_their_session_is_gone_if_it_chose_so(server: Server, how: str, flags: int, is_cancelled: bool) -> None:
    """D7: by its own session only; it finds the reports when it returns."""
    with Wire(server.orders_endpoint) as other, Wire(server.orders_endpoint) as back:
        other.log_on("FIRM1", 2)
        entered(other, range(50, 52))
        wire = Wire(server.orders_endpoint)
        wire.log_on("FIRM1", 1, session_flags=flags, heartbeat_ms=100 if how == "silence" else 0)
        entered(wire, range(1, 4))
        leaves(wire, how)
        if is_cancelled:
            fields = {"next_report_sequence": 4, "session_flags": flags, "logon_flags": LogonFlags.NO_TAKEOVER}
            while back.log_on("FIRM1", 1, **fields)["reason"] == Reason.SESSION_IN_USE:
                time.sleep(0.01)  # the venue has not noticed yet: a takeover would cancel nothing
            assert ended(heard(back, 4), 3)
        else:
            time.sleep(0.1)
            assert back.log_on("FIRM1", 1, session_flags=flags)["report_sequence"] == 3
        assert other.hears_nothing()
        wire.close()


def test_orders_of_a_session_that_is_taken_over_stay(server: Server) -> None:
    """D7: the session goes on, and may choose otherwise; a logon that does not take over is refused while it has a connection."""
    with Wire(server.orders_endpoint) as first, Wire(server.orders_endpoint) as second:
        first.log_on("FIRM1", session_flags=CANCEL)
        entered(first, range(1, 3))
        assert second.log_on("FIRM1", logon_flags=LogonFlags.NO_TAKEOVER)["reason"] == Reason.SESSION_IN_USE
        assert second.log_on("FIRM1", session_flags=0)["report_sequence"] == 2
        assert first.hear()[1]["reason"] == Reason.SESSION_TAKEN_OVER
        second.close()
        with Wire(server.orders_endpoint) as third:
            time.sleep(0.1)
            assert third.log_on("FIRM1")["report_sequence"] == 2


@pytest.mark.parametrize("flags", [CANCEL, 0])
def test_orders_of_sessions_that_chose_so_are_cancelled_at_the_next_start(tmp_path: Path, flags: int) -> None:
    """D7: nobody is connected after a restart, so their orders go before any other command; those of others stay."""
    config = venue_config(tmp_path)
    with Server(config) as server, Wire(server.orders_endpoint) as wire:
        wire.log_on("FIRM1", session_flags=flags)
        entered(wire, range(1, 3))
    with Server(config) as server, Wire(server.orders_endpoint) as wire:
        wire.log_on("FIRM1", next_report_sequence=3)
        assert ended(heard(wire, 3), 2) if flags else wire.hears_nothing()


def test_a_silent_session_is_asked_and_an_answer_keeps_it(server: Server) -> None:
    """After two heartbeats a TestRequest; after three, a Logout with the reason. A Heartbeat is not answered."""
    with Wire(server.orders_endpoint) as wire:
        assert wire.log_on("FIRM1", heartbeat_ms=200)["heartbeat_ms"] == 200
        begun = time.monotonic()
        assert [name for name, _ in heard(wire, 2)] == ["Heartbeat", "TestRequest"]
        assert time.monotonic() - begun > 0.35
        wire.say(HEARTBEAT)
        names = []
        while (message := wire.hear())[0] != "Logout":
            names.append(message[0])
        assert names.count("TestRequest") == 1
        assert set(names) == {"Heartbeat", "TestRequest"}
        assert message[1]["reason"] == Reason.HEARTBEAT_TIMEOUT
        assert time.monotonic() - begun > 0.9


@pytest.mark.parametrize("heartbeat_ms", [1, 99, 60_001, 2**32 - 1])
def test_a_heartbeat_out_of_range_is_refused(server: Server, heartbeat_ms: int) -> None:
    """BAD_HEARTBEAT."""
    with Wire(server.orders_endpoint) as wire:
        assert wire.log_on("FIRM1", heartbeat_ms=heartbeat_ms)["reason"] == Reason.BAD_HEARTBEAT


# Throttles


def test_a_participant_sends_no_more_than_its_rate_over_all_its_sessions(tmp_path: Path) -> None:
    """THROTTLED says what was taken; the rest is taken later; other participants notice nothing; it is counted."""
    config = venue_config(tmp_path, messages_per_second=100)
    with (
        Server(config) as server,
        Counters(tmp_path) as counters,
        Wire(server.orders_endpoint) as one,
        Wire(server.orders_endpoint) as two,
        Wire(server.orders_endpoint) as other,
    ):
        assert one.log_on("FIRM1", 1)["message_rate_max"] == 100
        two.log_on("FIRM1", 2)
        other.log_on("FIRM2")
        entered(two, range(1, 61))
        one.say(b"".join(new_order(client_order_id=number, quantity=0) for number in range(1, 101)))
        messages = heard(one, 1)
        while messages[-1][0] != "FrameReject":
            messages.append(one.hear())
        reject = messages.pop()[1]
        assert reject["reason"] == Reason.THROTTLED
        assert 40 <= reject["accepted_count"] < 100
        assert reject["accepted_count"] + reject["rejected_count"] == 100
        entered(other, range(1, 101))
        assert counters.values()["gateway.messages_throttled"] == reject["rejected_count"]
        wait_until(lambda: one.ask(new_order(quantity=0))[0] == "ExecutionReport")


def test_who_goes_on_sending_what_is_refused_has_to_go(tmp_path: Path) -> None:
    """After more than 4,096 messages refused in a second: Logout (THROTTLED)."""
    with Server(venue_config(tmp_path, messages_per_second=5)) as server, Wire(server.orders_endpoint) as wire:
        wire.log_on("FIRM1")
        wire.numbers = False
        for _ in range(40):
            wire.say(b"".join(new_order(quantity=0, session_sequence=1 + number) for number in range(200)))
        reasons = []
        while (message := wire.hear())[0] != "Logout":
            reasons.append(message[1]["reason"])
        assert message[1]["reason"] == Reason.THROTTLED


def test_a_participant_has_no_more_unanswered_than_it_may(tmp_path: Path) -> None:
    """A frame of more messages than may be in flight is taken up to there; the rest when they are answered."""
    with Server(venue_config(tmp_path, messages_in_flight=10)) as server, Wire(server.orders_endpoint) as wire:
        assert wire.log_on("FIRM1")["in_flight_max"] == 10
        name, reject = wire.ask(b"".join(new_order(quantity=0) for _ in range(25)))
        while name != "FrameReject":
            name, reject = wire.hear()
        assert (reject["reason"], reject["accepted_count"], reject["rejected_count"]) == (Reason.THROTTLED, 10, 15)


def test_logons_of_a_participant_are_limited(tmp_path: Path) -> None:
    """THROTTLED for the logon after the last one of a minute; others log on."""
    with Server(venue_config(tmp_path, logons_per_minute=3)) as server:
        reasons = []
        for _ in range(5):
            with Wire(server.orders_endpoint) as wire:
                reasons.append(wire.log_on("FIRM1")["reason"])
        assert Reason.THROTTLED in reasons
        with Wire(server.orders_endpoint) as wire:
            assert wire.log_on("FIRM2")["reason"] == Reason.NONE
