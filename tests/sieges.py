"""A venue under attack: starts it with honest clients, lets the hostile ones of tests/hostile.py loose on it one by one, and judges.

After each attack must hold:

- The venue is alive, and its resident size never was more than 64 MB above that before the attack.
- Every order of the honest trader has its two reports, each once, in order; the honest subscriber has every trade, no gap, and the book.
- The descriptors that the attackers took are free again.
- A new participant can log on, trade and log out.
- The attacker saw no answer that it should not have got.
- Where it is measured: the honest trader's p99 from order to report is at most 3 times that beside an equally busy neighbour. The yardstick
  is not an idle machine: attackers take time of processors, and where there are two, they take the venue's own. So the phases are alone,
  under attack, and beside a harmless process that burns as much time of processors as the attackers just did; round after round,
  interleaved. Medians over the rounds count; there are up to three times as many rounds where the first say that it is too much.

A venue that failed, or that an attack leaves full of orders, is replaced: what one attack broke does not count against the next.
"""

from __future__ import annotations

import contextlib
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Final

import numpy as np
from honest import honest_process, percentile_ms
from hostile import ATTACKS, DEEP, HONEST, OTHER, Attack
from processes import ClientProcess, Gone, PeakSampler, descriptor_count
from venues import ANY, VenueProcess

from ome.client import OrderEntry
from ome.codec import COMMAND
from ome.enums import CommandKind, OrderType, Side, TimeInForce
from ome.errors import OmeError

GROWTH_MAX_MB: Final = 64.0
P99_RATIO_MAX: Final = 3.0
ROUNDS_AGAIN: Final = 3  # times as many rounds where the first say that it is too much: other users of the machine look like attackers
DESCRIPTOR_SLACK: Final = 4  # segments and snapshots come and go
DESCRIPTORS_BACK_S: Final = 15.0
NEWCOMER_S: Final = 15.0  # longer than a handshake may take
DEEP_LEVELS: Final = 20_000
_NEWCOMERS = 4  # an instrument of their own
_INSTRUMENTS = ("HONEST", "DEEP", "OTHER", "NEW", *(f"I{number:04d}" for number in range(5, 1_001)))
assert [_INSTRUMENTS[number - 1] for number in (HONEST, DEEP, OTHER, _NEWCOMERS)] == ["HONEST", "DEEP", "OTHER", "NEW"]


@dataclass(kw_only=True)
class Row:
    """What came of an attack. `p99_ratio` is None where nothing was measured. `failures` is empty where the venue stood it."""

    name: str
    peak_mb: float = 0.0
    p99_ms: float = 0.0
    neighbour_p99_ms: float = 0.0
    alone_p99_ms: float = 0.0
    p99_ratio: float | None = None
    orders: int = 0
    reports: int = 0
    failures: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        """In words."""
        return "ok" if not self.failures else "FAILED: " + "; ".join(self.failures)

    def as_line(self) -> str:
        """As a row of the table under HEADING."""
        ratio = "-" if self.p99_ratio is None else f"{self.p99_ratio:.2f}"
        times = "-" if self.p99_ratio is None else f"{self.alone_p99_ms:.1f}/{self.neighbour_p99_ms:.1f}/{self.p99_ms:.1f}"
        return f"{self.name:<24}{self.peak_mb:>9.1f}{times:>19}{ratio:>7}{self.reports:>9,}  {self.verdict}"


HEADING: Final = f"{'attack':<24}{'peak MB':>9}{'p99 ms a/n/attack':>19}{'ratio':>7}{'reports':>9}  verdict"


