"""Every figure by its name. A figure is one function that takes Options and returns a Figure; adding one is adding a line here."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from bench import batch, book, disconnect, flat, hostile, journal, memory, pipeline, ring, round_trip, sessions, wire
from bench.figure import Figure
from bench.options import Options
from ome.errors import InvalidValueError

__all__ = ["FIGURES", "select"]

FIGURES: dict[str, Callable[[Options], Figure]] = {
    "book-seed": book.seed,
    "book-mixed": book.mixed,
    "book-mixed-p999": book.mixed_p999,
    "book-mixed-ioc-p999": book.mixed_ioc_p999,
    "book-wide": book.wide,
    "book-churn": book.churn,
    "book-deep-build": book.deep_build,
    "book-deep-churn": book.deep_churn,
    "mass-cancel": flat.mass_cancel,
    "trailing": flat.trailing,
    "memory": memory.memory,
    "batch": batch.batch,
    "ring-1": ring.one_producer,
    "ring-3": ring.three_producers,
    "ring-1-single": ring.one_producer_single,
    "ring-3-single": ring.three_producers_single,
    "headline": pipeline.headline,
    "pipeline": pipeline.pipeline,
    "journal-commit": journal.commit,
    "commit-latency": journal.commit_latency,
    "replay": journal.replay,
    "snapshot": journal.snapshot,
    "restore": journal.restore,
    "wire-1": wire.frames_of_1,
    "wire-16": wire.frames_of_16,
    "wire-64": wire.frames_of_64,
    "wire-64-logged": wire.frames_of_64_logged,
    "wire-64-process": wire.frames_of_64_process,
    "wire-curve-64": wire.frames_of_64_encrypted,
    "rtt": round_trip.round_trip,
    "rtt-process": round_trip.gateway_process,
    "rtt-commit": round_trip.durable,
    "sessions-200": sessions.sessions_of_200,
    "disconnect": disconnect.disconnect,
    "hostile": hostile.hostile,
}


def select(names: Iterable[str]) -> list[str]:
    """The figures that are meant, in the registry's order; all where none is named.

    A name is a figure's or the part of it before a hyphen.

    >>> select(["ring", "book-seed"])
    ['book-seed', 'ring-1', 'ring-3', 'ring-1-single', 'ring-3-single']

    Raises InvalidValueError where a name means no figure.
    """
    wanted = set()
    for name in names:
        meant = {figure for figure in FIGURES if figure == name or figure.startswith(f"{name}-")}
        if not meant:
            raise InvalidValueError("figure", found=name, allowed=", ".join(FIGURES))
        wanted |= meant
    return [figure for figure in FIGURES if figure in wanted or not wanted]
