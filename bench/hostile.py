"""How much slower a good client's orders are while a hostile client does its worst."""

from __future__ import annotations

import contextlib
import os
import resource
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench import driver
from bench.driver import DriverError
from bench.figure import Figure, beside
from bench.options import Options
from bench.wire_ends import Venue, peer, resting_orders, round_trips, session, venue
from bench.wire_library import compiler

__all__ = ["hostile"]

# Of tests/hostile.py, each a program of its own: bad frames of logged-on sessions, empty and changed ones; connections; logons; no reading.
_ATTACKS = ("empty-frames", "mutated-frames", "connection-storms", "logon-floods", "unread-reports")
_SCRIPT = driver.ROOT / "tests" / "hostile.py"
_ORDERS_AT_ONCE = 100  # then it looks whether the phase is over
_TIMEOUT_S = 30.0


class _Attacker:
    """A hostile client in a process of its own, from when it has begun. `cores` is how much it used of the processors, known at its end."""

    def __init__(self, name: str, found: Venue, seconds: float, seed: int) -> None:
        self._name = name
        endpoints = ["--orders", found.orders, "--feed", found.feed, "--requests", ""]
        command = [sys.executable, str(_SCRIPT), name, *endpoints, "--seconds", str(seconds), "--seed", str(seed)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self._process.stdout is not None, "it is a pipe"
        self._process.stdout.readline()  # it has begun
        self._begun = time.monotonic()
        self._children_s, self._own_s = _children_seconds(), _seconds_of(self._process.pid)
        self.cores = 0.0

    def goes_on(self) -> bool:
        """Whether it still attacks."""
        return self._process.poll() is None

    def end(self) -> None:
        """Raises DriverError where it failed."""
        _, errors = self._process.communicate(timeout=_TIMEOUT_S)
        self.cores = (_children_seconds() - self._children_s - self._own_s) / (time.monotonic() - self._begun)
        if self._process.returncode != 0:
            raise DriverError("exit status", where=f"hostile client {self._name}", found=errors.strip()[-300:], allowed="0")

    def kill(self) -> None:
        """Where it has not ended."""
        self._process.kill()
        self._process.communicate()


@contextlib.contextmanager
def _attack(name: str, found: Venue, seconds: float, seed: int) -> Iterator[_Attacker]:
    attacker = _Attacker(name, found, seconds, seed)
    try:
        yield attacker
        attacker.end()
    finally:
        attacker.kill()


def _children_seconds() -> float:
    """What children that have ended took of the processors."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _seconds_of(pid: int) -> float:
    """What a process that runs took of the processors so far."""
    fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class _GoodClient:
    """One session that sends an order, waits for its report, and goes on."""

    def __init__(self, address: int) -> None:
        self._address = address
        self._sent = 0

    def p99_us(self, goes_on: Callable[[], bool], what: str) -> float:
        """The 99th percentile of its round trips while something goes on."""
        times: list[npt.NDArray[np.uint64]] = []
        while goes_on() or not times:
            times.append(round_trips(self._address, resting_orders(_ORDERS_AT_ONCE, self._sent), f"hostile, {what}"))
            self._sent += _ORDERS_AT_ONCE
        return float(np.percentile(np.concatenate(times), 99)) / 1_000


def hostile(options: Options) -> Figure:
    """The p99 of the good client under the worst of the attacks, beside its p99 alone."""
    seconds = max(0.2, options.count / 1_000_000)
    alone: list[float] = []
    beside_neighbour: list[float] = []
    under: dict[str, list[float]] = defaultdict(list)
    cores: dict[str, list[float]] = defaultdict(list)
    with venue("thread") as found, session(found.orders) as address:
        client = _GoodClient(address)
        for repetition in range(options.repeat):
            alone.append(client.p99_us(_lasts(seconds), "alone"))
            for name in _ATTACKS:
                with _attack(name, found, seconds, options.seed + repetition) as attacker:
                    under[name].append(client.p99_us(attacker.goes_on, name))
                cores[name].append(attacker.cores)
            with peer("burn", max(0.0, min(1.0, max(shares[-1] for shares in cores.values())))):
                beside_neighbour.append(client.p99_us(_lasts(seconds), "beside a neighbour"))
    medians = {name: statistics.median(p99s) for name, p99s in under.items()}
    worst = max(medians, key=medians.__getitem__)
    return beside(
        "hostile",
        under[worst],
        alone,
        "us",
        {
            "flow": "an order that rests and its cancel, in turn, while a hostile client attacks",
            "measured_as": "p99 of the round trip under the worst attack",
            "policy": "async",
            "gateway": "thread",
            "yardstick": "p99 alone",
            "seconds": seconds,
            "worst": worst,
            "ratios": {name: p99 / statistics.median(alone) for name, p99 in medians.items()},
            "attackers_cores": {name: statistics.median(shares) for name, shares in cores.items()},
            "neighbour_p99_us": statistics.median(beside_neighbour),
            "ns_per_operation": medians[worst] * 1_000,
            "compiler": compiler(),
        },
    )


def _lasts(seconds: float) -> Callable[[], bool]:
    """Whether so much time has not passed yet."""
    end = time.monotonic() + seconds
    return lambda: time.monotonic() < end
