"""The client of market data, against a small publisher: what docs/PROTOCOL.md says about the feed, seen from the client."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from decimal import Decimal

import pytest
from fake_servers import DIRECTORY, FakeFeed, message, top_frame

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
    """D6: PROTOCOL, Epoch: a new epoch is a new stream."""
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
    """D6: PROTOCOL, Keeping a book, 4: another epoch is another stream."""
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


# ---- Snapshots that leave levels out ----

BUYS = [(Side.BUY, 105, 1), (Side.BUY, 104, 1)]
SELLS = [(Side.SELL, 110, 1), (Side.SELL, 112, 2)]


def partial_builder(source: FakeFeed, rows: list[tuple[Side, int, int]], bids_left_out: int, asks_left_out: int) -> BookBuilder:
    """A builder whose snapshot left levels out."""
    source.close()
    builder = BookBuilder()
    builder.take(split_frame(source.snapshot_frame(1, rows, left_out=(bids_left_out, asks_left_out))))
    builder.apply()
    return builder


def change(builder: BookBuilder, source: FakeFeed, *rows: tuple[Side, int, int]) -> None:
    builder.take(split_frame(source.levels_frame([(2, *row) for row in rows])))
    builder.apply()


def test_partial_book_shows_what_is_certain_and_says_what_is_not() -> None:
    """PROTOCOL, LevelSnapshot: levels were left out. An update beyond the worst level known stands beside levels that are not known."""
    source = FakeFeed()
    builder = partial_builder(source, BUYS + SELLS, 3, 0)
    book = builder.book(DIRECTORY["AAPL"])
    assert (book.is_partial, book.bids_left_out, book.asks_left_out, book.is_stale) == (True, 3, 0, False)
    change(builder, source, (Side.BUY, 101, 5), (Side.SELL, 120, 9), (Side.BUY, 106, 2))
    assert builder.levels(Side.BUY) == [(106, 2, 1), (105, 1, 1), (104, 1, 1)]
    assert builder.levels(Side.SELL) == [(110, 1, 1), (112, 2, 1), (120, 9, 1)]
    change(builder, source, (Side.BUY, 104, 0), (Side.BUY, 103, 7))
    assert builder.levels(Side.BUY) == [(106, 2, 1), (105, 1, 1)], "103 may have neighbours that are not known"
    change(builder, source, (Side.BUY, 104, 8))
    assert builder.levels(Side.BUY)[-1] == (104, 8, 1), "up to the worst price of the snapshot all is known"
    assert (builder.wants_snapshot, builder.is_stale, builder.gap_count) == (False, False, 0)


def test_partial_book_wants_a_snapshot_when_few_levels_are_left_and_is_stale_without_any() -> None:
    """Fewer than half of those that the snapshot had. What is left is right as long as it is there."""
    source = FakeFeed()
    rows = [(Side.SELL, price, 1) for price in (110, 111, 112, 113)]
    builder = partial_builder(source, rows, 0, 9)
    change(builder, source, (Side.SELL, 110, 0), (Side.SELL, 111, 0))
    assert not builder.wants_snapshot
    change(builder, source, (Side.SELL, 112, 0))
    assert (builder.wants_snapshot, builder.is_stale, builder.needs_snapshot) == (True, False, False)
    assert builder.levels(Side.SELL) == [(113, 1, 1)]
    change(builder, source, (Side.SELL, 113, 0))
    assert (builder.is_stale, builder.book(DIRECTORY["AAPL"]).best_ask) == (True, None)
    builder.take(split_frame(source.snapshot_frame(2, [(Side.SELL, 115, 1)], left_out=(0, 8))))
    builder.apply()
    assert (builder.wants_snapshot, builder.is_stale, builder.levels(Side.SELL)) == (False, False, [(115, 1, 1)])
    assert builder.gap_count == 0, "nothing was missed"


def test_snapshot_without_levels_of_a_side_that_has_some_is_no_empty_side() -> None:
    """Nothing is certain there, whatever the updates are."""
    source = FakeFeed()
    builder = partial_builder(source, SELLS, 4, 0)
    change(builder, source, (Side.BUY, 100, 1))
    assert (builder.is_stale, builder.wants_snapshot, builder.levels(Side.BUY)) == (True, True, [])


def test_older_snapshot_does_not_replace_a_partial_book() -> None:
    """It would take back the updates that came since."""
    source = FakeFeed()
    builder = partial_builder(source, BUYS, 3, 0)
    older = split_frame(source.snapshot_frame(1, [(Side.BUY, 1, 1)]))
    change(builder, source, (Side.BUY, 106, 2))
    builder.take(older)
    builder.apply()
    assert builder.levels(Side.BUY)[0] == (106, 2, 1)


@pytest.mark.parametrize("seed", range(10))
def test_partial_book_is_the_best_of_the_whole_one_whatever_happens(seed: int) -> None:
    """What is shown is the best levels of the publisher's book, without one missing between them; a book that looks whole is whole."""
    print(f"seed {seed}")
    random_source = random.Random(seed)
    source = FakeFeed()
    source.close()
    builder = BookBuilder()
    book: dict[Side, dict[int, int]] = {Side.BUY: {}, Side.SELL: {}}
    ranges = {Side.BUY: range(80, 100), Side.SELL: range(100, 120)}
    partial_count = whole_count = wanted_count = 0

    def best(side: Side) -> list[tuple[int, int]]:
        return sorted(book[side].items(), reverse=side == Side.BUY)

    for step in range(1, 600):
        side = random_source.choice((Side.BUY, Side.SELL))
        price, quantity = random_source.choice(ranges[side]), random_source.choice((0, 0, 1, 5))
        book[side].pop(price, None)
        if quantity:
            book[side][price] = quantity
        builder.take(split_frame(source.levels_frame([(step, side, price, quantity)])))
        builder.apply()
        if random_source.random() < 0.05:
            builder.lose()
        if builder.wants_snapshot:
            wanted_count += 1
            depth = random_source.randrange(6)
            rows = [(side, *level) for side in book for level in best(side)[:depth]]
            left_out = (max(0, len(book[Side.BUY]) - depth), max(0, len(book[Side.SELL]) - depth))
            builder.take(split_frame(source.snapshot_frame(step, rows, left_out=left_out)))
            builder.apply()
        builder.check()
        shown = builder.book(DIRECTORY["AAPL"])
        for side, left_out_count in ((Side.BUY, shown.bids_left_out), (Side.SELL, shown.asks_left_out)):
            levels = [(price, lots) for price, lots, _ in builder.levels(side)]
            assert levels == best(side)[: len(levels)]
            if left_out_count == 0:
                assert levels == best(side)
                whole_count += 1
            else:
                partial_count += 1
                assert levels or builder.is_stale
    assert min(partial_count, whole_count, wanted_count) > 20


