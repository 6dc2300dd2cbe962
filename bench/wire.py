"""Figures of the wire: a client in this process, a venue in another, beside the least that a ROUTER can do for the same client.

The client is a loop in C on a socket that pyzmq made, the same for both; the bare ROUTER too. Which reports a venue has to send is known
beforehand, from the same commands through an Engine: the client counts them, and one too few or too many ends the run.
"""

from __future__ import annotations

import contextlib
import ctypes
import statistics
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.figure import Figure, Sample, compare
from bench.options import Options
from bench.wakeups import wakeup_count
from bench.wire_ends import PARTICIPANT, REPORT_SIZE, WINDOW, Traffic, Venue, load_of, peer, session, traffic_of, venue
from bench.wire_library import Result, check, compiler, library
from ome.keys import AdmittedKey, ClientKeys, Role, keys_file_text, make_key_pair, write_key_pair
from ome.orderflow import order_flow

__all__ = [
    "frames_of_1",
    "frames_of_16",
    "frames_of_64",
    "frames_of_64_encrypted",
    "frames_of_64_logged",
    "frames_of_64_process",
]

_ANSWERS_PER_FRAME_MAX = 1_024


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """All messages with all their reports, once. `wakeups` are of the venue's threads."""

    sample: Sample
    result: Result
    wakeups: int = 0


def _send_all(
    endpoint: str,
    traffic: Traffic,
    messages_per_frame: int,
    what: str,
    *,
    pids: tuple[int, ...] = (),
    keys: ClientKeys | None = None,
) -> _Run:
    load, result = load_of(traffic, messages_per_frame), Result()
    with session(endpoint, keys=keys) as address:
        before = wakeup_count(pids)
        check(library().bench_wire_load(address, ctypes.byref(load), ctypes.byref(result)), what)
        wakeups = wakeup_count(pids) - before
    return _Run(sample=Sample(operations=len(traffic.messages), elapsed_ns=result.elapsed_ns), result=result, wakeups=wakeups)


def _config(options: Options, traffic: Traffic, messages_per_frame: int, gateway: str, runs: list[_Run]) -> dict[str, object]:
    return {
        "flow": "ome.orderflow, 3 instruments, one session",
        "seed": options.seed,
        "commands": len(traffic.messages),
        "reports": traffic.report_count,
        "messages_per_frame": messages_per_frame,
        "window": WINDOW,
        "policy": "async",
        "gateway": gateway,
        "reports_per_frame": statistics.median(traffic.report_count / run.result.answer_frame_count for run in runs),
        "busy": statistics.median(run.result.refused_count for run in runs),
        "wakeups_per_operation": statistics.median(run.wakeups / run.sample.operations for run in runs),
        "compiler": compiler(),
    }


def _throughput(
    name: str, options: Options, messages_per_frame: int, count: int, *, gateway: str = "thread", event_log: bool = False
) -> Figure:
    traffic = traffic_of(order_flow(options.seed, count, participants=1))
    even = traffic.spread()
    frame_count = -(-count // messages_per_frame)
    ours: list[_Run] = []
    theirs: list[Sample] = []
    for _ in range(options.repeat):
        with venue(gateway, event_log=event_log) as found:
            ours.append(_send_all(found.orders, traffic, messages_per_frame, f"{name}, venue", pids=found.pids))
        grouped = min(_ANSWERS_PER_FRAME_MAX, max(1, round(traffic.report_count / ours[-1].result.answer_frame_count)))
        with peer("answer", frame_count, traffic.report_count, grouped, REPORT_SIZE) as router:
            theirs.append(_send_all(router.endpoint, even, messages_per_frame, f"{name}, bare ROUTER").sample)
    return compare(
        name,
        [run.sample for run in ours],
        theirs,
        yardstick="bare ROUTER",
        clock="wall time",
        config={**_config(options, traffic, messages_per_frame, gateway, ours), "event_log": event_log},
    )


def frames_of_1(options: Options) -> Figure:
    """A frame for each message."""
    return _throughput("wire-1", options, 1, options.count // 2)


def frames_of_16(options: Options) -> Figure:
    """16 messages a frame."""
    return _throughput("wire-16", options, 16, options.count)


def frames_of_64(options: Options) -> Figure:
    """64 messages a frame."""
    return _throughput("wire-64", options, 64, options.count)


def frames_of_64_logged(options: Options) -> Figure:
    """64 messages a frame, and the venue writes an event log."""
    return _throughput("wire-64-logged", options, 64, options.count, event_log=True)


def frames_of_64_process(options: Options) -> Figure:
    """64 messages a frame, and the venue's gateway is a process of its own."""
    return _throughput("wire-64-process", options, 64, options.count, gateway="process")


# ---- encrypted ----


@contextlib.contextmanager
def _encrypted_venue() -> Iterator[tuple[Venue, ClientKeys]]:
    """A venue that admits one key, and what its client needs."""
    servers, client = make_key_pair(), make_key_pair()
    with tempfile.TemporaryDirectory() as name:
        server_key, keys = Path(name) / "server", Path(name) / "keys.toml"
        write_key_pair(server_key, servers)
        admitted = AdmittedKey(participant=PARTICIPANT, public=client.public, roles=frozenset({Role.TRADE}))
        keys.write_text(keys_file_text([admitted]), encoding="utf-8")
        with venue("thread", curve="always", keys_file=str(keys), server_key_file=str(server_key)) as found:
            yield found, ClientKeys(server=servers.public, pair=client)


def frames_of_64_encrypted(options: Options) -> Figure:
    """64 messages a frame over CURVE, beside the same without."""
    name, messages_per_frame = "wire-curve-64", 64
    traffic = traffic_of(order_flow(options.seed, options.count, participants=1))
    ours: list[_Run] = []
    theirs: list[Sample] = []
    for _ in range(options.repeat):
        with _encrypted_venue() as (found, keys):
            ours.append(_send_all(found.orders, traffic, messages_per_frame, f"{name}, venue", pids=found.pids, keys=keys))
        with venue("thread") as found:
            theirs.append(_send_all(found.orders, traffic, messages_per_frame, f"{name}, not encrypted").sample)
    return compare(
        name,
        [run.sample for run in ours],
        theirs,
        yardstick="not encrypted",
        clock="wall time",
        config=_config(options, traffic, messages_per_frame, "thread", ours),
    )
