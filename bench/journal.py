"""Figures of the journal and what is made from it: commits, what they add to an order, replay, snapshots and restoring them."""

from __future__ import annotations

import statistics

from bench import driver
from bench.driver import Output
from bench.figure import Figure, Sample, beside, compare
from bench.options import Options

__all__ = ["commit", "commit_latency", "replay", "restore", "snapshot"]

_ADDED = "the median of one order under commit less that under memory, which has no journal"
_PAUSE = (
    "from publishing a command to reading its event, so the reader's wake-up is in it; value and yardstick are the longest of a stretch, "
    "medians over stretches with a snapshot and, just as long, without"
)


def _numbers(output: Output, kind: str, subject: str, key: str) -> list[int]:
    return [int(str(line[key])) for line in output.of(kind, subject)]


def commit(options: Options) -> Figure:
    """Durable commands of four producers, beside bare write and fdatasync of the same bytes in the same groups."""
    outputs = [driver.run("journal-commit", count=options.count, repeat=1, seed=options.seed) for _ in range(options.repeat)]

    def samples(subject: str) -> list[Sample]:
        return [sample for output in outputs for sample in output.samples(subject)]

    ours = samples("ome")
    commits = [number for output in outputs for number in _numbers(output, "sample", "ome", "commits")]
    unprepared = [number for output in outputs for number in _numbers(output, "sample", "ome", "unprepared")]
    return compare(
        "journal-commit",
        ours,
        samples("disk"),
        yardstick="bare disk",
        clock="wall time",
        config={
            **outputs[0].one("flow"),
            **outputs[0].one("build"),
            "commands_per_commit": ours[0].operations / statistics.median(commits),
            "segments_unprepared": sum(unprepared),
        },
    )


def commit_latency(options: Options) -> Figure:
    """One order at a time: what durability adds, in microseconds, beside a bare fdatasync of 64 bytes."""
    output = driver.run("commit-latency", count=max(100, options.count // 1000), repeat=options.repeat, seed=options.seed)
    p50, p99 = (
        {subject: [number / 1000 for number in _numbers(output, "latency", subject, key)] for subject in ("commit", "memory", "disk")}
        for key in ("p50_ns", "p99_ns")
    )
    added = [durable - bare for durable, bare in zip(p50["commit"], p50["memory"], strict=True)]
    return beside(
        "commit-latency",
        added,
        p50["disk"],
        "us",
        {
            **output.one("flow"),
            **output.one("build"),
            "measured_as": _ADDED,
            "yardstick": "bare fdatasync",
            "ns_per_operation": statistics.median(added) * 1000,
            "commit_us": statistics.median(p50["commit"]),
            "commit_p99_us": statistics.median(p99["commit"]),
            "memory_us": statistics.median(p50["memory"]),
            "memory_p99_us": statistics.median(p99["memory"]),
            "yardstick_p99_us": statistics.median(p99["disk"]),
        },
    )


def replay(options: Options) -> Figure:
    """A journal of the mixed flow, four times `count` commands, from the page cache, beside the bare engine on what it holds."""
    output = driver.run("replay", count=options.count * 4, repeat=options.repeat, seed=options.seed)
    return compare(
        "replay",
        output.samples("ome"),
        output.samples("matcher"),
        yardstick="bare matcher",
        clock="thread CPU time",
        config={**output.one("flow"), **output.one("build")},
    )


def snapshot(options: Options) -> Figure:
    """The longest time that a command waits while a snapshot is made, beside the longest while none is, in nanoseconds."""
    output = driver.run("snapshot", count=options.count, repeat=options.repeat, seed=options.seed)
    with_one, without = (_numbers(output, "pause", subject, "p100_ns") for subject in ("ome", "quiet"))
    percentiles = {
        f"{prefix}{key}": statistics.median(_numbers(output, "pause", subject, key))
        for subject, prefix in (("ome", ""), ("quiet", "yardstick_"))
        for key in ("p50_ns", "p99.9_ns")
    }
    return beside(
        "snapshot",
        with_one,
        without,
        "ns",
        {
            **output.one("flow"),
            **output.one("build"),
            "measured_as": _PAUSE,
            "yardstick": "no snapshot",
            **percentiles,
            "p100_max_ns": max(with_one),
            "yardstick_p100_max_ns": max(without),
            "snapshot_seconds": statistics.median(_numbers(output, "pause", "ome", "write_ns")) / 1e9,
            "commands": sum(_numbers(output, "pause", "ome", "commands")),
        },
    )


def restore(options: Options) -> Figure:
    """An engine from the snapshot of `count` orders at rest, in microseconds, beside a bare read of its file; both from the page cache."""
    output = driver.run("restore", count=options.count, repeat=options.repeat, seed=options.seed)
    ours, read = output.samples("ome"), output.samples("read")
    return beside(
        "restore",
        [sample.elapsed_ns / 1000 for sample in ours],
        [sample.elapsed_ns / 1000 for sample in read],
        "us",
        {
            **output.one("flow"),
            **output.one("build"),
            "yardstick": "bare read",
            "seconds": statistics.median(sample.elapsed_ns for sample in ours) / 1e9,
            "ns_per_operation": statistics.median(sample.ns_per_operation for sample in ours),
        },
    )
