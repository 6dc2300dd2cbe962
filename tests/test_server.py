"""The venue over real sockets: sessions, orders, everything that can be said wrongly, market data, restarts."""

from __future__ import annotations

import itertools
import random
import shutil
import time
from collections.abc import Callable, Iterator
from datetime import time as dtime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest
from venues import (
    COUNTERS_DELAY_S,
    VenueProcess,
    Wire,
    config_file,
    contents,
    journal_commands,
    journal_end,
    messages_of,
    new_order,
    venue_config,
)

from ome.client import MarketData, OrderEntry, SessionLost
from ome.clock import Schedule
from ome.codec import encode_commands
from ome.codec.wire import encode_message
from ome.config import ConfigError, ServerConfig
from ome.enums import CommandFlags, CommandKind, EventKind, Policy, Reason, Side, TimeInForce
from ome.errors import OmeError
from ome.instruments import Instrument
from ome.marketdata import BookLevel
from ome.messages import NULL_VALUE, Command, ExpireOrders, Limits, NewOrder
from ome.metrics import Counters
from ome.recovery import JournalIntegrityError, Replay
from ome.server import Server, ServerError
from ome.transport import EndpointError

AAPL: Final = Instrument("AAPL", tick="0.01")
OIL: Final = Instrument("OIL", tick="0.5", price_decimals=1)
SYMBOLS: Final = 150


class Venue:
    """A server that many tests share: each takes an instrument and participants that no other test has."""

    def __init__(self, directory: Path) -> None:
        instruments = (AAPL, OIL, *(Instrument(f"S{number}", tick="0.01") for number in range(3, SYMBOLS + 1)))
        self.server = Server(venue_config(directory, instruments=instruments))
        self.server.start()
        self.counters = Counters(directory)
        self.endpoint = self.server.orders_endpoint
        self._numbers = itertools.count(3)
        self._names = itertools.count(1)

    def instrument(self) -> int:
        """An instrument with an empty book."""
        return next(self._numbers)

    def name(self) -> str:
        """A participant whom nobody knows yet."""
        return f"P{next(self._names)}"

    def client(self) -> Wire:
        """A connection, logged on as a new participant."""
        wire = Wire(self.endpoint)
        assert wire.log_on(self.name())["reason"] == Reason.NONE
        return wire

    def count(self, label: str) -> int:
        """A counter now."""
        time.sleep(COUNTERS_DELAY_S)
        return self.counters.values()[label]


@pytest.fixture(scope="module")
def venue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Venue]:
    """One venue for all tests that do not stop it."""
    shared = Venue(tmp_path_factory.mktemp("venue"))
    yield shared
    shared.counters.close()
    summary = shared.server.close()
    assert summary is not None
    with Replay(shared.counters.path.parent) as replay:
        replay.run()
        assert replay.view is not None
        assert (replay.view.state, replay.view.state_hash) == (summary.state, summary.state_hash)


def served(directory: Path | None, **fields: Any) -> Server:
    """A server of one test, started and to be closed by it."""
    server = Server(venue_config(directory, **fields))
    server.start()
    return server


# Sessions


def test_logon_answers_with_numbers_policy_and_every_instrument(venue: Venue) -> None:
    """The answer holds what a client needs before its first order."""
    with Wire(venue.endpoint) as wire:
        answer = wire.log_on(venue.name())
    assert answer["reason"] == Reason.NONE
    assert (answer["policy"], answer["frame_message_count_max"]) == (Policy.COMMIT, 256)
    assert answer["participant"] >= 1
    assert answer["session"] >= 1
    assert answer["report_sequence"] == 0
    assert answer["engine_sequence"] > SYMBOLS
    assert abs(answer["server_time_ns"] - time.time_ns()) < 60e9
    assert [(fields["instrument"], fields["symbol"]) for fields in answer["instruments"][:3]] == [(1, b"AAPL"), (2, b"OIL"), (3, b"S3")]
    assert len(answer["instruments"]) == SYMBOLS
    assert (answer["instruments"][1]["tick"], answer["instruments"][1]["price_decimals"]) == (5, 1)


@pytest.mark.parametrize("name", [b"", b"A B", b"A\tB", b"\x80", b"A\0B", b"\x7f"], ids=repr)
def test_logon_with_a_bad_name_is_refused_with_its_reason(venue: Venue, name: bytes) -> None:
    """BAD_PARTICIPANT; the same connection may then log on with a good one."""
    with Wire(venue.endpoint) as wire:
        answer = wire.log_on(name)
        assert (answer["reason"], answer["session"], answer["instrument_count"]) == (Reason.BAD_PARTICIPANT, 0, 0)
        assert wire.ask(new_order())[1]["reason"] == Reason.NOT_LOGGED_ON
        assert wire.log_on(venue.name())["reason"] == Reason.NONE


def test_longest_name_and_any_session_number_log_on(venue: Venue) -> None:
    """16 characters, and session numbers 0 to 65,535."""
    name = (venue.name() + "x" * 16)[:16]
    answers = []
    for number in (0, 65_535):
        with Wire(venue.endpoint) as wire:
            answers.append(wire.log_on(name, number))
    assert [answer["reason"] for answer in answers] == [Reason.NONE, Reason.NONE]
    assert answers[0]["participant"] == answers[1]["participant"]
    assert answers[0]["session"] != answers[1]["session"]


def test_second_logon_takes_the_session_over(venue: Venue) -> None:
    """The first connection is told, and is nobody from then on; the reports go to the second."""
    name = venue.name()
    with Wire(venue.endpoint) as first, Wire(venue.endpoint) as second:
        numbers = first.log_on(name, 7)
        instrument = venue.instrument()
        order = first.ask(new_order(instrument=instrument, client_order_id=1))[1]
        again = second.log_on(name, 7)
        assert (again["session"], again["participant"]) == (numbers["session"], numbers["participant"])
        assert again["report_sequence"] == order["report_sequence"] == 1
        name, ended = first.hear()
        assert (name, ended["reason"], ended["session"]) == ("Logout", Reason.SESSION_TAKEN_OVER, numbers["session"])
        assert (ended["command_sequence"], ended["report_sequence"]) == (1, 1)
        assert first.ask(new_order())[1]["reason"] == Reason.NOT_LOGGED_ON
        second.say(encode_message("CancelOrder", client_order_id=1))
        report = second.hear_report()
        assert (report["kind"], report["order_id"], report["report_sequence"]) == (EventKind.CANCELLED, order["order_id"], 2)


def test_sessions_of_one_participant_share_its_orders(venue: Venue) -> None:
    """A6, D8: a client order id is the participant's; what happens to an order goes to its session, the answer to the one that asked."""
    name, instrument = venue.name(), venue.instrument()
    with Wire(venue.endpoint) as one, Wire(venue.endpoint) as two:
        one.log_on(name, 1)
        two.log_on(name, 2)
        one.say(new_order(instrument=instrument, client_order_id=5))
        assert one.hear_report()["kind"] == EventKind.ACCEPTED
        two.say(new_order(instrument=instrument, client_order_id=5))
        assert two.hear_report()["reason"] == Reason.DUPLICATE_CLIENT_ORDER_ID
        two.say(encode_message("CancelOrder", client_order_id=5))
        assert one.hear_report()["kind"] == EventKind.CANCELLED
        answer = two.hear_report()
        assert (answer["kind"], answer["command_kind"], answer["client_order_id"]) == (EventKind.COMPLETED, CommandKind.CANCEL_ORDER, 5)


