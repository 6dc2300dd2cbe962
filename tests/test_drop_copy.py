"""Drop copies: all reports of a participant, numbered and sent again as those of a session. docs/PROTOCOL.md, Drop copy."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import CliRunner
from kills import gateway_of
from test_security import Keys, secret_of
from venues import Message, VenueProcess, Wire, config_file, new_order, venue_config

from ome.cli.main import main
from ome.client import AsyncDropCopy, DropCopy, OrderEntry, TimedOut
from ome.codec.layouts import EXECUTION_REPORT_MESSAGE
from ome.codec.wire import encode_message
from ome.enums import EventKind, LogonFlags, Policy, Reason, SessionFlags, Side
from ome.keys import Role, make_secret
from ome.messages import Limits
from ome.recovery.snapshots import make_snapshot
from ome.server import Server

COPY: Final = int(LogonFlags.DROP_COPY)
OF_PARTICIPANT_MAX: Final = 8
TEST: Final = encode_message("TestRequest", request_id=1)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A venue with a journal."""
    with Server(venue_config(tmp_path)) as running:
        yield running


def reports(wire: Wire, count: int) -> list[Message]:
    """The next messages, which are reports."""
    found = [wire.hear() for _ in range(count)]
    assert {name for name, _ in found} <= {"ExecutionReport", "AttributesReport"}, found
    return found


def renumbered(found: list[Message], first: int) -> list[Message]:
    """The same reports with the numbers from `first` on."""
    return [(name, fields | {"report_sequence": first + index}) for index, (name, fields) in enumerate(found)]


def entered(wire: Wire, *numbers: int, **fields: Any) -> list[Message]:
    """Reports of orders with these client order ids, that rest."""
    wire.say(b"".join(new_order(client_order_id=number, price=number, **fields) for number in numbers))
    return reports(wire, len(numbers))


# What it is sent


def test_a_drop_copy_is_sent_the_reports_of_all_sessions_and_nothing_of_others(server: Server) -> None:
    """D10: the same messages but for their numbers, which count those of the participant; others' are not among them."""
    endpoint = server.orders_endpoint
    with Wire(endpoint) as copy, Wire(endpoint) as one, Wire(endpoint) as two, Wire(endpoint) as other:
        answer = copy.log_on("FIRM1", logon_flags=COPY)
        assert (answer["reason"], answer["session"], answer["report_sequence"], answer["first_report_sequence"]) == (0, 0, 0, 1)
        assert [instrument["symbol"] for instrument in answer["instruments"]] == [b"AAPL", b"OIL"]
        assert [one.log_on("FIRM1", 1)["participant"], two.log_on("FIRM1", 2)["participant"]] == [answer["participant"]] * 2
        other.log_on("FIRM2")
        told = entered(one, 101, 102) + entered(two, 103) + entered(one, 104)
        entered(other, 1, 2, 3)
        assert reports(copy, 4) == renumbered(told, 1)
        other.say(new_order(client_order_id=9, side=Side.SELL, price=103, quantity=15))
        traded = reports(one, 1) + reports(two, 1)
        assert [fields["kind"] for _, fields in traded] == [EventKind.TRADE] * 2
        assert [fields["session"] for _, fields in traded] == [told[0][1]["session"], told[2][1]["session"]]
        assert reports(copy, 2) == renumbered(traded, 5)
        assert copy.hears_nothing()


