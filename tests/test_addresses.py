"""The addresses and connections of a client: what is refused at once, what a message says, and what libzmq is set to."""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import zmq
from click.testing import CliRunner
from fake_servers import FakeServer, bound, top_frame
from venues import ANY, venue_config

from ome.cli.main import main
from ome.client import DropCopy, LogonRefused, MarketData, OrderEntry, TimedOut
from ome.client.requests import Requests
from ome.enums import Policy
from ome.errors import InvalidTypeError, OmeError
from ome.marketdata import Channel, topic_of
from ome.server import Server
from ome.transport import ClientSocket, Context, EndpointError, Listener, SubscriberSocket

CONNECTS: dict[str, Callable[[Context, str], ClientSocket | SubscriberSocket]] = {
    "client": lambda context, endpoint: context.connect_client(endpoint),
    "subscriber": lambda context, endpoint: context.connect_subscriber(endpoint),
}


def has_ipv6() -> bool:
    """Whether this machine can listen on ::1."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def synchronize(endpoint: str) -> None:
    """A subscriber that waits for a book."""
    with MarketData(endpoint) as market:
        market.subscribe(1)
        market.synchronize(0.2)


WRONG: dict[str, tuple[Callable[[str], object], tuple[str, ...], str, str]] = {  # client: made by, command, address, what it says
    "orders at requests": (
        lambda endpoint: OrderEntry(endpoint, "FIRM1"),
        ("submit", "buy", "AAPL", "1", "--orders"),
        "requests",
        "found \"the venue's address for requests\", allowed: the venue's address for orders",
    ),
    "orders at market data": (
        lambda endpoint: OrderEntry(endpoint, "FIRM1", timeout=0.2),
        ("cancel", "1", "--timeout", "0.2", "--orders"),
        "feed",
        "that is an address for market data; check that it is the venue's address for orders",
    ),
    "drop copy at requests": (
        lambda endpoint: DropCopy(endpoint, "FIRM1"),
        ("drop-copy", "--orders"),
        "requests",
        "found \"the venue's address for requests\", allowed: the venue's address for orders",
    ),
    "drop copy at market data": (
        lambda endpoint: DropCopy(endpoint, "FIRM1", timeout=0.2),
        (),
        "feed",
        "that is an address for market data; check that it is the venue's address for orders",
    ),
    "requests at orders": (
        lambda endpoint: Requests(endpoint, "FIRM1"),
        ("orders", "--requests"),
        "orders",
        "found \"the venue's address for orders\", allowed: the venue's address for requests, which is tcp://127.0.0.1:",
    ),
    "requests at market data": (
        lambda endpoint: Requests(endpoint, "FIRM1", timeout=0.2),
        (),
        "feed",
        "that is an address for market data; check that it is the venue's address for requests",
    ),
    "market data at orders": (
        synchronize,
        (),
        "orders",
        "that is an address for orders or requests; check that it is the venue's address for market data",
    ),
    "market data at requests": (
        synchronize,
        (),
        "requests",
        "that is an address for orders or requests; check that it is the venue's address for market data",
    ),
}


@pytest.fixture(scope="module")
def venue() -> Iterator[Server]:
    """A venue that runs."""
    with Server(venue_config(None, policy=Policy.MEMORY)) as running:
        yield running


@pytest.mark.parametrize("case", WRONG)
def test_a_client_at_another_address_of_the_venue_says_so(venue: Server, case: str) -> None:
    """Whose address it is, and which one belongs there."""
    make, command, name, message = WRONG[case]
    endpoint = getattr(venue, f"{name}_endpoint")
    with pytest.raises(OmeError) as caught:
        make(endpoint)
    assert message in str(caught.value)
    if command:
        result = CliRunner().invoke(main, [*command, endpoint])
        assert result.exit_code == 1
        assert message in result.stderr


def test_an_address_for_orders_that_refuses_a_request_is_known_too(venue: Server) -> None:
    """The session that it would have opened may be in use."""
    with (
        OrderEntry(venue.orders_endpoint, "TAKEN"),
        pytest.raises(LogonRefused, match="allowed: the venue's address for requests"),
    ):
        Requests(venue.orders_endpoint, "TAKEN")


@pytest.mark.parametrize("kind", CONNECTS)
@pytest.mark.parametrize(
    ("endpoint", "message"),
    [
        ("tcp://no.such.host.invalid:5555", r"host 'no\.such\.host\.invalid' \(.*\) in endpoint"),
        ("tcp://a..b:5555", r"host 'a\.\.b' \(not a host name\)"),
        ("tcp://[127.0.0.1]:5555", r"host '127\.0\.0\.1' \("),
        ("tcp://::1:5555", r"tcp://\[IPV6 ADDRESS\]:PORT"),
        ("tcp://127.0.0.1:0", "port 1 to 65535"),
        ("tcp://127.0.0.1:65536", "port 1 to 65535"),
        ("tcp://127.0.0.1:", "tcp://HOST:PORT"),
        ("tcp://127.0.0.1", "tcp://HOST:PORT"),
        ("tcp://:5555", "tcp://HOST:PORT"),
        ("tcp://*:5555", "tcp://HOST:PORT"),
        ("tcp://127.0.0.1:5555/", "tcp://HOST:PORT"),
        ("127.0.0.1:5555", "tcp://HOST:PORT"),
        ("udp://127.0.0.1:5555", "tcp://HOST:PORT"),
        ("", "tcp://HOST:PORT"),
        ("ipc://", "a path of 1 to 107 bytes"),
        ("ipc://*", "a path of 1 to 107 bytes"),
        ("ipc:///" + 107 * "x", "a path of 1 to 107 bytes"),
    ],
)
def test_endpoint_that_cannot_be_connected_to_is_refused_at_once_with_its_cause(kind: str, endpoint: str, message: str) -> None:
    """Without a wait: what was found, why it is not right, and what would be."""
    with Context() as context, pytest.raises(EndpointError, match=message) as caught:
        CONNECTS[kind](context, endpoint)
    assert caught.value.found == endpoint


def test_endpoint_that_is_no_text_is_refused() -> None:
    """An address of another type."""
    with Context() as context, pytest.raises(InvalidTypeError, match="tcp://HOST:PORT"):
        context.connect_client(b"tcp://127.0.0.1:5555")  # type: ignore[arg-type]


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
def test_server_with_an_ipv6_address_is_connected_to() -> None:
    """tcp://[::1]:PORT, for orders and market data."""
    with zmq.Context() as context, Context() as ours:
        for kind, connect in ((zmq.ROUTER, CONNECTS["client"]), (zmq.XPUB, CONNECTS["subscriber"])):
            listener = context.socket(kind)
            listener.setsockopt(zmq.IPV6, 1)
            listener.bind("tcp://[::1]:0")
            client = connect(ours, listener.getsockopt_string(zmq.LAST_ENDPOINT))
            while not client.is_connected:
                client.wait(5.0)
                client.read_connection()
            listener.close(0)