def test_logon_on_a_connection_that_is_logged_on_changes_its_session(venue: Venue) -> None:
    """The same session again is answered; another one replaces the first, which nobody has then."""
    name = venue.name()
    with Wire(venue.endpoint) as wire, Wire(venue.endpoint) as other:
        first = wire.log_on(name, 1)
        assert wire.log_on(name, 1)["session"] == first["session"]
        second = wire.log_on(name, 2)
        assert second["session"] != first["session"]
        assert other.log_on(name, 1)["session"] == first["session"]
        assert wire.hears_nothing()
        wire.say(new_order(instrument=venue.instrument()))
        assert wire.hear_report()["report_sequence"] == second["report_sequence"] + 1


def test_logout_is_answered_and_ends_the_session_but_not_its_orders(venue: Venue) -> None:
    """After it the connection is nobody; at the next logon the numbers and the orders are as before."""
    name, instrument = venue.name(), venue.instrument()
    with Wire(venue.endpoint) as wire:
        before = wire.log_on(name)
        wire.say(new_order(instrument=instrument, client_order_id=9))
        order_id = wire.hear_report()["order_id"]
        assert wire.ask(encode_message("Logout"))[1]["reason"] == Reason.REQUESTED
        assert wire.ask(new_order())[1]["reason"] == Reason.NOT_LOGGED_ON
        assert wire.ask(encode_message("Logout"))[1]["reason"] == Reason.REQUESTED
        after = wire.log_on(name)
        assert (after["participant"], after["session"], after["report_sequence"]) == (before["participant"], before["session"], 1)
        wire.say(encode_message("CancelOrder", client_order_id=order_id, flags=CommandFlags.BY_ORDER_ID))
        report = wire.hear_report()
        assert (report["kind"], report["report_sequence"]) == (EventKind.CANCELLED, 2)


def test_only_participants_that_are_named_are_admitted_where_some_are(tmp_path: Path) -> None:
    """With a list of participants, others get BAD_PARTICIPANT."""
    with Server(venue_config(tmp_path, participants=("FIRM1", "FIRM2"))) as server, Wire(server.orders_endpoint) as wire:
        assert wire.log_on("FIRM3")["reason"] == Reason.BAD_PARTICIPANT
        assert wire.log_on("FIRM2")["reason"] == Reason.NONE


def test_logon_is_refused_when_no_session_number_is_free(tmp_path: Path) -> None:
    """SESSION_LIMIT_REACHED for a new session; a known one still logs on, also when all logged on at once."""
    limits = Limits(order_count_max=10, level_count_max=10, instrument_count_max=2, session_count_max=2)
    with Server(venue_config(tmp_path, limits=limits)) as server:
        wires = [Wire(server.orders_endpoint) for _ in range(6)]
        for number, wire in enumerate(wires):
            wire.say(encode_message("Logon", participant_name=b"FIRM", session_number=number))
        answers = [wire.hear()[1] for wire in wires]
        assert sorted(answer["reason"] for answer in answers) == [Reason.NONE] * 2 + [Reason.SESSION_LIMIT_REACHED] * 4
        known = next(number for number, answer in enumerate(answers) if not answer["reason"])
        assert [wires[known].hear()[0] for _ in range(2)] == ["DefineInstrument"] * 2
        assert wires[known].log_on("FIRM", known)["reason"] == Reason.NONE
        for wire in wires:
            wire.close()


# Orders


def test_both_sides_of_a_trade_are_told_with_leaves_and_cumulative(venue: Venue) -> None:
    """P2: aggressor first; the same trade id, price and quantity for both, each with what is open and what has traded of its own order."""
    instrument = venue.instrument()
    with venue.client() as maker, venue.client() as taker:
        maker.say(new_order(instrument=instrument, side=Side.SELL, price=105, quantity=10, client_order_id=1, account=4))
        resting = maker.hear_report()
        assert (resting["leaves_quantity"], resting["cumulative_quantity"], resting["last_quantity"]) == (10, 0, 0)
        trades, ids = [], []
        for quantity in (3, 9):
            taker.say(new_order(instrument=instrument, price=107, quantity=quantity, client_order_id=quantity, account=8))
            accepted = taker.hear_report()
            assert (accepted["kind"], accepted["leaves_quantity"], accepted["account"]) == (EventKind.ACCEPTED, quantity, 8)
            mine, theirs = taker.hear_report(), maker.hear_report()
            shared = ("kind", "trade_id", "price", "last_quantity", "engine_sequence", "timestamp_ns", "instrument")
            assert [mine[name] for name in shared] == [theirs[name] for name in shared]
            assert (mine["is_aggressor"], theirs["is_aggressor"], mine["side"], theirs["side"]) == (1, 0, Side.BUY, Side.SELL)
            assert (theirs["order_id"], theirs["client_order_id"], theirs["account"]) == (resting["order_id"], 1, 4)
            assert (mine["order_id"], mine["client_order_id"]) == (accepted["order_id"], quantity)
            trades.append([mine["price"], mine["last_quantity"]])
            trades[-1] += [report[name] for name in ("leaves_quantity", "cumulative_quantity") for report in (mine, theirs)]
            ids.append(mine["trade_id"])
        assert trades == [[105, 3, 0, 7, 3, 3], [105, 7, 2, 0, 7, 10]]
        assert ids[1] == ids[0] + 1


def test_every_order_command_is_reported(venue: Venue) -> None:
    """A1, A2: reduce, amend and cancel say what changed and what is open."""
    instrument = venue.instrument()
    with venue.client() as wire:

        def report(name: str, **fields: Any) -> tuple[EventKind, int, int, int, int]:
            wire.say(encode_message(name, client_order_id=1, **fields))
            said = wire.hear_report()
            return said["kind"], said["price"], said["last_quantity"], said["leaves_quantity"], said["reason"]

        wire.say(new_order(instrument=instrument, price=100, quantity=50, client_order_id=1))
        assert wire.hear_report()["kind"] == EventKind.ACCEPTED
        assert report("ReduceOrder", quantity=5) == (EventKind.REDUCED, 100, 5, 45, Reason.NONE)
        assert report("AmendOrder", price=NULL_VALUE, quantity=40) == (EventKind.AMENDED, 100, 0, 40, Reason.NONE)
        assert report("AmendOrder", price=99, quantity=NULL_VALUE) == (EventKind.AMENDED, 99, 0, 40, Reason.NONE)
        assert report("CancelOrder") == (EventKind.CANCELLED, 99, 40, 0, Reason.REQUESTED)
        assert report("CancelOrder")[4] == Reason.UNKNOWN_ORDER
        wire.say(new_order(instrument=instrument, time_in_force=TimeInForce.FOK))
        assert wire.hear_report()["kind"] == EventKind.ACCEPTED
        killed = wire.hear_report()
        assert (killed["kind"], killed["reason"], killed["last_quantity"]) == (EventKind.CANCELLED, Reason.FILL_OR_KILL, 10)


