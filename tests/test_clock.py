"""The venue's time: a machine's clock that jumps does no harm, an operator decides, and a time that the journal has is put right."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import time as dtime
from pathlib import Path

import pytest
from click.testing import CliRunner
from venues import journal_commands, venue_config

from ome.cli.admin import main as admin
from ome.client import OrderEntry
from ome.clock import CLOCK_REQUEST_FILE, Clock, ClockView, Schedule, read_clocks
from ome.enums import CommandFlags, CommandKind, EventKind, Reason
from ome.lock import ask
from ome.messages import Command, ExpireOrders
from ome.metrics import Counters, CountersError
from ome.server import Server, ServerError

SECOND = 1_000_000_000
HOUR = 3_600 * SECOND
DAY = 24 * HOUR
DEADLINE_S = 20.0


class Machine:
    """A machine whose clock is wrong by as much as the test says."""

    def __init__(self, error_ns: int = 0) -> None:
        self.error_ns = error_ns

    def clocks(self) -> tuple[int, int]:
        """As ome.clock.read_clocks."""
        steady_ns, wall_ns = read_clocks()
        return steady_ns, wall_ns + self.error_ns


def wait_for(condition: Callable[[], object]) -> None:
    """Until it is true."""
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.01)


def is_held(directory: Path) -> bool:
    """What the counters say."""
    with Counters(directory) as counters:
        return counters.values()["clock.is_held"] == 1


def accept(directory: Path, machine: Machine) -> None:
    """What `ome-admin clock --accept` does on that machine."""
    ask(directory / CLOCK_REQUEST_FILE, str(time.time_ns() + machine.error_ns), DEADLINE_S)


def enter(session: OrderEntry, lifetime_ns: int) -> tuple[EventKind, Reason]:
    """The answer to an order that lives so long from the true time on."""
    report = session.wait_for(session.buy("AAPL", 1, at="1.00", expires=time.time_ns() + lifetime_ns))
    return report.kind, report.reason


@pytest.mark.parametrize("error_ns", [3_650 * DAY, -3_650 * DAY, 2 * SECOND, -2 * SECOND])
def test_a_clock_that_is_wrong_for_a_moment_does_no_harm(tmp_path: Path, error_ns: int, caplog: pytest.LogCaptureFixture) -> None:
    """No order expires, none is refused, no day ends, meanwhile, afterwards and after a restart; the log warns once each way, counted."""
    machine = Machine()
    with (
        Server(venue_config(tmp_path, day_end=dtime(0, 0)), clocks=machine.clocks) as server,
        OrderEntry(server.orders_endpoint, "FIRM1") as session,
        caplog.at_level(logging.WARNING),
    ):
        assert enter(session, HOUR) == (EventKind.ACCEPTED, Reason.NONE)
        assert session.wait_for(session.buy("AAPL", 1, at="1.00", tif="day")).kind is EventKind.ACCEPTED
        machine.error_ns = error_ns
        wait_for(lambda: is_held(tmp_path))
        assert enter(session, HOUR) == (EventKind.ACCEPTED, Reason.NONE)
        machine.error_ns = 0
        wait_for(lambda: not is_held(tmp_path))
        with Counters(tmp_path) as counters:
            assert counters.values()["clock.jumps"] == 1
        wait_for(lambda: len(caplog.records) > 1)  # it is logged a moment after it is counted
        warned, agreed = (record.getMessage() for record in caplog.records)
        assert f"s {'ahead of' if error_ns > 0 else 'behind'} the venue's time: it is not followed" in warned
        assert "agrees with the venue's time again" in agreed
        assert session.receive().size == 0, "nothing expired"
    with Server(venue_config(tmp_path)) as server, OrderEntry(server.orders_endpoint, "FIRM1") as session:
        assert server.summary is not None
        assert server.summary.clock_behind_ns == 0
        assert enter(session, HOUR) == (EventKind.ACCEPTED, Reason.NONE)
    times = journal_commands(tmp_path)["timestamp_ns"]
    assert abs(int(times.max()) - time.time_ns()) < HOUR
    assert CommandKind.EXPIRE_ORDERS not in journal_commands(tmp_path)["kind"].tolist()


def test_an_accepted_later_time_expires_what_is_over_and_ends_the_day(tmp_path: Path) -> None:
    """The operator says that the clock is right: dated orders that are over by then, and DAY orders, expire at once; later ones live."""
    machine = Machine()
    with (
        Server(venue_config(tmp_path, day_end=dtime(0, 0)), clocks=machine.clocks) as server,
        OrderEntry(server.orders_endpoint, "FIRM1") as session,
    ):
        over = session.buy("AAPL", 1, at="1.00", expires=time.time_ns() + HOUR)
        day = session.buy("AAPL", 1, at="1.00", tif="day")
        later = session.buy("AAPL", 1, at="1.00", expires=time.time_ns() + 10 * DAY)
        for order in (over, day, later):
            assert session.wait_for(order).kind is EventKind.ACCEPTED
        machine.error_ns = 2 * DAY
        wait_for(lambda: is_held(tmp_path))
        accept(tmp_path, machine)
        assert not is_held(tmp_path)
        for order in (over, day):
            report = session.wait_for(order)
            assert (report.kind, report.reason) == (EventKind.CANCELLED, Reason.EXPIRED)
        assert enter(session, DAY) == (EventKind.REJECTED, Reason.ALREADY_EXPIRED)
        assert enter(session, 3 * DAY) == (EventKind.ACCEPTED, Reason.NONE)
        assert session.receive().size == 0, "the later one lives"


def test_a_logon_is_told_the_venues_time(tmp_path: Path) -> None:
    """The time that commands are stamped with, which never goes back by itself: clients make order ids of it. Not the machine's clock."""
    wrong = Machine(10 * DAY)
    with Server(venue_config(tmp_path), clocks=wrong.clocks) as server:
        wait_for(lambda: is_held(tmp_path))
        accept(tmp_path, wrong)
        with OrderEntry(server.orders_endpoint, "FIRM1") as session:
            assert abs(session.logon.server_time_ns - time.time_ns() - 10 * DAY) < HOUR