def test_host_with_addresses_of_both_kinds_is_connected_to_by_ipv4() -> None:
    """A server listens on one of them, most often on that."""
    with closing(FakeServer()) as server, OrderEntry(server.endpoint.replace("127.0.0.1", "localhost"), "FIRM1") as session:
        assert session.policy is not None


def test_logon_says_why_there_is_no_connection() -> None:
    """Nobody listens; or somebody does who is no server of this kind."""
    with closing(FakeServer()) as server:
        endpoint = server.endpoint
    with pytest.raises(TimedOut, match="no connection: nobody listens there"):
        OrderEntry(endpoint, "FIRM1", timeout=0.1)
    with pytest.raises(TimedOut, match="no connection: nobody listens there: there is no such file"):
        OrderEntry("ipc:///tmp/ome-there-is-no-such-file", "FIRM1", timeout=0.1)
    with socket.create_server(("127.0.0.1", 0)) as listener, pytest.raises(TimedOut, match="does not answer as a server of ome"):
        OrderEntry(f"tcp://127.0.0.1:{listener.getsockname()[1]}", "FIRM1", timeout=0.1)


@pytest.mark.parametrize("kind", CONNECTS)
def test_client_sockets_have_no_zeromq_heartbeats_and_find_a_dead_machine_by_tcp(kind: str) -> None:
    """Heartbeats, a finite mark and a reset together let libzmq 4.3.5 abort the process (zeromq/libzmq #4364)."""
    with closing(bound(zmq.Context(), zmq.XPUB, ANY)) as listener, Context() as context:
        raw = CONNECTS[kind](context, listener.getsockopt_string(zmq.LAST_ENDPOINT))._raw
        names = ("HEARTBEAT_IVL", "RCVHWM", "TCP_KEEPALIVE", "TCP_KEEPALIVE_IDLE", "TCP_KEEPALIVE_INTVL", "TCP_KEEPALIVE_CNT", "TCP_MAXRT")
        heartbeat, mark, keepalive, idle, interval, count, unacknowledged = (int(raw.getsockopt(getattr(zmq, name))) for name in names)
        assert (heartbeat, keepalive) == (0, 1)
        assert mark > 0
        assert 0 < idle + interval * count <= 20
        assert 0 < unacknowledged <= 20_000


