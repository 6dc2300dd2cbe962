"""What the tests share: the engines that must all behave the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import pytest

import ome.engine as core
from ome.codec import Records
from ome.enums import Side
from ome.messages import Limits
from ome.reference import ReferenceEngine


class Engine(Protocol):
    """What a test may ask of any engine."""

    def apply_records(self, commands: Records) -> Records:
        """Carries out commands; returns their events."""

    def levels(self, instrument: int, side: Side, depth: int | None = None) -> Sequence[tuple[int, int, int]]:
        """Price, quantity and number of orders of each level, best first."""

    @property
    def state_hash(self) -> int:
        """The hash of the state."""

    @property
    def event_hash(self) -> int:
        """The rolling hash of all events."""


EngineFactory = Callable[[Limits], Engine]
ENGINES: dict[str, EngineFactory] = {"reference": ReferenceEngine, "core": lambda limits: core.Engine(limits=limits)}


@pytest.fixture(params=list(ENGINES))
def engine_factory(request: pytest.FixtureRequest) -> EngineFactory:
    """Makes an empty engine with the limits given; each engine of the project in turn."""
    return ENGINES[request.param]
