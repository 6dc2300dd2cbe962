"""Figures of what must cost the same however many orders are at rest or wait: a mass cancel, and a trade beside trailing stops."""

from __future__ import annotations

import statistics

from bench import driver
from bench.driver import Output
from bench.figure import Figure, beside
from bench.options import Options

__all__ = ["mass_cancel", "trailing"]


def _times(output: Output) -> dict[str, list[float]]:
    """Nanoseconds of one operation in each run, by subject, in the order in which they were measured."""
    subjects = dict.fromkeys(str(line["subject"]) for line in output.lines if line["type"] == "sample")
    return {subject: [sample.ns_per_operation for sample in output.samples(subject)] for subject in subjects}


def _flat(name: str, output: Output, ours: str, yardstick: str, said: str, clock: str) -> Figure:
    """A figure whose yardstick is the same with less: a ratio near 1 is flat."""
    times = _times(output)
    return beside(
        name,
        times[ours],
        times[yardstick],
        "ns",
        {
            **output.one("flow"),
            **output.one("build"),
            "ns": {subject: statistics.median(found) for subject, found in times.items()},
            "measured_as": said,
            "yardstick": f"with {yardstick.partition('/')[0]}",
        },
        clock=clock,
    )


def mass_cancel(options: Options) -> Figure:
    """A mass cancel that matches nothing, among `count` orders at rest of others, beside the same among a thousandth.

    `ns` has the median by orders at rest and orders cancelled, as AT_REST/CANCELLED.
    """
    output = driver.run("mass-cancel", count=options.count, repeat=options.repeat, seed=options.seed)
    few = -(-options.count // 1000)
    said = "one mass cancel, the least of 20; orders at rest/cancelled"
    return _flat("mass-cancel", output, f"{options.count}/0", f"{few}/0", said, "wall time")


def trailing(options: Options) -> Figure:
    """A trade while 6 trailing stops wait for each 100 of `count`, beside the same with a thousandth of it; `ns` has all."""
    output = driver.run("trailing", count=options.count, repeat=options.repeat, seed=options.seed)
    few = -(-options.count // 1000)
    said = "one trade that triggers none; by trailing stops that wait"
    return _flat("trailing", output, f"{options.count * 6 // 100}", f"{few}", said, "thread CPU time")
