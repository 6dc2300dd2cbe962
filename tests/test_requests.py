"""Requests over sockets: open orders, sessions, instruments and fills are what the engine and the journal have, and nobody else's."""

from __future__ import annotations

import ctypes
import json
import os
import time
from collections.abc import Iterator
from datetime import time as clock_time
from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import CliRunner
from venues import VenueProcess, Wire, config_file, new_order, venue_config

from ome.cli.main import main
from ome.client.requests import FillsGone, Requests
from ome.codec.wire import decode_message, encode_message
from ome.engine import OpenOrder
from ome.enums import (
    CommandFlags,
    EventKind,
    OrderFlags,
    OrderType,
    Policy,
    Reason,
    SelfTradePrevention,
    SelfTradeScope,
    SessionFlags,
    Side,
    Term,
    TimeInForce,
)
from ome.gateway import fills
from ome.gateway.archive import ReportArchive, Wanted
from ome.gateway.requests import day_start_ns
from ome.instruments import Instrument
from ome.messages import Limits
from ome.metrics import Counters
from ome.recovery import Replay
from ome.recovery.snapshots import make_snapshot
from ome.server import Server
from ome.supervision import Supervisor

Answer = tuple[dict[str, Any], list[dict[str, Any]]]
PAGE: Final = 256
FAR_NS: Final = 4_000_000_000 * 10**9


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A venue with a journal."""
    with Server(venue_config(tmp_path)) as server:
        yield server


def hear_answer(wire: Wire, request_id: int = 7) -> Answer:
    """A RequestAnswer and the fields of the messages that follow it."""
    name, answer = wire.hear()
    assert (name, answer["request_id"]) == ("RequestAnswer", request_id), (name, answer)
    return answer, [wire.hear()[1] for _ in range(answer["message_count"])]


def counter(directory: Path, name: str) -> int:
    """A counter of the venue that runs there."""
    with Counters(directory) as counters:
        return counters.values()[name]


def request(wire: Wire, name: str, **fields: Any) -> Answer:
    """The answer to a request."""
    wire.say(encode_message(name, request_id=7, **fields))
    return hear_answer(wire)


def pages(wire: Wire, name: str, **fields: Any) -> list[list[dict[str, Any]]]:
    """All pages of a request."""
    cursor, found = 0, []
    while True:
        answer, messages = request(wire, name, cursor=cursor, **fields)
        assert answer["reason"] == Reason.NONE, answer
        found.append(messages)
        cursor = answer["next_cursor"]
        if cursor == 0:
            return found


def everything(wire: Wire, name: str, **fields: Any) -> list[dict[str, Any]]:
    """The messages of all pages."""
    return [message for page in pages(wire, name, **fields) for message in page]


def terms(**values: int) -> bytes:
    """OrderTerms messages for these terms, by their names in small letters."""
    named = [(Term[name.upper()], value) for name, value in values.items()]
    parts = [named[start : start + 3] for start in range(0, len(named), 3)]
    frame = b""
    for index, part in enumerate(parts):
        fields: dict[str, int] = {f"term_{place}": term for place, (term, _) in enumerate(part, 1)}
        fields |= {f"value_{place}": value for place, (_, value) in enumerate(part, 1)}
        frame += encode_message("OrderTerms", flags=CommandFlags.CONTINUED if index + 1 < len(parts) else 0, **fields)
    return frame


def enter(wire: Wire, *, options: dict[str, int] | None = None, flags: int = 0, **fields: Any) -> int:
    """Enters an order that is accepted, and gives its order id; reports behind the first are read."""
    continued = CommandFlags.CONTINUED if options else 0
    wire.say(new_order(flags=flags | continued, **fields) + (terms(**options) if options else b""))
    report = wire.hear_report()
    assert report["kind"] is EventKind.ACCEPTED, report
    order_id: int = report["order_id"]
    while not wire.hears_nothing():
        wire.hear()
    return order_id


def enter_many(wire: Wire, numbers: range, **fields: Any) -> None:
    """Enters orders that rest, by their client order ids."""
    for start in range(numbers.start, numbers.stop, 200):
        part = range(start, min(start + 200, numbers.stop))
        wire.say(b"".join(new_order(client_order_id=number, **fields) for number in part))
        for _ in part:
            assert wire.hear_report()["kind"] is EventKind.ACCEPTED


def differences(found: dict[str, Any], order: OpenOrder, instrument: Instrument) -> dict[str, Any]:
    """Where an OpenOrder of the wire is not what the engine says, by field."""
    lots, flags = instrument.quantity, OrderFlags(found["order_flags"])
    pairs: dict[str, tuple[object, object]] = {
        "order_id": (found["order_id"], order.order_id),
        "client_order_id": (found["client_order_id"], order.client_order_id),
        "price": (instrument.price(found["price"]), order.price or 0),
        "stop_price": (instrument.price(found["stop_price"]), order.stop_price or 0),
        "leaves_quantity": (lots(found["leaves_quantity"]), order.leaves_quantity),
        "cumulative_quantity": (lots(found["cumulative_quantity"]), order.cumulative_quantity),
        "displayed_quantity": (lots(found["displayed_quantity"]), order.displayed_quantity),
        "peak_quantity": (lots(found["peak_quantity"]), order.peak_quantity or 0),
        "reserve_quantity": (
            lots(found["reserve_quantity"]),
            order.leaves_quantity - order.displayed_quantity if order.peak_quantity and not order.is_waiting else 0,
        ),
        "trail_amount": (instrument.price(found["trail_amount"]), order.trail_amount or 0),
        "trail_basis_points": (found["trail_basis_points"], order.trail_basis_points or 0),
        "deadline_ns": (found["deadline_ns"], order.deadline_ns or 0),
        "account": (found["account"], order.account),
        "instrument": (found["instrument"], order.instrument),
        "session": (found["session"], order.session),
        "side": (found["side"], order.side),
        "order_type": (found["order_type"], order.order_type),
        "time_in_force": (found["time_in_force"], order.time_in_force),
        "waiting": (OrderFlags.WAITING in flags, order.is_waiting),
        "hidden": (OrderFlags.HIDDEN in flags, order.is_hidden),
        "post_only": (OrderFlags.POST_ONLY in flags, order.is_post_only),
        "day": (OrderFlags.DAY in flags, order.time_in_force is TimeInForce.DAY),
        "self_trade_prevention": (found["self_trade_prevention"], order.self_trade_prevention),
        "self_trade_scope": (found["self_trade_scope"], order.self_trade_scope),
        "self_trade_group": (found["self_trade_group"], order.self_trade_group or 0),
        "capacity": (found["capacity"], order.attributes.capacity or 0),
        "algo_id": (found["algo_id"], order.attributes.algo_id or 0),
    }
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


# Orders


def test_an_open_order_has_every_field_of_every_kind_of_order(tmp_path: Path) -> None:
    """As the engine of a replay has it, and the fields that only the wire has as they were sent; before and after a restart."""
    config = venue_config(tmp_path)
    stop: dict[str, Any] = {"order_type": OrderType.STOP, "side": Side.BUY}
    with Server(config) as server, Wire(server.orders_endpoint) as wire, Wire(server.orders_endpoint) as other:
        wire.log_on("FIRM1")
        other.log_on("FIRM2")
        enter(wire, client_order_id=1, price=100, account=9)
        enter(wire, client_order_id=2, price=99, time_in_force=TimeInForce.DAY, flags=CommandFlags.POST_ONLY)
        enter(wire, client_order_id=3, price=98, time_in_force=TimeInForce.GTD, options={"expire_time": FAR_NS})
        enter(wire, client_order_id=4, price=120, quantity=50, options={"display_quantity": 10})
        enter(wire, client_order_id=5, price=97, flags=CommandFlags.HIDDEN)
        enter(other, side=Side.SELL, price=120, quantity=4)  # trades with the iceberg: there is a last price
        assert wire.hear_report()["kind"] is EventKind.TRADE
        group = {"self_trade_group": 5, "capacity": 2, "algo_id": 77}
        prevention: dict[str, Any] = {"self_trade_prevention": SelfTradePrevention.CANCEL_OLDEST, "self_trade_scope": SelfTradeScope.GROUP}
        enter(wire, client_order_id=6, price=96, options=group, **prevention)
        scope: dict[str, Any] = {"self_trade_prevention": SelfTradePrevention.DECREMENT, "self_trade_scope": SelfTradeScope.PARTICIPANT}
        enter(wire, client_order_id=7, price=95, instrument=2, **scope)
        enter(wire, client_order_id=8, options={"stop_price": 200, "collar_ticks": 12}, **stop)
        limited: dict[str, Any] = {"order_type": OrderType.STOP_LIMIT, "price": 210}
        enter(wire, client_order_id=9, options={"stop_price": 205, "minimum_quantity": 3, "display_quantity": 5}, **limited)
        enter(wire, client_order_id=10, order_type=OrderType.TRAILING_STOP, side=Side.SELL, options={"trail_amount": 7})
        trailing: dict[str, Any] = {"order_type": OrderType.TRAILING_STOP_LIMIT, "side": Side.SELL, "price": -3}
        enter(wire, client_order_id=11, options={"trail_basis_points": 250}, **trailing)
        enter(wire, client_order_id=12, time_in_force=TimeInForce.FOK, options={"stop_price": 220, "budget": 5_000}, **limited)
        with Wire(server.requests_endpoint) as asking:
            asking.log_on("FIRM1")
            found = everything(asking, "OrdersRequest")
            assert [order["client_order_id"] for order in found] == list(range(1, 13))
            for order in found:
                assert request(asking, "OrderStatusRequest", order_id=order["order_id"])[1] == [order]
                assert request(asking, "OrderStatusRequest", client_order_id=order["client_order_id"])[1] == [order]
    only_here = {order["client_order_id"]: (order["minimum_quantity"], order["budget"], order["collar_ticks"]) for order in found}
    nothing = dict.fromkeys(range(1, 13), (0, 0, 0))
    assert only_here == nothing | {8: (0, 0, 12), 9: (3, 0, 0), 12: (0, 5_000, 0)}
    assert found[3]["reserve_quantity"] == 40
    with Replay(tmp_path) as replay:
        replay.run()
        assert replay.view is not None
        orders = {order.order_id: order for number in (1, 2) for order in replay.view.open_orders(number)}
        instruments = dict(replay.view.instruments.values())
        mine = {order_id for order_id, order in orders.items() if order.participant == 1}
    assert mine == {order["order_id"] for order in found}
    for order in found:
        assert differences(order, orders[order["order_id"]], instruments[order["instrument"]]) == {}, order
    with Server(config) as server, Wire(server.requests_endpoint) as asking:
        asking.log_on("FIRM1")
        assert everything(asking, "OrdersRequest") == found


def test_an_order_that_lives_all_the_while_is_in_one_page_whatever_happens_to_others(server: Server) -> None:
    """700 orders in pages of 256; between two pages some end and some come. Those that stay are there once."""
    with Wire(server.orders_endpoint) as wire, Wire(server.requests_endpoint) as asking:
        wire.log_on("FIRM1")
        enter_many(wire, range(1, 701))
        asking.log_on("FIRM1")
        cursor, found, gone = 0, [], set()
        for step in range(100):
            answer, messages = request(asking, "OrdersRequest", cursor=cursor)
            assert len(messages) <= PAGE
            found += [order["client_order_id"] for order in messages]
            cursor = answer["next_cursor"]
            if cursor == 0:
                break
            for number in range(1 + step, 701, 7):
                if number not in gone:
                    gone.add(number)
                    assert wire.ask(encode_message("CancelOrder", client_order_id=number))[1]["kind"] == EventKind.CANCELLED
            enter_many(wire, range(10_000 + 100 * step, 10_050 + 100 * step))
        stayed = set(range(1, 701)) - gone
        assert [found.count(number) for number in sorted(stayed)] == [1] * len(stayed)
        assert len(found) == len(set(found))
        assert len(everything(asking, "OrdersRequest")) == len(stayed) + 50 * step
        assert [len(page) for page in pages(asking, "OrdersRequest")][:-1] == [PAGE] * ((len(stayed) + 50 * step) // PAGE)


def test_orders_of_an_instrument_or_of_a_session_are_found(server: Server) -> None:
    """Both conditions hold together. Pages may be empty before the last."""
    with Wire(server.orders_endpoint) as one, Wire(server.orders_endpoint) as two, Wire(server.requests_endpoint) as asking:
        first, second = one.log_on("FIRM1", 1)["session"], two.log_on("FIRM1", 2)["session"]
        enter_many(one, range(1, 301))
        enter_many(two, range(1_001, 1_006), instrument=2)
        enter_many(one, range(2_001, 2_004), instrument=2)
        asking.log_on("FIRM1")

        def ids(**fields: Any) -> list[int]:
            return [order["client_order_id"] for order in everything(asking, "OrdersRequest", **fields)]

        assert ids(instrument=2) == [*range(1_001, 1_006), *range(2_001, 2_004)]
        assert ids(target_session=second) == list(range(1_001, 1_006))
        assert ids(instrument=2, target_session=first) == list(range(2_001, 2_004))
        assert ids(instrument=99) == ids(target_session=99) == []


def test_nobody_sees_another_participants_orders_or_sessions(server: Server) -> None:
    """Not by pages, not by order id, neither while it lives nor when it has ended."""
    with Wire(server.orders_endpoint) as one, Wire(server.orders_endpoint) as two, Wire(server.requests_endpoint) as asking:
        one.log_on("FIRM1")
        two.log_on("FIRM2")
        mine, theirs = enter(one, client_order_id=5), enter(two, client_order_id=6, price=99)
        asking.log_on("FIRM1")
        assert [order["order_id"] for order in everything(asking, "OrdersRequest")] == [mine]
        assert [session["session"] for session in everything(asking, "SessionsRequest")] == [1]
        for fields in ({"order_id": theirs}, {"client_order_id": 6}, {"order_id": 1 << 63}, {}):
            answer, messages = request(asking, "OrderStatusRequest", **fields)
            assert (answer["reason"], messages) == (Reason.UNKNOWN_ORDER, [])
        for wire, number in ((one, 5), (two, 6)):
            assert wire.ask(encode_message("CancelOrder", client_order_id=number))[1]["kind"] == EventKind.CANCELLED
        assert request(asking, "OrderStatusRequest", order_id=mine)[0]["reason"] == Reason.ORDER_CLOSED
        assert request(asking, "OrderStatusRequest", order_id=theirs)[0]["reason"] == Reason.UNKNOWN_ORDER
        assert request(asking, "OrderStatusRequest", client_order_id=5)[0]["reason"] == Reason.UNKNOWN_ORDER
        for cursor in (1, 2**32 - 1, 2**32, 2**64 - 1):
            assert request(asking, "OrdersRequest", cursor=cursor)[1] == []


# Who asks


def test_a_logon_takes_over_no_session_and_says_who_the_participant_is(server: Server) -> None:
    """0 before the participant's first command. Requests go on finding it afterwards, without another logon."""
    with Wire(server.orders_endpoint) as wire, Wire(server.requests_endpoint) as asking:
        there = wire.log_on("FIRM1")
        assert there["requests_endpoint"].decode() == server.requests_endpoint
        answer = asking.log_on("FIRM1", login_id=9)
        assert (answer["participant"], answer["session"], answer["login_id"], answer["instrument_count"]) == (0, 0, 9, 0)
        assert everything(asking, "OrdersRequest") == []
        enter(wire, client_order_id=5)
        assert [order["client_order_id"] for order in everything(asking, "OrdersRequest")] == [5]
        assert asking.log_on("FIRM1")["participant"] == there["participant"]
        assert asking.ask(encode_message("Logout"))[1]["reason"] == Reason.REQUESTED
        assert asking.ask(encode_message("OrdersRequest"))[1]["reason"] == Reason.NOT_LOGGED_ON


