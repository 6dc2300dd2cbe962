"""How much a figure measures."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FULL", "QUICK", "Options"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """`count` operations a run, `repeat` runs of each side, and the seed of the flow."""

    count: int
    repeat: int
    seed: int = 1


FULL = Options(count=1_000_000, repeat=9)
QUICK = Options(count=20_000, repeat=3)
