"""Background threads: what fails is tried again and can be seen; what the venue depends on stops it when it goes on failing."""

from __future__ import annotations

import errno
import json
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from venues import Wire, new_order, venue_config

import ome.recovery.directory as directory_module
import ome.recovery.follower as follower_module
from ome import supervision
from ome._native import lib
from ome.cli.admin import main as admin
from ome.enums import Policy
from ome.journal import JournalError
from ome.metrics import Counters, thread_statuses
from ome.recovery.snapshots import REQUEST_FILE, make_snapshot, snapshot_sequences
from ome.server import Server
from ome.supervision import THREADS_FILE, Supervisor, ThreadFailedError, ThreadStatus

DEADLINE_S = 20.0
THREADS = {
    "ome-gateway",
    "ome-port",
    "ome-archive",
    "ome-audit",
    "ome-requests",
    "ome-fills",
    "ome-publisher",
    "ome-follower",
    "ome-clock",
    "ome-checker",
}


@pytest.fixture(autouse=True)
def _short_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervision, "_DELAY_MIN_S", 0.001)
    monkeypatch.setattr(supervision, "_DELAY_MAX_S", 0.01)


def wait_for(condition: Callable[[], object]) -> None:
    """Until it is true."""
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.005)


class Work:
    """Fails as often as the test says, and counts."""

    def __init__(self, *failures: BaseException) -> None:
        self.failures = list(failures)
        self.done = 0

    def __call__(self) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.done += 1


def test_what_fails_is_logged_counted_and_tried_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever it raises; when it works again the status says so, and keeps count and last error. The file has what the property says."""
    told: list[tuple[int, int]] = []
    supervisor = Supervisor(tmp_path, lambda failing, failures: told.append((failing, failures)))
    work = Work(OSError(errno.EMFILE, "Too many open files"), MemoryError(), SystemExit("no"))
    with caplog.at_level(logging.WARNING):
        thread = supervisor.thread("ome-test", work, period_s=0.001)
        assert supervisor.statuses == (ThreadStatus(name="ome-test"),)
        thread.start()
        wait_for(lambda: work.done > 2)
    (status,) = supervisor.statuses
    assert (status.state, status.failures, status.last_error) == ("running", 3, "SystemExit: no")
    assert status.last_error_time_ns > 0
    assert thread_statuses(tmp_path) == supervisor.statuses
    thread.stop()
    assert [status.state for status in supervisor.statuses] == ["stopped"]
    assert supervisor.error is None
    assert told[0] == (0, 0)
    assert (1, 1) in told
    assert told[-1] == (0, 3)
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 4
    assert messages[0] == "thread ome-test failed, 1 in a row: OSError: [Errno 24] Too many open files; tried again"
    assert messages[-1] == "thread ome-test works again after 3 failures"


def test_a_thread_that_the_venue_depends_on_is_given_up_after_so_many_failures_in_a_row() -> None:
    """Not before: what works in between begins the count anew."""
    supervisor = Supervisor()
    work = Work(ValueError("a"))
    thread = supervisor.thread("ome-test", work, period_s=0.001, attempts=3)
    thread.start()
    wait_for(lambda: work.done > 0)
    assert supervisor.error is None
    work.failures = [ValueError("x" * 10_000)] * 3
    wait_for(lambda: supervisor.error)
    assert isinstance(supervisor.error, ThreadFailedError)
    assert len(str(supervisor.error)) < 1_000
    assert [(status.state, status.failures) for status in supervisor.statuses] == [("failed", 4)]
    thread.stop()


def test_a_thread_ends_where_its_work_says_so_and_stopping_one_that_waits_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """False is the end; a delay after a failure is no reason for a stop to take long."""
    monkeypatch.setattr(supervision, "_DELAY_MIN_S", 3_600.0)
    monkeypatch.setattr(supervision, "_DELAY_MAX_S", 3_600.0)
    supervisor = Supervisor()
    supervisor.thread("ome-ends", lambda: False, period_s=0.001).start()
    wait_for(lambda: supervisor.statuses[0].state == "stopped")
    failing = supervisor.thread("ome-waits", Work(OSError("no")), period_s=0.001)
    failing.start()
    wait_for(lambda: supervisor.statuses[1].state == "retrying")
    failing.stop()
    assert supervisor.statuses[1].state == "stopped"
    supervisor.thread("ome-never-started", lambda: None, period_s=1.0).stop()


def test_a_status_that_cannot_be_written_or_read_stops_nothing(tmp_path: Path) -> None:
    """A directory in its place; a file that is something else."""
    (tmp_path / THREADS_FILE).mkdir()
    Supervisor(tmp_path).update(ThreadStatus(name="ome-test"))
    assert thread_statuses(tmp_path) == ()
    for text in ("", "[]", "[1]", '[{"name": 1, "more": 2}]', json.dumps({"a": 1})):
        (tmp_path / "other").mkdir(exist_ok=True)
        (tmp_path / "other" / THREADS_FILE).write_text(text, encoding="utf-8")
        assert thread_statuses(tmp_path / "other") == ()


def test_one_failed_look_into_the_directory_does_not_end_snapshots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The follower fails, which `stats` shows, and works again when it can."""
    fails = threading.Event()

    def look(directory: Path, kind: str = "journal") -> list[Path]:
        if fails.is_set():
            raise OSError(errno.EMFILE, "Too many open files")
        return directory_module.segments(directory, kind)

    monkeypatch.setattr(follower_module, "segments", look)
    with Server(venue_config(tmp_path, gateway="process")) as server, Wire(server.orders_endpoint) as wire:
        wire.log_on("FIRM1")
        fails.set()
        with Counters(tmp_path) as counters:
            wait_for(lambda: counters.values()["threads.failing"] == 1)
            shown = CliRunner().invoke(admin, ["stats", str(tmp_path)])
            assert "A THREAD FAILS" in shown.output
            assert any("ome-follower" in line and "retrying" in line and "Too many open" in line for line in shown.output.splitlines())
            as_json = json.loads(CliRunner().invoke(admin, ["stats", str(tmp_path), "--json"]).output)
            assert {thread["name"] for thread in as_json["threads"]} == THREADS
            wire.say(new_order())
            wire.hear_report()
            fails.clear()
            wait_for(lambda: counters.values()["threads.failing"] == 0)
            assert counters.values()["threads.failures"] > 0
        assert make_snapshot(tmp_path, DEADLINE_S).sequence >= 5
        assert {thread.name: thread.state for thread in server.threads} == dict.fromkeys(THREADS, "running")