def test_a_logon_is_refused_for_a_name_that_is_none_or_not_admitted(tmp_path: Path) -> None:
    """The connection stays, and may try again."""
    with Server(venue_config(tmp_path, participants=("FIRM1",))) as server, Wire(server.requests_endpoint) as asking:
        for name in (b"", b"FIRM 1", b"FIRM2"):
            answer = asking.log_on(name)
            assert (answer["reason"], answer["requests_endpoint"]) == (Reason.BAD_PARTICIPANT, b"")
        assert asking.log_on("FIRM1", session_flags=SessionFlags.CANCEL_ON_LOGOUT)["reason"] == Reason.BAD_FLAGS
        assert asking.ask(encode_message("SessionsRequest"))[1]["reason"] == Reason.NOT_LOGGED_ON
        assert asking.log_on("FIRM1")["reason"] == Reason.NONE


def test_a_number_that_went_to_another_participant_shows_nothing_of_it(tmp_path: Path) -> None:
    """With two session numbers, FIRM1's goes to FIRM3: FIRM1's connection sees nothing of FIRM3, and each has its own fills."""
    limits = Limits(order_count_max=100, level_count_max=100, instrument_count_max=2, session_count_max=2)
    config = venue_config(tmp_path, limits=limits)
    with Server(config) as server, Wire(server.requests_endpoint) as asking, Wire(server.requests_endpoint) as third:
        with Wire(server.orders_endpoint) as one, Wire(server.orders_endpoint) as two:
            number = one.log_on("FIRM1")["participant"]
            two.log_on("FIRM2")
            enter(one, quantity=3)
            enter(two, side=Side.SELL, quantity=3)
            assert asking.log_on("FIRM1")["participant"] == number
        with Wire(server.orders_endpoint) as wire:
            answer = wire.log_on("FIRM3")
            while answer["reason"] == Reason.BUSY:  # the connections before are not seen as gone yet
                time.sleep(0.01)
                answer = wire.log_on("FIRM3")
            enter(wire, client_order_id=33)
            assert third.log_on("FIRM3")["participant"] == answer["participant"]
            assert [order["client_order_id"] for order in everything(third, "OrdersRequest")] == [33]
            assert everything(third, "FillsRequest") == []
            assert len(everything(asking, "FillsRequest")) == 1
            assert everything(asking, "OrdersRequest") == []
            assert [one["session_number"] for one in everything(asking, "SessionsRequest")] in ([], [0])


