"""The life of a server: it starts once, every signal ends it cleanly, a fork takes nothing from it, and its status is true."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import struct
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner
from venues import VenueProcess, Wire, config_file, contents, journal_commands, new_order, venue_config

from ome.cli.admin import main as admin
from ome.cli.main import main as ome
from ome.cli.session_numbers import FIRST, LAST, SessionNumbersError, free_session_number
from ome.client import OrderEntry
from ome.config import ConfigError
from ome.enums import EventKind, Policy
from ome.instruments import Instrument
from ome.journal import JournalError
from ome.lock import DirectoryInUseError, hold, is_held
from ome.messages import Command, Limits
from ome.metrics import COUNTERS_FILE, Counters
from ome.publisher import Publisher
from ome.recovery import Replay
from ome.recovery.directory import hold as hold_journal, is_served
from ome.server import Server, ServerError
from ome.server.venue import Venue
from ome.transport import EndpointError, Listener, ListenerUse, QueueLimits

pytestmark = pytest.mark.slow

HERE = Path(__file__).resolve().parent
TIMEOUT_S = 30


def trades(server: Server) -> None:
    """It answers."""
    with OrderEntry(server.orders_endpoint, "FIRM1") as session:
        assert session.wait_for(session.buy("AAPL", 1, at="1.00")).kind is EventKind.ACCEPTED


def verdict(directory: Path) -> str:
    """How the journal ends."""
    with Replay(directory) as replay:
        replay.run()
        return replay.report.verdict.name


# ---- starts that fail ----


def eventfds() -> int:
    """How many event descriptors this process has."""
    found = 0
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found += "eventfd" in os.readlink(link)
    return found


def test_a_gateway_or_a_feed_without_memory_leaves_no_descriptor(tmp_path: Path) -> None:
    """A start that fails for want of memory gives back what it had."""
    with Server(venue_config(tmp_path)) as server, contextlib.closing(Listener("tcp://127.0.0.1:0")) as listener:
        assert server._venue is not None
        venue = server._venue.pointer
        limits = QueueLimits(part_bytes=1_024, queue_bytes=1 << 20, pool_bytes=4 << 20)
        pointer = listener.serve(venue, ListenerUse.FEED, connections=4, limits=limits)
        before = eventfds()
        with pytest.raises(MemoryError, match="no memory for the feed"):
            Publisher(venue, pointer, snapshot_levels=0, epoch=1, supervisor=server._supervisor)
        assert eventfds() == before


# ---- started twice ----


@pytest.mark.parametrize("policy", [Policy.MEMORY, Policy.COMMIT])
def test_a_server_that_runs_cannot_be_started_again_and_goes_on(tmp_path: Path, policy: Policy) -> None:
    """Neither by `start` nor by `with`: a clear exception, and nothing changes."""
    with Server(venue_config(tmp_path, policy=policy)) as server:
        endpoints = (server.orders_endpoint, server.feed_endpoint)
        before = contents(tmp_path)
        with pytest.raises(ServerError, match="a server starts once: make another Server"):
            server.start()
        with pytest.raises(ServerError, match="a server starts once"), server:
            pass
        assert (server.orders_endpoint, server.feed_endpoint) == endpoints
        assert contents(tmp_path) == before
        trades(server)


def test_a_server_that_was_closed_or_did_not_start_cannot_be_started_and_another_one_can(tmp_path: Path) -> None:
    """After an end, another object is another start; and the one that ended still answers what can be asked."""
    server = Server(venue_config(tmp_path))
    assert server.close() is None
    server.start()
    with pytest.raises(EndpointError):
        (failed := Server(venue_config(tmp_path / "other", orders_endpoint=server.orders_endpoint))).start()
    assert server.close() is not None
    for ended in (server, failed):
        with pytest.raises(ServerError, match="a server starts once"):
            ended.start()
        assert ended.failure is None
        assert ended.wait(0.0) is False
        ended.stop()
        assert ended.wait() is True
        assert ended.close() is None
    with Server(venue_config(tmp_path)) as another:
        assert another.wait(0.0) is False
        trades(another)


def test_of_many_starts_at_once_one_starts(tmp_path: Path) -> None:
    """Threads that start the same object: one does, the others raise."""
    server = Server(venue_config(tmp_path))
    outcomes: list[str] = []
    barrier = threading.Barrier(8)

    def start() -> None:
        barrier.wait()
        try:
            server.start()
            outcomes.append("started")
        except ServerError:
            outcomes.append("refused")

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["refused"] * 7 + ["started"]
    trades(server)
    server.close()


def test_a_second_server_of_this_process_on_a_directory_is_refused(tmp_path: Path) -> None:
    """As when the cell of a notebook is run again: the message says that it is this process that has it."""
    with Server(venue_config(tmp_path)) as server:
        with pytest.raises(ServerError, match="in use by a server of this process"):
            Server(venue_config(tmp_path)).start()
        trades(server)


# ---- signals ----


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_each_signal_ends_a_venue_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    """The journal is sealed, and what is printed at the end is what the next start finds."""
    with VenueProcess(config_file(tmp_path)) as venue:
        venue.start()
        with OrderEntry(venue.orders_endpoint, "FIRM1") as session:
            session.wait_for(session.buy("AAPL", 10, at="1.00"))
        stopped = venue.stop(number)
        assert verdict(tmp_path / "journal") == "CLEAN"
        assert venue.start()["recovered_commands"] == stopped["sequence"]
        venue.stop()


def test_more_signals_during_a_stop_do_not_disturb_it(tmp_path: Path) -> None:
    """Whichever, however many, whenever they come."""
    with VenueProcess(config_file(tmp_path)) as venue:
        venue.start()
        with OrderEntry(venue.orders_endpoint, "FIRM1") as session:
            session.wait_for(session.buy("AAPL", 10, at="1.00"))
        for _ in range(10):
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                venue.send(number)
        stopped = venue.stop()
        assert stopped["sequence"] > 0
    assert verdict(tmp_path / "journal") == "CLEAN"


def test_a_venue_under_nohup_does_not_hear_that_its_terminal_is_gone(tmp_path: Path) -> None:
    """SIGHUP stays ignored where it was; SIGTERM ends it."""
    with VenueProcess(config_file(tmp_path), under=("nohup",)) as venue:
        venue.start()
        venue.send(signal.SIGHUP)
        with OrderEntry(venue.orders_endpoint, "FIRM1") as session:
            session.wait_for(session.buy("AAPL", 10, at="1.00"))
        venue.stop()


def run_script(script: str, *arguments: object) -> str:
    """What a program prints that ends by itself, with 0 and in time."""
    command = [sys.executable, "-c", script, *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(HERE)}
    ended = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, env=environment, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


STOP_ANYWHERE = """
import sys
from ome.enums import Policy
from ome.server import Server
from venues import venue_config

