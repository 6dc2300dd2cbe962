"""A story: clients trade over real sockets while their connections, their processes and the venue's meet with mishaps; then all is audited.

`ome run` is a process of its own, with a journal and an event log; so is each client (tests/traders.py). Most clients talk through a proxy
that delays, doubles and reorders frames (tests/proxies.py). One or two have no sessions, but listen to a drop copy of a participant that
trades. While they trade,

- connections are cut, one client's or all, between any two bytes;
- the venue is killed, and started again on its directory and port;
- its gateway is killed, where that is a process of its own;
- clients are frozen for longer than the venue waits for a sign of life, and go on;
- clients are killed, and begun anew from their ledgers.

In the end they settle, log out, return, and catch up; so does a drop copy that was never there before; the venue stops; tests/ledgers.py
holds what each client wrote down against the event log. What a story does, and when, follows from its seed; how the processes are
scheduled does not.
"""

from __future__ import annotations

import contextlib
import heapq
import os
import random
import signal
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Final

from ledgers import Audited, Ledger, SessionName, audit
from processes import ClientProcess
from proxies import FrameProxy, Troubles
from traders import HEARTBEAT_S, trader_process
from venues import LIMITS, VenueProcess

from ome.errors import OmeError

TRADE_S: Final = 3.5
FAILURES: Final = (AssertionError, OmeError, subprocess.TimeoutExpired)
"""What a story that fails raises: what is not so, a journal that cannot be read, a venue that does not stop."""
_QUIET: Final = 0.1  # of the time, at the beginning and at the end
_FREEZE_S: Final = 4 * HEARTBEAT_S, 6 * HEARTBEAT_S  # the venue waits for 3
_PORTS: Final = range(20_000, 32_000)  # below those that the system gives to connections, which might take a port while the venue is down


class Mishap(StrEnum):
    """What happens."""

    CUT = "cut"
    CUT_ALL = "cut all"
    KILL_VENUE = "kill venue"
    KILL_GATEWAY = "kill gateway"
    FREEZE = "freeze client"
    KILL_CLIENT = "kill client"


@dataclass(frozen=True, slots=True)
class Planned:
    """A mishap at its time. `who` is the client that is meant, `amount` how much of it there is, from 0 to 1."""

    at_s: float
    mishap: Mishap
    who: int
    amount: float


@dataclass(frozen=True, slots=True)
class Cast:
    """A client, its sessions (PARTICIPANT:NUMBER:CHOICE) or drop copies (PARTICIPANT:WORD), and whether there is a proxy before it."""

    kind: str
    sessions: tuple[str, ...]
    is_behind_proxy: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """All that a seed decides."""

    clients: tuple[Cast, ...]
    mishaps: tuple[Planned, ...]
    troubles: Troubles


@dataclass(slots=True)
class Told:
    """How a story went. `mishaps` that found nothing to happen to are in `skipped`."""

    audited: Audited
    mishaps: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    frames: Counter[str] = field(default_factory=Counter)
    """What the proxies did."""
    logons: int = 0

    def as_line(self) -> str:
        """In words."""
        audited = self.audited
        counts = ", ".join(f"{count} {what}" for what, count in (self.mishaps + self.frames).items())
        skipped = "".join(f", skipped: {what}" for what in self.skipped)
        told = f"{audited.commands:,} commands, {audited.reports:,} reports, {audited.copies:,} copies, {self.logons} logons"
        return f"{told}; {counts}{skipped}"


def plan(seed: int, seconds: float = TRADE_S) -> Plan:
    """What happens in a story: each mishap once, and some of them again, in so many seconds."""
    draw = random.Random(seed)
    sessions = (("FIRM1:0:never", "FIRM2:0:never"), ("FIRM1:1:disconnect", "FIRM3:0:never"), ("FIRM2:1:logout",), ("FIRM3:1:disconnect",))
    alone = draw.randrange(2 * len(sessions))  # half of the stories have a client without a proxy
    clients = tuple(Cast("async" if index in (1, 2) else "sync", names, index != alone) for index, names in enumerate(sessions))
    copies = draw.sample(("FIRM1:copy", "FIRM2:copy", "FIRM3:copy"), draw.randint(1, 2))
    clients += tuple(Cast("copy", (name,), is_behind_proxy=True) for name in copies)
    kinds = [*Mishap, *draw.choices(list(Mishap), k=draw.randint(1, 4))]
    meant = [(kind, draw.randrange(len(sessions))) for kind in kinds]
    meant += [(kind, draw.randrange(len(sessions), len(clients))) for kind in (Mishap.CUT, Mishap.FREEZE, Mishap.KILL_CLIENT)]
    mishaps = [Planned(seconds * draw.uniform(_QUIET, 1 - _QUIET), kind, who, draw.random()) for kind, who in meant]
    return Plan(clients, tuple(sorted(mishaps, key=lambda planned: planned.at_s)), Troubles(twice=0.04, overtaken=0.03, late=0.03))