def publish_until_it_stalls(listener: socket.socket) -> socket.socket:
    """A publisher by hand (ZMTP 3.1): sends tops until the subscriber's queue and the network's are full."""
    connection, _ = listener.accept()
    connection.sendall(b"\xff" + bytes(8) + b"\x7f\x03\x01NULL" + bytes(48))
    ready = b"\x05READY\x0bSocket-Type" + struct.pack(">I", 4) + b"XPUB"
    connection.sendall(b"\x04" + bytes([len(ready)]) + ready)
    said = b""
    while topic_of(Channel.TOP, 1) not in said:  # the handshake is over
        said += connection.recv(4_096)
    frame = top_frame(1)
    frames = (b"\x00" + bytes([len(frame)]) + frame) * 1_000
    rest = b""
    connection.settimeout(1.0)
    with contextlib.suppress(TimeoutError):  # nothing was taken for a second
        while True:
            rest = rest or frames
            rest = rest[connection.send(rest) :]
    return connection


def test_subscriber_that_read_nothing_sees_a_gap_after_a_reset() -> None:
    """Its queue is full and its input stands still when the connection is reset: it goes on, and counts a gap."""
    with socket.create_server(("127.0.0.1", 0)) as listener, MarketData(f"tcp://127.0.0.1:{listener.getsockname()[1]}") as market_data:
        market_data.subscribe(1, channels=(Channel.TOP,))
        connection = publish_until_it_stalls(listener)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
        deadline = time.monotonic() + 30.0
        received = 0
        while market_data.gap_count == 0:
            assert time.monotonic() < deadline
            received += len(market_data.poll(0.1))
        assert received >= 10_000, "what had come is read first"
        assert market_data.gap_count == 1


# ---- Where a server listens ----


@pytest.mark.parametrize(
    ("endpoint", "message"),
    [
        ("tcp://127.0.0.1:99999", "tcp://ADDRESS:PORT"),
        ("tcp://127.0.0.1", "tcp://ADDRESS:PORT"),
        ("udpx://127.0.0.1:1", "tcp://ADDRESS:PORT"),
        ("tcp://no.such.host.invalid:1", "tcp://ADDRESS:PORT"),
        ("tcp://192.0.2.1:0", "an address of this machine"),
        ("ipc:///nowhere/at/all", "in a directory that exists"),
        ("ipc:///tmp/a\0b", "ipc://PATH"),
    ],
)
def test_endpoint_that_cannot_be_bound_is_refused_with_what_is_allowed(endpoint: str, message: str) -> None:
    """A bad address stops the start, and says which and why."""
    with pytest.raises(EndpointError, match=message) as caught:
        Listener(endpoint)
    assert caught.value.found == endpoint


def test_a_socket_file_that_another_server_has_made_since_is_left_alone(tmp_path: Path) -> None:
    """Somebody removed the file, and another server took the path: the end of the first does not cut off the second."""
    path = tmp_path / "socket"
    first = Listener(f"ipc://{path}")
    path.unlink()
    second = Listener(f"ipc://{path}")
    first.close()
    assert path.exists()
    second.close()
    assert not path.exists()


@pytest.mark.parametrize("transport", ["tcp", "ipc"])
def test_address_in_use_is_refused(transport: str, tmp_path: Path) -> None:
    """Also for ipc, where the path would be taken away from the other server; a path that was left behind is taken."""
    wanted = ANY if transport == "tcp" else f"ipc://{tmp_path}/socket"
    with closing(Listener(wanted)) as first:
        assert not first.endpoint.endswith(":0")
        with pytest.raises(EndpointError, match=r"Address already in use.*listener.*nobody listens"):
            Listener(first.endpoint)
    if transport == "ipc":
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as left_behind:
            left_behind.bind(str(tmp_path / "socket"))
    Listener(wanted).close()