def test_sessions_say_how_far_they_are_and_whether_they_are_connected(server: Server) -> None:
    """Those that have sent a command, with what they have chosen."""
    with Wire(server.requests_endpoint) as asking, Wire(server.orders_endpoint) as two:
        with Wire(server.orders_endpoint) as one:
            first = one.log_on("FIRM1", 11, session_flags=SessionFlags.CANCEL_ON_LOGOUT)["session"]
            second = two.log_on("FIRM1", 12)["session"]
            enter_many(one, range(1, 4))
            enter_many(two, range(4, 6))
            asking.log_on("FIRM1")
            found = everything(asking, "SessionsRequest")
        names = ("session", "session_number", "session_flags", "is_connected", "command_sequence", "report_sequence")
        values = [tuple(session[name] for name in names) for session in found]
        assert values == [(first, 11, SessionFlags.CANCEL_ON_LOGOUT, 1, 3, 3), (second, 12, 0, 1, 2, 2)]
        deadline = time.monotonic() + 5
        while everything(asking, "SessionsRequest")[0]["is_connected"]:
            assert time.monotonic() < deadline, "a connection that is gone still counts"
        assert everything(asking, "SessionsRequest")[1]["is_connected"] == 1


def test_instruments_come_in_pages_and_new_ones_are_among_them(tmp_path: Path) -> None:
    """With the same definitions as in the answer to a logon on the address of orders."""
    instruments = tuple(Instrument(f"S{number}", tick="0.05", collar_ticks=number) for number in range(300))
    limits = Limits(order_count_max=100, level_count_max=100, instrument_count_max=300, session_count_max=20)
    config = venue_config(tmp_path, instruments=instruments, limits=limits)
    with Server(config) as server, Wire(server.orders_endpoint) as wire, Wire(server.requests_endpoint) as asking:
        defined = wire.log_on("FIRM1")["instruments"]
        asking.log_on("FIRM1")
        found = pages(asking, "InstrumentsRequest")
        assert [len(page) for page in found] == [PAGE, 300 - PAGE]
        names = ("symbol", "instrument", "tick", "price_decimals", "quantity_decimals", "collar_ticks", "instrument_flags", "kind")
        assert [[one[name] for name in names] for page in found for one in page] == [[one[name] for name in names] for one in defined]


