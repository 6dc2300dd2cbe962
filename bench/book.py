"""Figures of the order book: the engine and the textbook's book, the same commands, the same events."""

from __future__ import annotations

import statistics

from bench import driver
from bench.driver import Output
from bench.figure import Figure, compare, machine
from bench.options import Options

__all__ = ["churn", "deep_build", "deep_churn", "mixed", "mixed_ioc_p999", "mixed_p999", "seed", "wide"]

_LEAST = "each command counts with the least of its times in so many passes, percentiles are over commands; the spread is of single passes"


_FILLING_COUNT = 20_000  # commands; before these the book of the mixed flow fills, and has few IOC orders or none


def _latency(output: Output) -> dict[str, object]:
    """All percentiles of both books."""
    return {
        f"{prefix}{key}": value
        for subject, prefix in (("ome", ""), ("textbook", "yardstick_"))
        for line in output.of("latency", subject)
        for key, value in line.items()
        if key not in {"type", "subject"}
    }


def _book(name: str, options: Options) -> Figure:
    output = driver.run(name, count=options.count, repeat=options.repeat, seed=options.seed)
    return compare(
        name,
        output.samples("ome"),
        output.samples("textbook"),
        yardstick="textbook book",
        clock="thread CPU time",
        config={**output.one("flow"), **output.one("check"), **output.one("build"), **_latency(output)},
    )


def seed(options: Options) -> Figure:
    """A sell and a buy in turn at one price."""
    return _book("book-seed", options)


def mixed(options: Options) -> Figure:
    """New orders near the touch, cancels, IOC orders, reduces, amends; also percentiles of single commands."""
    return _book("book-mixed", options)


def deep_build(options: Options) -> Figure:
    """Filling a book with `count` orders on `count` / 100 levels in random order."""
    return _book("book-deep-build", options)


def deep_churn(options: Options) -> Figure:
    """Cancels, new orders and some IOC orders on that book."""
    return _book("book-deep-churn", options)


def wide(options: Options) -> Figure:
    """The mixed flow spread over 4,096 instruments."""
    return _book("book-wide", options)


def churn(options: Options) -> Figure:
    """Orders that are soon gone again, every event handed to another core; also beside an engine that only acknowledges."""
    output = driver.run("book-churn", count=options.count * 2, repeat=options.repeat, seed=options.seed)
    ours, null = output.samples("ome"), output.samples("null")
    rates = {name: statistics.median(sample.operations_per_second for sample in found) for name, found in (("ome", ours), ("null", null))}
    ratios = [our.operations_per_second / other.operations_per_second for our, other in zip(ours, null, strict=True)]
    return compare(
        "book-churn",
        ours,
        output.samples("textbook"),
        yardstick="textbook book",
        clock="wall time",
        config={
            **output.one("flow"),
            **output.one("check"),
            **output.one("stream"),
            **output.one("build"),
            "null_per_second": rates["null"],
            "ratio_null": rates["ome"] / rates["null"],
            "ratio_null_min": min(ratios),
            "ratio_null_max": max(ratios),
        },
    )


def _percentile(name: str, key: str, options: Options) -> Figure:
    """One percentile of single commands of the mixed flow, `key` as the driver prints it."""
    output = driver.run("book-mixed-latency", count=max(options.count, _FILLING_COUNT), repeat=options.repeat, seed=options.seed)
    latency = _latency(output)
    value, yardstick = (float(str(latency[f"{prefix}{key}"])) for prefix in ("", "yardstick_"))
    passes = {subject: [max(1, int(str(line[key]))) for line in output.of("pass", subject)] for subject in ("ome", "textbook")}
    ratios = [our / their for our, their in zip(passes["ome"], passes["textbook"], strict=True)]
    return Figure(
        name=name,
        value=value,
        unit="ns",
        yardstick=yardstick,
        ratio=value / yardstick,
        better="lower",
        config={
            **output.one("flow"),
            **output.one("check"),
            **output.one("build"),
            **latency,
            "single_pass_ns": statistics.median(passes["ome"]),
            "yardstick_single_pass_ns": statistics.median(passes["textbook"]),
            "measured_as": _LEAST,
            "yardstick": "textbook book",
            "clock": "wall time",
            "repetitions": len(ratios),
            "ratio_min": min(ratios),
            "ratio_max": max(ratios),
            **machine(),
        },
    )


def mixed_p999(options: Options) -> Figure:
    """99.9th percentile of single commands of the mixed flow, in nanoseconds."""
    return _percentile("book-mixed-p999", "p99.9_ns", options)


def mixed_ioc_p999(options: Options) -> Figure:
    """The same of its IOC orders alone, which trade."""
    return _percentile("book-mixed-ioc-p999", "ioc_p99.9_ns", options)