def test_a_full_frame_and_the_parts_of_one_message_are_all_taken(venue: Venue) -> None:
    """256 messages fit in a frame; each part of a message of several parts is a frame of its own."""
    instrument = venue.instrument()
    with venue.client() as wire:
        wire.say(b"".join(new_order(instrument=instrument, client_order_id=number) for number in range(1, 257)))
        assert [wire.hear_report()["client_order_id"] for _ in range(256)] == list(range(1, 257))
        wire.say(encode_message("CancelOrder", client_order_id=1), encode_message("CancelOrder", client_order_id=2), b"")
        heard = [wire.hear() for _ in range(3)]
        reports = [fields["client_order_id"] for name, fields in heard if name == "ExecutionReport"]
        rejects = [fields["reason"] for name, fields in heard if name == "FrameReject"]
        assert (reports, rejects) == ([1, 2], [Reason.FRAME_EMPTY])


def test_what_the_server_writes_cannot_be_written_by_a_client(venue: Venue) -> None:
    """A5: participant, session, time and kind in a message are the server's: a client cannot act as another, nor in the past."""
    instrument = venue.instrument()
    with venue.client() as victim, venue.client() as thief:
        victim.say(new_order(instrument=instrument, client_order_id=1))
        order = victim.hear_report()
        forged = {"participant": 1, "session": 1, "timestamp_ns": 5, "kind": CommandKind.DEFINE_LIMITS}
        thief.say(encode_message("CancelOrder", client_order_id=order["order_id"], flags=CommandFlags.BY_ORDER_ID, **forged))
        report = thief.hear_report()
        assert (report["kind"], report["reason"], report["command_kind"]) == (
            EventKind.REJECTED,
            Reason.NOT_OWNER,
            CommandKind.CANCEL_ORDER,
        )
        assert report["timestamp_ns"] > order["timestamp_ns"] > 1_000_000_000_000_000_000
        assert victim.hears_nothing()


# What can be said wrongly


def spoiled(message: bytes, **fields: Any) -> bytes:
    """The message with other header fields."""
    name, values = messages_of(message)[0]
    return encode_message(name, **({key: value for key, value in values.items() if value not in (b"",)} | fields))


RANDOM = random.Random(1)
NOISE = [RANDOM.randbytes(size) for size in (8, 64, 100, 16_384, 32_768)]
BAD_FRAMES: Final[list[tuple[str, bytes, Reason, str, int, int, int, int]]] = [
    # What is sent; reason, field, value found, value allowed, index of the message, messages not taken.
    ("empty", b"", Reason.FRAME_EMPTY, "frame", 0, 64, 0, 1),
    ("one byte", b"x", Reason.FRAME_TRUNCATED, "header", 1, 8, 0, 1),
    ("cut in the header", new_order()[:7], Reason.FRAME_TRUNCATED, "header", 7, 8, 0, 1),
    ("cut in the block", new_order()[:-1], Reason.FRAME_TRUNCATED, "block", 55, 56, 0, 1),
    ("second message cut", new_order() + new_order()[:12], Reason.FRAME_TRUNCATED, "block", 4, 56, 1, 2),
    ("schema", spoiled(new_order(), schema_id=7), Reason.UNKNOWN_SCHEMA, "schema_id", 7, 28_525, 0, 1),
    ("version", spoiled(new_order(), version=1), Reason.UNSUPPORTED_VERSION, "version", 1, 2, 0, 1),
    ("block length", spoiled(new_order(), block_length=57), Reason.BAD_BLOCK_LENGTH, "block_length", 57, 56, 0, 1),
    ("template that is none", spoiled(new_order(), template_id=7), Reason.UNKNOWN_TEMPLATE, "template_id", 7, 6, 0, 1),
    ("definition", encode_message("DefineLimits"), Reason.UNKNOWN_TEMPLATE, "template_id", 32, 6, 0, 1),
    ("session", encode_message("DefineSession", session=1), Reason.UNKNOWN_TEMPLATE, "template_id", 34, 6, 0, 1),
    ("event", encode_message("Accepted"), Reason.UNKNOWN_TEMPLATE, "template_id", 65, 6, 0, 1),
    ("report", encode_message("ExecutionReport"), Reason.UNKNOWN_TEMPLATE, "template_id", 132, 6, 0, 1),
    ("terms of nothing", encode_message("OrderTerms"), Reason.INCOMPLETE_COMMAND, "template_id", 5, 4, 0, 1),
    ("no terms", new_order() + new_order(flags=CommandFlags.CONTINUED), Reason.INCOMPLETE_COMMAND, "flags", 4, 0, 1, 2),
    ("third of three", new_order() * 2 + spoiled(new_order(), version=9), Reason.UNSUPPORTED_VERSION, "version", 9, 2, 2, 3),
    ("too many", new_order() * 257, Reason.FRAME_TOO_LONG, "message_count", 257, 256, 256, 257),
    ("as many as can be", new_order() * 512, Reason.FRAME_TOO_LONG, "message_count", 512, 256, 256, 512),
    ("order after logon", encode_message("Logon", participant_name=b"X") + new_order(), Reason.FRAME_TOO_LONG, "message_count", 2, 1, 1, 2),
    ("logon after order", new_order() + encode_message("Logon", participant_name=b"X"), Reason.FRAME_TOO_LONG, "message_count", 2, 1, 1, 2),
    ("two logouts", encode_message("Logout") * 2, Reason.FRAME_TOO_LONG, "message_count", 2, 1, 1, 2),
]


@pytest.mark.parametrize(
    ("frame", "reason", "field", "found", "allowed", "index", "rejected"),
    [row[1:] for row in BAD_FRAMES],
    ids=[row[0] for row in BAD_FRAMES],
)
def test_a_bad_frame_gets_its_own_reject_and_the_session_goes_on(
    venue: Venue, frame: bytes, reason: Reason, field: str, found: int, allowed: int, index: int, rejected: int
) -> None:
    """The reject says which field of which message, what was found and what is allowed. Nothing reached the engine; it is counted."""
    with Wire(venue.endpoint) as wire:
        sequence = wire.log_on(venue.name())["engine_sequence"]
        before = venue.count("gateway.frames_rejected")
        name, reject = wire.ask(frame)
        assert name == "FrameReject"
        assert (Reason(reject["reason"]), reject["field"].decode(), reject["found"], reject["allowed"]) == (reason, field, found, allowed)
        offset = 8 + int.from_bytes(frame[:2], "little") + (index - 1) * 64 if index else 0  # the first may have another length
        assert (reject["message_index"], reject["byte_offset"]) == (index, offset)
        assert (reject["accepted_count"], reject["rejected_count"]) == (0, rejected)
        assert venue.count("gateway.frames_rejected") == before + 1
        wire.say(new_order(instrument=venue.instrument()))
        report = wire.hear_report()
        assert (report["kind"], report["report_sequence"], report["engine_sequence"]) == (EventKind.ACCEPTED, 1, sequence + 2)
        # one for the session, which is defined with its first command


