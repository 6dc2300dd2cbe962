"""Order flow that looks like that of a market: for demonstrations, load and benchmarks. It depends only on its seed, and on no engine."""

from __future__ import annotations

import heapq
import itertools
from random import Random

import numpy as np

from ome.codec.layouts import COMMAND
from ome.codec.records import Records
from ome.enums import CommandFlags, CommandKind, OrderType, Side, TimeInForce
from ome.messages import NULL_VALUE

__all__ = ["order_flow"]

_MID_TICKS = 15_000
_LIFE_COMMANDS = 400  # mean, until an order is cancelled
_COLUMNS = ("kind", "participant", "client_order_id", "instrument", "side", "price", "quantity", "order_type", "time_in_force", "flags")


def order_flow(seed: int, count: int, *, instruments: int = 3, participants: int = 2, tick: int = 1) -> Records:
    """`count` commands (dtype COMMAND) of `participants` 1, 2... in instruments 1, 2..., prices in multiples of `tick` price units.

    The middle of each instrument wanders. Of the new orders 15 % are immediate-or-cancel at the other side's prices,
    and small; the others rest at power-law distances from the middle, one in five is amended, and nearly all are
    cancelled after a short life, some when they have traded. Client order ids count up, by participant. `participant`
    lets the sender of the flow choose the session; a server overwrites it.
    """
    random = Random(seed)
    roll = random.random
    mids = [_MID_TICKS] * (instruments + 1)
    ids = [itertools.count(1) for _ in range(participants + 1)]
    due: list[tuple[int, int, tuple[int, int, int, int, int]]] = []  # when, whether to amend first, the order
    rows: list[tuple[int, int, int, int, int, int, int, int, int, int]] = []
    open_quantity = int(CommandFlags.OPEN_QUANTITY)
    new, cancel, amend = int(CommandKind.NEW_ORDER), int(CommandKind.CANCEL_ORDER), int(CommandKind.AMEND_ORDER)
    buy, limit, gtc, ioc = int(Side.BUY), int(OrderType.LIMIT), int(TimeInForce.GTC), int(TimeInForce.IOC)
    while len(rows) < count:
        if due and due[0][0] <= len(rows):
            _, amends, (participant, order_id, instrument, side, quantity) = heapq.heappop(due)
            if not amends:
                rows.append((cancel, participant, order_id, instrument, 0, 0, 0, 0, 0, 0))
                continue
            price = (mids[instrument] + (-1 if side == buy else 1) * (2 + int(2 / (roll() + 0.02)))) * tick
            rows.append(
                (amend, participant, order_id, instrument, 0, price if roll() < 0.7 else NULL_VALUE, quantity + 10, 0, 0, open_quantity)
            )
            continue
        instrument = 1 + int(roll() * instruments)
        participant = 1 + int(roll() * participants)
        if roll() < 0.05:
            mids[instrument] += 1 if roll() < 0.5 else -1
        side = 1 + (roll() < 0.5)
        away = -1 if side == buy else 1
        order_id = next(ids[participant])
        quantity = 10 * (1 + int(roll() * 20))
        if roll() < 0.15:
            price = (mids[instrument] - away * int(roll() * 3)) * tick
            rows.append((new, participant, order_id, instrument, side, price, 10 + quantity // 80 * 10, limit, ioc, 0))
            continue
        distance = min(500, 1 + int(2 / (roll() + 0.004)))
        price = (mids[instrument] + away * distance) * tick
        rows.append((new, participant, order_id, instrument, side, price, quantity, limit, gtc, 0))
        if roll() < 0.95:
            now = len(rows)
            end = now + 1 + int(random.expovariate(1 / _LIFE_COMMANDS))
            heapq.heappush(due, (end, 0, (participant, order_id, instrument, side, quantity)))
            if roll() < 0.2 and end > now + 1:
                heapq.heappush(due, (random.randrange(now, end), 1, (participant, order_id, instrument, side, quantity)))
    flow = np.zeros(count, dtype=COMMAND)
    for name, column in zip(_COLUMNS, zip(*rows, strict=True), strict=True):
        flow[name] = column
    return flow
