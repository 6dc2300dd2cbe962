"""Encrypted connections between real clients of libzmq and a running venue: who comes in, who does not, and what becomes of a key that is
no longer admitted."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq
import zmtp
from nacl.bindings import crypto_box, crypto_box_keypair
from venues import venue_config
from zmq.utils.monitor import recv_monitor_message

from ome.client import ClientKeys, LogonRefused, MarketData, OrderEntry, SessionLost, TimedOut
from ome.errors import InvalidValueError
from ome.keys import AdmittedKey, KeyPair, Role, keys_file_text, make_key_pair, write_key_pair
from ome.server import Server
from ome.transport import Context, Listener, ServerCurve

FIRST_PEER = 1 << 32 | 1
"""The first connection of a listener."""


class Venue:
    """A server that has keys, and one client, of FIRM1, that it admits."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pair = make_key_pair()
        self.client = make_key_pair()
        self.keys = ClientKeys(server=self.pair.public, pair=self.client)
        self.listeners: list[Listener] = []
        self._keys_file = directory / "keys.toml"
        write_key_pair(directory / "server", self.pair)
        self.admit({self.client: "FIRM1"})
        plain = Listener.serve

        def serve(listener: Listener, *arguments: Any, **options: Any) -> Any:
            self.listeners.append(listener)
            return plain(listener, *arguments, **options)

        monkeypatch.setattr(Listener, "serve", serve)
        config = venue_config(directory / "journal", keys_file=self._keys_file, server_key_file=directory / "server", curve="always")
        self.server = Server(config)

    def admit(self, admitted: dict[KeyPair, str]) -> None:
        """Replaces the keys file: participants by key."""
        roles = frozenset({Role.TRADE})
        entries = [AdmittedKey(participant=name, public=pair.public, roles=roles) for pair, name in admitted.items()]
        new = self._keys_file.with_suffix(".new")
        new.write_text(keys_file_text(entries), encoding="utf-8")
        new.replace(self._keys_file)


@pytest.fixture
def venue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Venue]:
    made = Venue(tmp_path, monkeypatch)
    with made.server:
        yield made


def keys_with(venue: Venue, **fields: Any) -> ClientKeys:
    """The client's keys, but for `fields`."""
    return ClientKeys(**{"server": venue.keys.server, "pair": venue.keys.pair, **fields})


def order_entry(venue: Venue, *, keys: ClientKeys | None, timeout: float = 5.0) -> OrderEntry:
    """A session of FIRM1."""
    return OrderEntry(venue.server.orders_endpoint, "FIRM1", timeout=timeout, keys=keys)


def test_orders_and_market_data_are_as_they_are_without_keys(venue: Venue) -> None:
    """A client logs on, trades and follows the book over connections that are encrypted. Source: ZeroMQ RFC 26."""
    with (
        order_entry(venue, keys=venue.keys) as session,
        MarketData(venue.server.feed_endpoint, session.instruments, keys=venue.keys) as feed,
    ):
        feed.subscribe("AAPL")
        feed.synchronize()
        assert len({listener.key_of(FIRST_PEER) for listener in venue.listeners} - {0}) == 1
        orders = [session.buy("AAPL", 100, at="150.25") for _ in range(500)]
        reports = [session.wait_for(order) for order in orders]
        assert len({report.order_id for report in reports}) == 500
        trade = session.wait_for(session.sell("AAPL", 30, at="150.25"))
        deadline = time.monotonic() + 5
        while (best := feed.book("AAPL").best_bid) is None or best.quantity != 50_000 - 30:
            assert time.monotonic() < deadline
            feed.poll()
        assert trade.engine_sequence > reports[-1].engine_sequence
        feed.unsubscribe("AAPL")
        feed.poll()


@pytest.mark.parametrize("kind", [zmq.DEALER, zmq.SUB])
def test_libzmqs_heartbeats_are_answered_inside_the_encryption(venue: Venue, kind: int) -> None:
    """A PING is a command of ZMTP 3.1 inside a MESSAGE; without its PONG libzmq ends the connection."""
    endpoint = venue.server.orders_endpoint if kind == zmq.DEALER else venue.server.feed_endpoint
    with zmq.Context() as context, context.socket(kind) as raw:
        raw.linger = 0
        raw.setsockopt(zmq.HEARTBEAT_IVL, 50)
        raw.setsockopt(zmq.HEARTBEAT_TIMEOUT, 100)
        raw.setsockopt(zmq.CURVE_SERVERKEY, venue.pair.public)
        raw.setsockopt(zmq.CURVE_PUBLICKEY, venue.client.public)
        raw.setsockopt(zmq.CURVE_SECRETKEY, venue.client.secret)
        monitor = raw.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED)
        raw.connect(endpoint)
        assert monitor.poll(5_000)
        assert recv_monitor_message(monitor)["event"] == zmq.EVENT_HANDSHAKE_SUCCEEDED
        assert not monitor.poll(700)
        raw.disable_monitor()