@pytest.mark.parametrize("noise", NOISE, ids=[f"{len(noise)} bytes" for noise in NOISE])
def test_random_bytes_are_rejected_before_and_after_logon(venue: Venue, noise: bytes) -> None:
    """Random bytes of any length are no message of ours, whoever says them. (Seed 1.)"""
    with Wire(venue.endpoint) as wire:
        for _ in range(2):
            name, reject = wire.ask(noise)
            assert (name, reject["reason"]) == ("FrameReject", Reason.UNKNOWN_SCHEMA)
            wire.log_on(venue.name())


def test_every_byte_of_a_message_may_be_wrong(venue: Venue) -> None:
    """Each byte of a good order, turned over: a reject for one of header or number or where it seems to go on, else a report."""
    instrument = venue.instrument()
    flags_at = 60  # low byte: CONTINUED is there
    with venue.client() as wire:
        for index in range(64):
            message = bytearray(new_order(instrument=instrument))
            message[index] ^= 0xFF
            name, fields = wire.ask(bytes(message))
            is_wrong_frame = index < 8 or index == flags_at or index in range(48, 52)
            assert name == ("FrameReject" if is_wrong_frame else "ExecutionReport"), index
            if name == "ExecutionReport" and fields["kind"] == EventKind.ACCEPTED:
                wire.say(encode_message("CancelOrder", client_order_id=fields["order_id"], flags=CommandFlags.BY_ORDER_ID))
                assert wire.hear_report()["kind"] == EventKind.CANCELLED


def test_a_frame_longer_than_the_transport_takes_ends_the_connection_only(venue: Venue) -> None:
    """A client cannot make the server hold much: the connection is cut, others do not notice, and the client may come back."""
    with venue.client() as good, venue.client() as bad:
        bad.say(bytes(32_769))
        good.say(new_order(instrument=venue.instrument()))
        assert good.hear_report()["kind"] == EventKind.ACCEPTED
        assert bad.log_on(venue.name())["reason"] == Reason.NONE  # libzmq connects again


def test_orders_before_logon_are_rejected_as_such(venue: Venue) -> None:
    """NOT_LOGGED_ON, for all messages of the frame; a logout of nobody is answered."""
    with Wire(venue.endpoint) as wire:
        name, reject = wire.ask(new_order() * 3)
        assert (name, reject["reason"], reject["field"]) == ("FrameReject", Reason.NOT_LOGGED_ON, b"session")
        assert (reject["accepted_count"], reject["rejected_count"]) == (0, 3)
        assert wire.ask(encode_message("Logout"))[0] == "Logout"


WRONG_ORDERS: Final[list[tuple[dict[str, Any], Reason]]] = [
    ({"instrument": 0}, Reason.UNKNOWN_INSTRUMENT),
    ({"instrument": SYMBOLS + 1}, Reason.UNKNOWN_INSTRUMENT),
    ({"instrument": 2**32 - 1}, Reason.UNKNOWN_INSTRUMENT),
    ({"side": 0}, Reason.BAD_SIDE),
    ({"side": 3}, Reason.BAD_SIDE),
    ({"order_type": 0}, Reason.BAD_ORDER_TYPE),
    ({"order_type": 255}, Reason.BAD_ORDER_TYPE),
    ({"time_in_force": 0}, Reason.BAD_TIME_IN_FORCE),
    ({"time_in_force": 6}, Reason.BAD_TIME_IN_FORCE),
    ({"flags": 1}, Reason.BAD_FLAGS),
    ({"self_trade_prevention": 5}, Reason.BAD_SELF_TRADE_PREVENTION),
    ({"time_in_force": 5}, Reason.BAD_TERM),
    ({"quantity": 0}, Reason.ZERO_QUANTITY),
    ({"quantity": -1}, Reason.NEGATIVE_QUANTITY),
    ({"quantity": -(2**63)}, Reason.NEGATIVE_QUANTITY),
    ({"quantity": 2**60 + 1}, Reason.QUANTITY_TOO_LARGE),
    ({"price": 0}, Reason.PRICE_OUT_OF_RANGE),
    ({"price": -100}, Reason.PRICE_OUT_OF_RANGE),
    ({"price": 2**62 + 1}, Reason.PRICE_OUT_OF_RANGE),
    ({"price": NULL_VALUE}, Reason.PRICE_OUT_OF_RANGE),
    ({"instrument": 2, "price": 1_002}, Reason.PRICE_OFF_TICK),
]


@pytest.mark.parametrize(("fields", "reason"), WRONG_ORDERS, ids=str)
def test_a_wrong_order_gets_a_rejection_with_its_reason(venue: Venue, fields: dict[str, Any], reason: Reason) -> None:
    """D2: the report names the reason and echoes the order; it is counted; the next good order is taken."""
    with venue.client() as wire:
        before = venue.count("gateway.commands_rejected")
        wire.say(new_order(client_order_id=77, **fields))
        report = wire.hear_report()
        assert (report["kind"], Reason(report["reason"]), report["command_kind"]) == (EventKind.REJECTED, reason, CommandKind.NEW_ORDER)
        assert (report["client_order_id"], report["order_id"], report["leaves_quantity"]) == (77, 0, 0)
        assert report["instrument"] == fields.get("instrument", 1)
        assert venue.count("gateway.commands_rejected") == before + 1
        wire.say(new_order(instrument=venue.instrument(), client_order_id=77))
        assert wire.hear_report()["kind"] == EventKind.ACCEPTED


@pytest.mark.parametrize("name", ["CancelOrder", "ReduceOrder", "AmendOrder"])
def test_commands_on_orders_that_are_unknown_closed_or_anothers_are_rejected(venue: Venue, name: str) -> None:
    """A5: UNKNOWN_ORDER, ORDER_CLOSED, NOT_OWNER, and WRONG_INSTRUMENT."""
    instrument = venue.instrument()
    by_id = {"flags": CommandFlags.BY_ORDER_ID, "quantity": 1} if name != "CancelOrder" else {"flags": CommandFlags.BY_ORDER_ID}
    with venue.client() as owner, venue.client() as other:
        owner.say(new_order(instrument=instrument, client_order_id=1))
        order_id = owner.hear_report()["order_id"]

        def reason_of(wire: Wire, reference: int, **fields: Any) -> Reason:
            wire.say(encode_message(name, **(by_id | {"client_order_id": reference} | fields)))
            report = wire.hear_report()
            assert report["kind"] == EventKind.REJECTED
            return Reason(report["reason"])

        assert reason_of(other, order_id) == Reason.NOT_OWNER
        assert reason_of(other, 1, flags=0) == Reason.UNKNOWN_ORDER
        assert reason_of(owner, 2, flags=0) == Reason.UNKNOWN_ORDER
        assert reason_of(owner, 2**63) == Reason.UNKNOWN_ORDER
        assert reason_of(owner, order_id, instrument=1) == Reason.WRONG_INSTRUMENT
        assert reason_of(owner, order_id, flags=0x8000) == Reason.BAD_FLAGS
        owner.say(encode_message("CancelOrder", client_order_id=order_id, flags=CommandFlags.BY_ORDER_ID))
        assert owner.hear_report()["kind"] == EventKind.CANCELLED
        assert reason_of(owner, order_id) == Reason.ORDER_CLOSED