def test_client_asks_for_a_snapshot_when_its_partial_book_runs_out(feed: FakeFeed) -> None:
    """The best two levels of five, and both go."""
    with MarketData(feed.endpoint, DIRECTORY) as market_data:
        market_data.subscribe(1, channels=(Channel.LEVELS,))
        feed.wait_for_subscriptions(1)
        feed.send(feed.snapshot_frame(1, BUYS, left_out=(3, 0)))
        market_data.synchronize()
        feed.send(feed.levels_frame([(2, Side.BUY, 105, 0), (2, Side.BUY, 104, 0)]))
        poll_until(market_data, lambda: market_data.is_stale(1))
        market_data.poll(0.0)
        assert feed.wait_for_subscriptions(2) == [b"\0" + topic_of(Channel.LEVELS, 1), b"\1" + topic_of(Channel.LEVELS, 1)]
        feed.send(feed.snapshot_frame(2, [(Side.BUY, 103, 1), (Side.BUY, 102, 1)], left_out=(1, 0)))
        poll_until(market_data, lambda: not market_data.is_stale(1))
        book = market_data.book(1)
        assert [level.price for level in book.bids] == [Decimal("1.03"), Decimal("1.02")]
        assert (book.bids_left_out, market_data.gap_count) == (1, 0)


# ---- Connections and epochs ----


def trade_frame(trade_ids: range, epoch: int = 1) -> bytes:
    """Trades of instrument 1, numbered as they are counted."""
    fields = {"price": 100, "quantity": 1, "instrument": 1, "epoch": epoch, "side": Side.BUY}
    return topic_of(Channel.TRADES, 1) + b"".join(message(161, channel_sequence=n, trade_id=n, **fields) for n in trade_ids)


def test_no_subscription_is_dropped_however_many_there_are() -> None:
    """They wait for a server that is not there yet; a queue with a mark drops those beyond it without an error."""
    with closing(FakeFeed()) as feed:
        endpoint = feed.endpoint
    with MarketData(endpoint) as market_data:
        market_data.subscribe(*range(1, 10_001))
        with closing(FakeFeed(endpoint)) as feed:
            while not market_data._socket.is_connected:
                market_data._socket.wait(0.1)
                market_data._socket.read_connection()
            found = set(feed.wait_for_subscriptions(30_000))
    assert found == {b"\1" + topic_of(channel, number) for channel in Channel for number in range(1, 10_001)}