# Fills


def trade(one: Wire, two: Wire, count: int, first_id: int) -> list[dict[str, Any]]:
    """Lets two sessions trade so often, and gives the TRADE reports of the first, with their whole bytes as fields."""
    reports = []
    for start in range(0, count, 100):
        part = range(start, min(start + 100, count))
        one.say(b"".join(new_order(client_order_id=first_id + number, quantity=1) for number in part))
        for _ in part:
            assert one.hear_report()["kind"] is EventKind.ACCEPTED
        two.say(new_order(client_order_id=first_id + start, side=Side.SELL, quantity=len(part)))
        reports += [one.hear()[1] for _ in part]
        for _ in range(1 + len(part)):
            two.hear()
    assert {report["kind"] for report in reports} == {EventKind.TRADE}
    return reports


def test_fills_are_the_trade_reports_that_were_sent_over_starts_and_snapshots(tmp_path: Path) -> None:
    """In pages of 1,024 at most, byte for byte, with and without a snapshot before what is wanted; both sides of one's own trades."""
    config = venue_config(tmp_path, snapshot_commands=0)
    sent: list[dict[str, Any]] = []
    for start in range(3):
        with Server(config) as server, Wire(server.orders_endpoint) as one, Wire(server.orders_endpoint) as two:
            one.log_on("FIRM1")
            two.log_on("FIRM2")
            sent += trade(one, two, 700, 10_000 * (start + 1))
            make_snapshot(tmp_path, 5.0)
            if start < 2:
                continue
            one.say(new_order(client_order_id=1, quantity=2) + new_order(client_order_id=2, side=Side.SELL, quantity=2))
            own = [one.hear()[1] for _ in range(4)]
            sent += [report for report in own if report["kind"] == EventKind.TRADE]
            with Wire(server.requests_endpoint) as asking:
                asking.log_on("FIRM1")
                found = pages(asking, "FillsRequest", since_ns=1)
                assert [report for page in found for report in page] == sent
                assert [len(page) for page in found] == [1_024, 1_024, len(sent) - 2_048]
                middle = sent[1_000]["timestamp_ns"]
                assert everything(asking, "FillsRequest", since_ns=middle) == [one for one in sent if one["timestamp_ns"] >= middle]
                assert everything(asking, "FillsRequest", since_ns=FAR_NS) == []
                assert everything(asking, "FillsRequest") == sent  # all of today, unless midnight passes
                cursor = sent[1_500]["trade_id"]  # a page that no reader is open for
                answer, messages = request(asking, "FillsRequest", since_ns=1, cursor=cursor)
                assert messages == [one for one in sent if one["trade_id"] > cursor]
                assert answer["engine_sequence"] == sent[-1]["engine_sequence"]