# A venue that is busy


def test_a_busy_venue_takes_each_command_once_and_in_order(tmp_path: Path) -> None:
    """With a ring of two slots most of a frame is refused as BUSY; the client sends it again until all is taken, in order and once."""
    with (
        Server(venue_config(tmp_path, ring_slots=2)) as server,
        OrderEntry(server.orders_endpoint, "FIRM1") as session,
        Counters(tmp_path) as counters,
    ):
        for first in range(1, 2_000, 100):
            numbers = list(range(first, first + 100))
            orders = [NewOrder(instrument=1, side=Side.BUY, price=1, quantity=1, client_order_id=number) for number in numbers]
            session.send(encode_commands(orders), messages_per_frame=50)
            taken: list[int] = []
            while session.pending:
                taken += session.receive(5.0)["client_order_id"].tolist()
            assert taken == numbers
            if counters.values()["gateway.messages_busy"] > 0:  # nearly always at the first time
                break


def test_busy_says_what_was_taken_and_nothing_overtakes_it(tmp_path: Path) -> None:
    """D5: the reject names the first message that was refused; frames behind it are refused as too early, until that one comes again."""
    with Server(venue_config(tmp_path, ring_slots=2)) as server, Wire(server.orders_endpoint) as wire:
        wire.log_on("FIRM1")
        rejects: list[dict[str, Any]] = []
        sequence = 1
        while not rejects:  # a ring of two slots is full sooner or later
            assert sequence < 30 * 257
            messages = [
                new_order(quantity=0, client_order_id=number, session_sequence=number) for number in range(sequence, sequence + 257)
            ]
            wire.say(b"".join(messages[:256]))
            wire.say(messages[256])
            taken: list[int] = []
            while len(taken) + sum(fields["rejected_count"] for fields in rejects) < 257:
                name, fields = wire.hear()
                if name == "ExecutionReport":
                    taken.append(fields["client_order_id"])
                else:
                    rejects.append(fields)
            assert taken == list(range(sequence, sequence + len(taken)))
            sequence += 257
        assert [fields["reason"] for fields in rejects] == [Reason.BUSY, *[Reason.SEQUENCE_GAP] * (len(rejects) - 1)]
        first = rejects[0]
        assert (first["field"], first["found"]) == (b"session_sequence", sequence - 257 + len(taken))
        assert first["message_index"] == first["accepted_count"] == len(taken) % 256
        if len(taken) < 256:  # the first frame was refused in part, so the second was refused whole
            assert [(fields["accepted_count"], fields["rejected_count"]) for fields in rejects[1:]] == [(0, 1)]
            assert (rejects[1]["found"], rejects[1]["allowed"]) == (sequence - 1, first["found"])
        for number in range(first["found"], sequence):
            wire.say(new_order(quantity=0, client_order_id=number, session_sequence=number))
            while (heard := wire.hear())[0] == "FrameReject":  # the ring is small
                wire.say(new_order(quantity=0, client_order_id=number, session_sequence=number))
            assert heard[1]["client_order_id"] == number


# Clients that go away


def test_a_client_that_vanishes_keeps_its_orders_and_finds_a_gap_in_its_reports(venue: Venue) -> None:
    """Its order trades; the report that nobody got is counted; at the next logon the report sequence has gone on."""
    name, instrument = venue.name(), venue.instrument()
    vanishing = Wire(venue.endpoint)
    vanishing.log_on(name)
    vanishing.say(new_order(instrument=instrument, side=Side.SELL, quantity=10))
    assert vanishing.hear_report()["report_sequence"] == 1
    before = venue.count("gateway.reports_undelivered")
    vanishing.close()
    with venue.client() as taker, Wire(venue.endpoint) as back:
        deadline = time.monotonic() + 5
        bought = 0
        while venue.count("gateway.reports_undelivered") == before:  # until the server's socket has noticed
            assert time.monotonic() < deadline
            taker.say(new_order(instrument=instrument, quantity=1))
            bought += 1
            assert taker.hear_report()["kind"] == EventKind.ACCEPTED
            assert taker.hear_report()["kind"] == EventKind.TRADE
            time.sleep(0.01)
        assert back.log_on(name)["report_sequence"] == 1 + bought
        taker.say(new_order(instrument=instrument, quantity=1))
        report = back.hear_report()
        assert (report["report_sequence"], report["leaves_quantity"], report["cumulative_quantity"]) == (2 + bought, 9 - bought, 1 + bought)


def test_many_clients_come_and_go_while_one_trades(venue: Venue) -> None:
    """Connections that never say anything, that say half a logon and that vanish do not disturb a session."""
    instrument = venue.instrument()
    with venue.client() as steady:
        for number in range(20):
            passing = Wire(venue.endpoint)
            passing.say(encode_message("Logon", participant_name=b"PASSING", session_number=number % 3)[: 64 if number % 2 else 32])
            passing.close()
            steady.say(new_order(instrument=instrument))
            assert steady.hear_report()["kind"] == EventKind.ACCEPTED


def test_the_number_of_sessions_is_counted(venue: Venue) -> None:
    """The gauge follows logons and logouts."""
    before = venue.count("gateway.sessions")
    with venue.client() as one, venue.client():
        assert venue.count("gateway.sessions") == before + 2
        assert one.ask(encode_message("Logout"))[0] == "Logout"
        assert venue.count("gateway.sessions") == before + 1


# Start and stop


def test_restart_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """A6: orders are there, order ids and trade ids go on, a session keeps its numbers and its two streams go on; the epoch is new."""
    server = served(tmp_path)
    with Wire(server.orders_endpoint) as wire:
        before = wire.log_on("FIRM1", 3)
        wire.say(new_order(quantity=10, client_order_id=1) + new_order(side=Side.SELL, quantity=4, client_order_id=2))
        reports = [wire.hear_report() for _ in range(4)]
        stopped = server.close()
        assert wire.hear()[1]["reason"] == Reason.ENGINE_STOPPED
    assert stopped is not None
    resting = reports[0]["order_id"]
    assert [report["trade_id"] for report in reports] == [0, 0, 1, 1]

    server = Server(venue_config(tmp_path))
    summary = server.start()
    assert (summary.recovered_commands, summary.next_sequence) == (stopped.state.sequence, stopped.state.sequence + 1)
    assert (summary.torn_bytes, summary.instruments, summary.policy, summary.starts) == (0, 2, Policy.COMMIT, 2)
    with Wire(server.orders_endpoint) as wire:
        after = wire.log_on("FIRM1", 3)
        same = ("participant", "session", "instrument_count", "policy")
        assert [after[name] for name in same] == [before[name] for name in same]
        assert (after["epoch"], after["command_sequence"], after["report_sequence"]) == (summary.epoch, 2, 4)
        wire.say(new_order(side=Side.SELL, quantity=6, client_order_id=3))
        reports = [wire.hear_report() for _ in range(3)]
        assert [report["order_id"] for report in reports[1:]] == [reports[0]["order_id"], resting]
        assert reports[0]["order_id"] not in (resting, 0)
        assert [(report["trade_id"], report["leaves_quantity"], report["cumulative_quantity"]) for report in reports[1:]] == [
            (2, 0, 6),
            (2, 0, 10),
        ]
        again = wire.log_on("FIRM1", 4)
        assert (again["participant"], again["session"]) == (before["participant"], 2)
        assert wire.log_on("FIRM2")["participant"] == 2
    assert server.close() is not None


