"""The commands of a trader: submit, cancel, amend, mass-cancel, orders and fills, with secrets and keys. docs/COMMANDS.md."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from venues import Wire, venue_config

from ome.cli.main import main
from ome.cli.session_numbers import FIRST
from ome.codec.wire import encode_message
from ome.enums import Reason
from ome.keys import (
    AdmittedKey,
    AdmittedSecret,
    Role,
    digest_of_secret,
    key_text,
    keys_file_text,
    make_key_pair,
    make_secret,
    write_key_pair,
)
from ome.server import Server

TRADE = frozenset({Role.TRADE})


def called(*arguments: object) -> Result:
    """What a command prints, and how it ends."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


class Desk:
    """A venue, and the commands with its addresses."""

    def __init__(self, server: Server, *access: object) -> None:
        self.server = server
        self._access = access

    def order(self, *arguments: object, code: int = 0) -> list[str]:
        """The lines of a command of order entry."""
        return self._lines(*arguments, "--orders", self.server.orders_endpoint, code=code)

    def ask(self, *arguments: object) -> list[dict[str, Any]]:
        """The answer to a command of requests."""
        (line,) = self._lines(*arguments, "--json", "--requests", self.server.requests_endpoint, code=0)
        found: list[dict[str, Any]] = json.loads(line)
        return found

    def _lines(self, *arguments: object, code: int) -> list[str]:
        result = called(*arguments, *self._access)
        assert result.exit_code == code, result.output
        return result.output.splitlines()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """A venue that asks for nothing."""
    with Server(venue_config(tmp_path)) as server:
        yield Desk(server)


def words(lines: list[str]) -> list[str]:
    """The first word of each line."""
    return [line.split()[0] for line in lines]


def test_an_order_is_amended_and_cancelled_by_either_id_from_other_sessions(desk: Desk) -> None:
    """Each command has a session of its own, so the answer is COMPLETED; what it did shows in the open orders."""
    assert words(desk.order("submit", "buy", "AAPL", 10, "--at", "1.00")) == ["accepted"]
    (order,) = desk.ask("orders")
    lines = desk.order("amend", order["client_order_id"], "AAPL", "--at", "1.50", "--quantity", 7, "--session", 9)
    assert words(lines) == ["completed"]
    assert lines[0].endswith(f"  client id {order['client_order_id']}")
    assert words(desk.order("amend", order["order_id"], "AAPL", "--open-quantity", 5, "--by-order-id", "--session", 9)) == ["completed"]
    (order,) = desk.ask("orders", "--symbol", "AAPL")
    assert (order["price"], order["leaves_quantity"]) == ("1.50", "5")
    assert words(desk.order("cancel", order["order_id"], "--by-order-id")) == ["cancelled"]
    assert desk.ask("orders") == []
    assert "UNKNOWN_ORDER" in desk.order("cancel", order["client_order_id"], code=1)[0]


def test_lines_have_the_ids_by_which_an_order_is_cancelled(desk: Desk) -> None:
    """Of `submit` both, whatever became of it; and of the command that cancels."""
    for option, name in (((), "client id"), (("--by-order-id",), "order id")):
        (line,) = desk.order("submit", "buy", "AAPL", 10, "--at", "1.00")
        (order,) = desk.ask("orders")
        assert line.endswith(f"  client id {order['client_order_id']}  order id {order['order_id']}")
        (cancelled,) = desk.order("cancel", line.partition(f"  {name} ")[2].split()[0], *option)
        assert cancelled.endswith(f"(REQUESTED)  client id {order['client_order_id']}  order id {order['order_id']}")
    assert desk.order("cancel", 17, code=1)[0].endswith("(UNKNOWN_ORDER)  client id 17")


def test_a_command_takes_no_session_over_that_runs_on_another_machine(desk: Desk) -> None:
    """Its number is not known here, so the venue says it, and the command takes the next one."""
    with Wire(desk.server.orders_endpoint) as wire:
        assert wire.log_on("TRADER", FIRST)["reason"] == Reason.NONE
        assert words(desk.order("submit", "buy", "AAPL", 10, "--at", "1.00")) == ["accepted"]
        shell = called("shell", "--jsonl", "--orders", desk.server.orders_endpoint)
        assert (shell.exit_code, shell.output) == (0, "")
        assert wire.ask(encode_message("TestRequest", request_id=1))[0] == "Heartbeat"