class Client:
    """A client of a story: its process, which may be gone, and the proxy before it."""

    def __init__(self, cast: Cast, index: int, seed: int, endpoint: str, directory: Path, troubles: Troubles) -> None:
        self._cast = cast
        self._index = index
        self._seed = seed
        self._directory = directory
        self.proxy = FrameProxy(endpoint, random.Random(f"{seed} proxy {index}"), troubles) if cast.is_behind_proxy else None
        self._endpoint = self.proxy.endpoint if self.proxy else endpoint
        self.process: ClientProcess | None = None
        self.is_frozen = False
        self.ledgers = [Ledger(directory, SessionName.of(name)) for name in cast.sessions]

    def begin(self, *, goes: bool = True) -> None:
        """A process, the first or a new one, which trades."""
        arguments = (self._cast.kind, self._endpoint, self._directory, str(self._seed), list(self._cast.sessions), 8 * (self._index + 1))
        self.process = trader_process(*arguments)
        if goes:
            self.process.tell("go")

    def close(self) -> None:
        """Kills it."""
        if self.process is not None:
            self.process.close()
        self.process, self.is_frozen = None, False


class Story:
    """One story in an empty directory. Use it as a context manager: leaving it ends its processes."""

    def __init__(self, seed: int, directory: Path, *, seconds: float = TRADE_S, policy: str = "commit") -> None:
        self.seed = seed
        self.plan = plan(seed, seconds)
        self._seconds = seconds
        self.journal = directory / "journal"
        self._directory = directory
        self._venue = VenueProcess(_config_file(directory, _free_port(), policy))
        self._clients: list[Client] = []
        self._mishaps: Counter[str] = Counter()
        self._skipped: Counter[str] = Counter()
        self._later: list[tuple[float, int, Callable[[], None]]] = []  # what is to be done, and when

    @property
    def ledgers(self) -> list[Ledger]:
        """Of all sessions."""
        return [ledger for client in self._clients for ledger in client.ledgers]

    def __enter__(self) -> Story:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for client in self._clients:
            client.close()
        with self._venue, contextlib.ExitStack() as stack:
            for client in self._clients:
                if client.proxy is not None:
                    stack.enter_context(client.proxy)

    def run(self) -> Told:
        """All of it. Raises one of FAILURES where a process fails or does not answer in time; Lost where the audit fails."""
        self._venue.start()
        for cast in self.plan.clients:
            self._add(cast)
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda client: client.begin(), self._clients))
        self._trade()
        logons = self._settle()
        frames = sum((client.proxy.counts for client in self._clients if client.proxy), Counter())
        told = Told(audit(self.journal, self.ledgers), self._mishaps, self._skipped, frames, logons)
        return told

    def _add(self, cast: Cast) -> Client:
        client = Client(cast, len(self._clients), self.seed, self._venue.orders_endpoint, self._directory, self.plan.troubles)
        self._clients.append(client)
        return client

    # ---- while they trade ----

    def _trade(self) -> None:
        begun = time.monotonic()
        for planned in self.plan.mishaps:
            self._do_at(begun + planned.at_s, lambda planned=planned: self._befall(planned))  # type: ignore[misc]
        self._do_at(begun + self._seconds, lambda: None)
        while self._later:
            due, _, act = heapq.heappop(self._later)
            time.sleep(max(0.0, due - time.monotonic()))
            self._look()
            act()

    def _look(self) -> None:
        """A process that has ended by itself says why."""
        assert not self._venue.has_ended, f"the venue has ended by itself: {self._venue.wait_for_failure()}"
        for client in self._clients:
            if client.process is not None and client.process.exit_code is not None:
                client.process.hear()

    def _do_at(self, due: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._later, (due, len(self._later) + time.monotonic_ns(), act))

    def _befall(self, planned: Planned) -> None:
        happens = _HAPPENS[planned.mishap](self, self._clients[planned.who], planned.amount)
        (self._mishaps if happens else self._skipped)[planned.mishap.value] += 1

    def _cut(self, client: Client, amount: float) -> bool:
        """Within the next bytes that pass; or now."""
        if client.proxy is not None:
            client.proxy.cut(max(0, int(amount * 3_000) - 500), resets=amount * 10 % 1 < 0.5)
        return client.proxy is not None

    def _cut_all(self, _: Client, amount: float) -> bool:
        for client in self._clients:
            self._cut(client, amount)
        return True

    def _kill_venue(self, _: Client, amount: float) -> bool:
        self._venue.kill()
        time.sleep(0.2 * amount)
        self._venue.start()
        return True

    def _kill_gateway(self, _client: Client, _amount: float) -> bool:
        """The venue starts it again by itself."""
        found = [pid for pid in _children(self._venue.pid) if "ome-gateway" in _command_line(pid)]
        for pid in found:
            os.kill(pid, signal.SIGKILL)
        return bool(found)

    def _freeze(self, client: Client, amount: float) -> bool:
        if client.process is None or client.is_frozen:
            return False
        client.process.send(signal.SIGSTOP)
        client.is_frozen = True
        process = client.process
        least, most = _FREEZE_S
        self._do_at(time.monotonic() + least + amount * (most - least), lambda: self._thaw(client, process))
        return True

    def _thaw(self, client: Client, process: ClientProcess) -> None:
        if client.process is process:
            process.send(signal.SIGCONT)
            client.is_frozen = False

    def _kill_client(self, client: Client, amount: float) -> bool:
        if client.process is None:
            return False
        client.close()
        self._do_at(time.monotonic() + 0.5 * amount, client.begin)
        return True

    # ---- the end ----

    def _settle(self) -> int:
        """All clients say the same words at the same time. Returns how often sessions were logged on."""
        settled = self._ask("settle")
        for client in self._clients:
            if client.proxy is not None:
                client.proxy.calm()
        self._ask("leave")
        self._add(Cast("copy", ("FIRM1:late",), is_behind_proxy=False)).begin(goes=False)
        self._ask("return")
        for process in self._processes():
            process.tell("end")
        self._venue.stop()
        for process in self._processes():
            process.hear()
        return sum(session["logons"] for said in settled for session in said.values())

    def _ask(self, word: str) -> list[dict[str, dict[str, int]]]:
        for process in self._processes():
            process.tell(word)
        return [process.hear() for process in self._processes()]

    def _processes(self) -> Iterator[ClientProcess]:
        for client in self._clients:
            assert client.process is not None, "those that were killed are back"
            yield client.process