server = Server(venue_config(None, policy=Policy.MEMORY))
server.start()
lines = 0

def interrupt(frame, event, argument):
    global lines
    lines += 1
    server.stop()
    return interrupt

sys.settrace(interrupt)
is_told = server.wait(20)
sys.settrace(None)
assert is_told
server.close()
print("interrupted at", lines, "lines")
"""


def test_stop_may_interrupt_wait_at_any_line() -> None:
    """As a signal handler does: it takes no lock that the interrupted code may hold. It would hang otherwise."""
    assert run_script(STOP_ANYWHERE).startswith("interrupted at")


# ---- forks ----

FORKING = """
import multiprocessing, os, signal, sys
from pathlib import Path
from ome.server import Server
from venues import venue_config

with Server(venue_config(Path(sys.argv[1]))) as server:
    if sys.argv[2] == "os.fork":
        child = os.fork()
        if child == 0:
            signal.pause()
    else:
        process = multiprocessing.get_context("fork").Process(target=signal.pause)
        process.start()
        child = process.pid
    print(child, flush=True)
    signal.pause()
"""


@pytest.mark.parametrize("kind", ["os.fork", "multiprocessing"])
def test_a_forked_child_that_outlives_a_killed_venue_does_not_keep_its_directory(tmp_path: Path, kind: str) -> None:
    """The child inherits every descriptor, and no lock: the restart goes on where the venue was killed."""
    environment = os.environ | {"PYTHONPATH": str(HERE)}
    command = [sys.executable, "-c", FORKING, str(tmp_path), kind]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        try:
            assert is_served(tmp_path)
            with pytest.raises(ServerError, match="in use by another process"):
                Server(venue_config(tmp_path)).start()
            parent.kill()
            parent.wait()
            os.kill(child, 0)
            assert not is_held(tmp_path)
            with Server(venue_config(tmp_path)) as server:
                trades(server)
        finally:
            os.kill(child, signal.SIGKILL)


CHILD_MISUSES = """
import os, sys
from pathlib import Path
from ome.client import OrderEntry
from ome.server import Server, ServerError
from venues import venue_config

pid = os.getpid()
said = []
with Server(venue_config(Path(sys.argv[1]))) as server:
    child = os.fork()
    if child == 0:
        for call in (server.start, server.wait):
            try:
                call()
            except ServerError as error:
                said.append("made by fork" in str(error))
        server.stop()
        said.append(server.close() is None)
    else:
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert server.wait(0.0) is False
        with OrderEntry(server.orders_endpoint, "FIRM1") as session:
            session.wait_for(session.buy("AAPL", 1, at="1.00"))