def test_pages_of_fills_go_on_where_another_participant_asks_in_between(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each question then begins anew behind a snapshot or the journal's beginning, and pages end before there is a trade in them."""
    monkeypatch.setattr(fills, "_COMMANDS_AT_ONCE", 7)
    monkeypatch.setattr(fills, "_COMMANDS_IN_PAGE", 20)
    monkeypatch.setattr(fills, "FILLS_IN_PAGE", 16)
    with Server(venue_config(tmp_path)) as server, Wire(server.orders_endpoint) as one, Wire(server.orders_endpoint) as two:
        one.log_on("FIRM1")
        two.log_on("FIRM2")
        enter_many(one, range(1, 101), instrument=2)
        sent = trade(one, two, 50, 1_000)
        enter_many(one, range(201, 301), instrument=2)
        sent += trade(one, two, 50, 2_000)
        with Wire(server.requests_endpoint) as asking, Wire(server.requests_endpoint) as other:
            asking.log_on("FIRM1")
            other.log_on("FIRM2")
            found: dict[Wire, list[dict[str, Any]]] = {asking: [], other: []}
            cursors: dict[Wire, int] = dict.fromkeys(found, 0)
            open_ones = [asking, other]
            while open_ones:
                for wire in list(open_ones):
                    answer, messages = request(wire, "FillsRequest", since_ns=1, cursor=cursors[wire])
                    assert len(messages) <= 16
                    found[wire] += messages
                    assert answer["next_cursor"] == 0 or answer["next_cursor"] > cursors[wire]
                    cursors[wire] = answer["next_cursor"]
                    if not answer["next_cursor"]:
                        open_ones.remove(wire)
            assert found[asking] == sent
            assert [fill["trade_id"] for fill in found[other]] == [fill["trade_id"] for fill in sent]


def test_without_a_journal_there_are_no_fills(tmp_path: Path) -> None:
    """REPORTS_GONE; open orders are there all the same."""
    with Server(venue_config(None, policy=Policy.MEMORY)) as server, Wire(server.orders_endpoint) as wire:
        wire.log_on("FIRM1")
        enter(wire, client_order_id=5)
        with Wire(server.requests_endpoint) as asking:
            asking.log_on("FIRM1")
            assert request(asking, "FillsRequest")[0]["reason"] == Reason.REPORTS_GONE
            assert len(everything(asking, "OrdersRequest")) == 1
        with Requests(server.requests_endpoint, "FIRM1") as requests, pytest.raises(FillsGone):
            requests.fills()


def test_a_connection_has_one_question_about_fills_at_a_time(server: Server) -> None:
    """Another one before the answer is answered by BUSY, if the first takes that long; each is answered."""
    with Wire(server.orders_endpoint) as one, Wire(server.orders_endpoint) as two, Wire(server.requests_endpoint) as asking:
        one.log_on("FIRM1")
        two.log_on("FIRM2")
        sent = trade(one, two, 500, 1_000)
        asking.log_on("FIRM1")
        for number in range(1, 21):
            asking.say(encode_message("FillsRequest", request_id=number, since_ns=1))
        answered = set()
        for _ in range(20):
            _, answer = asking.hear()
            answered.add(answer["request_id"])
            assert answer["reason"] in (Reason.NONE, Reason.BUSY)
            messages = [asking.hear()[1] for _ in range(answer["message_count"])]
            assert messages == (sent if answer["reason"] == Reason.NONE else [])
        assert answered == set(range(1, 21))


def test_a_day_begins_at_its_end_before_or_at_midnight() -> None:
    """At the very moment of the end the next day has begun."""
    day_ns, hour_ns = 86_400 * 10**9, 3_600 * 10**9
    assert day_start_ns(10 * day_ns + hour_ns, None) == 10 * day_ns
    assert day_start_ns(10 * day_ns, clock_time(0, 0)) == 10 * day_ns
    assert day_start_ns(10 * day_ns + 20 * hour_ns, clock_time(21, 0)) == 9 * day_ns + 21 * hour_ns
    assert day_start_ns(10 * day_ns + 21 * hour_ns, clock_time(21, 0)) == 10 * day_ns + 21 * hour_ns


# What is not durable


class HeldThread:
    """A thread of another process that is held, alone: by ptrace."""

    _SEIZE, _INTERRUPT, _DETACH, _WALL = 0x4206, 0x4207, 17, 0x40000000

    def __init__(self, pid: int, name: str) -> None:
        tasks = {(task / "comm").read_text().strip(): int(task.name) for task in Path(f"/proc/{pid}/task").iterdir()}
        self._thread = tasks[name]
        self._call = ctypes.CDLL(None, use_errno=True).ptrace
        self._call.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]

    def __enter__(self) -> HeldThread:
        if self._call(self._SEIZE, self._thread, None, None) != 0:
            pytest.skip(f"needs a system that lets it hold a thread: {os.strerror(ctypes.get_errno())}")
        assert self._call(self._INTERRUPT, self._thread, None, None) == 0
        os.waitpid(self._thread, self._WALL)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._call(self._DETACH, self._thread, None, None) == 0