def test_a_time_far_ahead_in_the_journal_is_reported_and_put_right_by_the_operator(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The way out of OPERATING.md: start, see how far the clock is behind, accept it; a restart needs nothing more."""
    wrong = Machine(10 * DAY)
    with Server(venue_config(tmp_path), clocks=wrong.clocks) as server, OrderEntry(server.orders_endpoint, "FIRM1") as session:
        wait_for(lambda: is_held(tmp_path))
        accept(tmp_path, wrong)
        assert enter(session, DAY) == (EventKind.REJECTED, Reason.ALREADY_EXPIRED)
        assert enter(session, 20 * DAY) == (EventKind.ACCEPTED, Reason.NONE)
    with (
        caplog.at_level(logging.WARNING),
        Server(venue_config(tmp_path)) as server,
        OrderEntry(server.orders_endpoint, "FIRM1") as session,
    ):
        assert server.summary is not None
        assert 10 * DAY - HOUR < server.summary.clock_behind_ns <= 10 * DAY
        assert enter(session, DAY) == (EventKind.REJECTED, Reason.ALREADY_EXPIRED)
        shown = CliRunner().invoke(admin, ["clock", str(tmp_path)])
        assert shown.exit_code == 0, shown.output
        assert "s behind the venue's time: NOT FOLLOWED" in shown.output
        refused = CliRunner().invoke(admin, ["clock", str(tmp_path), "--accept"], input="n\n")
        assert refused.exit_code == 1
        assert is_held(tmp_path), "asked, and answered no"
        accepted = CliRunner().invoke(admin, ["clock", str(tmp_path), "--accept", "--yes"])
        assert accepted.exit_code == 0, accepted.output
        assert "followed" in accepted.output
        assert "the machine's clock was accepted" in caplog.text
        assert enter(session, DAY) == (EventKind.ACCEPTED, Reason.NONE)
    with Server(venue_config(tmp_path)) as server, OrderEntry(server.orders_endpoint, "FIRM1") as session:
        assert server.summary is not None
        assert server.summary.clock_behind_ns == 0
        assert enter(session, DAY) == (EventKind.ACCEPTED, Reason.NONE)
    assert CliRunner().invoke(admin, ["verify", str(tmp_path), "--reference"]).exit_code == 0
    flags = journal_commands(tmp_path)["flags"][journal_commands(tmp_path)["kind"] == CommandKind.EXPIRE_ORDERS].tolist()
    assert flags.count(int(CommandFlags.SET_TIME)) == 2


def test_a_clock_that_is_not_the_one_that_was_seen_is_not_accepted(tmp_path: Path) -> None:
    """It has jumped again since, or the request is no time: nothing changes, and the command says so."""
    machine = Machine()
    with Server(venue_config(tmp_path), clocks=machine.clocks):
        machine.error_ns = DAY
        wait_for(lambda: is_held(tmp_path))
        for text in (str(time.time_ns()), "", "soon"):
            ask(tmp_path / CLOCK_REQUEST_FILE, text, DEADLINE_S)
            assert is_held(tmp_path)
        refused = CliRunner().invoke(admin, ["clock", str(tmp_path), "--accept", "--yes"])
        assert refused.exit_code == 1
        assert "did not accept" in refused.output


def test_without_a_server_there_is_no_clock_to_accept(tmp_path: Path) -> None:
    """One line, exit 1."""
    with Server(venue_config(tmp_path)):
        pass
    result = CliRunner().invoke(admin, ["clock", str(tmp_path), "--accept", "--yes"])
    assert (result.exit_code, type(result.exception)) == (1, SystemExit)
    assert "no server that runs" in result.output
    with pytest.raises(CountersError):
        Counters(tmp_path / "nowhere")


def test_a_start_does_not_expire_orders_by_a_clock_that_may_be_wrong(tmp_path: Path) -> None:
    """A month or more after the last command, with deadlines in between: refused, unless the clock is said to be right."""
    early = Machine(-40 * DAY)
    with Server(venue_config(tmp_path), clocks=early.clocks) as server, OrderEntry(server.orders_endpoint, "FIRM1") as session:
        wait_for(lambda: is_held(tmp_path))
        accept(tmp_path, early)
        assert enter(session, -39 * DAY) == (EventKind.ACCEPTED, Reason.NONE)
    with pytest.raises(ServerError, match=r"orders with a deadline would expire.*--accept-clock"):
        Server(venue_config(tmp_path)).start()
    assert CommandKind.EXPIRE_ORDERS not in journal_commands(tmp_path)["kind"][-1:].tolist()
    with Server(venue_config(tmp_path), accept_clock=True) as server, OrderEntry(server.orders_endpoint, "FIRM1") as session:
        assert enter(session, HOUR) == (EventKind.ACCEPTED, Reason.NONE)
    events = CliRunner().invoke(admin, ["dump", str(tmp_path), "--events"])
    assert "cancelled" in events.output
    with Server(venue_config(tmp_path)):
        pass


def test_day_ends_are_looked_for_anew_when_the_time_is_set() -> None:
    """Later over an end: it ends, once. Earlier: the end that comes next is that of the earlier day. The engine is told each time."""
    noon = 1_700_000_000 * SECOND // DAY * DAY + DAY // 2
    sent: list[tuple[int, int]] = []

    def submit(command: Command) -> bool:
        assert isinstance(command, ExpireOrders)
        sent.append((command.cutoff_ns, command.flags))
        return True

    schedule = Schedule(submit, lambda: 0, day_end=dtime(12, 0), now_ns=noon - HOUR)
    assert schedule.set_time(noon - HOUR, noon + 3 * DAY)
    assert schedule.tick(noon + 3 * DAY + 1)
    assert sent == [(noon + 3 * DAY, CommandFlags.SET_TIME | CommandFlags.END_OF_DAY)]
    assert schedule.set_time(noon + 3 * DAY, noon - HOUR)
    assert schedule.tick(noon - 1)
    assert sent[1:] == [(noon - HOUR, CommandFlags.SET_TIME)]
    assert schedule.tick(noon)
    assert sent[2:] == [(noon, CommandFlags.END_OF_DAY)]


def test_the_schedule_follows_the_venues_time_and_not_the_machines(tmp_path: Path) -> None:
    """What is looked at each time is the time that the venue says."""
    seen: list[int] = []

    class Spy(Schedule):
        def tick(self, now_ns: int) -> bool:
            seen.append(now_ns)
            return len(seen) < 2

    view = ClockView(time_ns=77, difference_ns=DAY, jumps=1, is_held=True)
    spy = Spy(lambda command: True, lambda: 0, day_end=None, now_ns=0)
    clock = Clock(spy, lambda steady_ns, wall_ns: view, lambda steady_ns, wall_ns: view, directory=tmp_path, read=lambda: (1, 2))
    assert [clock.look(), clock.look()] == [True, False], "False where the venue has stopped"
    assert seen == [77, 77]
