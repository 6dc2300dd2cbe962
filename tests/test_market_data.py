"""The client of market data, against a small publisher: what docs/PROTOCOL.md says about the feed, seen from the client."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from decimal import Decimal

import pytest
from fake_servers import DIRECTORY, FakeFeed, message

from ome.client import MarketData, TimedOut
from ome.enums import Side
from ome.errors import InvalidValueError, InvariantError
from ome.marketdata import BookBuilder, Channel, split_frame, topic_of
from ome.messages import NULL_VALUE


@pytest.fixture
def feed() -> Iterator[FakeFeed]:
    with closing(FakeFeed()) as made:
        yield made


def poll_until(market_data: MarketData, is_reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5.0
    while not is_reached():
        assert time.monotonic() < deadline, "the feed came to an end"
        market_data.poll(0.1)


def test_book_top_and_trades_are_kept_from_the_feed(feed: FakeFeed) -> None:
    """PROTOCOL, Market data: a snapshot, then updates; the top at once; trades."""
    with MarketData(feed.endpoint, DIRECTORY) as market_data:
        market_data.subscribe("AAPL")
        assert feed.wait_for_subscriptions(3) == [b"\1" + topic_of(channel, 1) for channel in Channel]
        assert market_data.top("AAPL") is None
        assert market_data.book("AAPL").is_stale
        feed.send(feed.snapshot_frame(5, [(Side.BUY, 100, 7), (Side.BUY, 99, 1), (Side.SELL, 103, 2)]))
        top = {"channel_sequence": 1, "bid_price": 100, "bid_quantity": 7, "ask_price": NULL_VALUE, "instrument": 1, "epoch": 1}
        feed.send(topic_of(Channel.TOP, 1) + message(160, **top))
        feed.send(feed.levels_frame([(6, Side.SELL, 102, 4), (6, Side.BUY, 99, 0), (7, Side.SELL, 103, 3)]))
        trade = {"channel_sequence": 1, "trade_id": 3, "price": 100, "quantity": 2, "instrument": 1, "epoch": 1, "side": Side.SELL}
        feed.send(topic_of(Channel.TRADES, 1) + message(161, **trade))
        market_data.synchronize()
        poll_until(market_data, lambda: market_data.book("AAPL").engine_sequence == 7)
        assert market_data.levels("AAPL", Side.BUY) == [(100, 7, 1)]
        assert market_data.levels(1, Side.SELL) == [(102, 4, 1), (103, 3, 1)]
        assert market_data.levels(1, Side.SELL, depth=1) == [(102, 4, 1)]
        book = market_data.book("AAPL", depth=1)
        assert book.best_bid is not None
        assert (book.best_bid.price, book.best_bid.quantity, len(book.asks)) == (Decimal("1.00"), Decimal(7), 1)
        found = market_data.top("AAPL")
        assert found is not None
        assert (found.bid_price, found.ask_price) == (Decimal("1.00"), None)
        poll_until(market_data, lambda: bool(market_data._trades))
        prints = list(market_data.trades())
        assert [(p.symbol, p.price, p.quantity, p.side, p.trade_id) for p in prints] == [
            ("AAPL", Decimal("1.00"), Decimal(2), Side.SELL, 3)
        ]
        assert list(market_data.trades()) == []
        assert market_data.gap_count == 0


def test_gap_makes_the_book_stale_and_asks_for_a_snapshot_that_heals_it(feed: FakeFeed) -> None:
    """PROTOCOL, Levels: after a gap the client unsubscribes and subscribes again, and ignores updates until the snapshot comes."""
    with MarketData(feed.endpoint) as market_data:
        market_data.subscribe(1, channels=(Channel.LEVELS,))
        feed.wait_for_subscriptions(1)
        feed.send(feed.snapshot_frame(1, [(Side.BUY, 100, 7)]))
        market_data.synchronize()
        time.sleep(0.5)  # the next request may come at once, because the last one is long ago
        feed.send(feed.levels_frame([(4, Side.BUY, 101, 1)], skip=2))
        poll_until(market_data, lambda: market_data.is_stale(1))
        assert feed.wait_for_subscriptions(2) == [b"\0" + topic_of(Channel.LEVELS, 1), b"\1" + topic_of(Channel.LEVELS, 1)]
        feed.send(feed.levels_frame([(5, Side.BUY, 98, 1)]))
        market_data.poll(0.1)
        assert market_data.levels(1, Side.BUY) == [(100, 7, 1)], "a stale book stays as it was"
        feed.send(feed.snapshot_frame(5, [(Side.BUY, 101, 1), (Side.BUY, 98, 1)]))
        feed.send(feed.levels_frame([(6, Side.BUY, 97, 3)]))
        poll_until(market_data, lambda: len(market_data.levels(1, Side.BUY)) == 3)
        assert market_data.levels(1, Side.BUY) == [(101, 1, 1), (98, 1, 1), (97, 3, 1)]
        assert not market_data.is_stale(1)
        assert market_data.gap_count == 1


def test_snapshot_that_does_not_come_is_asked_for_again(feed: FakeFeed) -> None:
    """A snapshot may get lost like any frame."""
    with MarketData(feed.endpoint) as market_data:
        market_data.subscribe(1, channels=(Channel.LEVELS,))
        assert feed.wait_for_subscriptions(1)[0][0] == 1
        with pytest.raises(TimedOut, match="snapshots"):
            market_data.synchronize(0.7)
        assert [frame[0] for frame in feed.wait_for_subscriptions(2)] == [0, 1]


def test_publisher_that_starts_again_is_subscribed_to_again() -> None:
    """PROTOCOL, Epoch: a new epoch is a new stream."""
    feed = FakeFeed()
    with MarketData(feed.endpoint) as market_data:
        market_data.subscribe(1, channels=(Channel.LEVELS,))
        feed.wait_for_subscriptions(1)
        feed.send(feed.snapshot_frame(9, [(Side.BUY, 100, 7)]))
        market_data.synchronize()
        endpoint = feed.endpoint
        feed.close()
        with closing(FakeFeed(endpoint)) as successor:
            successor.epoch = 2
            while (subscription := successor.receive()) is None:
                market_data.poll(0.01)  # a subscriber repeats its subscriptions when it is polled
            assert subscription == b"\1" + topic_of(Channel.LEVELS, 1)
            successor.send(successor.snapshot_frame(9, [(Side.BUY, 50, 1)]))
            poll_until(market_data, lambda: market_data.levels(1, Side.BUY) == [(50, 1, 1)])
            assert market_data.gap_count == 1


def test_gaps_of_tops_and_trades_are_counted_and_repeats_are_not(feed: FakeFeed) -> None:
    """PROTOCOL, Market data: channel_sequence counts; a top is sent again for a new subscriber."""
    with MarketData(feed.endpoint) as market_data:
        market_data.subscribe(1, channels=(Channel.TOP, Channel.TRADES))
        feed.wait_for_subscriptions(2)
        for channel, template in ((Channel.TOP, 160), (Channel.TRADES, 161)):
            for sequence in (5, 5, 6, 8, 9):
                feed.send(topic_of(channel, 1) + message(template, channel_sequence=sequence, instrument=1, epoch=1))
        seen = 0
        while seen < 10:
            updates = market_data.poll(5.0)
            assert updates, f"{seen} of 10 came"
            seen += len(updates)
        assert market_data.gap_count == 2


def test_numbers_need_no_directory_and_symbols_do(feed: FakeFeed) -> None:
    """What cannot be answered is refused with what is allowed."""
    with MarketData(feed.endpoint) as market_data:
        with pytest.raises(InvalidValueError, match="numbers only"):
            market_data.subscribe("AAPL")
        with pytest.raises(InvalidValueError, match="subscribe first"):
            market_data.levels(1, Side.BUY)
        market_data.subscribe(1)
        market_data.unsubscribe(1)
        subscriptions = feed.wait_for_subscriptions(6)
        assert [frame[0] for frame in subscriptions] == [1, 1, 1, 0, 0, 0]
        with pytest.raises(InvalidValueError):
            market_data.is_stale(1)


def test_books_can_be_moved_to_an_exact_engine_sequence(feed: FakeFeed) -> None:
    """PROTOCOL, Levels: each update names its command, so that a book can stand after any of them."""
    with MarketData(feed.endpoint) as market_data:
        market_data.subscribe(1, channels=(Channel.LEVELS,))
        feed.wait_for_subscriptions(1)
        feed.send(feed.snapshot_frame(3, [(Side.BUY, 100, 7)]))
        feed.send(feed.levels_frame([(4, Side.BUY, 101, 1), (6, Side.BUY, 102, 1), (6, Side.BUY, 101, 0), (9, Side.BUY, 102, 0)]))
        seen = 0
        while seen < 2:
            seen += len(market_data.poll(5.0, apply=False))
        expected = {2: [], 3: [100], 4: [101, 100], 5: [101, 100], 6: [102, 100], 8: [102, 100], 9: [100], 10: [100]}
        for engine_sequence, prices in expected.items():
            market_data.apply_until(engine_sequence)
            assert [price for price, _, _ in market_data.levels(1, Side.BUY)] == prices
            assert market_data.is_stale(1) == (engine_sequence < 3)


# ---- The book builder ----


@pytest.mark.parametrize("seed", range(20))
def test_book_is_exact_or_stale_whatever_the_feed_loses_or_repeats(seed: int) -> None:
    """A book that says it is not stale equals the publisher's book at its last update, under lost frames and snapshots for others."""
    print(f"seed {seed}")
    random_source = random.Random(seed)
    source = FakeFeed()
    source.close()
    builder = BookBuilder()
    books: dict[int, dict[tuple[Side, int], int]] = {0: {}}
    book: dict[tuple[Side, int], int] = {}
    exact_count = stale_count = 0
    for engine_sequence in range(1, 300):
        rows = []
        for _ in range(random_source.randrange(1, 4)):
            side = random_source.choice((Side.BUY, Side.SELL))
            price = random_source.randrange(90, 100) if side == Side.BUY else random_source.randrange(100, 110)
            quantity = random_source.choice((0, 1, 5))
            rows.append((engine_sequence, side, price, quantity))
            book[side, price] = quantity
        books[engine_sequence] = {key: quantity for key, quantity in book.items() if quantity}
        frame = source.levels_frame(rows)
        if random_source.random() < 0.9:
            builder.take(split_frame(frame))
        if random_source.random() < 0.1:
            levels = [(side, price, quantity) for (side, price), quantity in books[engine_sequence].items()]
            builder.take(split_frame(source.snapshot_frame(engine_sequence, levels)))
        if random_source.random() < 0.05:
            source.epoch += 1
        if random_source.random() < 0.5:
            builder.apply(engine_sequence - random_source.randrange(3))
            builder.check()
            if builder.is_stale:
                stale_count += 1
            else:
                exact_count += 1
                found = {(side, p): q for side in (Side.BUY, Side.SELL) for p, q, _ in builder.levels(side)}
                assert found == books[builder.engine_sequence]
    assert exact_count > 10
    assert stale_count > 10
    assert builder.gap_count > 3