def test_nothing_is_shown_before_it_is_on_disk(tmp_path: Path) -> None:
    """Policy commit: while the journal's thread is held, neither a report nor an answer comes. Then both do."""
    with VenueProcess(config_file(tmp_path)) as venue:
        venue.start()
        with Wire(venue.orders_endpoint) as wire, Wire(venue.requests_endpoint) as asking:
            wire.log_on("FIRM1")
            enter(wire, client_order_id=1)
            asking.log_on("FIRM1")
            assert len(everything(asking, "OrdersRequest")) == 1
            with HeldThread(venue.pid, "ome-journal"):
                wire.say(new_order(client_order_id=2))
                deadline = time.monotonic() + 5
                while counter(tmp_path / "journal", "match.sequence") < 6:
                    assert time.monotonic() < deadline, "the order was not matched"
                asking.say(encode_message("OrdersRequest", request_id=7))
                asking.say(encode_message("SessionsRequest", request_id=8))
                asking.say(encode_message("InstrumentsRequest", request_id=9))
                assert asking.hears_nothing()
                assert wire.hears_nothing()
            answer, orders = hear_answer(asking, 7)
            assert (answer["engine_sequence"], [order["client_order_id"] for order in orders]) == (6, [1, 2])
            assert hear_answer(asking, 8)[1][0]["command_sequence"] == 2
            assert len(hear_answer(asking, 9)[1]) == 2
            assert wire.hear_report()["client_order_id"] == 2
        venue.stop()