class Siege:
    """A venue, its honest clients, and one attack after another: `run` judges one. Everything is in `directory`, and ends with `close`."""

    def __init__(self, directory: Path, seed: int, seconds: float, *, rounds: int = 0) -> None:
        """`seconds` for each attack. `rounds` of phases are measured; with 0, none, and the attack is a single phase."""
        self._directory = directory
        self._seed = seed
        self._seconds = seconds
        self._rounds = rounds
        self._venue: VenueProcess | None = None
        self._clients: list[ClientProcess] = []
        self._venue_count = self._newcomer_count = 0
        self._descriptor_limit: int | None = None

    def __enter__(self) -> Siege:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Ends venue and clients."""
        for client in self._clients:
            client.close()
        self._clients = []
        if self._venue is not None and not self._venue.has_ended:
            self._venue.kill()
        self._venue = None

    def run(self, attack: Attack) -> Row:
        """One attack."""
        row = Row(name=attack.name)
        try:
            self._prepare(attack)
            self._attack(attack, row)
        except (AssertionError, OSError, OmeError, subprocess.TimeoutExpired) as error:
            row.failures.append(f"{type(error).__name__}: {' '.join(str(error).split())[:200]}")
        if self._venue is not None and row.failures and self._venue.ends_within(2.0):
            row.failures = [self._last_words()]  # what else went wrong follows from it
        if row.failures or attack.spoils or attack.descriptor_limit is not None:
            self.close()
        return row

    @property
    def venue(self) -> VenueProcess:
        """The one that is under attack now."""
        assert self._venue is not None, "it was prepared"
        return self._venue

    # ---- the venue ----

    def _prepare(self, attack: Attack) -> None:
        if self._venue is not None and self._descriptor_limit == attack.descriptor_limit:
            return
        self.close()
        self._venue_count += 1
        self._descriptor_limit = attack.descriptor_limit
        directory = self._directory / f"venue-{self._venue_count}"
        directory.mkdir()
        self._venue = VenueProcess(
            _config(directory, small_segments=attack.descriptor_limit is not None), descriptor_limit=attack.descriptor_limit
        )
        self._venue.start()
        _place_deep_book(self._venue.orders_endpoint)
        self._clients = [
            honest_process("trader", self._venue.orders_endpoint, HONEST),
            honest_process("subscriber", self._venue.feed_endpoint, HONEST),
        ]
        self._newcomer()  # what a first one costs is no attack's doing
        self._phase(Row(name="warm-up"), partial(time.sleep, 0.3))

    def _last_words(self) -> str:
        code, errors = self.venue.wait_for_failure()
        return f"the venue ended with {code}: {' '.join(errors.split())[-120:]}"

    # ---- the attack ----

    def _attack(self, attack: Attack, row: Row) -> None:
        descriptors = descriptor_count(self.venue.pid)
        p99s: dict[str, list[float]] = {"alone": [], "attack": [], "neighbour": []}
        with PeakSampler(self.venue.pid) as sampler:
            try:
                for number in range(max(1, ROUNDS_AGAIN * self._rounds)):
                    if number < max(1, self._rounds) or _ratio(p99s) > P99_RATIO_MAX:
                        self._round(attack, row, number, p99s)
            finally:
                row.peak_mb = sampler.grown_mb
        if row.peak_mb > GROWTH_MAX_MB:
            row.failures.append(f"grew by {row.peak_mb:.0f} MB, allowed {GROWTH_MAX_MB:.0f}")
        self._judge_descriptors(descriptors, row)
        try:
            self._newcomer()
        except OmeError as error:
            row.failures.append(f"a newcomer after it: {' '.join(str(error).split())[:120]}")
        if self._rounds:
            self._judge_times(p99s, row)

    def _round(self, attack: Attack, row: Row, number: int, p99s: dict[str, list[float]]) -> None:
        if self._rounds:
            p99s["alone"].append(self._phase(row, partial(time.sleep, self._phase_s)))
        before, begun = _children_seconds(), time.monotonic()
        p99s["attack"].append(self._phase(row, partial(self._attack_once, attack, row, number)))
        if self._rounds:
            share = (_children_seconds() - before) / (time.monotonic() - begun)
            p99s["neighbour"].append(self._phase(row, partial(self._neighbour, share)))

    def _phase(self, row: Row, what: Callable[[], None]) -> float:
        """The honest clients work while `what` is done, and are waited for: no phase pays for the one before. The trader's p99 in ms."""
        for client in self._clients:
            client.tell("go")
        begun = time.monotonic()
        what()
        ended = time.monotonic()
        assert not self.venue.has_ended, "the venue has ended"
        return percentile_ms([took for at, took in self._settle(row) if begun <= at < ended], 99)

    @property
    def _phase_s(self) -> float:
        return self._seconds / max(1, self._rounds)

    def _attack_once(self, attack: Attack, row: Row, number: int) -> None:
        seconds = self._phase_s if attack.descriptor_limit is None else max(self._phase_s, NEWCOMER_S + 5)
        script = str(Path(__file__).with_name("hostile.py"))
        venue = self.venue
        endpoints = ["--orders", venue.orders_endpoint, "--feed", venue.feed_endpoint, "--requests", venue.requests_endpoint]
        command = [sys.executable, script, attack.name, *endpoints, "--seconds", str(seconds), "--seed", str(self._seed + number)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdout is not None, "its output is a pipe"
        try:
            process.stdout.readline()  # it has begun
            if attack.descriptor_limit is not None:
                time.sleep(1.0)
                self._newcomer()
                assert process.poll() is None, "a newcomer got on only when the attack was over"
                process.terminate()
            output, errors = process.communicate(timeout=seconds + 20)
        finally:
            process.kill()
            process.communicate()
        assert process.returncode == 0, f"the attacker ended with {process.returncode}: {errors.strip()[-300:]}"
        said = json.loads(output)
        row.failures += [text for text in said["violations"] if text not in row.failures]
        for what, count in said["counts"].items():
            row.counts[what] = row.counts.get(what, 0) + count

    def _neighbour(self, share: float) -> None:
        code = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); from processes import burn; burn(%f, {self._phase_s})"
        whole, rest = int(share), share - int(share)  # one process burns one core at most
        processes = [subprocess.Popen([sys.executable, "-c", code % part]) for part in [1.0] * whole + [rest]]
        for process in processes:
            process.wait()

    # ---- the judgement ----

    def _judge_descriptors(self, before: int, row: Row) -> None:
        deadline = time.monotonic() + DESCRIPTORS_BACK_S
        with contextlib.suppress(Gone):
            while (now := descriptor_count(self.venue.pid)) > before + DESCRIPTOR_SLACK:
                if time.monotonic() > deadline:
                    row.failures.append(f"{now} descriptors, {before} before it")
                    return
                time.sleep(0.05)

    def _newcomer(self) -> None:
        """Somebody new logs on, trades, and logs out."""
        assert not self.venue.has_ended, "the venue has ended"
        self._newcomer_count += 1
        with OrderEntry(self.venue.orders_endpoint, f"NEW{self._newcomer_count}", timeout=NEWCOMER_S, reconnect=None) as entry:
            entry.sell("NEW", 1, at="10")
            bought = entry.buy("NEW", 1, at="10")
            entry.wait_for(bought)

    def _settle(self, row: Row) -> list[tuple[float, float]]:
        """Counts what the honest clients got; when each order was sent, and how long its report took."""
        trader, subscriber = self._clients
        traded = trader.ask("settle")
        heard = subscriber.ask("settle")
        row.orders += traded["orders"]
        row.reports += traded["reports"]
        if traded["missing"] or traded["wrong"]:
            row.failures.append(f"honest reports: {traded['missing']} missing, {traded['wrong_count']} wrong {traded['wrong'][:1]}")
        if heard["trades"] != traded["orders"] // 2 or heard["gaps"] or heard["stale"] or heard["levels"] != [[], []]:
            shown = {name: heard[name] for name in ("trades", "gaps", "stale")}
            row.failures.append(f"honest subscriber: {shown} after {traded['orders'] // 2} trades")
        return [(float(at), float(took)) for at, took in traded["times"]]

    def _judge_times(self, p99s: dict[str, list[float]], row: Row) -> None:
        if not all(p99 > 0 for times in p99s.values() for p99 in times):
            row.failures.append("in a phase no honest order was answered in time to be measured")
        row.alone_p99_ms, row.p99_ms, row.neighbour_p99_ms = (statistics.median(p99s[name]) for name in ("alone", "attack", "neighbour"))
        row.p99_ratio = _ratio(p99s)
        if row.p99_ratio > P99_RATIO_MAX:
            row.failures.append(f"p99 {row.p99_ratio:.1f} times the yardstick, allowed {P99_RATIO_MAX:.0f}")


