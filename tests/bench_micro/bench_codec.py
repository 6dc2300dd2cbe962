"""Micro-benchmarks of the codec: messages to records and back.

Not collected by itself: `pytest tests/bench_micro/bench_*.py`.
"""

from __future__ import annotations

from pytest_benchmark.fixture import BenchmarkFixture

from ome.codec import decode_commands, encode_commands
from ome.enums import OrderType, Side, TimeInForce
from ome.messages import Command, NewOrder

COMMANDS: list[Command] = [
    NewOrder(
        timestamp_ns=index,
        client_order_id=1 + index,
        price=10_000,
        quantity=1,
        participant=1,
        instrument=1,
        side=Side.BUY,
        order_type=OrderType.LIMIT,
        time_in_force=TimeInForce.GTC,
    )
    for index in range(256)
]


def test_encode_256_commands(benchmark: BenchmarkFixture) -> None:
    """256 new orders, as messages, to one array of records."""
    records = benchmark(encode_commands, COMMANDS)
    assert len(records) == len(COMMANDS)


def test_decode_256_commands(benchmark: BenchmarkFixture) -> None:
    """One array of 256 records to messages."""
    assert benchmark(decode_commands, encode_commands(COMMANDS)) == COMMANDS
