"""Who may log on: the keys file, secrets on loopback, keys over CURVE, roles, rotation and revocation. docs/OPERATING.md, Keys."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Final

import pytest
from venues import Wire, new_order, venue_config

from ome.client import OrderEntry
from ome.codec.wire import encode_message
from ome.config import ConfigError, ServerConfig
from ome.enums import EventKind, LogonFlags, Policy, Reason
from ome.keys import (
    AdmittedKey,
    AdmittedSecret,
    ClientKeys,
    KeyFileError,
    KeyPair,
    Role,
    digest_of_secret,
    keys_file_text,
    make_key_pair,
    make_secret,
    write_key_pair,
)
from ome.server import Server

TRADE: Final = frozenset({Role.TRADE})
GATEWAY: Final = frozenset({Role.GATEWAY})


def secret_of(participant: str, secret: bytes, roles: frozenset[Role] = TRADE) -> AdmittedSecret:
    """An entry of the keys file."""
    return AdmittedSecret(participant=participant, sha256=digest_of_secret(secret), roles=roles)


class Keys:
    """A keys file, and a configuration that has it."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "keys.toml"
        self.server = make_key_pair()
        write_key_pair(directory / "server", self.server)
        self._directory = directory
        self.write()

    def write(self, *entries: AdmittedKey | AdmittedSecret) -> None:
        """These are the entries now."""
        temporary = self.path.with_suffix(".new")
        temporary.write_text(keys_file_text(entries), encoding="utf-8")
        temporary.replace(self.path)

    def config(self, **fields: Any) -> ServerConfig:
        """A venue without a journal."""
        own = {"keys_file": self.path, "server_key_file": self._directory / "server", "policy": Policy.MEMORY}
        return venue_config(None, **(own | fields))


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    """An empty keys file."""
    return Keys(tmp_path)


def test_on_loopback_a_secret_says_who_a_client_is(keys: Keys) -> None:
    """BAD_SECRET for a wrong one, none, that of somebody else, and for a participant without one; two may be valid at a time."""
    first, second, other = make_secret(), make_secret(), make_secret()
    keys.write(secret_of("FIRM1", first), secret_of("FIRM1", second), secret_of("FIRM2", other))
    with Server(keys.config()) as server:
        for secret, reason in ((first, Reason.NONE), (second, Reason.NONE), (other, Reason.BAD_SECRET), (b"", Reason.BAD_SECRET)):
            with Wire(server.orders_endpoint) as wire:
                assert wire.log_on("FIRM1", secret=secret)["reason"] == reason
        with Wire(server.orders_endpoint) as wire:
            assert wire.log_on("FIRM3", secret=first)["reason"] == Reason.BAD_SECRET


def test_a_wrong_secret_costs_the_guesser_time(keys: Keys) -> None:
    """Nothing is read from its connection for a second; others log on meanwhile."""
    secret = make_secret()
    keys.write(secret_of("FIRM1", secret))
    with Server(keys.config()) as server, Wire(server.orders_endpoint) as guesser, Wire(server.orders_endpoint) as good:
        assert guesser.log_on("FIRM1", secret=b"x")["reason"] == Reason.BAD_SECRET
        begun = time.monotonic()
        guesser.say(encode_message("Logon", participant_name=b"FIRM1", secret=secret))
        assert good.log_on("FIRM1", 2, secret=secret)["reason"] == Reason.NONE
        assert time.monotonic() - begun < 0.9
        assert guesser.hear()[1]["reason"] == Reason.NONE
        assert time.monotonic() - begun > 0.9


def test_a_secret_that_is_taken_away_ends_its_sessions_within_a_second(keys: Keys) -> None:
    """Rotation without a restart: a new secret logs on, the session of the old one gets Logout (NOT_PERMITTED)."""
    old, new = make_secret(), make_secret()
    keys.write(secret_of("FIRM1", old), secret_of("FIRM2", old))
    with Server(keys.config()) as server, Wire(server.orders_endpoint) as wire, Wire(server.orders_endpoint) as stays:
        wire.log_on("FIRM1", secret=old)
        stays.log_on("FIRM2", secret=old)
        keys.write(secret_of("FIRM1", new))
        begun = time.monotonic()
        name, told = wire.hear()
        assert (name, told["reason"]) == ("Logout", Reason.NOT_PERMITTED)
        assert time.monotonic() - begun < 1.0
        with Wire(server.orders_endpoint) as again:
            assert again.log_on("FIRM1", 5, secret=old)["reason"] == Reason.BAD_SECRET
        with Wire(server.orders_endpoint) as again:
            assert again.log_on("FIRM1", 5, secret=new)["reason"] == Reason.NONE