def test_what_does_not_come_is_asked_for_again_a_bounded_number_at_a_time(feed: FakeFeed) -> None:
    """Tops as well as levels, until all have come. Trades have nothing that could be sent again."""
    with MarketData(feed.endpoint) as market_data:
        market_data.subscribe(*range(1, 151))
        feed.wait_for_subscriptions(450)
        asked: list[bytes] = []
        subscribe = market_data._socket.subscribe

        def ask(topic: bytes) -> None:
            asked.append(topic)
            subscribe(topic)

        market_data._socket.subscribe = ask  # type: ignore[method-assign]
        wanted = {topic_of(channel, number) for channel in (Channel.TOP, Channel.LEVELS) for number in range(1, 151)}
        deadline = time.monotonic() + 10.0
        while set(asked) != wanted and time.monotonic() < deadline:
            before = len(asked)
            market_data.poll(0.0)
            assert len(asked) - before <= 100
        assert set(asked) == wanted
        for number in range(1, 151):
            feed.send(top_frame(number))
            feed.sequence = 0
            feed.send(topic_of(Channel.LEVELS, number) + message(163, instrument=number, epoch=1))
        market_data.synchronize()
        assert not market_data._awaited


def test_lost_connection_is_a_gap_of_everything_until_it_comes_again() -> None:
    """The same epoch and sequences as before: the network broke, and what was missed is not known."""
    feed = FakeFeed()
    with MarketData(feed.endpoint, DIRECTORY) as market_data:
        market_data.subscribe(1)
        feed.wait_for_subscriptions(3)
        feed.send(feed.snapshot_frame(9, [(Side.BUY, 100, 7)]))
        feed.send(top_frame(1))
        market_data.synchronize()
        endpoint = feed.endpoint
        feed.close()
        poll_until(market_data, lambda: market_data.book(1).is_stale)
        assert market_data.top(1) is None
        assert market_data.gap_count == 3
        with closing(FakeFeed(endpoint)) as successor:
            poll_until(market_data, lambda: market_data._socket.is_connected)
            assert {frame[0] for frame in successor.wait_for_subscriptions(3)} == {1}
            with pytest.raises(TimedOut, match="snapshots"):
                market_data.synchronize(0.05)
            successor.send(successor.snapshot_frame(9, [(Side.BUY, 100, 7)]))
            successor.send(top_frame(1))
            market_data.synchronize()
            assert market_data.gap_count == 3


def test_snapshot_of_the_old_connection_does_not_heal_a_book() -> None:
    """It came before the loss, and is read after it: nobody knows what has happened since."""
    feed = FakeFeed()
    with MarketData(feed.endpoint, DIRECTORY) as market_data:
        market_data.subscribe(1, channels=(Channel.LEVELS,))
        feed.wait_for_subscriptions(1)
        feed.send(feed.snapshot_frame(9, [(Side.BUY, 100, 7)]))
        market_data.synchronize()
        feed.sequence += 5
        feed.send(feed.snapshot_frame(12, [(Side.BUY, 101, 1)]))
        market_data._socket.wait(5.0)  # it is there
        endpoint = feed.endpoint
        feed.close()
        with closing(FakeFeed(endpoint)) as successor:
            while market_data._socket.connection_count < 2:
                market_data._socket.wait(0.01)
                market_data._socket.read_connection()
            market_data.poll(0.0)
            assert market_data.is_stale(1)
            poll_until(market_data, lambda: successor.receive() is not None)
            successor.sequence = 5
            successor.send(successor.snapshot_frame(13, [(Side.BUY, 99, 1)]))
            market_data.synchronize()
            assert market_data.levels(1, Side.BUY) == [(99, 1, 1)]


