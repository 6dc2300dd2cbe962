"""Figures of the whole pipeline in one process: ring, journal, match and a reader of the events."""

from __future__ import annotations

import statistics

from bench import driver
from bench.driver import Output
from bench.figure import Figure, Sample, compare
from bench.options import Options

__all__ = ["headline", "pipeline"]

_CLAIMED_PER_SECOND = 1_100_000
_CLAIMED_LATENCY_NS = 880
_PARTS = ("claim", "ring", "match", "events")


def _samples(outputs: list[Output], subject: str) -> list[Sample]:
    return [sample for output in outputs for sample in output.samples(subject)]


def _median(outputs: list[Output], subject: str, key: str) -> float:
    return statistics.median(int(str(line[key])) for output in outputs for line in output.of("sample", subject))


def _ns_of_one(sample: Sample) -> float:
    return sample.ns_per_operation


def _ns(samples: list[Sample]) -> float:
    return statistics.median(map(_ns_of_one, samples))


def headline(options: Options) -> Figure:
    """Buy and sell in turn at one price, journal `async`, beside what the original design said of itself: a number, not a measurement."""
    outputs = [driver.run("headline", count=options.count * 10, repeat=1, seed=options.seed) for _ in range(options.repeat)]
    parts = {part: _ns(_samples(outputs, part)) for part in _PARTS}
    parts["ring"] = max(0.0, parts["ring"] - parts["claim"])  # the hand-over alone
    latency = {f"{name}_ns": _median(outputs, "ome", f"{name}_ns") for name in ("p50", "p99")}
    return compare(
        "headline",
        _samples(outputs, "ome"),
        [Sample(operations=_CLAIMED_PER_SECOND, elapsed_ns=10**9)] * options.repeat,
        yardstick="original's claim",
        clock="wall time",
        config={
            **outputs[0].one("flow"),
            **outputs[0].one("build"),
            **latency,
            "yardstick_latency_ns": _CLAIMED_LATENCY_NS,
            **{f"{part}_ns": value for part, value in parts.items()},
            **{f"{part}_share": value / sum(parts.values()) for part, value in parts.items()},
        },
    )


def pipeline(options: Options) -> Figure:
    """The mixed flow, journal `commit`, beside the slower of bare disk and bare matcher, whichever that was in each repetition."""
    outputs = [driver.run("pipeline", count=options.count, repeat=1, seed=options.seed) for _ in range(options.repeat)]
    disk, matcher = _samples(outputs, "disk"), _samples(outputs, "matcher")
    slower = [max(pair, key=_ns_of_one) for pair in zip(disk, matcher, strict=True)]
    commits = _median(outputs, "ome", "commits")
    return compare(
        "pipeline",
        _samples(outputs, "ome"),
        slower,
        yardstick="disk or matcher",
        clock="wall time",
        config={
            **outputs[0].one("flow"),
            **outputs[0].one("build"),
            "disk_per_second": 1e9 / _ns(disk),
            "matcher_per_second": 1e9 / _ns(matcher),
            "commands_per_commit": disk[0].operations / commits,
            **{f"{name}_ns": _median(outputs, "ome", f"{name}_ns") for name in ("p50", "p99")},
        },
    )