def test_a_keys_file_with_a_mistake_changes_nothing_and_is_told(keys: Keys, caplog: pytest.LogCaptureFixture) -> None:
    """At a start it stops the start; later the entries of before stay."""
    secret = make_secret()
    keys.write(secret_of("FIRM1", secret))
    with Server(keys.config()) as server, Wire(server.orders_endpoint) as wire:
        wire.log_on("FIRM1", secret=secret)
        keys.path.write_text("[[secret]]\nparticipant = 5\n", encoding="utf-8")
        deadline = time.monotonic() + 3
        while "was not read again" not in caplog.text:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert wire.hears_nothing()
    with pytest.raises(KeyFileError, match="sha256"):
        Server(keys.config()).start()


def test_a_gateway_logs_several_sessions_on_over_one_connection(keys: Keys) -> None:
    """Each command, heartbeat and report names its session; a session that nobody logged on here is refused; others may not do it."""
    gateway, trader = make_secret(), make_secret()
    keys.write(secret_of("GATE", gateway, GATEWAY), secret_of("FIRM1", trader))
    with Server(keys.config()) as server, Wire(server.orders_endpoint) as wire, Wire(server.orders_endpoint) as other:
        assert other.log_on("FIRM1", secret=trader, logon_flags=LogonFlags.ADD_SESSION)["reason"] == Reason.NOT_PERMITTED
        other.log_on("FIRM1", 9, secret=trader)
        sessions = [
            wire.log_on(name, secret=gateway, logon_flags=LogonFlags.ADD_SESSION)["session"] for name in ("FIRM1", "FIRM2", "FIRM3")
        ]
        assert len(set(sessions)) == 3
        for number, session in enumerate(sessions, 1):
            wire.numbers = False
            wire.say(new_order(client_order_id=number, price=number, session=session, session_sequence=1))
            report = wire.hear_report()
            assert (report["kind"], report["session"], report["client_order_id"]) == (EventKind.ACCEPTED, session, number)
        name, reject = wire.ask(new_order(session=other.log_on("FIRM1", 9, secret=trader)["session"], session_sequence=1))
        assert (name, reject["reason"]) == ("FrameReject", Reason.NOT_LOGGED_ON)
        mixed = new_order(session=sessions[0], session_sequence=2) + new_order(session=sessions[1], session_sequence=2)
        assert wire.ask(mixed)[1]["field"] == b"session"
        heartbeat = wire.ask(encode_message("TestRequest", request_id=3, session=sessions[1]))[1]
        assert (heartbeat["session"], heartbeat["command_sequence"]) == (sessions[1], 1)
        assert wire.ask(encode_message("Logout", session=sessions[1]))[1]["session"] == sessions[1]
        assert wire.ask(new_order(session=sessions[1], session_sequence=2))[1]["reason"] == Reason.NOT_LOGGED_ON
        wire.say(new_order(client_order_id=7, session=sessions[2], session_sequence=2))
        assert wire.hear_report()["session"] == sessions[2]


def curve_client(server: Server, keys: Keys, pair: KeyPair, participant: str) -> OrderEntry:
    """A client with keys."""
    return OrderEntry(server.orders_endpoint, participant, keys=ClientKeys(server=keys.server.public, pair=pair))


def test_a_config_without_keys_for_an_address_that_others_reach_is_refused(tmp_path: Path) -> None:
    """Plain connections from elsewhere have to be asked for."""
    for endpoint in ("tcp://0.0.0.0:0", "tcp://*:0", "tcp://[::]:0", "tcp://192.0.2.1:0"):
        with pytest.raises(ConfigError, match=r"security\.keys"):
            Server(venue_config(None, policy=Policy.MEMORY, orders_endpoint=endpoint)).start()
    with Server(venue_config(None, policy=Policy.MEMORY, orders_endpoint="tcp://*:0", curve="never")) as server:
        assert server.orders_endpoint.startswith("tcp://0.0.0.0:")
    with Server(venue_config(None, policy=Policy.MEMORY, orders_endpoint=f"ipc://{tmp_path}/orders")):
        pass
