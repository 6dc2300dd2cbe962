"""The figure of memory: bytes that an order at rest costs, with the index and all else that finds it."""

from __future__ import annotations

from bench import driver
from bench.figure import Figure, machine
from bench.options import Options

__all__ = ["memory"]

_BUDGET_BYTES = 64
_ROUNDING = (
    "resident bytes of the process after less before; the engine's memory is in huge pages of 2 MB where the system grants them, so that "
    "each of its areas is rounded up to 2 MB; bytes_by_structure has no rounding"
)


def memory(options: Options) -> Figure:
    """Ten times `count` orders at rest, 100 a level: what the process has resident, divided by the orders. One run: it does not vary."""
    output = driver.run("memory", count=options.count * 10, repeat=1, seed=options.seed)
    (ours,) = output.of("resident", "ome")
    (theirs,) = output.of("resident", "textbook")
    orders, resident, yardstick = (int(str(value)) for value in (ours["orders"], ours["resident_bytes"], theirs["resident_bytes"]))
    ratio = resident / yardstick
    return Figure(
        name="memory",
        value=resident / orders,
        unit="bytes/order",
        yardstick=yardstick / orders,
        ratio=ratio,
        better="lower",
        config={
            **output.one("flow"),
            **output.one("build"),
            "bytes_by_structure": int(str(ours["structure_bytes"])) / orders,
            "budget_bytes": _BUDGET_BYTES,
            "resident_bytes": resident,
            "huge_page_bytes": ours["huge_page_bytes"],
            "yardstick_resident_bytes": yardstick,
            "yardstick_huge_page_bytes": theirs["huge_page_bytes"],
            "measured_as": _ROUNDING,
            "yardstick": "textbook book",
            "clock": "none",
            "repetitions": 1,
            "ratio_min": ratio,
            "ratio_max": ratio,
            **machine(),
        },
    )
