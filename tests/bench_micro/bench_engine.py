"""Micro-benchmarks of the batch call: what one order costs when it is sent alone.

Not collected by itself: `pytest tests/bench_micro/bench_*.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from ome.codec import Records, encode_commands
from ome.engine import Engine
from ome.enums import OrderType, Side, TimeInForce
from ome.instruments import Instrument
from ome.messages import CancelOrder, NewOrder

PRICE = 10_000
ROUNDS = 20_000


@pytest.fixture
def engine() -> Iterator[Engine]:
    """An engine with one instrument and an empty book."""
    with Engine([Instrument("BENCH", tick="0.01")]) as made:
        yield made


def _new(client_order_id: int, side: Side) -> NewOrder:
    return NewOrder(
        timestamp_ns=0,
        client_order_id=client_order_id,
        price=PRICE,
        quantity=1,
        participant=1,
        instrument=1,
        side=side,
        order_type=OrderType.LIMIT,
        time_in_force=TimeInForce.GTC,
    )


def _nothing(index: int) -> None:
    pass


def _measure(benchmark: BenchmarkFixture, engine: Engine, prepare: Callable[[int], None], commands: list[Records]) -> None:
    """Sends one command a round, `prepare` untimed before each."""
    turn = iter(range(ROUNDS))

    def setup() -> tuple[tuple[Records], dict[str, object]]:
        index = next(turn)
        prepare(index)
        return (commands[index],), {}

    benchmark.pedantic(engine.apply_records, setup=setup, rounds=ROUNDS)  # type: ignore[no-untyped-call]


def test_one_add(benchmark: BenchmarkFixture, engine: Engine) -> None:
    """An order that joins a level."""
    commands = [encode_commands([_new(1 + index, Side.BUY)]) for index in range(ROUNDS)]
    _measure(benchmark, engine, _nothing, commands)
    assert engine.levels(1, Side.BUY) == [(PRICE, ROUNDS, ROUNDS)]


def test_one_cancel(benchmark: BenchmarkFixture, engine: Engine) -> None:
    """A cancel by client order id of an order in the middle of a long queue."""
    engine.apply_records(encode_commands([_new(1 + index, Side.BUY) for index in range(2 * ROUNDS)]))
    commands = [
        encode_commands([CancelOrder(timestamp_ns=0, client_order_id=1 + 2 * index, participant=1, instrument=1)])
        for index in range(ROUNDS)
    ]
    _measure(benchmark, engine, _nothing, commands)
    assert engine.levels(1, Side.BUY) == [(PRICE, ROUNDS, ROUNDS)]


def test_one_trade(benchmark: BenchmarkFixture, engine: Engine) -> None:
    """A buy that fills the one sell that is there."""
    resting = [encode_commands([_new(1 + 2 * index, Side.SELL)]) for index in range(ROUNDS)]
    commands = [encode_commands([_new(2 + 2 * index, Side.BUY)]) for index in range(ROUNDS)]

    def rest(index: int) -> None:
        engine.apply_records(resting[index])

    _measure(benchmark, engine, rest, commands)
    assert engine.trade_count == ROUNDS