def builder_with(source: FakeFeed) -> BookBuilder:
    """A builder in step with a source: bid 100 for 7 lots, five updates so far."""
    source.close()
    source.sequence = 5
    builder = BookBuilder()
    builder.take(split_frame(source.snapshot_frame(5, [(Side.BUY, 100, 7)])))
    builder.apply()
    return builder


def test_updates_that_a_snapshot_includes_are_ignored() -> None:
    """PROTOCOL, Keeping a book, 3: they may be older than what the snapshot says."""
    source = FakeFeed()
    builder = builder_with(source)
    source.sequence = 3
    builder.take(split_frame(source.levels_frame([(4, Side.BUY, 100, 1)])))
    builder.take(split_frame(source.levels_frame([(5, Side.BUY, 99, 1), (6, Side.BUY, 98, 2)])))
    builder.apply()
    assert builder.levels(Side.BUY) == [(100, 7, 1), (98, 2, 1)]
    assert (builder.gap_count, builder.channel_sequence, builder.engine_sequence) == (0, 6, 6)


def test_update_of_another_epoch_is_a_gap_although_its_sequence_is_the_next() -> None:
    """PROTOCOL, Keeping a book, 4: another epoch is another stream."""
    source = FakeFeed()
    builder = builder_with(source)
    source.epoch += 1
    builder.take(split_frame(source.levels_frame([(6, Side.BUY, 98, 2)])))
    builder.apply()
    assert (builder.needs_snapshot, builder.is_stale, builder.gap_count) == (True, True, 1)
    assert builder.levels(Side.BUY) == [(100, 7, 1)]


