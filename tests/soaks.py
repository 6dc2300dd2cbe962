"""A venue that is soaked: a steady load for hours while sessions and subscribers come, trade and leave in every way; what grows is found.

The run is cut by restarts at 1/8, 1/4 and 1/2 of its time and at its end, so that the whole second half is one process: only there can a
slope be seen. At each the venue is stopped, old segments are archived with `ome-admin archive`, as an operator does, and the start on the
same directory is timed. What was archived is then removed, as if to tape.

A slope is the median of the slopes between all pairs of samples (Theil and Sen), over the second half without its first tenth. So single
spikes do not count; a value grows when slope times length is above its tolerance.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from os import kill
from pathlib import Path
from types import TracebackType
from typing import Final

import numpy as np
from crowd import crowd_process
from honest import honest_process, percentile_ms
from hostile import HONEST
from processes import MB, ClientProcess, descriptor_count, resident_bytes, thread_count
from venues import ANY, VenueProcess

RATE: Final = 20_000.0
RESTARTS: Final = (1 / 8, 1 / 4, 1 / 2, 1.0)
COMERS_A_SECOND: Final = 8.0
HONEST_RATE: Final = 200.0
CONTINUED_S: Final = 0.5
GUEST_S: Final = 4.0  # from one that is killed or stopped to the next
BYTES_AN_ORDER: Final = 300  # of disk: a command and its events, with room to spare
_INSTRUMENTS: Final = ("HONEST", "DEEP", "OTHER", "LOAD0", "LOAD1", "LOAD2", "LOAD3")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The venue at one moment, `at_s` seconds after the beginning. Latencies are those of the honest trader since the sample before."""

    at_s: float
    resident_mb: float
    descriptors: int
    threads: int
    files: int
    """In the directory, without the segments of journal and event log, which grow by design until they are archived."""
    p50_ms: float
    p99_ms: float

    def as_line(self) -> str:
        """In words."""
        return (
            f"{self.at_s:>8,.0f} s  resident {self.resident_mb:.1f} MB  {self.descriptors} descriptors  {self.threads} threads  "
            f"{self.files} files  p50 {self.p50_ms:.2f} ms  p99 {self.p99_ms:.2f} ms"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    """A stop and the start after it, `at_s` seconds after the beginning; and the files that were left when the archive was made."""

    at_s: float
    stop_s: float
    start_s: float
    files: int
    archived: int

    def as_line(self) -> str:
        """In words."""
        return (
            f"{self.at_s:>8,.0f} s  restart: stopped in {self.stop_s:.1f} s, started in {self.start_s:.1f} s, "
            f"{self.files} files, {self.archived} archived"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """A row of the table: how much it may grow in the second half, in its unit or in parts of its median.

    `is_timing`: it depends on the machine, and on who else uses it.
    """

    name: str
    unit: str
    tolerance: float
    tolerance_share: float
    is_timing: bool = False


MEASURES: Final = (
    Measure(name="resident_mb", unit="MB", tolerance=8, tolerance_share=0.05),
    Measure(name="descriptors", unit="", tolerance=8, tolerance_share=0),
    Measure(name="threads", unit="", tolerance=1, tolerance_share=0),
    Measure(name="files", unit="", tolerance=4, tolerance_share=0),
    Measure(name="p50_ms", unit="ms", tolerance=1, tolerance_share=0.5, is_timing=True),
    Measure(name="p99_ms", unit="ms", tolerance=5, tolerance_share=0.5, is_timing=True),
)
RESTART_TOLERANCE: Final = Measure(name="restart", unit="s", tolerance=1, tolerance_share=1.0, is_timing=True)


@dataclass(kw_only=True)
class Result:
    """What a soak found."""

    seconds: float
    samples: list[Sample] = field(default_factory=list)
    restarts: list[Restart] = field(default_factory=list)
    orders: int = 0
    skipped: int = 0
    honest_orders: int = 0
    visits: dict[str, int] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def growth(self, measure: Measure) -> float:
        """By how much it grew in the second half, judged by its slope."""
        last = [sample for sample in self.samples if sample.at_s >= self.seconds * 0.55]
        if len(last) < 3:
            return 0.0
        return slope([sample.at_s for sample in last], [getattr(sample, measure.name) for sample in last]) * (last[-1].at_s - last[0].at_s)

    def grows(self, *, timing: bool = True) -> list[str]:
        """What grows without bound, in words; without `timing` only what does not depend on the machine."""
        found = []
        for measure in MEASURES:
            if measure.is_timing and not timing:
                continue
            growth = self.growth(measure)
            middle = statistics.median(getattr(sample, measure.name) for sample in self.samples) if self.samples else 0.0
            allowed = max(measure.tolerance, measure.tolerance_share * middle)
            if growth > allowed:
                found.append(f"{measure.name} grew by {growth:.1f} in the second half, allowed {allowed:.1f}")
        if timing and len(self.restarts) > 1:
            first, last = self.restarts[0].start_s, self.restarts[-1].start_s
            allowed = first + max(RESTART_TOLERANCE.tolerance, RESTART_TOLERANCE.tolerance_share * first)
            if last > allowed:
                found.append(f"restart took {last:.1f} s at the end, {first:.1f} s at the beginning, allowed {allowed:.1f} s")
        if len(self.restarts) > 1 and self.restarts[-1].files > self.restarts[0].files + 8:
            found.append(f"{self.restarts[-1].files} files after the last archive, {self.restarts[0].files} after the first")
        return found

    def table(self) -> Iterator[str]:
        """Lines: each measure at the start, quarters and end, and its slope an hour in the second half; restarts below."""
        yield f"{'':<16}" + "".join(f"{name:>10}" for name in ("start", "1/4", "1/2", "3/4", "end", "an hour"))
        for measure in MEASURES:
            values = [self._value_at(measure.name, share) for share in (0.0, 0.25, 0.5, 0.75, 1.0)]
            an_hour = self.growth(measure) / max(1.0, self.seconds * 0.45) * 3600
            yield f"{measure.name:<16}" + "".join(f"{value:>10.2f}" for value in [*values, an_hour])
        yield from (restart.as_line() for restart in self.restarts)

    def _value_at(self, name: str, share: float) -> float:
        """The median around a part of the run, of samples before it but for the beginning."""
        low, high = (0.0, 0.05) if share == 0 else (share - 0.05, share)
        values = [getattr(sample, name) for sample in self.samples if low * self.seconds <= sample.at_s <= high * self.seconds]
        nearest = min(self.samples, key=lambda sample: abs(sample.at_s - share * self.seconds), default=None)
        return float(statistics.median(values)) if values else float(getattr(nearest, name, 0.0))


def slope(times: list[float], values: list[float]) -> float:
    """The median slope between all pairs of points (Theil and Sen); 0 for fewer than two.

    >>> slope([0, 1, 2, 3, 4], [1, 3, 5, 7, 99])
    2.0
    """
    if len(times) < 2:
        return 0.0
    first, second = np.triu_indices(len(times), 1)
    x, y = np.asarray(times, dtype=float), np.asarray(values, dtype=float)
    return float(np.median((y[second] - y[first]) / (x[second] - x[first])))


class Soak:
    """A venue in `directory` and its clients. `run` does it all."""

    def __init__(self, directory: Path, seconds: float, *, rate: float = RATE, seed: int = 1) -> None:
        self._directory = directory
        self._seconds = seconds
        self._rate = rate
        self._seed = seed
        self._config = _config(directory, rate * seconds)
        self._journal = directory / "journal"
        self._venue = VenueProcess(self._config)
        self._clients: dict[str, ClientProcess] = {}
        self._guest: ClientProcess | None = None
        self._guest_count = 0
        self._result = Result(seconds=seconds)
        self._begun = time.monotonic()

    def __enter__(self) -> Soak:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for client in [*self._clients.values(), *([self._guest] if self._guest is not None else [])]:
            client.close()
        self._venue.__exit__(kind, error, trace)

    def run(self) -> Iterator[Sample | Restart]:
        """Everything, sample by sample. What was found is in `result`, also where it ends early."""
        self._venue.start()
        self._begun = time.monotonic()
        try:
            for number, share in enumerate(RESTARTS):
                self._open(number)
                yield from self._sample_until(share * self._seconds)
                self._shut()
                yield self._restart()
        except (AssertionError, OSError, subprocess.SubprocessError) as error:
            self._fail(self._last_words() if self._venue.ends_within(2.0) else " ".join(str(error).split())[:300])

    @property
    def result(self) -> Result:
        """What was found so far."""
        return self._result

    @property
    def _now(self) -> float:
        return time.monotonic() - self._begun

    def _open(self, number: int) -> None:
        orders, feed = self._venue.orders_endpoint, self._venue.feed_endpoint
        self._clients = {
            "trader": honest_process("trader", orders, HONEST, rate=HONEST_RATE),
            "subscriber": honest_process("subscriber", feed, HONEST),
            "load": crowd_process("load", orders, feed, rate=self._rate),
            "comers": crowd_process("comers", orders, feed, rate=COMERS_A_SECOND, seed=self._seed + number),
        }
        for client in self._clients.values():
            client.tell("go")

    def _sample_until(self, end_s: float) -> Iterator[Sample]:
        period = max(1.0, self._seconds / 400)
        next_guest = self._now
        while (now := self._now) < end_s:
            if now >= next_guest:
                self._next_guest()
                next_guest = now + GUEST_S
            time.sleep(max(0.0, min(period, end_s - now)))
            assert not self._venue.has_ended, "the venue has ended"
            sample = self._sample()
            self._result.samples.append(sample)
            yield sample

    def _sample(self) -> Sample:
        times = self._settle_honest()
        for name in ("trader", "subscriber"):
            self._clients[name].tell("go")
        pid = self._venue.pid
        return Sample(
            at_s=self._now,
            resident_mb=resident_bytes(pid) / MB,
            descriptors=descriptor_count(pid),
            threads=thread_count(pid),
            files=_file_count(self._journal),
            p50_ms=percentile_ms(times, 50),
            p99_ms=percentile_ms(times, 99),
        )

    def _settle_honest(self) -> list[float]:
        """How long the honest trader's reports took since the last time, in seconds. Counts what is missing."""
        traded, heard = self._clients["trader"].ask("settle"), self._clients["subscriber"].ask("settle")
        self._result.honest_orders += traded["orders"]
        if traded["missing"] or traded["wrong"]:
            self._fail(f"honest reports: {traded['missing']} missing, {traded['wrong_count']} wrong {traded['wrong'][:1]}")
        if heard["trades"] != traded["orders"] // 2 or heard["gaps"] or heard["stale"]:
            self._fail(f"honest subscriber: {heard['trades']} of {traded['orders'] // 2} trades, {heard['gaps']} gaps")
        return [float(took) for _, took in traded["times"]]

    def _next_guest(self) -> None:
        """The guest is killed, or has been stopped for a while and goes on before that; the next one comes. One in two is stopped."""
        if self._guest is not None:
            if self._guest_count % 2:
                self._continue(self._guest)
            self._guest.close()
        self._guest_count += 1
        self._guest = crowd_process("guest", self._venue.orders_endpoint, self._venue.feed_endpoint, name=f"GUEST{self._guest_count % 8}")
        self._guest.tell("go")
        if self._guest_count % 2:
            kill(self._guest.pid, signal.SIGSTOP)
        kind = "stopped for seconds, continued, killed" if self._guest_count % 2 else "killed"
        self._result.visits[kind] = self._result.visits.get(kind, 0) + 1

    def _continue(self, guest: ClientProcess) -> None:
        """Whatever became of its session while it read nothing: its own library must not abort it."""
        kill(guest.pid, signal.SIGCONT)
        deadline = time.monotonic() + CONTINUED_S
        while guest.exit_code is None and time.monotonic() < deadline:
            time.sleep(0.05)
        if (guest.exit_code or 0) < 0:
            self._fail(f"a guest that was stopped and went on was ended by signal {-(guest.exit_code or 0)}")

    def _shut(self) -> None:
        """The clients account for themselves and go."""
        if self._guest is not None:
            self._guest.close()
            self._guest = None
        came = self._clients["comers"].ask("settle")
        loaded = self._clients["load"].ask("settle")
        self._settle_honest()
        for name, count in came["counts"].items():
            self._result.visits[name] = self._result.visits.get(name, 0) + count
        if came["failure_count"]:
            self._fail(f"{came['failure_count']} visits went wrong: {came['failures'][:2]}")
        self._result.orders += loaded["orders"]
        self._result.skipped += loaded["skipped"]
        if loaded["pending"]:
            self._fail(f"{loaded['pending']} orders of the load have no answer")
        for client in self._clients.values():
            client.close()
        self._clients = {}

    def _restart(self) -> Restart:
        """Stops, archives, starts."""
        begun = time.monotonic()
        self._venue.stop()
        stopped = time.monotonic()
        archived = self._archive()
        files = _file_count(self._journal, segments=True)
        ready = time.monotonic()
        self._venue.start()
        restart = Restart(
            at_s=begun - self._begun, stop_s=stopped - begun, start_s=time.monotonic() - ready, files=files, archived=archived
        )
        self._result.restarts.append(restart)
        return restart

    def _archive(self) -> int:
        """As an operator: `ome-admin archive` to another directory, whose files then go elsewhere. How many."""
        target = self._directory / "archive"
        code = "from ome.cli.admin import main; main()"
        command = [sys.executable, "-c", code, "archive", str(self._journal), "--before", str(2**62), "--to", str(target), "--json"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"ome-admin archive ended with {done.returncode}: {done.stderr.strip()[-300:]}"
        json.loads(done.stdout)
        archived = len(list(target.iterdir())) if target.exists() else 0
        shutil.rmtree(target, ignore_errors=True)
        return archived

    def _last_words(self) -> str:
        code, errors = self._venue.wait_for_failure()
        return f"the venue ended with {code}: {' '.join(errors.split())[-200:]}"

    def _fail(self, text: str) -> None:
        if len(self._result.failures) < 20:
            self._result.failures.append(f"after {self._now:.0f} s: {text}")


def _file_count(directory: Path, *, segments: bool = False) -> int:
    with contextlib.suppress(OSError):
        return sum(segments or not path.name.startswith(("journal-", "events-")) for path in directory.iterdir())
    return 0


def _config(directory: Path, order_count: float) -> Path:
    """A venue with the defaults, but for sizes at which the whole run fills some fifty segments and snapshots, few session numbers, and a
    memory of reports that is full before the first sample."""
    path = directory / "ome.toml"
    snapshot_commands = min(100_000, max(1_000, int(order_count / 60)))
    segment_bytes = min(64 << 20, max(1 << 20, int(order_count * 74 / 50) // 4096 * 4096))
    instruments = "".join(f'[[instruments]]\nsymbol = "{symbol}"\ntick = "0.01"\n' for symbol in _INSTRUMENTS)
    path.write_text(
        f"""
        [server]
        orders = "{ANY}"
        feed = "{ANY}"
        requests = "{ANY}"
        reports_in_memory = 16384
        [journal]
        directory = "{directory / "journal"}"
        policy = "commit"
        segment_bytes = {segment_bytes}
        low_water_bytes = 0
        snapshot_commands = {snapshot_commands}
        [limits]
        sessions = 1024
        {instruments}
        """
    )
    return path