def test_restart_may_add_instruments_and_keeps_those_that_the_configuration_forgets(tmp_path: Path) -> None:
    """What the journal defined stays; what the configuration adds comes after it."""
    with Server(venue_config(tmp_path, instruments=(AAPL,))):
        pass
    with Server(venue_config(tmp_path, instruments=(OIL,), add_instruments=True)) as server, Wire(server.orders_endpoint) as wire:
        answer = wire.log_on("FIRM1")
        assert [(fields["instrument"], fields["symbol"]) for fields in answer["instruments"]] == [(1, b"AAPL"), (2, b"OIL")]


CONTRADICTIONS: Final[dict[str, tuple[dict[str, Any], str]]] = {
    "tick": ({"instruments": (Instrument("AAPL", tick="0.05"),)}, "instrument AAPL"),
    "decimals": ({"instruments": (Instrument("AAPL", tick="0.01", quantity_decimals=1),)}, "instrument AAPL"),
    "flags": ({"instruments": (AAPL, Instrument("OIL", tick="0.5", price_decimals=1, signed_prices=True))}, "instrument OIL"),
    "too many": ({"instruments": tuple(Instrument(f"N{number}") for number in range(199))}, "instruments"),
}


@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_a_configuration_that_contradicts_the_journal_is_refused_and_changes_nothing(tmp_path: Path, case: str) -> None:
    """Tick, decimals and flags are what the journal has. The error says what is configured and what the journal has."""
    fields, what = CONTRADICTIONS[case]
    with Server(venue_config(tmp_path)) as server, Wire(server.orders_endpoint) as wire:
        wire.log_on("FIRM1")
        wire.say(new_order())
        wire.hear()
    before = contents(tmp_path)
    with pytest.raises(ConfigError) as refused:
        Server(venue_config(tmp_path, **fields)).start()
    assert refused.value.what == what
    assert "journal" in refused.value.allowed
    assert contents(tmp_path) == before
    with Server(venue_config(tmp_path)) as server:
        assert server.summary is not None
        assert server.summary.starts == 2


def test_a_second_server_on_a_directory_is_refused(tmp_path: Path) -> None:
    """One server to a directory, whatever its policy; when the first is gone another may start."""
    with Server(venue_config(tmp_path)) as first:
        for policy in Policy:
            with pytest.raises(ServerError, match="found 'in use by a server of this process', allowed: one process at a time"):
                Server(venue_config(tmp_path, policy=policy)).start()
        with Wire(first.orders_endpoint) as wire:
            assert wire.log_on("FIRM1")["reason"] == Reason.NONE
    with Server(venue_config(tmp_path)) as second:
        assert second.failure is None


def test_an_endpoint_that_is_taken_is_refused_and_leaves_the_directory_free(tmp_path: Path) -> None:
    """A start that fails lets go of everything that it had."""
    with Server(venue_config(tmp_path / "one")) as first:
        with pytest.raises(EndpointError, match="Address already in use"):
            Server(venue_config(tmp_path / "two", orders_endpoint=first.orders_endpoint)).start()
        with pytest.raises(EndpointError):
            Server(venue_config(tmp_path / "two", feed_endpoint="udp://nonsense", curve="never")).start()
        with Server(venue_config(tmp_path / "two")) as second:
            assert second.orders_endpoint != first.orders_endpoint