_HAPPENS: Final[dict[Mishap, Callable[[Story, Client, float], bool]]] = {
    Mishap.CUT: Story._cut,
    Mishap.CUT_ALL: Story._cut_all,
    Mishap.KILL_VENUE: Story._kill_venue,
    Mishap.KILL_GATEWAY: Story._kill_gateway,
    Mishap.FREEZE: Story._freeze,
    Mishap.KILL_CLIENT: Story._kill_client,
}


def tell(seed: int, directory: Path, *, seconds: float = TRADE_S, policy: str = "commit") -> Told:
    """One story, of so many seconds of trade. Raises one of FAILURES, which says how to see it again."""
    try:
        with Story(seed, directory, seconds=seconds, policy=policy) as story:
            return story.run()
    except FAILURES as error:
        error.add_note(f"seed {seed}; again: tools/stories --count 1 --seed {seed}")
        raise


def _children(pid: int) -> list[int]:
    """Processes that a process has started and that run."""
    found = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += [int(child) for child in path.read_text().split()]
    return found


def _command_line(pid: int) -> str:
    """With the name that the process has given itself."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ") + Path(f"/proc/{pid}/comm").read_text()
    return ""


def _free_port() -> int:
    """One that nobody has, and that no connection will be given."""
    for _ in range(100):
        port = random.SystemRandom().choice(_PORTS)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError("no free port was found in 100 tries")


def _config_file(directory: Path, port: int, policy: str) -> Path:
    """A venue whose port stays, whose memory of reports is small, so that older ones come from the journal."""
    path = directory / "ome.toml"
    path.write_text(
        f"""
        [server]
        orders = "tcp://127.0.0.1:{port}"
        feed = "tcp://127.0.0.1:0"
        requests = ""
        reports_in_memory = 4096
        [journal]
        directory = "{directory / "journal"}"
        policy = "{policy}"
        event_log = true
        segment_bytes = {1 << 18}
        low_water_bytes = 0
        snapshot_commands = 1000
        [log]
        file = "{directory / "venue.log"}"
        [limits]
        orders = {LIMITS.order_count_max}
        levels = {LIMITS.level_count_max}
        instruments = {LIMITS.instrument_count_max}
        sessions = {LIMITS.session_count_max}
        [[instruments]]
        symbol = "AAPL"
        tick = "0.01"
        [[instruments]]
        symbol = "OIL"
        tick = "0.5"
        price_decimals = 1
        [[instruments]]
        symbol = "GAS"
        tick = "0.01"
        """
    )
    return path