# Bounds


@pytest.mark.slow
def test_a_flood_of_requests_takes_no_turn_of_an_order(tmp_path: Path) -> None:
    """Four connections ask for 256 orders 200 times each. Meanwhile 100 orders come, each after the answer to the one before: all are
    answered while most of the requests still wait for their turn, because the match thread is left alone between two of them.
    """
    with Server(venue_config(tmp_path, policy=Policy.ASYNC)) as server, Wire(server.orders_endpoint) as wire:
        wire.log_on("FIRM1")
        enter_many(wire, range(1, PAGE + 1))
        floods = [Wire(server.requests_endpoint) for _ in range(4)]
        try:
            for flood in floods:
                flood.log_on("FIRM1")
            for number in range(1, 201):
                for flood in floods:
                    flood.say(encode_message("OrdersRequest", request_id=number))
            begun = counter(tmp_path, "requests.answers")
            for number in range(1_000, 1_100):
                assert wire.ask(new_order(client_order_id=number))[1]["kind"] == EventKind.ACCEPTED
            answered = counter(tmp_path, "requests.answers") - begun
            assert answered < 400, answered
            for flood in floods:
                for number in range(1, 201):
                    assert len(hear_answer(flood, number)[1]) == PAGE
        finally:
            for flood in floods:
                flood.close()
        assert counter(tmp_path, "requests.undelivered") == 0
        assert counter(tmp_path, "requests.frames") == 804


def test_malformed_frames_are_refused_by_name_and_the_connection_goes_on(server: Server) -> None:
    """As on the address of orders; commands belong there, and requests here."""
    good = encode_message("OrdersRequest", request_id=7)
    with Wire(server.requests_endpoint) as asking, Wire(server.orders_endpoint) as wire:
        asking.log_on("FIRM1")
        wire.log_on("FIRM1")
        cases = [
            (b"", Reason.FRAME_EMPTY),
            (good[:7], Reason.FRAME_TRUNCATED),
            (good[:-1], Reason.FRAME_TRUNCATED),
            (good + b"\0", Reason.FRAME_TOO_LONG),
            (good + good, Reason.FRAME_TOO_LONG),
            (good[:4] + b"\0\0" + good[6:], Reason.UNKNOWN_SCHEMA),
            (good[:6] + b"\1\0" + good[8:], Reason.UNSUPPORTED_VERSION),
            (b"\x39\0" + good[2:], Reason.BAD_BLOCK_LENGTH),
            (new_order(), Reason.UNKNOWN_TEMPLATE),
            (encode_message("MassCancel"), Reason.UNKNOWN_TEMPLATE),
            (encode_message("RequestAnswer"), Reason.UNKNOWN_TEMPLATE),
            (encode_message("Heartbeat"), Reason.UNKNOWN_TEMPLATE),
        ]
        asking.numbers = False
        for frame, reason in cases:
            name, reject = asking.ask(frame)
            assert (name, Reason(reject["reason"])) == ("FrameReject", reason), frame
        for name, field in (("OrdersRequest", "order_id"), ("SessionsRequest", "since_ns"), ("OrderStatusRequest", "cursor")):
            assert request(asking, name, **{field: 1})[0]["reason"] == Reason.RESERVED_NOT_ZERO
        assert request(asking, "OrdersRequest")[0]["reason"] == Reason.NONE
        for name in ("OrdersRequest", "OrderStatusRequest", "InstrumentsRequest", "SessionsRequest", "FillsRequest"):
            assert wire.ask(encode_message(name))[1]["reason"] == Reason.UNKNOWN_TEMPLATE


def test_a_venue_may_have_no_address_of_requests(tmp_path: Path) -> None:
    """The answer to a logon says so."""
    with Server(venue_config(tmp_path, requests_endpoint="")) as server, Wire(server.orders_endpoint) as wire:
        assert server.requests_endpoint == ""
        assert wire.log_on("FIRM1")["requests_endpoint"] == b""