@pytest.mark.parametrize(("name", "call"), [("gateway", "ome_gateway_run"), ("publisher", "ome_feed_run")])
@pytest.mark.parametrize("kind", ["raises", "fails"])
def test_a_venue_stops_where_its_gateway_or_its_publisher_ends(monkeypatch: pytest.MonkeyPatch, name: str, call: str, kind: str) -> None:
    """Whatever ends it, an exception in Python or a call that fails: `wait` raises, and the message says which and why."""

    class Broken:
        """The library, but for one call."""

        def __getattr__(self, wanted: str) -> object:
            return self.fail if wanted == call else getattr(lib, wanted)

        def fail(self, *_: object) -> int:
            if kind == "raises":
                raise MemoryError("no memory")
            return int(lib.OME_GATEWAY_STOPPED if name == "gateway" else lib.OME_STOPPED)

    server = Server(venue_config(None, policy=Policy.MEMORY, gateway="thread"))
    server.start()
    monkeypatch.setattr(f"ome.{name}.lib", Broken())
    found = "MemoryError: no memory" if kind == "raises" else f"listener in {name}"
    with pytest.raises(ThreadFailedError, match=f"thread ome-{name}: found .{found}"):
        server.wait(DEADLINE_S)
    assert {thread.name: thread.state for thread in server.threads}[f"ome-{name}"] == "failed"
    monkeypatch.undo()
    server.close()


@pytest.mark.parametrize("name", ["ome-clock", "ome-storage"])
def test_a_venue_stops_where_a_thread_that_it_depends_on_goes_on_failing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """`wait` raises, and the message names the thread and its last error."""
    server = Server(venue_config(tmp_path, low_water_bytes=1))
    server.start()

    def fail(*_: object) -> None:
        raise RuntimeError("something is broken")

    monkeypatch.setattr("ome.clock.Clock._report" if name == "ome-clock" else "ome.storage.StorageWatch._free_bytes", fail)
    with pytest.raises(ThreadFailedError, match=f"thread {name}: found 'RuntimeError: something is broken'"):
        server.wait(DEADLINE_S)
    monkeypatch.undo()
    server.close()


def test_a_snapshot_that_is_asked_for_in_vain_ends_with_a_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No answer in time: said, with what to look at, and nothing is asked for any more. A server that ends meanwhile: said at once."""
    with Server(venue_config(tmp_path)) as server, Wire(server.orders_endpoint) as wire:
        wire.log_on("FIRM1")

        def fail(directory: Path, **_: object) -> None:
            raise OSError(errno.EMFILE, "Too many open files")

        monkeypatch.setattr(follower_module, "Replay", fail)
        result = CliRunner().invoke(admin, ["snapshot", str(tmp_path), "--timeout", "0.2"])
        assert result.exit_code == 1
        assert "no answer in 0.2 s" in result.output
        assert "ome-admin stats" in result.output
        assert not (tmp_path / REQUEST_FILE).exists()
    monkeypatch.setattr("ome.recovery.snapshots.is_served", lambda directory: True)
    with pytest.raises(JournalError, match="a server that has ended"):
        make_snapshot(tmp_path, 3_600.0)
    assert snapshot_sequences(tmp_path) == []