if os.getpid() != pid:
    os._exit(0 if said == [True] * 3 else 1)
"""


def test_a_forked_child_ends_nothing_of_its_parents_server(tmp_path: Path) -> None:
    """It leaves the `with` block too: the parent's venue goes on, and its journal is whole."""
    run_script(CHILD_MISUSES, tmp_path)
    assert verdict(tmp_path) == "CLEAN"


def test_a_lock_is_held_once_and_by_one(tmp_path: Path) -> None:
    """Also within a process; whoever only looks does not keep a start out."""
    assert not is_held(tmp_path)
    with hold(tmp_path):
        assert is_held(tmp_path)
        with pytest.raises(DirectoryInUseError), hold(tmp_path):
            pass
        with pytest.raises(JournalError), hold_journal(tmp_path):
            pass
        assert is_held(tmp_path), "the attempt took nothing away"
    assert not is_held(tmp_path)
    looking = threading.Event()

    def look() -> None:
        while not looking.is_set():
            is_held(tmp_path)

    thread = threading.Thread(target=look)
    thread.start()
    for _ in range(20):
        with hold(tmp_path):
            pass
    looking.set()
    thread.join()


# ---- status ----


def test_a_killed_venue_whose_process_number_is_anothers_is_not_shown_as_running(tmp_path: Path) -> None:
    """The lock decides, not the number."""
    directory = tmp_path / "journal"
    with VenueProcess(config_file(tmp_path)) as venue:
        venue.start()
        assert is_served(directory)
        venue.kill()
    data = bytearray((directory / COUNTERS_FILE).read_bytes())
    data[32:40] = struct.pack("<Q", os.getpid())  # the file's layout: csrc/base/ome_counters.h
    (directory / COUNTERS_FILE).write_bytes(data)
    with Counters(directory) as counters:
        assert counters.pid == os.getpid()
        assert not counters.is_running()
    assert CliRunner().invoke(admin, ["stats", str(directory)]).output.startswith("stopped")
    assert not is_served(directory)


def test_status_is_true_before_the_first_command_after_a_restart(tmp_path: Path) -> None:
    """Levels, the ring and how far the feed is are those of the engine that was recovered."""
    with Server(venue_config(tmp_path)) as server, Wire(server.orders_endpoint) as wire:
        wire.log_on("FIRM1")
        for price in (100, 101, 102):
            wire.say(new_order(price=price, client_order_id=price))
            wire.hear_report()
        with Counters(tmp_path) as counters:
            before = counters.values()
    with Server(venue_config(tmp_path)) as server:
        with Counters(tmp_path) as counters:
            values = counters.values()
        assert values["match.levels"] == before["match.levels"] == 3
        last = before["match.sequence"]
        for label in ("match.sequence", "journal.sequence", "ring.cursor", "feed.sequence"):
            assert values[label] == last, label
        assert values["events.number"] == before["match.events"]
        line = CliRunner().invoke(admin, ["stats", str(tmp_path), "-i", "0.01", "-n", "1", "--json"])
        assert json.loads(line.output)["ring"] == 0


# ---- instruments of a venue that exists ----

AAPL, APPL, OIL = Instrument("AAPL", tick="0.01"), Instrument("APPL", tick="0.01"), Instrument("OIL", tick="0.5", price_decimals=1)


def test_a_misspelt_symbol_does_not_become_an_instrument(tmp_path: Path) -> None:
    """The start is refused, the message has the symbol that may be meant, and nothing changes; asked for, it is added."""
    with Server(venue_config(tmp_path, instruments=(AAPL, OIL))):
        pass
    before = contents(tmp_path)
    with pytest.raises(ConfigError, match=r"found 'APPL'.*is APPL to be AAPL\?.*--add-instruments"):
        Server(venue_config(tmp_path, instruments=(APPL, OIL))).start()
    assert contents(tmp_path) == before
    with Server(venue_config(tmp_path, instruments=(APPL, OIL), add_instruments=True)) as server:
        assert server.summary is not None
        assert server.summary.instruments == 3