def test_a_venue_that_stops_says_goodbye_to_who_asks(tmp_path: Path) -> None:
    """Logout with the reason."""
    server = Server(venue_config(tmp_path))
    server.start()
    with Wire(server.requests_endpoint) as asking:
        asking.log_on("FIRM1")
        server.close()
        name, logout = asking.hear()
    assert (name, Reason(logout["reason"])) == ("Logout", Reason.ENGINE_STOPPED)


# The client and the command line


def test_the_client_gives_orders_fills_sessions_and_instruments_in_units(server: Server) -> None:
    """What does not belong to an order is None."""
    with Wire(server.orders_endpoint) as one, Wire(server.orders_endpoint) as two:
        session = one.log_on("FIRM1", 4)["session"]
        two.log_on("FIRM2")
        order_id = enter(one, client_order_id=5, price=12_345, quantity=30, options={"display_quantity": 10, "capacity": 1})
        enter(one, client_order_id=6, instrument=2, price=1_050, account=3, flags=CommandFlags.POST_ONLY)
        enter(two, side=Side.SELL, price=12_345, quantity=4)
        with Requests(server.requests_endpoint, "FIRM1") as requests:
            first, second = requests.orders()
            assert (first.order_id, first.symbol, str(first.price), str(first.leaves_quantity)) == (order_id, "AAPL", "123.45", "26")
            assert [str(lots) for lots in (first.displayed_quantity, first.peak_quantity, first.reserve_quantity)] == ["6", "10", "20"]
            assert (first.attributes.capacity, first.stop_price, first.deadline_ns) == (1, None, None)
            assert (second.symbol, str(second.price), second.account, second.is_post_only) == ("OIL", "105.0", 3, True)
            assert (second.peak_quantity, second.reserve_quantity) == (None, None)
            assert requests.orders("OIL") == requests.orders(2) == [second]
            assert requests.orders(session=session) == [first, second]
            assert requests.order(5).order == requests.order(order_id=order_id).order == first
            gone = requests.order(77)
            assert (gone.order, gone.reason) == (None, Reason.UNKNOWN_ORDER)
            (fill,) = requests.fills()
            assert (fill.symbol, str(fill.price), str(fill.last_quantity), fill.client_order_id) == ("AAPL", "123.45", "4", 5)
            assert requests.fills(FAR_NS) == []
            assert list(requests.instruments()) == ["AAPL", "OIL"]
            (mine,) = requests.sessions()
            assert (mine.session, mine.session_number, mine.is_connected, mine.report_sequence) == (session, 4, True, 4)


def test_the_commands_print_orders_and_fills_as_tables_and_as_json(server: Server) -> None:
    """`ome orders` and `ome fills`."""
    with Wire(server.orders_endpoint) as one, Wire(server.orders_endpoint) as two:
        one.log_on("FIRM1")
        two.log_on("FIRM2")
        order_id = enter(one, client_order_id=5, price=12_345, quantity=30)
        enter(two, side=Side.SELL, price=12_345, quantity=4)
    options = ["--requests", server.requests_endpoint, "--participant", "FIRM1"]

    def run(*words: str) -> str:
        done = CliRunner().invoke(main, [*words, *options])
        assert done.exit_code == 0, done.output
        return done.output

    head, row = run("orders", "--symbol", "AAPL").splitlines()
    assert head.split()[:3] == ["order", "id", "client"]
    assert row.split() == [str(order_id), "5", "AAPL", "buy", "123.45", "26", "4", "gtc"]
    (order,) = json.loads(run("orders", "--json"))
    assert (order["order_id"], order["price"], order["leaves_quantity"]) == (str(order_id), "123.45", "26")
    (fill,) = json.loads(run("fills", "--json"))
    assert (fill["order_id"], fill["last_quantity"], fill["kind"]) == (str(order_id), "4", "trade")
    assert len(run("fills").splitlines()) == 2
    assert len(run("fills", "--since", "2100-01-01T00:00:00+00:00").splitlines()) == 1


def test_questions_that_wait_have_a_bound(tmp_path: Path) -> None:
    """Connections that ask for fills and go leave their questions behind: beyond 64 it is BUSY. Of reports only the newest waits."""
    answers: list[tuple[int, bytes]] = []

    def answer(peer: int, frame: bytes) -> None:
        answers.append((peer, frame))

    waiting = fills.FillsArchive(tmp_path, Limits(), lambda: 0, answer, supervisor=Supervisor())
    for peer in range(1, 67):
        waiting.ask(fills.WantedFills(peer, 9, b"FIRM1", 0, 0))
    assert [peer for peer, _ in answers] == [65, 66]
    assert {decode_message(frame)[1]["reason"] for _, frame in answers} == {Reason.BUSY}
    given: list[int] = []
    archive = ReportArchive(None, Limits(), lambda request, _: given.append(request), supervisor=Supervisor())
    for request in range(1, 1_000):
        archive.ask(Wanted(request, 1, 1, 2))
    archive.start()
    deadline = time.monotonic() + 5
    while not given:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    archive.stop()
    assert given == [999]
