"""The figure of the batch call from Python: the mixed flow, 256 commands a call, beside the same calls from C."""

from __future__ import annotations

import time

import numpy as np

from bench import driver
from bench.driver import DriverError
from bench.figure import Figure, Sample, compare
from bench.options import Options
from ome.codec import COMMAND, Records
from ome.engine import Engine
from ome.messages import Limits

__all__ = ["batch"]

_LIMIT_NAMES = ("order_count_max", "level_count_max", "instrument_count_max", "session_count_max")


def _apply_from_python(limits: Limits, flow: Records, commands_per_call: int) -> tuple[Sample, int]:
    """Applies the flow to a new engine; returns the time of all but its definition, and the event hash."""
    count = len(flow)
    with Engine(limits=limits) as engine:
        engine.apply_records(flow[:1])
        start_ns = time.thread_time_ns()
        for at in range(1, count, commands_per_call):
            engine.apply_records(flow[at : at + commands_per_call])
        elapsed_ns = time.thread_time_ns() - start_ns
        return Sample(operations=count - 1, elapsed_ns=elapsed_ns), engine.event_hash


def batch(options: Options) -> Figure:
    """Commands from a numpy array in, events as a numpy array out. Raises DriverError when C and Python give different events."""
    flow = np.frombuffer(driver.run_bytes("flow-mixed", count=options.count, repeat=1, seed=options.seed), dtype=COMMAND)
    ours: list[Sample] = []
    theirs: list[Sample] = []
    for _ in range(options.repeat):
        output = driver.run("batch", count=options.count, repeat=1, seed=options.seed)
        config = {**output.one("flow"), **output.one("build")}
        limits = Limits(**{name: int(str(config[name])) for name in _LIMIT_NAMES})
        sample, event_hash = _apply_from_python(limits, flow, int(str(config["commands_per_call"])))
        (in_c,) = output.of("sample", "c")
        if event_hash != in_c["event_hash"]:
            raise DriverError("event hash", where="batch figure", found=event_hash, allowed=f"{in_c['event_hash']}, as in C")
        ours.append(sample)
        theirs.extend(output.samples("c"))
    return compare("batch", ours, theirs, yardstick="C batch call", clock="thread CPU time", config=config)