def _ratio(p99s: dict[str, list[float]]) -> float:
    """The median under attack over the yardstick: the worse of alone and beside the neighbour, which burns little where attackers do."""
    alone, attack, neighbour = (statistics.median(p99s[name]) for name in ("alone", "attack", "neighbour"))
    return attack / max(alone, neighbour, 1e-3)


def _children_seconds() -> float:
    """Time of processors of the children that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _config(directory: Path, *, small_segments: bool) -> Path:
    """A venue as others run it, with 1,000 instruments, so that the answer to a logon is long, and few session numbers."""
    path = directory / "ome.toml"
    instruments = "".join(f'[[instruments]]\nsymbol = "{symbol}"\ntick = "0.01"\n' for symbol in _INSTRUMENTS)
    path.write_text(
        f"""
        [server]
        orders = "{ANY}"
        feed = "{ANY}"
        requests = "{ANY}"
        [journal]
        directory = "{directory / "journal"}"
        policy = "commit"
        segment_bytes = {1 << 16 if small_segments else 1 << 22}
        low_water_bytes = 0
        snapshot_commands = 20000
        [limits]
        orders = 200000
        levels = 50000
        sessions = 512
        {instruments}
        """
    )
    return path


def _place_deep_book(endpoint: str) -> None:
    """20,000 levels, placed by a client that then stays away."""
    commands = np.zeros(DEEP_LEVELS, dtype=COMMAND)
    commands["kind"] = CommandKind.NEW_ORDER
    commands["instrument"] = DEEP
    commands["client_order_id"] = np.arange(1, DEEP_LEVELS + 1)
    commands["side"] = np.where(np.arange(DEEP_LEVELS) % 2, Side.BUY, Side.SELL)
    commands["price"] = 50_000 + np.arange(DEEP_LEVELS) * np.where(np.arange(DEEP_LEVELS) % 2, -1, 1)
    commands["quantity"] = 1
    commands["order_type"] = OrderType.LIMIT
    commands["time_in_force"] = TimeInForce.GTC
    with OrderEntry(endpoint, "DEEP", timeout=20, reconnect=None) as entry:
        for start in range(0, DEEP_LEVELS, 2_000):
            entry.send(commands[start : start + 2_000])
            while entry.pending:
                entry.receive(0.1)


def besiege(names: list[str], seed: int, seconds: float, *, rounds: int = 0) -> Iterator[Row]:
    """The attacks named (all where none is), `seconds` in all, one after another; the rows as they come."""
    chosen = [ATTACKS[name] for name in names or ATTACKS]
    with (
        tempfile.TemporaryDirectory(prefix="ome-attack-") as directory,
        Siege(Path(directory), seed, seconds / len(chosen), rounds=rounds) as siege,
    ):
        for attack in chosen:
            yield siege.run(attack)