@pytest.mark.parametrize("channel", Channel)
def test_new_epoch_on_any_channel_is_a_gap_of_all_instruments(feed: FakeFeed, channel: Channel) -> None:
    """D6: PROTOCOL, Market data: the publisher has started again, and everything else that is known is of before."""
    frames = {
        Channel.TOP: lambda: top_frame(1, sequence=2, epoch=2),
        Channel.TRADES: lambda: trade_frame(range(2, 3), epoch=2),
        Channel.LEVELS: lambda: feed.levels_frame([(9, Side.BUY, 100, 1)]),
    }
    with MarketData(feed.endpoint, DIRECTORY) as market_data:
        market_data.subscribe(1, 2)
        feed.wait_for_subscriptions(6)
        feed.send(feed.snapshot_frame(1, [(Side.BUY, 100, 7)]))
        feed.send(topic_of(Channel.LEVELS, 2) + message(163, instrument=2, epoch=1))
        feed.send(top_frame(1))
        feed.send(top_frame(2))
        feed.send(trade_frame(range(1, 2)))
        market_data.synchronize()
        poll_until(market_data, lambda: bool(market_data._trades))
        assert market_data.gap_count == 0
        feed.epoch = 2
        feed.send(frames[channel]())
        poll_until(market_data, lambda: market_data.is_stale(1))
        assert market_data.is_stale(2)
        assert market_data.top(2) is None
        assert (market_data.top(1) is not None) == (channel == Channel.TOP)
        assert market_data.gap_count == 5, "two books, two tops, and the trades that were heard"
        market_data.poll(0.2)
        asked = {frame[1:] for frame in feed.wait_for_subscriptions(4)}
        assert asked <= {topic_of(kind, number) for kind in (Channel.TOP, Channel.LEVELS) for number in (1, 2)}


def test_nobody_listening_shows_in_the_message() -> None:
    """A feed that is not there is told from one that sends nothing."""
    with closing(FakeFeed()) as feed:
        endpoint = feed.endpoint
    with MarketData(endpoint) as market_data:
        market_data.subscribe(1)
        with pytest.raises(TimedOut, match="no connection: nobody listens there"):
            market_data.synchronize(0.05)


# ---- What it keeps ----


def test_trades_that_nobody_reads_are_dropped_oldest_first_and_counted(feed: FakeFeed) -> None:
    """At most `trades_kept` wait; a program that only looks at books does not grow."""
    with MarketData(feed.endpoint, DIRECTORY, trades_kept=5) as market_data:
        market_data.subscribe(1, channels=(Channel.TRADES,))
        feed.wait_for_subscriptions(1)
        feed.send(trade_frame(range(1, 10)))
        feed.send(trade_frame(range(10, 13)))
        poll_until(market_data, lambda: market_data.trades_dropped == 7)
        assert [trade.trade_id for trade in market_data.trades()] == [8, 9, 10, 11, 12]
        assert market_data.gap_count == 0


def test_updates_that_nobody_applies_are_bounded_and_their_book_is_asked_for_again(feed: FakeFeed) -> None:
    """`poll(apply=False)` without `apply_until`: what finds no room is a gap, and a snapshot heals it."""
    with MarketData(feed.endpoint, updates_kept=10) as market_data:
        market_data.subscribe(1, channels=(Channel.LEVELS,))
        feed.wait_for_subscriptions(1)
        feed.send(feed.snapshot_frame(1, [(Side.BUY, 100, 1)]))
        market_data.synchronize()
        seen = 0
        for price in range(200, 215):
            feed.send(feed.levels_frame([(price, Side.BUY, price, 1)]))
        while seen < 15:
            seen += len(market_data.poll(5.0, apply=False))
            assert market_data._unapplied_count <= 10
        assert market_data.gap_count == 1
        market_data.poll(0.0)
        assert market_data.is_stale(1)
        feed.send(feed.snapshot_frame(300, [(Side.BUY, 300, 1)]))
        market_data.synchronize()
        assert market_data.levels(1, Side.BUY) == [(300, 1, 1)]
        assert market_data._unapplied_count == 0


def test_updates_that_are_applied_have_room_however_many_come_at_once(feed: FakeFeed) -> None:
    """A poll that applies what it takes loses nothing."""
    with MarketData(feed.endpoint, updates_kept=10) as market_data:
        market_data.subscribe(1, channels=(Channel.LEVELS,))
        feed.wait_for_subscriptions(1)
        feed.send(feed.snapshot_frame(1, [(Side.BUY, price, 1) for price in range(100, 130)]))
        for price in range(200, 215):
            feed.send(feed.levels_frame([(price, Side.BUY, price, 1)]))
        poll_until(market_data, lambda: market_data.levels(1, Side.BUY, 1) == [(214, 1, 1)])
        assert (len(market_data.levels(1, Side.BUY)), market_data.gap_count) == (45, 0)


@pytest.mark.parametrize("arguments", [{"trades_kept": 0}, {"updates_kept": 0}])
def test_bounds_of_nothing_are_refused(feed: FakeFeed, arguments: dict[str, int]) -> None:
    """What is kept is at least one."""
    with pytest.raises(InvalidValueError, match=next(iter(arguments))):
        MarketData(feed.endpoint, **arguments)  # type: ignore[arg-type]