def test_a_directory_that_cannot_be_written_to_is_refused(tmp_path: Path) -> None:
    """The error names the directory's problem."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ServerError, match=r"journal\.directory.*allowed: a directory that can be written to"):
        Server(venue_config(tmp_path / "file" / "journal")).start()


@pytest.mark.parametrize("policy", Policy)
def test_every_policy_trades_and_two_of_them_remember(tmp_path: Path, policy: Policy) -> None:
    """The answer to a logon says the policy. After a clean stop commit and async have the order; memory has nothing, and no journal."""
    with Server(venue_config(tmp_path, policy=policy)) as server, Wire(server.orders_endpoint) as wire:
        assert wire.log_on("FIRM1")["policy"] == policy
        wire.say(new_order(client_order_id=1))
        assert wire.hear_report()["kind"] == EventKind.ACCEPTED
    with Server(venue_config(tmp_path, policy=policy)) as server, Wire(server.orders_endpoint) as wire:
        wire.log_on("FIRM1")
        wire.say(encode_message("CancelOrder", client_order_id=1))
        expected = (EventKind.REJECTED, Reason.UNKNOWN_ORDER) if policy is Policy.MEMORY else (EventKind.CANCELLED, Reason.REQUESTED)
        report = wire.hear_report()
        assert (report["kind"], report["reason"]) == expected
    assert bool(list(tmp_path.glob("journal-*.ome"))) == (policy is not Policy.MEMORY)


def test_policy_memory_needs_no_directory() -> None:
    """A venue without a file."""
    with Server(venue_config(None, policy=Policy.MEMORY)) as server, Wire(server.orders_endpoint) as wire:
        assert wire.log_on("FIRM1")["reason"] == Reason.NONE
        assert server.summary is not None
        assert server.summary.next_sequence == 4


def make_journal(directory: Path, order_count: int = 50) -> int:
    """A journal as a server that was killed leaves it: a copy of one that a server still writes. Returns its last sequence."""
    running = directory.with_name(directory.name + "-running")
    with Server(venue_config(running)) as server, Wire(server.orders_endpoint) as wire:
        wire.log_on("FIRM1")
        for number in range(1, order_count + 1):
            wire.say(new_order(client_order_id=number))
            wire.hear_report()
        shutil.copytree(running, directory)
    return len(journal_commands(directory))


DAMAGES: Final[dict[str, Callable[[bytearray, int], None]]] = {
    "a command": lambda data, end: data.__setitem__(4096 + 74 * 5 + 20, data[4096 + 74 * 5 + 20] ^ 1),
    "a checksum": lambda data, end: data.__setitem__(4096 + 74 * 5 + 73, data[4096 + 74 * 5 + 73] ^ 0x80),
    "the header": lambda data, end: data.__setitem__(30, 9),
    "a hole": lambda data, end: data.__setitem__(slice(4096 + 740, 4096 + 814), bytes(74)),
    "a record missing": lambda data, end: data.__setitem__(slice(4096 + 740, end), data[4096 + 814 : end] + bytes(74)),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_journal_stops_the_start_and_is_not_touched(tmp_path: Path, damage: str) -> None:
    """Damage that was on disk once is never cut off: the error names file and offset, and nothing is changed."""
    directory = tmp_path / "journal"
    make_journal(directory)
    path, end = journal_end(directory)
    data = bytearray(path.read_bytes())
    DAMAGES[damage](data, end)
    path.write_bytes(data)
    before = contents(directory)
    with pytest.raises(JournalIntegrityError) as refused:
        Server(venue_config(directory)).start()
    report = refused.value.report
    assert (report.path, report.verdict.name) == (str(path), "DAMAGED")
    assert str(path) in str(refused.value)
    assert f"offset {report.offset:,}" in str(refused.value)
    assert 0 <= report.offset <= end
    assert contents(directory) == before
    with pytest.raises(JournalIntegrityError):
        Server(venue_config(directory)).start()


def test_a_torn_tail_is_cut_kept_and_reported(tmp_path: Path) -> None:
    """Bytes after the last record that never were a record: the start says how many, keeps them beside it, and loses no command."""
    directory = tmp_path / "journal"
    last = make_journal(directory)
    path, end = journal_end(directory)
    tail = bytes(range(1, 38))
    with path.open("r+b") as file:
        file.seek(end)
        file.write(tail)
    server = Server(venue_config(directory))
    summary = server.start()
    assert (summary.recovered_commands, summary.torn_bytes, summary.next_sequence) == (last, len(tail), last + 1)
    assert path.stat().st_size == end + 42, "cut, and sealed by recovery"
    kept = directory / f"{path.name}.torn-{end}"
    assert kept.read_bytes() == tail
    server.close()
    summary = Server(venue_config(directory)).start()
    assert (summary.recovered_commands, summary.torn_bytes) == (last, 0)


def test_close_says_where_the_engine_stood_and_closing_again_says_nothing(tmp_path: Path) -> None:
    """The summary is that of the journal: sequence, counts and state hash."""
    server = served(tmp_path)
    with Wire(server.orders_endpoint) as wire:
        wire.log_on("FIRM1")
        wire.say(new_order() + new_order(side=Side.SELL))
        for _ in range(4):
            wire.hear()
    summary = server.close()
    assert summary is not None
    assert server.close() is None
    assert (summary.state.sequence, summary.state.trade_count) == (6, 1)
    with Replay(tmp_path) as replay:
        replay.run()
        assert replay.view is not None
        assert (replay.view.state, replay.view.state_hash) == (summary.state, summary.state_hash)


def test_commands_that_were_taken_before_a_stop_are_answered(tmp_path: Path) -> None:
    """A stop finishes what was taken: every command of the journal was reported, before the Logout."""
    server = served(tmp_path)
    with Wire(server.orders_endpoint) as wire:
        wire.log_on("FIRM1")
        for number in range(20):
            wire.say(b"".join(new_order(client_order_id=number * 64 + index + 1) for index in range(64)))
        assert wire.hear()[0] == "ExecutionReport"
        summary = server.close()
        count = 1
        while (heard := wire.hear())[0] != "Logout":
            count += heard[0] == "ExecutionReport"
    assert summary is not None
    assert heard[1]["reason"] == Reason.ENGINE_STOPPED
    assert count == summary.state.sequence - 4  # without the definitions and the session


def test_wait_returns_when_the_server_is_told_to_stop(tmp_path: Path) -> None:
    """`wait` says whether `stop` was called."""
    with Server(venue_config(tmp_path)) as server:
        assert server.wait(0.01) is False
        server.stop()
        assert server.wait() is True


# Market data


def test_market_data_shows_top_levels_and_trades(venue: Venue) -> None:
    """P1, P4: what the feed shows after each change is the book."""
    number = venue.instrument()
    symbol = f"S{number}"
    with (
        OrderEntry(venue.endpoint, venue.name()) as session,
        MarketData(venue.server.feed_endpoint, session.instruments) as feed,
    ):
        feed.subscribe(symbol)
        feed.synchronize()
        assert feed.book(symbol).bids == feed.book(symbol).asks == ()
        bid, ask = session.buy(symbol, 10, at="1.00"), session.sell(symbol, 7, at="1.05")
        session.buy(symbol, 5, at="1.00")
        taker = session.buy(symbol, 3, at="1.06", tif="ioc")
        session.reduce(bid, 4)
        session.cancel(ask)
        last = None
        while last is None or last.kind is not EventKind.CANCELLED or last.client_order_id != ask.client_order_id:
            last = next(session.reports(5.0))
        wait_until(lambda: feed.poll(0.05), lambda: feed.book(symbol).engine_sequence >= last.engine_sequence)
        book = feed.book(symbol)
        assert book.bids == (BookLevel(price=Decimal("1.00"), quantity=Decimal(11), order_count=2),)
        assert book.asks == ()
        wait_until(lambda: feed.poll(0.05), lambda: (top := feed.top(symbol)) is not None and top.bid_quantity == 11)
        top = feed.top(symbol)
        assert top is not None
        assert (top.bid_price, top.bid_quantity) == (Decimal("1.00"), Decimal(11))
        assert (top.ask_price, top.ask_quantity) == (None, Decimal(0))
        (trade,) = feed.trades()
        assert (trade.symbol, trade.price, trade.quantity, trade.side) == (symbol, Decimal("1.05"), Decimal(3), Side.BUY)
        assert taker.quantity == 3
        assert feed.gap_count == 0


def wait_until(step: Callable[[], object], is_done: Callable[[], bool]) -> None:
    """Repeats `step` until it is done. Fails after five seconds."""
    deadline = time.monotonic() + 5
    while not is_done():
        assert time.monotonic() < deadline, "waited too long"
        step()


def test_a_late_joiners_book_is_the_engines(tmp_path: Path) -> None:
    """A subscriber that comes after many orders, and one from the start, both have the book that a replay of the journal has."""
    generator = random.Random(5)
    print("seed 5")
    with (
        Server(venue_config(tmp_path)) as server,
        OrderEntry(server.orders_endpoint, "FIRM1") as session,
        MarketData(server.feed_endpoint, session.instruments) as early,
        MarketData(server.feed_endpoint, session.instruments) as late,
    ):
        early.subscribe("AAPL")
        early.synchronize()

        def trade(count: int) -> int:
            for _ in range(count):
                enter = session.buy if generator.random() < 0.5 else session.sell
                enter("AAPL", generator.randint(1, 20), at=Decimal(generator.randint(90, 110)) / 100)
            last = 0
            while session.pending:
                last = max(last, int(session.receive(5.0)["engine_sequence"][-1]))
            return last

        trade(500)
        late.subscribe("AAPL")
        late.synchronize()
        last = trade(200)
        for feed in (early, late):
            wait_until(lambda feed=feed: feed.poll(0.05), lambda feed=feed: feed.book("AAPL").engine_sequence >= last - 50)  # type: ignore[misc]
            wait_until(lambda feed=feed: feed.poll(0.1), lambda feed=feed: not feed.poll(0.1))  # type: ignore[misc]
        with Replay(tmp_path, live=True) as replay:
            replay.run()
            assert replay.view is not None
            assert replay.view.sequence == last
            for side in (Side.BUY, Side.SELL):
                expected = replay.view.levels(1, side)
                assert early.levels("AAPL", side) == late.levels("AAPL", side) == expected
                assert expected
        assert (early.gap_count, late.gap_count) == (0, 0)


def test_market_data_after_a_restart_has_the_recovered_book(tmp_path: Path) -> None:
    """The feed of a new start shows the orders of the last one before anything happens."""
    with Server(venue_config(tmp_path)) as server, OrderEntry(server.orders_endpoint, "FIRM1") as session:
        session.wait_for(session.buy("AAPL", 10, at="1.00"))
    with (
        Server(venue_config(tmp_path)) as server,
        OrderEntry(server.orders_endpoint, "FIRM1") as session,
        MarketData(server.feed_endpoint, session.instruments) as feed,
    ):
        feed.subscribe("AAPL", "OIL")
        feed.synchronize()
        assert feed.book("AAPL").bids == (BookLevel(price=Decimal("1.00"), quantity=Decimal(10), order_count=1),)
        assert feed.book("OIL").bids == ()
        top = feed.top("AAPL")
        assert top is not None
        assert (top.bid_price, top.ask_price) == (Decimal("1.00"), None)


# A process


def test_sigterm_stops_cleanly_and_the_next_start_goes_on(tmp_path: Path) -> None:
    """`ome run` on SIGTERM: clients are logged out, the journal is sealed, it exits 0, and what it prints is what a replay finds."""
    with VenueProcess(config_file(tmp_path)) as venue:
        assert venue.start()["epoch"] > 0
        session = OrderEntry(venue.orders_endpoint, "FIRM1", reconnect=None)
        session.wait_for(session.buy("AAPL", 10, at="1.00"))
        stopped = venue.stop()
        with pytest.raises(SessionLost, match="ENGINE_STOPPED"):
            list(session.reports(5.0))
        with pytest.raises(OmeError):
            session.buy("AAPL", 10, at="1.00")
        session.close()
        with Replay(tmp_path / "journal") as replay:
            replay.run()
            assert replay.view is not None
            assert (replay.report.verdict.name, replay.view.sequence) == ("CLEAN", stopped["sequence"])
            assert f"{replay.view.state_hash:016x}" == stopped["state_hash"]
        assert venue.start()["recovered_commands"] == stopped["sequence"]
        assert venue.stop()["state_hash"] == stopped["state_hash"]


# ---- every rule, over the wire ----


def _said(session: OrderEntry, count: int) -> list[tuple[EventKind, int, int]]:
    """Kind, last quantity and leaves of so many reports."""
    return [
        (report.kind, int(report.last_quantity), int(report.leaves_quantity)) for report in itertools.islice(session.reports(5.0), count)
    ]


@pytest.fixture
def quick_server() -> Iterator[Server]:
    """A server of its own, in memory."""
    config = ServerConfig(
        policy=Policy.MEMORY,
        orders_endpoint="tcp://127.0.0.1:0",
        feed_endpoint="tcp://127.0.0.1:0",
        requests_endpoint="",
        instruments=(Instrument("AAPL", tick="0.01", collar_ticks=500, market_to_limit=True),),
    )
    with Server(config) as server:
        yield server


def test_orders_with_every_option_are_reported_over_the_wire(quick_server: Server) -> None:
    """I1, S1, A7: an iceberg, a stop that it triggers, and a mass cancel; leaves include the reserve."""
    accepted, trade, triggered = EventKind.ACCEPTED, EventKind.TRADE, EventKind.TRIGGERED
    with OrderEntry(quick_server.orders_endpoint, participant="MAKER") as maker:
        assert maker.instruments["AAPL"].market_to_limit
        assert maker.instruments["AAPL"].collar_ticks == 500
        maker.sell("AAPL", 100, at="150.00", display=10)
        maker.sell("AAPL", 50, at="151.00", hidden=True, tif="day")
        assert _said(maker, 2) == [(accepted, 0, 100), (accepted, 0, 50)]
        with OrderEntry(quick_server.orders_endpoint, participant="TAKER") as taker:
            taker.buy("AAPL", 20, at="151.00", stop="150.00", self_trade="cancel_newest")
            taker.buy("AAPL", 15, at="150.00", minimum=15)
            kinds = [kind for kind, _, _ in _said(taker, 9)]
            assert kinds == [accepted, EventKind.STOP_SET, accepted, trade, trade, triggered, trade, trade, trade]
            assert _said(maker, 5) == [(trade, 10, 90), (trade, 5, 85), (trade, 5, 80), (trade, 10, 70), (trade, 5, 65)]
        maker.mass_cancel("AAPL", "sell")
        cancelled, completed = EventKind.CANCELLED, EventKind.COMPLETED
        assert _said(maker, 3) == [(cancelled, 65, 0), (cancelled, 50, 0), (completed, 2, 0)]


def test_a_deadline_passes_though_nobody_trades(quick_server: Server) -> None:
    """T7: the server's clock expires a GTD order in a quiet market."""
    with OrderEntry(quick_server.orders_endpoint, participant="FIRM1") as session:
        order = session.buy("AAPL", 1, at="150.00", expires=time.time_ns() + 200_000_000)
        assert session.wait_for(order).kind is EventKind.ACCEPTED
        (report,) = itertools.islice(session.reports(10.0), 1)
        assert (report.kind, report.reason) == (EventKind.CANCELLED, Reason.EXPIRED)