@pytest.mark.parametrize(("sequence", "epoch"), [(6, 1), (2, 2)])
def test_snapshot_for_somebody_else_heals_a_book_that_did_not_know_of_its_gap(sequence: int, epoch: int) -> None:
    """PROTOCOL, Keeping a book, 5: one that is ahead, or of another epoch, is taken; one that says nothing new is not."""
    source = FakeFeed()
    builder = builder_with(source)
    builder.take(split_frame(source.snapshot_frame(5, [(Side.BUY, 1, 1)])))
    builder.apply()
    assert builder.levels(Side.BUY) == [(100, 7, 1)]
    source.sequence, source.epoch = sequence, epoch
    builder.take(split_frame(source.snapshot_frame(9, [(Side.BUY, 97, 3)])))
    builder.take(split_frame(source.levels_frame([(10, Side.BUY, 96, 1)])))
    builder.apply()
    assert builder.levels(Side.BUY) == [(97, 3, 1), (96, 1, 1)]
    assert (builder.is_stale, builder.gap_count) == (False, 1)


def test_check_finds_a_crossed_book() -> None:
    """BookBuilder.check asserts what always holds."""
    source = FakeFeed()
    source.close()
    builder = BookBuilder()
    builder.take(split_frame(source.snapshot_frame(1, [(Side.BUY, 100, 7), (Side.SELL, 100, 1)])))
    builder.apply()
    with pytest.raises(InvariantError, match="best bid and ask"):
        builder.check()


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        topic_of(Channel.LEVELS, 1),
        topic_of(Channel.LEVELS, 1) + message(162)[:-1],
        topic_of(Channel.LEVELS, 1) + message(162) + message(160),
        topic_of(Channel.LEVELS, 1) + bytes(80),
        topic_of(Channel.LEVELS, 1) + message(163) + message(163),
    ],
)
def test_frame_of_market_data_that_is_not_whole_is_refused(frame: bytes) -> None:
    """A frame is a topic and whole messages of one template, a snapshot's header apart."""
    with pytest.raises(InvalidValueError):
        split_frame(frame)


def test_snapshot_with_another_count_than_its_levels_is_refused() -> None:
    """LevelSnapshot.level_count says how many updates follow; an empty book has none."""
    builder = BookBuilder()
    with pytest.raises(InvalidValueError, match="level_count"):
        builder.take(split_frame(topic_of(Channel.LEVELS, 1) + message(163, level_count=2) + message(162)))
    builder.take(split_frame(topic_of(Channel.LEVELS, 1) + message(163)))
    builder.apply()
    assert not builder.is_stale
    with pytest.raises(InvalidValueError, match="levels channel"):
        builder.take(split_frame(topic_of(Channel.LEVELS, 1) + message(160)))