def test_a_client_whose_key_is_not_admitted_is_refused_and_told_so(venue: Venue) -> None:
    """It gets an ERROR, and its logon fails at once, not after its timeout."""
    begin = time.monotonic()
    with pytest.raises(LogonRefused, match="a key that the server does not admit"):
        order_entry(venue, keys=keys_with(venue, pair=make_key_pair()))
    assert time.monotonic() - begin < 4


def other_secret(venue: Venue) -> ClientKeys:
    """The public key that is admitted, without its secret key."""
    return keys_with(venue, pair=KeyPair(public=venue.client.public, secret=make_key_pair().secret))


@pytest.mark.parametrize(
    "keys_of",
    [lambda venue: None, lambda venue: keys_with(venue, server=make_key_pair().public), other_secret],
    ids=["no keys", "another server's key", "a public key without its secret key"],
)
@pytest.mark.slow
def test_a_client_without_the_right_keys_gets_no_connection(venue: Venue, keys_of: Any) -> None:
    """Order entry fails, and market data does not come; those that have the keys go on."""
    with order_entry(venue, keys=venue.keys) as session:
        with pytest.raises(TimedOut, match=r"no connection: .* the handshake failed, as it does when only one side has keys"):
            order_entry(venue, keys=keys_of(venue), timeout=0.5)
        with MarketData(venue.server.feed_endpoint, session.instruments, keys=keys_of(venue)) as feed:
            feed.subscribe("AAPL")
            with pytest.raises(TimedOut):
                feed.synchronize(timeout=0.5)
        session.wait_for(session.buy("AAPL", 1, at="1.00"))


def test_a_client_with_keys_does_not_connect_to_a_server_without(tmp_path: Path) -> None:
    """A client that asks for encryption never sends anything in the clear."""
    keys = ClientKeys(server=make_key_pair().public, pair=make_key_pair())
    with Server(venue_config(tmp_path)) as server:
        with pytest.raises(TimedOut, match="no connection"):
            OrderEntry(server.orders_endpoint, "FIRM1", timeout=0.5, keys=keys)
        with OrderEntry(server.orders_endpoint, "FIRM1"):
            pass


def wait_for_the_end(session: OrderEntry, deadline: float) -> None:
    """Raises SessionLost when the session ends. Fails where it has not by then."""
    while time.monotonic() < deadline:
        session.receive(timeout=0.05)
    pytest.fail("the session goes on")


@pytest.mark.parametrize("owner", [None, "FIRM3"], ids=["removed", "another participant's"])
def test_a_live_session_ends_within_a_second_when_its_key_is_no_longer_admitted(venue: Venue, owner: str | None) -> None:
    """Removing a key ends what it has opened; another key goes on undisturbed, and its orders stay."""
    other = make_key_pair()
    venue.admit({venue.client: "FIRM1", other: "FIRM2"})
    time.sleep(1)
    with OrderEntry(venue.server.orders_endpoint, "FIRM2", keys=keys_with(venue, pair=other)) as stays:
        order = stays.buy("AAPL", 5, at="2.00")
        stays.wait_for(order)
        lost = order_entry(venue, keys=venue.keys)
        lost.wait_for(lost.buy("AAPL", 5, at="2.00"))
        begin = time.monotonic()
        venue.admit({other: "FIRM2"} | ({} if owner is None else {venue.client: owner}))
        with pytest.raises(SessionLost):
            wait_for_the_end(lost, begin + 1)
        with pytest.raises(LogonRefused):
            order_entry(venue, keys=venue.keys)
        if owner is not None:
            OrderEntry(venue.server.orders_endpoint, owner, keys=venue.keys).close()
        stays.cancel(order)
        stays.wait_for(order)
    with contextlib.suppress(SessionLost):
        lost.close()