def test_the_clock_ends_each_day_once_and_the_days_that_it_missed() -> None:
    """T2, T7: at the time of day that is configured; one end for what was missed; no end without configuration."""
    hour = 3_600_000_000_000
    noon = 1_700_000_000_000_000_000 // (24 * hour) * 24 * hour + 12 * hour
    sent: list[ExpireOrders] = []

    def submit(command: Command) -> bool:
        assert isinstance(command, ExpireOrders)
        sent.append(command)
        return True

    clock = Schedule(submit, lambda: 0, day_end=dtime(12, 0), now_ns=noon - hour)
    assert clock.tick(noon - 1)
    assert not sent
    assert clock.tick(noon)
    assert clock.tick(noon + hour)
    assert [(command.cutoff_ns, command.flags) for command in sent] == [(noon, CommandFlags.END_OF_DAY)]
    assert clock.tick(noon + 24 * hour)
    assert len(sent) == 2
    late = Schedule(submit, lambda: 0, day_end=dtime(12, 0), now_ns=noon + 50 * hour)
    late.catch_up(noon - 1)
    assert len(sent) == 3
    late.catch_up(noon + 49 * hour)
    late.catch_up(0)
    Schedule(submit, lambda: 0, day_end=None, now_ns=noon).catch_up(1)
    assert len(sent) == 3


def test_the_clock_sends_one_expiry_for_a_deadline() -> None:
    """T7: once it has passed, and not again while the command is on its way."""
    deadline_ns = 1_000
    sent: list[Command] = []

    def submit(command: Command) -> bool:
        sent.append(command)
        return True

    clock = Schedule(submit, lambda: deadline_ns, day_end=None, now_ns=0)
    assert [clock.tick(now_ns) for now_ns in (999, 1_000, 1_001)] == [True, True, True]
    assert [command.cutoff_ns for command in sent if isinstance(command, ExpireOrders)] == [1_000]


def test_no_two_starts_have_the_same_epoch() -> None:
    """Also within one second, and without a journal that counts starts."""
    epochs = []
    for _ in range(5):
        with Server(venue_config(None, policy=Policy.MEMORY)) as server:
            assert server.summary is not None
            epochs.append(server.summary.epoch)
    assert len(set(epochs)) == 5
    assert max(epochs) - min(epochs) > 60
