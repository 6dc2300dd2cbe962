"""The core against the reference: the same commands through both, every byte of every event and both hashes compared.

`compare` runs a random flow and returns the first `Difference`, or None; `shrink` drops commands from it while the two still differ;
`story` tells it. The command is tools/differential.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from flows import CHUNK, Flow, Mix
from stories import tell_commands, tell_events

from ome.codec import COMMAND, Records, join_records, record_bytes
from ome.engine import Engine
from ome.enums import CommandKind, LimitFlags
from ome.errors import InvariantError
from ome.messages import Limits
from ome.reference import ReferenceEngine


class Setting(NamedTuple):
    """What a flow is made of, and the engine that takes it."""

    limits: Limits
    mix: Mix = Mix.EVERY_RULE


TINY: Final = Limits(order_count_max=16, level_count_max=12, instrument_count_max=6, session_count_max=8, special_count_max=8)
BARE: Final = Limits(order_count_max=40, level_count_max=12, instrument_count_max=6, session_count_max=8, special_count_max=0)
SETTINGS: Final = {
    "normal": Setting(Limits()),
    "tiny": Setting(TINY),
    "bare": Setting(BARE),  # no special orders at all
    "plain": Setting(Limits(), Mix.PLAIN),
    "trailing": Setting(Limits(), Mix.TRAILING),
    "restricted": Setting(Limits(account_count_max=6, limit_flags=LimitFlags.ACCOUNTS_RESTRICTED)),
}
_LOOK_EVERY: Final = 1_000  # commands between two looks at the whole state
_ENDS: Final = (50, 200, 1_000, 5_000, 20_000)  # how much of a long flow is tried alone


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


def compare(seed: int, count: int, setting: Setting, *, make: MarketFactory = core, instruments: int = 6) -> Difference | None:
    """Runs `count` commands of the flow of `seed` through an engine that `make` makes and the reference. Returns the first difference."""
    limits = setting.limits
    flow = Flow(seed, instruments=min(instruments, limits.instrument_count_max), limits=limits, mix=setting.mix)
    tested, reference = make(limits), ReferenceEngine(limits)
    chunks: list[Records] = []
    step = min(CHUNK, max(1, flow.depth // 4))
    looked_at, done = 0, 0
    while done < count:
        chunks.append(flow.take(min(step, count - done)))
        done += len(chunks[-1])
        expected = reference.apply_records(chunks[-1])
        is_equal = record_bytes(tested.apply_records(chunks[-1])) == record_bytes(expected)
        if is_equal and (done - looked_at >= _LOOK_EVERY or done == count):
            is_equal = _state_difference(tested, reference) is None
            looked_at = done if is_equal else looked_at
        if not is_equal:
            return _first(join_records(chunks, COMMAND), looked_at, limits, make)
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


def _first(commands: Records, same: int, limits: Limits, make: MarketFactory) -> Difference:
    """Cuts the commands after the first one that shows a difference; after the first `same` of them nothing differs."""
    tested, reference = make(limits), ReferenceEngine(limits)
    tested.apply_records(commands[:same])
    reference.apply_records(commands[:same])
    for index in range(same, len(commands)):
        command = commands[index : index + 1]
        is_equal = record_bytes(tested.apply_records(command)) == record_bytes(reference.apply_records(command))
        what = _state_difference(tested, reference) if is_equal else "events"
        if what is not None:
            return Difference(commands=commands[: index + 1], limits=limits, what=what)
    raise AssertionError("the engines are functions of their commands")


def shrink(found: Difference, seconds: float = 60.0, make: MarketFactory = core) -> Difference:
    """Drops runs of commands, long ones first, while the engines still differ; for `seconds` at most."""
    deadline = time.monotonic() + seconds
    opening = sum(int(kind) >= CommandKind.DEFINE_LIMITS for kind in found.commands["kind"][:100])
    for count in _ENDS:
        end = join_records([found.commands[:opening], found.commands[opening:][-count:]], COMMAND)
        if len(end) < len(found.commands) and difference(end, found.limits, make) is not None:
            found = _first(end, 0, found.limits, make)
            break
    size = len(found.commands) // 2
    while size:
        for shorter in _without_runs(found, size):
            if time.monotonic() > deadline:
                return found
            if difference(shorter, found.limits, make) is not None:
                found = _first(shorter, 0, found.limits, make)
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
    count = min(60, len(found.commands))
    lines += [
        f"  {number:7d}  {line}" for number, line in enumerate(tell_commands(found.commands[-count:]), len(found.commands) - count + 1)
    ]
    for name, engine in (("tested", make(found.limits)), ("reference", ReferenceEngine(found.limits))):
        engine.apply_records(found.commands[:-1])
        lines += [f"{name} says:", *(f"  {line}" for line in tell_events(engine.apply_records(found.commands[-1:])))]
        lines += [f"  state {engine.state_hash:#018x}"]
    return "\n".join(lines)
