"""The core against the reference: the same commands through both, every byte of every event and both hashes compared.

`compare` runs a random flow and returns the first `Difference`, or None; `shrink` drops commands from it while the two still differ;
`story` tells it. The command is tools/differential.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from flows import CHUNK, Flow

from ome.codec import COMMAND, Records, decode_commands, decode_events, join_records, record_bytes
from ome.engine import Engine
from ome.errors import InvariantError
from ome.messages import Limits
from ome.reference import ReferenceEngine

TINY: Final = Limits(order_count_max=40, level_count_max=12, instrument_count_max=6, session_count_max=8)
LIMITS: Final = {"normal": Limits(), "tiny": TINY}
_LOOK_EVERY: Final = 5_000  # commands between two looks at the whole state


class Market(Protocol):
    """What is compared of an engine."""

    def apply_records(self, commands: Records) -> Records:
        """Carries out commands; returns their events."""

    def check(self) -> None:
        """Raises InvariantError where an invariant does not hold."""

    @property
    def state_hash(self) -> int:
        """The hash of the state."""

    @property
    def event_hash(self) -> int:
        """The rolling hash of all events."""


MarketFactory = Callable[[Limits], Market]


def core(limits: Limits) -> Market:
    """The C core."""
    return Engine(limits=limits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Commands after which the two engines differ, the last of them being the one that shows it."""

    commands: Records
    limits: Limits
    what: str


def compare(seed: int, count: int, limits: Limits, *, make: MarketFactory = core, instruments: int = 4) -> Difference | None:
    """Runs `count` commands of the flow of `seed` through an engine that `make` makes and the reference. Returns the first difference."""
    flow = Flow(seed, instruments=instruments, limits=limits)
    tested, reference = make(limits), ReferenceEngine(limits)
    chunks: list[Records] = []
    step = min(CHUNK, max(1, flow.depth // 4))
    next_look = _LOOK_EVERY
    for start in range(0, count, step):
        chunks.append(flow.take(min(step, count - start)))
        expected = reference.apply_records(chunks[-1])
        found = tested.apply_records(chunks[-1])
        is_equal = record_bytes(found) == record_bytes(expected)
        if is_equal and start + step >= min(next_look, count):
            next_look += _LOOK_EVERY
            is_equal = _state_difference(tested, reference) is None
        if not is_equal:
            return _first(join_records(chunks, COMMAND), limits, make)
        flow.hear(expected)
    return None


def _state_difference(tested: Market, reference: ReferenceEngine) -> str | None:
    try:
        tested.check()
        reference.check()
    except InvariantError as broken:
        return str(broken)
    for name in ("event_hash", "state_hash"):
        found, expected = getattr(tested, name), getattr(reference, name)
        if found != expected:
            return f"{name} {found:#018x}, reference {expected:#018x}"
    return None


def difference(commands: Records, limits: Limits, make: MarketFactory = core) -> str | None:
    """What differs at the end of these commands, or in the events of any of them; None where nothing does."""
    tested, reference = make(limits), ReferenceEngine(limits)
    if record_bytes(tested.apply_records(commands)) != record_bytes(reference.apply_records(commands)):
        return "events"
    return _state_difference(tested, reference)


def _first(commands: Records, limits: Limits, make: MarketFactory) -> Difference:
    """Cuts the commands after the first one that shows a difference, by halving: where a beginning differs, every longer one does."""
    same, differs = 0, len(commands)
    while differs - same > 1:
        middle = (same + differs) // 2
        if difference(commands[:middle], limits, make) is None:
            same = middle
        else:
            differs = middle
    what = difference(commands[:differs], limits, make)
    assert what is not None, "the engines are functions of their commands"
    return Difference(commands=commands[:differs], limits=limits, what=what)


def shrink(found: Difference, seconds: float = 60.0, make: MarketFactory = core) -> Difference:
    """Drops runs of commands, long ones first, while the engines still differ; for `seconds` at most."""
    deadline = time.monotonic() + seconds
    size = len(found.commands) // 2
    while size:
        for shorter in _without_runs(found, size):
            if time.monotonic() > deadline:
                return found
            if difference(shorter, found.limits, make) is not None:
                found = _first(shorter, found.limits, make)
                break
        else:
            size //= 2
    return found


def _without_runs(found: Difference, size: int) -> Iterator[Records]:
    """The commands without each run of `size` of them; from the end, where fewer of the others hang on them."""
    commands = found.commands
    for start in range(len(commands) - size, -size, -size):
        yield join_records([commands[: max(0, start)], commands[max(0, start) + size :]], COMMAND)


def story(found: Difference, make: MarketFactory = core) -> str:
    """The commands, and what each engine says to the last of them."""
    lines = [f"the engines differ: {found.what}", f"limits: {found.limits}", f"{len(found.commands)} commands; the last of them:"]
    commands = decode_commands(found.commands)
    lines += [f"  {len(commands) - len(commands[-20:]) + index:7d}  {command}" for index, command in enumerate(commands[-20:], 1)]
    for name, engine in (("tested", make(found.limits)), ("reference", ReferenceEngine(found.limits))):
        engine.apply_records(found.commands[:-1])
        events = decode_events(engine.apply_records(found.commands[-1:]))
        lines += [f"{name} says:", *(f"  {event}" for event in events), f"  state {engine.state_hash:#018x}"]
    return "\n".join(lines)
