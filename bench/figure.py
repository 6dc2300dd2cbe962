"""What a benchmark gives: one figure, its yardstick, and how both came about."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

__all__ = ["Figure", "Sample", "beside", "compare", "machine"]

_CPU_INFO = Path("/proc/cpuinfo")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One timed run: how many operations, in how many nanoseconds."""

    operations: int
    elapsed_ns: int

    @property
    def operations_per_second(self) -> float:
        """The rate of this run."""
        return self.operations * 1e9 / self.elapsed_ns

    @property
    def ns_per_operation(self) -> float:
        """The mean time of one operation."""
        return self.elapsed_ns / self.operations


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A measured value beside its yardstick's, both in `unit`; `ratio` is ours over the yardstick's.

    `config` says what was measured, on what, how often, and how far the ratio spread.
    """

    name: str
    value: float
    unit: str
    yardstick: float
    ratio: float
    better: Literal["higher", "lower"]
    config: Mapping[str, object]

    def as_json(self) -> str:
        """One line of JSON."""
        return json.dumps({field.name: getattr(self, field.name) for field in dataclasses.fields(self)})

    def as_line(self) -> str:
        """One aligned line for people.

        >>> config = {"yardstick": "the other", "ratio_min": 1.5, "ratio_max": 2.5}
        >>> figure = Figure(name="it", value=2e7, unit="operations/s", yardstick=1e7, ratio=2.0, better="higher", config=config)
        >>> figure.as_line()
        'it                  20,000,000 operations/s      10,000,000 the other           2.00 x (1.50 to 2.50)'
        """
        spread = f"({self.config['ratio_min']:.2f} to {self.config['ratio_max']:.2f})"
        ours = f"{_shown(self.value):>14} {self.unit:<12}"
        return f"{self.name:<16}{ours} {_shown(self.yardstick):>15} {self.config['yardstick']:<15} {self.ratio:>8.2f} x {spread}"


def _shown(number: float) -> str:
    """With decimals where it is small."""
    return f"{number:,.0f}" if number >= 100 else f"{number:,.2f}"


def machine() -> dict[str, object]:
    """The processor's model and the number of cores that this process may use."""
    models = [line.split(":", 1)[1].strip() for line in _CPU_INFO.read_text(encoding="utf-8").splitlines() if line.startswith("model name")]
    return {"cpu": models[0] if models else platform.machine(), "cores": len(os.sched_getaffinity(0))}


def compare(
    name: str, ours: Sequence[Sample], theirs: Sequence[Sample], *, yardstick: str, clock: str, config: Mapping[str, object]
) -> Figure:
    """A figure in operations a second from runs that alternated; `ours[i]` and `theirs[i]` are neighbours in time.

    Values are medians. The ratio is that of the medians; its spread is over the pairs of neighbours. `yardstick` names the other, `clock`
    says what time was measured.
    """
    ratios = [our.operations_per_second / their.operations_per_second for our, their in zip(ours, theirs, strict=True)]
    value = statistics.median(sample.operations_per_second for sample in ours)
    other = statistics.median(sample.operations_per_second for sample in theirs)
    measured = {
        "yardstick": yardstick,
        "clock": clock,
        "repetitions": len(ratios),
        "ratio_min": min(ratios),
        "ratio_max": max(ratios),
        "ns_per_operation": statistics.median(sample.ns_per_operation for sample in ours),
        "yardstick_ns_per_operation": statistics.median(sample.ns_per_operation for sample in theirs),
    }
    return Figure(
        name=name,
        value=value,
        unit="operations/s",
        yardstick=other,
        ratio=value / other,
        better="higher",
        config={**config, **measured, **machine()},
    )


def beside(
    name: str, value: Sequence[float], yardstick: Sequence[float], unit: str, config: Mapping[str, object], *, clock: str = "wall time"
) -> Figure:
    """A figure that is better when it is lower, from runs that alternated: medians, their ratio, and its spread over neighbours."""
    ratios = [ours / theirs for ours, theirs in zip(value, yardstick, strict=True)]
    median, other = statistics.median(value), statistics.median(yardstick)
    spread = {"clock": clock, "repetitions": len(ratios), "ratio_min": min(ratios), "ratio_max": max(ratios)}
    return Figure(
        name=name,
        value=median,
        unit=unit,
        yardstick=other,
        ratio=median / other,
        better="lower",
        config={**config, **spread, **machine()},
    )
