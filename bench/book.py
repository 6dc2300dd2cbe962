"""Figures of the order book: the engine and the textbook's book, the same commands, the same events."""

from __future__ import annotations

from bench import driver
from bench.figure import Figure, compare
from bench.options import Options

__all__ = ["deep_build", "deep_churn", "mixed", "seed"]


def _book(name: str, options: Options) -> Figure:
    output = driver.run(name, count=options.count, repeat=options.repeat, seed=options.seed)
    latency = {
        f"{prefix}{key}": value
        for subject, prefix in (("ome", ""), ("textbook", "yardstick_"))
        for line in output.of("latency", subject)
        for key, value in line.items()
        if key not in {"type", "subject"}
    }
    return compare(
        name,
        output.samples("ome"),
        output.samples("textbook"),
        yardstick="textbook book",
        clock="thread CPU time",
        config={**output.one("flow"), **output.one("check"), **output.one("build"), **latency},
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