def test_a_subscriber_whose_key_is_removed_gets_nothing_more(venue: Venue) -> None:
    """Market data ends as order entry does; the books are stale from then on."""
    with (
        order_entry(venue, keys=venue.keys) as session,
        MarketData(venue.server.feed_endpoint, session.instruments, keys=venue.keys) as feed,
    ):
        feed.subscribe("AAPL")
        feed.synchronize()
        venue.listeners[1].admit_keys({})
        deadline = time.monotonic() + 1
        while not feed.is_stale("AAPL"):
            assert time.monotonic() < deadline
            feed.poll()
        session.wait_for(session.buy("AAPL", 1, at="1.00"))


def hello_command(server: bytes) -> bytes:
    """A HELLO that costs the server as much as an honest one."""
    public, secret = crypto_box_keypair()
    number = bytes(7) + b"\x01"
    box = crypto_box(bytes(64), b"CurveZMQHELLO---" + number, server, secret)
    return zmtp.frame(b"\x05HELLO\x01\x00" + bytes(72) + public + number + box, zmtp.COMMAND)


def test_a_flood_of_handshakes_delays_neither_sessions_nor_newcomers_for_long(venue: Venue) -> None:
    """The server takes a limited number of steps in each tick; newcomers wait for their turn, and those that are somebody do not notice."""
    hello = zmtp.greeting(b"CURVE") + hello_command(venue.pair.public)
    with order_entry(venue, keys=venue.keys) as session, contextlib.ExitStack() as stack:
        worst = 0.0
        for _ in range(300):
            stranger = stack.enter_context(zmtp.Peer(venue.server.orders_endpoint))
            stranger.send(hello)
            begin = time.monotonic()
            session.wait_for(session.buy("AAPL", 1, at="1.00"))
            worst = max(worst, time.monotonic() - begin)
        assert worst < 1
        OrderEntry(venue.server.orders_endpoint, "FIRM1", 1, keys=venue.keys).close()


def test_bytes_that_are_no_handshake_end_the_connection(venue: Venue) -> None:
    """A stranger that sends something else is closed; the venue goes on, and counts it."""
    for wrong in (bytes(64), zmtp.ready(), hello_command(make_key_pair().public), zmtp.command(b"INITIATE", bytes(300)), zmtp.frame(b"x")):
        with zmtp.Peer(venue.server.orders_endpoint) as stranger:
            stranger.send(zmtp.greeting(b"CURVE") + wrong)
            greeting = stranger.receive(zmtp.GREETING_SIZE)
            assert greeting[12:18] == b"CURVE\0"
            assert greeting[32] == 1
            with pytest.raises(zmtp.Cut, match=r"closed|reset"):
                stranger.receive(1)
    order_entry(venue, keys=venue.keys).close()


def test_keys_to_admit_are_checked_before_anything_changes(venue: Venue) -> None:
    """A key of another length, a number that is none, and too many keys are refused; a closed listener ignores keys."""
    orders = venue.listeners[0]
    with pytest.raises(InvalidValueError, match=r"key: found 'bytes of length 31', allowed: bytes of length 32"):
        orders.admit_keys({bytes(31): 1})
    for number in (0, 1 << 32):
        with pytest.raises(InvalidValueError, match=r"number of a key"):
            orders.admit_keys({bytes(32): number})
    with pytest.raises(InvalidValueError, match=r"keys to admit in tcp://.*: found '4,097 keys'"):
        orders.admit_keys({number.to_bytes(32, "big"): 1 for number in range(4_097)})
    order_entry(venue, keys=venue.keys).close()
    venue.server.close()
    orders.admit_keys({})


def test_a_listener_is_not_made_for_more_keys_than_there_may_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the number and what is allowed."""
    plain = Listener.serve
    curve = ServerCurve(pair=make_key_pair(), admitted={}, key_count_max=65_537)
    monkeypatch.setattr(Listener, "serve", lambda *arguments, **options: plain(*arguments, **options | {"curve": curve}))
    with pytest.raises(InvalidValueError, match=r"key_count_max: found 65537, allowed: 1 to 65536"), Server(venue_config(tmp_path)):
        pass


def test_a_client_refuses_what_is_no_key(venue: Venue) -> None:
    """libzmq would take text of another length, and connect without encryption or not at all."""
    with Context() as context, pytest.raises(InvalidValueError, match="bytes of length 32"):
        context.connect_client(venue.server.orders_endpoint, keys=keys_with(venue, server=b"x" * 40))
