"""The checker: a running venue finds damage of stored segments by itself, says it, and trades on."""

from __future__ import annotations

import errno
import itertools
import shutil
import time
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from test_event_log import trade
from test_findings import config, flip_command, flip_event, flip_in_header
from venues import Wire, new_order, venue_config

import ome.recovery.checker as checker_module
from ome.cli.admin import main
from ome.enums import EventKind
from ome.metrics import Counters
from ome.recovery.checker import Checker, StoredDamage
from ome.recovery.directory import segments
from ome.recovery.manifest import MANIFEST_FILE
from ome.server import Server
from ome.supervision import Supervisor


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with several segments of both kinds."""
    directory = tmp_path_factory.mktemp("stopped") / "data"
    for price in (1_000, 2_000, 3_000):
        trade(config(directory), price, count=900)
    return directory


@pytest.fixture
def directory(stopped: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(stopped, tmp_path / "data"))


def passed(directory: Path) -> tuple[list[str], list[tuple[int, int, int]], list[int]]:
    """One pass: what it found, what it told, and the pieces that it read."""
    told: list[tuple[int, int, int]] = []
    checker = Checker(directory, 1 << 30, lambda *counts: told.append(counts))
    pieces = list(checker.run_pass())
    return checker.damaged, told, pieces


def test_a_pass_reads_everything_in_small_pieces(directory: Path) -> None:
    """All records of both kinds, and each sealed segment once more for its digest; nothing is found, and nothing is changed."""
    before = {path.name: path.read_bytes() for path in directory.iterdir()}
    damaged, told, pieces = passed(directory)
    lines = [line.split() for line in (directory / MANIFEST_FILE).read_text().splitlines()]
    sizes = sum(len(path.read_bytes().rstrip(b"\0")) - 4_096 for kind in ("journal", "events") for path in segments(directory, kind))
    assert damaged == []
    assert sum(pieces) >= sizes - 50 * len(pieces) + sum(int(line[1]) for line in lines) - sizes // 10
    assert max(pieces) <= 256 << 10
    assert [size for size, _, _ in told[:-1]] == list(itertools.accumulate(pieces))
    assert told[-1] == (sum(pieces), 1, 0)
    assert {path.name: path.read_bytes() for path in directory.iterdir()} == before


def test_a_pass_finds_every_damaged_segment_and_goes_on_behind_it(directory: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Two of the journal, one that is missing, one of the event log, one whose digest is another: each is named once, in the log too."""
    journal, events = segments(directory), segments(directory, "events")
    flip_command(journal[0])
    flip_in_header(journal[2], 48, 1)  # only the digest says so
    journal[4].unlink()
    flip_event(events[1])
    damaged, told, _ = passed(directory)
    for path, count in ((journal[0], 2), (journal[2], 1), (journal[4], 1), (events[1], 1)):
        assert sum(str(path) in place for place in damaged) == count, damaged  # of a segment of the journal the digest says it again
    assert sum("is missing" in place for place in damaged) == 1
    assert told[-1][2] == len(damaged)
    assert all(place in caplog.text for place in damaged)


def test_a_damaged_manifest_is_found(directory: Path) -> None:
    """It is one place; the segments are right."""
    manifest = directory / MANIFEST_FILE
    text = manifest.read_text()
    manifest.write_text(text.replace(text.split()[2][:4], "zzzz", 1))
    damaged, _, _ = passed(directory)
    (place,) = damaged
    assert str(manifest) in place


def test_a_running_venue_finds_damage_and_trades_on(directory: Path, caplog: pytest.LogCaptureFixture) -> None:
    """In stats and in the log; orders are accepted before and after. The segment is before the snapshot, so the start saw nothing."""
    flip_event(segments(directory, "events")[0])
    with (
        Server(venue_config(directory, segment_bytes=64 << 10, check_bytes_per_second=1 << 30)) as server,
        Wire(server.orders_endpoint) as wire,
        Counters(directory) as counters,
    ):
        wire.log_on("OTHER", 1)
        for index in range(1_000):
            wire.say(new_order(client_order_id=index + 1, instrument=1, price=100 + index % 9))
            assert wire.hear_report()["kind"] in (EventKind.ACCEPTED, EventKind.REJECTED)
            if counters.values()["check.passes"]:
                break
            wire.hears_nothing()
        values = counters.values()
        assert (values["check.passes"], values["check.damaged"]) == (1, 1)
        assert values["check.bytes"] > 100_000
        assert "STORED SEGMENTS ARE DAMAGED" in CliRunner().invoke(main, ["stats", str(directory)]).output
    assert "the check of stored segments found damage" in caplog.text


def test_the_check_keeps_to_its_rate(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two pieces it waits as long as the piece may take; it can be stopped at each."""
    checker = Checker(directory, 1_000, lambda *_: None)
    waits: list[float] = []

    def wait(seconds: float) -> bool:
        waits.append(seconds)
        return len(waits) == 3

    monkeypatch.setattr(checker._stopping, "wait", wait)
    checker._work()
    (first, second, third, *_) = passed(directory)[2]
    assert waits == [first / 1_000, second / 1_000, third / 1_000]


def test_a_check_that_fails_is_seen_and_begins_again(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it trips over, the thread goes on, and its status says what it was."""
    supervisor = Supervisor()
    checker = Checker(directory, 1 << 30, lambda *_: None, supervisor=supervisor, rest_s=0.0)
    calls: list[int] = []

    def failing() -> Iterator[int]:
        calls.append(1)
        raise ValueError("something")

    monkeypatch.setattr(checker, "run_pass", failing)
    checker.start()
    deadline = time.monotonic() + 10
    while len(calls) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    checker.stop()
    (status,) = supervisor.statuses
    assert (status.name, status.last_error) == ("ome-checker", "ValueError: something")
    assert status.failures == len(calls) >= 3


def test_a_segment_that_cannot_be_read_hides_no_other_damage(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bad sector in the journal: the damage in the event log behind it is found in the same pass."""
    damaged = segments(directory, "events")[0]
    content = bytearray(damaged.read_bytes())
    content[5_000] ^= 1
    damaged.write_bytes(content)
    scan = checker_module._scan

    def broken(where: Path, kind: int, first: int) -> Generator[int, None, StoredDamage | None]:
        if kind == 1 and first == 1:
            raise OSError(errno.EIO, "Input/output error", str(segments(directory)[0]))
        return scan(where, kind, first)

    monkeypatch.setattr(checker_module, "_scan", broken)
    places = passed(directory)[0]
    assert [place.split(":")[0].split(" at ")[0] for place in places] == [str(segments(directory)[0]), str(damaged)]