def test_a_first_start_that_was_cut_short_is_completed_by_the_same_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed between two definitions: the next start with the same configuration defines the rest without being asked."""
    many = tuple(Instrument(f"I{number:03}") for number in range(50))
    sent: list[Command] = []
    submit_one = Venue.submit_one

    def cut_short(venue: Venue, command: Command) -> bool:
        sent.append(command)
        if len(sent) > 20:
            raise KeyboardInterrupt
        return submit_one(venue, command)

    with monkeypatch.context() as patch:
        patch.setattr(Venue, "submit_one", cut_short)
        with pytest.raises(KeyboardInterrupt):
            Server(venue_config(tmp_path, instruments=many)).start()
    assert 0 < len(journal_commands(tmp_path)) < 51
    with Server(venue_config(tmp_path, instruments=many)) as server:
        assert server.summary is not None
        assert server.summary.instruments == 50


def test_a_run_without_configuration_adds_nothing_to_a_venue_that_exists(tmp_path: Path) -> None:
    """A new directory gets three instruments, once; an existing venue keeps its own."""
    assert [_run_for_a_moment(tmp_path / "new")["summary"]["instruments"] for _ in range(2)] == [3, 3]
    with Server(venue_config(tmp_path / "old", instruments=(OIL,), limits=Limits())):
        pass
    assert _run_for_a_moment(tmp_path / "old")["summary"]["instruments"] == 1


def _run_for_a_moment(directory: Path) -> dict[str, dict[str, int]]:
    """`ome run` without a configuration, until it is ready; what it printed."""
    options = ["--directory", str(directory), "--orders", "tcp://127.0.0.1:0", "--feed", "tcp://127.0.0.1:0", "--requests", ""]
    command = [sys.executable, "-c", "from ome.cli.main import main; main()", "run", "--json", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        started: dict[str, dict[str, int]] = json.loads(process.stdout.readline())
        process.terminate()
        process.stdout.read()
        assert process.wait(TIMEOUT_S) == 0
    return started


# ---- ome submit ----


def test_submit_takes_over_no_session_of_its_participant_unless_it_is_asked(tmp_path: Path) -> None:
    """It says what becomes of the order, the session that runs goes on; with --takeover it is taken over."""
    with Server(venue_config(tmp_path)) as server, Wire(server.orders_endpoint) as wire:
        assert wire.log_on("TRADER")["session"] == 1
        arguments = ["submit", "buy", "AAPL", "10", "--at", "1.00", "--orders", server.orders_endpoint]
        sent = CliRunner().invoke(ome, arguments)
        assert sent.exit_code == 0, sent.output
        assert sent.output.startswith("accepted  AAPL buy price 1.00 last 0 leaves 10")
        wire.say(new_order(client_order_id=7))
        assert wire.hear_report()["client_order_id"] == 7
        sold = CliRunner().invoke(ome, ["submit", "sell", "AAPL", "4", "--tif", "ioc", "--participant", "OTHER", *arguments[4:]])
        assert sold.exit_code == 0, sold.output
        assert [line.split()[0] for line in sold.output.splitlines()] == ["accepted", "trade"]
        named = CliRunner().invoke(ome, [*arguments, "--session", "0"])
        assert named.exit_code == 1
        assert "SESSION_IN_USE" in named.output
        asked = CliRunner().invoke(ome, [*arguments, "--session", "0", "--takeover"])
        assert asked.exit_code == 0, asked.output
        assert wire.hear()[0] == "Logout"


def test_submit_to_a_venue_that_does_not_answer_fails(tmp_path: Path) -> None:
    """It says so, exit 1."""
    with Server(venue_config(tmp_path)) as server:
        endpoint = server.orders_endpoint
    result = CliRunner().invoke(ome, ["submit", "buy", "AAPL", "10", "--orders", endpoint, "--timeout", "0.1"])
    assert (result.exit_code, type(result.exception)) == (1, SystemExit)
    assert "no connection" in result.output


def test_commands_that_run_at_once_have_session_numbers_of_their_own() -> None:
    """The lowest that is free, by endpoint and participant; an end to them is said."""
    with free_session_number("tcp://a:1", "FIRM1") as first, free_session_number("tcp://a:1", "FIRM1") as second:
        assert (first, second) == (FIRST, FIRST + 1)
        with free_session_number("tcp://a:1", "FIRM2") as other, free_session_number("tcp://a:2", "FIRM1") as elsewhere:
            assert (other, elsewhere) == (FIRST, FIRST)
    taken = [free_session_number("tcp://a:1", "FIRM1") for _ in range(FIRST, LAST + 1)]
    assert [one.__enter__() for one in taken] == list(range(FIRST, LAST + 1))
    with pytest.raises(SessionNumbersError, match="--session NUMBER"), free_session_number("tcp://a:1", "FIRM1"):
        pass
    for one in taken:
        one.__exit__(None, None, None)
    with free_session_number("tcp://a:1", "FIRM1") as number:
        assert number == FIRST