def test_a_mass_cancel_ends_with_the_number_of_orders(desk: Desk) -> None:
    """All, or those of a side."""
    for side, price in (("buy", "1.00"), ("buy", "1.01"), ("sell", "2.00")):
        desk.order("submit", side, "AAPL", 1, "--at", price)
    assert words(desk.order("mass-cancel", "--side", "sell")) == ["cancelled", "completed"]
    lines = desk.order("mass-cancel", "--symbol", "AAPL")
    assert words(lines) == ["cancelled", "cancelled", "completed"]
    assert desk.ask("orders") == []


def test_fills_show_what_was_traded(desk: Desk) -> None:
    """Both sides, of one participant."""
    desk.order("submit", "buy", "AAPL", 10, "--at", "1.00")
    assert words(desk.order("submit", "sell", "AAPL", 4, "--tif", "ioc")) == ["accepted", "trade"]
    assert [(fill["side"], fill["last_quantity"]) for fill in desk.ask("fills")] == [("sell", "4"), ("buy", "4")]


def test_secrets_are_read_from_a_file(tmp_path: Path) -> None:
    """A wrong one is refused, by order entry and by requests; a file that others can read is, too."""
    secret, keys = make_secret(), tmp_path / "keys.toml"
    entry = AdmittedSecret(participant="TRADER", sha256=digest_of_secret(secret), roles=TRADE)
    keys.write_text(keys_file_text([entry]), encoding="utf-8")
    right, wrong = tmp_path / "right", tmp_path / "wrong"
    for path, value in ((right, secret), (wrong, make_secret())):
        path.write_text(key_text(value), encoding="ascii")
        path.chmod(0o600)
    with Server(venue_config(tmp_path / "journal", keys_file=keys)) as server:
        good, bad, none = Desk(server, "--secret", right), Desk(server, "--secret", wrong), Desk(server)
        assert words(good.order("submit", "buy", "AAPL", 10, "--at", "1.00")) == ["accepted"]
        assert len(good.ask("orders")) == 1
        for other in (bad, none):
            assert "BAD_SECRET" in other.order("mass-cancel", code=1)[0]
            refused = called("orders", "--requests", server.requests_endpoint, *other._access)
            assert refused.exit_code == 1
            assert "BAD_SECRET" in refused.output
        assert len(good.ask("orders")) == 1
        right.chmod(0o644)
        assert "others than its owner" in good.order("cancel", 1, code=1)[0]


def test_keys_encrypt_all_three_addresses(tmp_path: Path) -> None:
    """With the venue's public key and the participant's own."""
    pair, own, keys = make_key_pair(), make_key_pair(), tmp_path / "keys.toml"
    write_key_pair(tmp_path / "server", pair)
    write_key_pair(tmp_path / "own", own)
    keys.write_text(keys_file_text([AdmittedKey(participant="TRADER", public=own.public, roles=TRADE)]), encoding="utf-8")
    config = venue_config(tmp_path / "journal", keys_file=keys, server_key_file=tmp_path / "server", curve="always")
    access = ("--key", tmp_path / "own", "--server-key", tmp_path / "server.pub")
    with Server(config) as server:
        desk = Desk(server, *access)
        assert words(desk.order("submit", "buy", "AAPL", 10, "--at", "1.00")) == ["accepted"]
        assert len(desk.ask("orders")) == 1
        book = called(
            "watch", "AAPL", "--seconds", 0.1, "--json", "--orders", server.orders_endpoint, "--feed", server.feed_endpoint, *access
        )
        assert book.exit_code == 0, book.output
        write_key_pair(tmp_path / "other", make_key_pair())
        strange = called("orders", "--requests", server.requests_endpoint, "--key", tmp_path / "other", *access[2:])
        assert (strange.exit_code, "a key that the server does not admit" in strange.output) == (1, True)
        alone = called("orders", "--requests", server.requests_endpoint, *access[:2])
        assert (alone.exit_code, "together" in alone.output) == (2, True)
