"""The counters file of a venue, read by who knows only its layout; and percentiles, against numbers that are known."""

from __future__ import annotations

import os
import struct
import time
from pathlib import Path
from random import Random

import numpy as np
import pytest
from venues import Wire, new_order, venue_config

from ome.enums import Policy, Side
from ome.metrics import COUNTERS_FILE, Counters, CountersError, percentiles
from ome.server import Server

BUCKETS = 528


def bucket(value_ns: int) -> int:
    """The bucket of a value: 16 for each power of two. Source: csrc/base/ome_counters.h."""
    if value_ns < 16:
        return value_ns
    shift = value_ns.bit_length() - 5
    return min(BUCKETS - 1, (shift << 4) + (value_ns >> shift))


def histogram(values: list[int]) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    """Buckets that count these values."""
    buckets = np.zeros(BUCKETS, dtype=np.uint64)
    for value in values:
        buckets[bucket(value)] += np.uint64(1)
    return buckets


def test_a_running_venue_counts_what_it_does(tmp_path: Path) -> None:
    """Commands, events, trades, frames, reports, rejects: each is counted where it happens."""
    with Server(venue_config(tmp_path)) as server, Counters(tmp_path) as counters, Wire(server.orders_endpoint) as wire:
        assert counters.is_running()
        assert (counters.pid, counters.epoch) == (os.getpid(), 1)
        deadline = time.monotonic() + 5
        while (before := counters.values())["feed.sequence"] < 3 or before["events.number"] < 3:  # they follow
            assert time.monotonic() < deadline
            time.sleep(0.001)
        assert before["match.sequence"] == 3  # limits and two instruments
        assert (before["venue.policy"], before["venue.instruments"], before["venue.ring_slots"]) == (Policy.COMMIT, 2, 32_768)
        wire.log_on("FIRM1")
        wire.say(new_order(quantity=10))
        wire.say(new_order(quantity=4, side=Side.SELL) + new_order(quantity=0))
        wire.say(b"nonsense")
        expected = {
            "match.sequence": 4,
            "match.events": 5,
            "match.trades": 1,
            "match.levels": 1,
            "journal.sequence": 4,
            "events.number": 5,
            "feed.sequence": 4,
            "gateway.frames": 4,
            "gateway.messages": 3,
            "gateway.frames_rejected": 1,
            "gateway.reports": 5,
            "gateway.sessions": 1,
            "gateway.orders_accepted": 2,
            "gateway.commands_rejected": 1,
        }
        heard = [wire.hear()[0] for _ in range(6)]
        assert sorted(heard) == ["ExecutionReport"] * 5 + ["FrameReject"]
        deadline = time.monotonic() + 5
        while (growth := _growth(before, counters.values())) != expected and time.monotonic() < deadline:
            time.sleep(0.001)  # a thread counts after it has said
        assert growth == expected


def _growth(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    """What has grown, but for what depends on the clock, or on how commands fell into batches."""
    changed = {label: after[label] - before[label] for label in after if after[label] != before[label]}
    return {
        label: growth
        for label, growth in changed.items()
        if label not in ("journal.commits", "feed.frames", "feed.messages", "ring.cursor", "clock.behind_ns", "clock.ahead_ns")
    }


def test_latencies_of_reports_and_commits_are_recorded(tmp_path: Path) -> None:
    """One latency for each event of an order; percentiles are ordered, and none is above the maximum."""
    with Server(venue_config(tmp_path)) as server, Counters(tmp_path) as counters, Wire(server.orders_endpoint) as wire:
        wire.log_on("FIRM1")
        before = counters.latency("latency.report").count
        for _ in range(50):
            wire.say(new_order())
            wire.hear()
        found = counters.latency("latency.report")
        assert found.count == before + 1 + 50  # the session is defined with the first order
        assert 0 < found.p50_ns <= found.p99_ns <= found.p999_ns <= found.max_ns < 10_000_000_000
        assert counters.latency("latency.commit").count > 0
        with pytest.raises(KeyError, match=r"latency\.none"):
            counters.latency("latency.none")


def test_counters_of_a_venue_that_ended_can_still_be_read(tmp_path: Path) -> None:
    """The file stays; the next start makes a new one with a new epoch, and who has the old one open keeps it."""
    with Server(venue_config(tmp_path)):
        old = Counters(tmp_path)
    with Server(venue_config(tmp_path)), Counters(tmp_path) as new:
        assert (old.epoch, new.epoch) == (1, 2)
        assert old.values()["match.sequence"] == new.values()["match.sequence"] == 3
        assert new.start_time_ns > old.start_time_ns
    old.close()


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (None, "No such file"),
        (b"", "cannot mmap an empty file"),
        (b"x" * 63, "63 bytes"),
        (b"x" * 64, "magic 0x7878787878787878"),
        (struct.pack("<QI52x", 0x544E554F43454D4F, 2), "version 2"),
        (struct.pack("<QI36xQ8x", 0x544E554F43454D4F, 1, 65), "64 bytes"),
    ],
    ids=["none", "empty", "short", "other file", "version", "cut"],
)
def test_what_is_no_counters_file_is_refused(tmp_path: Path, data: bytes | None, found: str) -> None:
    """The error says what was found instead."""
    if data is not None:
        (tmp_path / COUNTERS_FILE).write_bytes(data)
    with pytest.raises(CountersError, match=found):
        Counters(tmp_path)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_percentiles_are_at_most_a_sixteenth_above_the_true_ones(seed: int) -> None:
    """Against a sorted list of the same values."""
    generator = Random(seed)
    values = [int(generator.lognormvariate(10, 2)) for _ in range(5_000)]
    found = percentiles(histogram(values), max(values))
    ordered = sorted(values)
    assert (found.count, found.max_ns) == (5_000, ordered[-1])
    for share, value in ((0.5, found.p50_ns), (0.99, found.p99_ns), (0.999, found.p999_ns)):
        true = ordered[max(1, -int(-5_000 * share // 1)) - 1]
        assert true <= value <= true * 17 / 16, (share, true, value)


@pytest.mark.parametrize(("values", "expected"), [([], 0), ([0], 0), ([15], 15), ([16], 16), ([1_000_003], 1_000_003), ([2**40], 2**40)])
def test_percentiles_of_one_value_are_that_value(values: list[int], expected: int) -> None:
    """The maximum bounds them; of nothing they are 0."""
    found = percentiles(histogram(values), max(values, default=0))
    assert (found.count, found.p50_ns, found.p999_ns) == (len(values), expected, expected)


def test_every_bucket_ends_before_the_next_begins() -> None:
    """The bucket of each percentile's value is the bucket that was counted, from the first to the last but one."""
    for index in range(BUCKETS - 1):
        buckets = np.zeros(BUCKETS, dtype=np.uint64)
        buckets[index] = 1
        end = percentiles(buckets, 2**62).p50_ns
        assert (bucket(end), bucket(end + 1)) == (index, index + 1)
