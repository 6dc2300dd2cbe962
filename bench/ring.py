"""Figures of the inbound ring: producers hand 64-byte messages to one consumer, beside a queue behind a mutex."""

from __future__ import annotations

from bench import driver
from bench.figure import Figure, compare
from bench.options import Options

__all__ = ["one_producer", "one_producer_single", "three_producers", "three_producers_single"]


def _ring(name: str, options: Options) -> Figure:
    output = driver.run(name, count=options.count * 4, repeat=options.repeat, seed=options.seed)
    return compare(
        name,
        output.samples("ome"),
        output.samples("queue"),
        yardstick="mutex queue",
        clock="wall time",
        config={**output.one("flow"), **output.one("build")},
    )


def one_producer(options: Options) -> Figure:
    """One producer thread."""
    return _ring("ring-1", options)


def three_producers(options: Options) -> Figure:
    """Three producer threads."""
    return _ring("ring-3", options)


def one_producer_single(options: Options) -> Figure:
    """One producer thread, one message a claim."""
    return _ring("ring-1-single", options)


def three_producers_single(options: Options) -> Figure:
    """Three producer threads, one message a claim."""
    return _ring("ring-3-single", options)