def test_reports_come_again_from_any_number_and_after_restarts(tmp_path: Path) -> None:
    """D10: the numbers and bytes are those of before: from memory, from the journal, behind a snapshot and without one."""
    config = venue_config(tmp_path, snapshot_commands=0)
    random_numbers = random.Random(2)
    sent: list[Message] = []
    for start in range(3):
        with Server(config) as server, Wire(server.orders_endpoint) as copy:
            assert copy.log_on("FIRM1", logon_flags=COPY, next_report_sequence=1)["report_sequence"] == len(sent)
            assert reports(copy, len(sent)) == sent
            with Wire(server.orders_endpoint) as one, Wire(server.orders_endpoint) as two, Wire(server.orders_endpoint) as other:
                for wire, name, number in ((one, "FIRM1", 1), (two, "FIRM1", 2 + start), (other, "FIRM2", 1)):
                    wire.log_on(name, number)
                for number in range(1, 100):
                    wire, side = random_numbers.choice((one, two, other)), random_numbers.choice((Side.BUY, Side.SELL))
                    price = random_numbers.randrange(95, 106)
                    wire.say(new_order(client_order_id=1_000 * start + number, side=side, price=price, quantity=5))
                told: list[Message] = []
                while not copy.hears_nothing():
                    told.append(copy.hear())
                assert len(told) > 100
                assert [fields["report_sequence"] for _, fields in told] == list(range(len(sent) + 1, len(sent) + len(told) + 1))
                sent += told
                first = random_numbers.randrange(1, len(sent))
                name, fields = copy.ask(encode_message("ResendRequest", next_report_sequence=first))
                assert (name, fields["next_report_sequence"], fields["session"]) == ("ResendAnswer", first, 0)
                assert reports(copy, len(sent) - first + 1) == sent[first - 1 :]
            if start == 1:
                make_snapshot(tmp_path, 5.0)
    with Server(config) as server, Wire(server.orders_endpoint) as copy:
        for first in (len(sent), len(sent) // 2, 2):
            copy.log_on("FIRM1", logon_flags=COPY, next_report_sequence=first)
            assert reports(copy, len(sent) - first + 1) == sent[first - 1 :]


def test_reports_older_than_memory_come_from_the_journal_and_the_newest_follow(tmp_path: Path) -> None:
    """D10: with room for 4,096 reports, 9,000 of two sessions are sent again in order; the sessions go on meanwhile."""
    config = venue_config(tmp_path, reports_in_memory=4_096)
    with Server(config) as server, Wire(server.orders_endpoint) as one, Wire(server.orders_endpoint) as two:
        told: list[Message] = []
        for number, wire in enumerate((one, two), 1):
            wire.log_on("FIRM1", number)
        for start in range(0, 9_000, 200):
            wire = random.Random(start).choice((one, two))
            wire.say(b"".join(new_order(client_order_id=start + i, quantity=0) for i in range(1, 201)))
            told += reports(wire, 200)
        with Wire(server.orders_endpoint) as copy:
            assert copy.log_on("FIRM1", logon_flags=COPY, next_report_sequence=1)["first_report_sequence"] == 1
            told += entered(one, *range(101, 120)) + entered(two, *range(121, 140))
            assert reports(copy, len(told)) == renumbered(told, 1)
            told = entered(two, 200)
            assert reports(copy, 1) == renumbered(told, 9_039)
            name, fields = copy.ask(encode_message("ResendRequest", next_report_sequence=9_050))
            assert (name, fields["reason"], fields["next_report_sequence"]) == ("ResendAnswer", Reason.SEQUENCE_GAP, 9_040)


def refusals(wire: Wire, first: int, count: int) -> None:
    """Orders with these client order ids, each of which gets one report."""
    for start in range(first, first + count, 200):
        wire.say(b"".join(new_order(client_order_id=start + i, quantity=0) for i in range(200)))
        reports(wire, 200)


def test_the_journals_reports_of_a_number_are_those_of_its_owner(tmp_path: Path) -> None:
    """Of sessions and of drop copies: whoever had the number before has as many, and they are in the journal, too."""
    limits = Limits(order_count_max=100, level_count_max=100, instrument_count_max=10, session_count_max=2)
    config = venue_config(tmp_path, limits=limits, reports_in_memory=4_096)

    def check(endpoint: str, logon: dict[str, Any], first: int, count: int) -> None:
        with Wire(endpoint) as wire:
            assert wire.log_on(**logon, next_report_sequence=1)["report_sequence"] == count
            assert [fields["client_order_id"] for _, fields in reports(wire, count)] == list(range(first, first + count))

    with Server(config) as server:
        for name, number, first, count in (("A", 0, 10_000, 9_000), ("B", 1, 20_000, 200), ("B", 2, 30_000, 5_000)):
            with Wire(server.orders_endpoint) as wire:
                logged_on(wire, name, number)
                refusals(wire, first, count)
        check(server.orders_endpoint, {"name": "B", "number": 2}, 30_000, 5_000)  # A's number
        with Wire(server.orders_endpoint) as wire:
            logged_on(wire, "C")  # B's other number, and the participant's number that was A's
            refusals(wire, 40_000, 5_000)
        check(server.orders_endpoint, {"name": "C", "logon_flags": COPY}, 40_000, 5_000)
    with Server(config) as server:
        check(server.orders_endpoint, {"name": "C", "logon_flags": COPY}, 40_000, 5_000)
        check(server.orders_endpoint, {"name": "B", "number": 2}, 30_000, 5_000)


def test_where_reports_are_gone_it_is_told(tmp_path: Path) -> None:
    """REPORTS_GONE without a journal, as for a session; those in memory follow."""
    config = venue_config(None, policy=Policy.MEMORY, reports_in_memory=4_096)
    with Server(config) as server, Wire(server.orders_endpoint) as wire, Wire(server.orders_endpoint) as copy:
        wire.log_on("FIRM1")
        for start in range(0, 5_000, 200):
            wire.say(b"".join(new_order(client_order_id=start + i, quantity=0) for i in range(1, 201)))
            reports(wire, 200)
        assert copy.log_on("FIRM1", logon_flags=COPY, next_report_sequence=1)["first_report_sequence"] == 905
        name, told = copy.hear()
        assert (name, told["reason"], told["next_report_sequence"]) == ("ResendAnswer", Reason.REPORTS_GONE, 905)
        assert [fields["report_sequence"] for _, fields in reports(copy, 4_096)] == list(range(905, 5_001))


# What it may do


def test_a_drop_copy_sends_no_commands_and_is_alive_as_a_session_is(server: Server) -> None:
    """NOT_PERMITTED, and nothing of the frame is taken; TestRequest and Logout are answered, with session 0."""
    with Wire(server.orders_endpoint) as copy, Wire(server.orders_endpoint) as wire:
        copy.log_on("FIRM1", logon_flags=COPY)
        name, fields = copy.ask(new_order(client_order_id=1) + new_order(client_order_id=2))
        assert (name, fields["reason"], fields["accepted_count"], fields["rejected_count"]) == ("FrameReject", Reason.NOT_PERMITTED, 0, 2)
        name, fields = copy.ask(TEST)
        assert (name, fields["request_id"], fields["session"], fields["report_sequence"]) == ("Heartbeat", 1, 0, 0)
        wire.log_on("FIRM1")
        told = entered(wire, 5)
        assert reports(copy, 1) == renumbered(told, 1)
        name, fields = copy.ask(encode_message("Logout"))
        assert (name, fields["reason"], fields["session"], fields["report_sequence"]) == ("Logout", Reason.REQUESTED, 0, 1)
        assert copy.ask(TEST)[1]["reason"] == Reason.NOT_LOGGED_ON
        entered(wire, 6)
        assert copy.log_on("FIRM1", logon_flags=COPY)["report_sequence"] == 2


@pytest.mark.parametrize(
    "fields",
    [
        {"logon_flags": COPY | LogonFlags.NO_TAKEOVER},
        {"logon_flags": COPY | LogonFlags.ADD_SESSION},
        {"session_flags": SessionFlags.CANCEL_ON_DISCONNECT},
        {"session_number": 1},
    ],
)
def test_what_means_nothing_for_a_drop_copy_is_refused(server: Server, fields: dict[str, int]) -> None:
    """BAD_FLAGS, and the connection may log on as it should."""
    with Wire(server.orders_endpoint) as copy:
        name, answer = copy.ask(encode_message("Logon", participant_name=b"FIRM1", **({"logon_flags": COPY} | fields)))
        assert (name, answer["reason"]) == ("LogonAnswer", Reason.BAD_FLAGS)
        assert copy.log_on("FIRM1", logon_flags=COPY)["reason"] == Reason.NONE


def test_a_connection_is_a_session_or_a_drop_copy(server: Server) -> None:
    """Whatever logs on later ends what was before, and the sessions of others go on."""
    with Wire(server.orders_endpoint) as wire, Wire(server.orders_endpoint) as other:
        wire.log_on("FIRM1", 1)
        entered(wire, 1)
        other.log_on("FIRM1", 2)
        assert wire.log_on("FIRM1", logon_flags=COPY)["report_sequence"] == 1
        assert wire.ask(new_order(client_order_id=2))[1]["reason"] == Reason.NOT_PERMITTED
        told = entered(other, 3)
        assert reports(wire, 1) == renumbered(told, 2)
        assert wire.log_on("FIRM1", 1, next_report_sequence=2)["report_sequence"] == 1
        entered(other, 4)
        (mine,) = entered(wire, 5)
        assert mine[1]["report_sequence"] == 2
        assert wire.hears_nothing()


def test_log_and_audit_say_that_it_is_a_drop_copy(server: Server, tmp_path: Path) -> None:
    """Who reads a participant's reports is seen: at its logon, and at its end."""
    with Wire(server.orders_endpoint) as copy, Wire(server.orders_endpoint) as wire:
        copy.log_on("FIRM1", logon_flags=COPY)
        copy.ask(encode_message("Logout"))
        wire.log_on("FIRM1")
    server.close()
    lines = [json.loads(line) for line in (tmp_path / "audit.log").read_text().splitlines()]
    ends = [line for line in lines if line["kind"] in ("logon", "logout")]
    found = [(line["kind"], line["fields"]["session"], line["fields"].get("drop_copy")) for line in ends]
    assert found[:3] == [("logon", 0, True), ("logout", 0, True), ("logon", 1, None)]


def test_so_many_drop_copies_of_a_participant_and_no_more(server: Server) -> None:
    """SESSION_ALLOWANCE_REACHED; each gets all; one that goes makes room; those of others have theirs."""
    copies = [Wire(server.orders_endpoint) for _ in range(OF_PARTICIPANT_MAX)]
    with Wire(server.orders_endpoint) as late, Wire(server.orders_endpoint) as wire:
        for copy in copies:
            assert copy.log_on("FIRM1", logon_flags=COPY)["reason"] == Reason.NONE
        assert late.log_on("FIRM1", logon_flags=COPY)["reason"] == Reason.SESSION_ALLOWANCE_REACHED
        wire.log_on("FIRM1")
        told = entered(wire, 1, 2, 3)
        for copy in copies:
            assert reports(copy, 3) == renumbered(told, 1)
        assert copies[0].log_on("FIRM1", logon_flags=COPY)["reason"] == Reason.NONE  # its own place is free for it
        copies.pop().close()
        deadline = time.monotonic() + 5
        while late.log_on("FIRM1", logon_flags=COPY)["reason"] != Reason.NONE:
            assert time.monotonic() < deadline, "its place does not become free"
            time.sleep(0.3)
        assert late.log_on("FIRM2", logon_flags=COPY)["reason"] == Reason.NONE
    for copy in copies:
        copy.close()


def test_a_drop_copy_of_a_name_that_has_no_session_leaves_no_trace(tmp_path: Path) -> None:
    """It holds a number for as long as it is there, and the venue has numbers for others afterwards."""
    limits = Limits(order_count_max=100, level_count_max=100, instrument_count_max=10, session_count_max=3)
    with Server(venue_config(tmp_path, limits=limits)) as server, Wire(server.orders_endpoint) as copy:
        for name in ("A", "B", "C", "D", "E", "F"):
            assert copy.log_on(name, logon_flags=COPY)["reason"] == Reason.NONE
        others = [Wire(server.orders_endpoint) for _ in range(2)]
        for number, other in enumerate(others):
            assert other.log_on(f"G{number}", logon_flags=COPY)["reason"] == Reason.NONE
        with Wire(server.orders_endpoint) as late:
            assert late.log_on("H", logon_flags=COPY)["reason"] == Reason.BUSY  # as many names as there may be participants
            assert late.log_on("F", 1)["reason"] == Reason.NONE
            told = entered(late, 1)
            assert reports(copy, 1) == renumbered(told, 1)
        for other in others:
            other.close()


def logged_on(wire: Wire, name: str, number: int = 0) -> None:
    """Logs on as soon as the venue has a number for the session."""
    deadline = time.monotonic() + 5
    while (reason := wire.log_on(name, number)["reason"]) != Reason.NONE:
        assert reason == Reason.BUSY
        assert time.monotonic() < deadline, "no number becomes free"
        time.sleep(0.3)


def test_a_participant_without_sessions_begins_anew_and_ends_its_drop_copies(tmp_path: Path) -> None:
    """UNKNOWN_SESSION: its last session is gone; when it has one again, its reports count from 1."""
    limits = Limits(order_count_max=100, level_count_max=100, instrument_count_max=10, session_count_max=2)
    refused = new_order(quantity=0)  # so its session has no order that lives, and is in nobody's way
    with Server(venue_config(tmp_path, limits=limits)) as server, Wire(server.orders_endpoint) as copy:
        copy.log_on("A", logon_flags=COPY)
        with Wire(server.orders_endpoint) as wire:
            logged_on(wire, "A")
            wire.say(refused)
            assert reports(copy, 1) == reports(wire, 1)
        for number in (1, 2):
            with Wire(server.orders_endpoint) as wire:
                logged_on(wire, "B", number)
                wire.say(refused)
                reports(wire, 1)
        name, fields = copy.hear()
        assert (name, fields["reason"]) == ("Logout", Reason.UNKNOWN_SESSION)
        with Wire(server.orders_endpoint) as other, Wire(server.orders_endpoint) as again:
            assert other.log_on("C", logon_flags=COPY, next_report_sequence=1)["report_sequence"] == 0  # though it has the number now
            other.close()
            deadline = time.monotonic() + 5
            while again.log_on("A", logon_flags=COPY, next_report_sequence=1)["reason"] == Reason.BUSY:
                assert time.monotonic() < deadline, "the number does not become free"
                time.sleep(0.3)
            with Wire(server.orders_endpoint) as wire:
                logged_on(wire, "A")
                wire.say(refused)
                assert reports(again, 1) == reports(wire, 1)


# Who may


def test_roles_say_who_gets_drop_copies(keys: Keys) -> None:
    """drop-copy: that and no orders; trade: orders and not that; gateway: of anybody; none of another participant."""
    trading, copying, gateway = make_secret(), make_secret(), make_secret()
    keys.write(
        secret_of("FIRM1", trading),
        secret_of("FIRM1", copying, frozenset({Role.DROP_COPY})),
        secret_of("HUB", gateway, frozenset({Role.GATEWAY})),
    )
    with Server(keys.config()) as server:
        for secret, name, flags, reason in (
            (copying, "FIRM1", COPY, Reason.NONE),
            (copying, "FIRM1", 0, Reason.BAD_SECRET),
            (copying, "FIRM2", COPY, Reason.BAD_SECRET),
            (trading, "FIRM1", COPY, Reason.BAD_SECRET),
            (trading, "FIRM1", 0, Reason.NONE),
            (gateway, "FIRM1", COPY, Reason.NONE),
            (gateway, "FIRM2", COPY, Reason.NONE),
        ):
            with Wire(server.orders_endpoint) as wire:
                assert wire.log_on(name, secret=secret, logon_flags=flags)["reason"] == reason
        with Wire(server.orders_endpoint) as copy:
            copy.log_on("FIRM1", secret=copying, logon_flags=COPY)
            keys.write(secret_of("FIRM1", trading))
            name, told = copy.hear()
            assert (name, told["reason"], told["session"]) == ("Logout", Reason.NOT_PERMITTED, 0)


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    """An empty keys file."""
    return Keys(tmp_path)


# The client


def test_the_client_gives_the_reports_of_all_sessions(server: Server) -> None:
    """As objects and as arrays, from the beginning or from now on; of which session each is, it says."""
    endpoint = server.orders_endpoint
    with OrderEntry(endpoint, "FIRM1", 1) as one, OrderEntry(endpoint, "FIRM1", 2) as two, DropCopy(endpoint, "FIRM1") as new:
        orders = [one.buy("AAPL", 10, at="1.00"), two.buy("AAPL", 10, at="1.01")]
        for entry, order in zip((one, two), orders, strict=True):
            entry.wait_for(order)
        one.cancel(orders[0])
        found = list(new.reports(0.5))
        assert sorted(report.client_order_id for report in found) == sorted([*ids_of(orders), ids_of(orders)[0]])
        assert {report.session for report in found} == {one.logon.session, two.logon.session}
        assert new.report_sequence == 3
        assert "drop copy of FIRM1" in repr(new)
        with DropCopy(endpoint, "FIRM1", next_report=2) as again:
            array = again.receive(5.0)
            assert array.dtype == EXECUTION_REPORT_MESSAGE
            assert array["report_sequence"].tolist() == [2, 3]
    server.close()
    with pytest.raises(TimedOut):
        DropCopy(endpoint, "FIRM1", 0.2)


def ids_of(orders: list[Any]) -> list[int]:
    """Client order ids."""
    return [order.client_order_id for order in orders]


def test_the_client_comes_back_after_the_gateway_and_the_venue_are_killed(tmp_path: Path) -> None:
    """Each report once and in order, whatever dies."""
    with VenueProcess(config_file(tmp_path)) as venue:
        venue.start()
        endpoint = venue.orders_endpoint
        with DropCopy(endpoint, "FIRM1", next_report=1, timeout=20.0) as copy, OrderEntry(endpoint, "FIRM1", timeout=20.0) as entry:
            orders = []
            for number in range(60):
                if number == 20:
                    os.kill(gateway_of(venue.pid), signal.SIGKILL)
                orders.append(entry.buy("AAPL", 1, at="1.00"))
            for order in orders:
                entry.wait_for(order, 20.0)
            found: list[Any] = []
            deadline = time.monotonic() + 30
            while len(found) < 60:
                assert time.monotonic() < deadline, f"{len(found)} reports"
                found += copy.reports(0.2)
            assert [report.report_sequence for report in found] == list(range(1, 61))
            assert [report.client_order_id for report in found] == ids_of(orders)


def test_the_client_for_asyncio(server: Server) -> None:
    """The same, in an event loop."""

    async def run() -> list[int]:
        async with AsyncDropCopy(server.orders_endpoint, "FIRM1") as copy:
            with OrderEntry(server.orders_endpoint, "FIRM1") as entry:
                entry.buy("AAPL", 10, at="1.00")
            return [report.report_sequence async for report in copy.reports(0.5)]

    assert asyncio.run(run()) == [1]


def test_the_command_prints_reports(server: Server) -> None:
    """`ome drop-copy`, as text and as JSON."""
    with OrderEntry(server.orders_endpoint, "TRADER") as entry:
        entry.wait_for(entry.buy("AAPL", 10, at="1.00"))
        session = entry.logon.session
    arguments = ["drop-copy", "--from", "1", "--wait", "0.3", "--orders", server.orders_endpoint]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert result.output.startswith(f"1 session {session} accepted  AAPL buy price 1.00")
    result = CliRunner().invoke(main, [*arguments, "--json"])
    (line,) = result.output.splitlines()
    assert json.loads(line)["report_sequence"] == "1"
