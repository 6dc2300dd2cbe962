"""`ome shell`: commands that are typed, and lines of JSON. docs/COMMANDS.md, The shell."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from venues import venue_config

from ome.cli.main import main
from ome.server import Server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A venue that runs."""
    with Server(venue_config(tmp_path)) as made:
        yield made


def typed(server: Server, *lines: str, options: tuple[str, ...] = ()) -> Result:
    """What the shell says to these lines."""
    result = CliRunner().invoke(main, ["shell", "--orders", server.orders_endpoint, *options], input="\n".join(lines) + "\n")
    assert result.exit_code == 0, result.output
    return result


def programmed(server: Server, *lines: dict[str, Any] | str) -> list[dict[str, Any]]:
    """The lines that it answers to lines of JSON."""
    text = (line if isinstance(line, str) else json.dumps(line) for line in lines)
    result = typed(server, *text, options=("--jsonl",))
    return [json.loads(line) for line in result.output.splitlines()]


def test_a_day_at_the_desk(server: Server) -> None:
    """Orders with every kind of option, amends, cancels, what is open, the book, fills; all in one session."""
    said = typed(
        server,
        "buy AAPL 10 --at 1.00",
        'buy AAPL 20 --at 0.99 --display 5 --capacity "principal"',
        "sell AAPL 4 --at 1.00 --tif ioc",
        "orders --symbol AAPL",
        "fills",
        "book AAPL --depth 1",
        "mass-cancel --side buy",
        "orders",
        "quit",
        "buy AAPL 1 --at 1.00",
    ).stdout
    lines = said.splitlines()
    words = [line.split()[0] for line in lines if line]
    assert words.count("sent:") == 3
    assert words.count("trade") == 2
    assert (words.count("cancelled"), words.count("completed")) == (2, 1)
    heads = [line.split()[:2] for line in lines if line.startswith(("order id", "time"))]
    assert heads == [["order", "id"], ["time", "trade"], ["order", "id"]]
    assert [line.split()[3:7] for line in lines if line[:1].isdigit() and "gtc" in line] == [
        ["buy", "1.00", "6", "4"],
        ["buy", "0.99", "20", "0"],
    ]


def test_what_is_wrong_is_said_and_the_shell_goes_on(server: Server) -> None:
    """An unknown command, a missing argument, a wrong number, an order that is not there, a quotation without an end."""
    wrong = ("by AAPL 1", "buy AAPL", "buy AAPL ten", "cancel 99", 'buy "AAPL', "buy NONE 1 --at 1.00", "")
    result = typed(server, *wrong, "help", "cancel --help")
    assert "no command 'by': did you mean buy? `help` lists the commands" in result.stderr
    assert "Missing argument 'QUANTITY'" in result.stderr
    assert "found 'ten'" in result.stderr
    assert "No closing quotation" in result.stderr
    assert "NONE" in result.stderr
    assert "UNKNOWN_ORDER" in result.stdout
    assert "mass-cancel" in result.stdout
    assert "--by-order-id" in result.stdout


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("Quit", "did you mean quit? "),
        ("mass_cancel", "did you mean mass-cancel or cancel? "),
        ("order", "did you mean orders? "),
        ("positions", ""),
    ],
)
def test_an_unknown_command_says_what_may_have_been_meant(server: Server, line: str, meant: str) -> None:
    """In one line, whatever follows the command."""
    error = typed(server, f"{line} AAPL --at 1").stderr
    assert error.strip() == f"Error: no command '{line}': {meant}`help` lists the commands"


def test_a_program_gets_every_report_and_an_answer_to_each_line(server: Server) -> None:
    """Ids are strings, as in all JSON of ome; a wrong line is answered by an error; the end of input ends it when all is answered."""
    first = {"do": "buy", "symbol": "AAPL", "quantity": "10", "at": "1.00", "client_order_id": 7, "stop": None}
    lines = programmed(
        server,
        first,
        {"do": "amend", "order": "7", "symbol": "AAPL", "quantity": "8"},
        {"do": "sell", "symbol": "AAPL", "quantity": "3", "tif": "ioc"},
        {"do": "fly"},
        "no json",
        {"do": "buy", "symbol": "AAPL"},
        {"do": "cancel", "order": 7},
    )
    done = [line for line in lines if "done" in line or "error" in line]
    assert [line.get("done") for line in done] == ["buy", "amend", "sell", None, None, None, "cancel"]
    assert done[0]["client_order_id"] == "7"
    assert "one of buy, sell" in done[3]["error"]
    reports = [line["kind"] for line in lines if "kind" in line]
    assert reports == ["accepted", "amended", "accepted", "trade", "trade", "cancelled"]


def test_a_program_asks_for_orders_fills_and_a_book(server: Server) -> None:
    """By connections of their own; the cancel by the venue's id."""
    programmed(server, {"do": "buy", "symbol": "AAPL", "quantity": "10", "at": "1.00"}, {"do": "sell", "symbol": "AAPL", "quantity": "1"})
    asked = programmed(server, {"do": "orders"}, {"do": "fills"}, {"do": "book", "symbol": "AAPL"})
    by_name = {line["done"]: line[line["done"]] for line in asked}
    assert by_name["orders"][0]["leaves_quantity"] == "9"
    assert len(by_name["fills"]) == 2
    assert by_name["book"]["bids"][0]["quantity"] == "9"
    cancelled = programmed(server, {"do": "cancel", "order_id": by_name["orders"][0]["order_id"]})
    assert cancelled[-1]["kind"] == "cancelled"


@pytest.mark.parametrize("chooses", [False, True])
def test_orders_stay_unless_the_shell_is_to_take_them_along(server: Server, chooses: bool) -> None:
    """--cancel-on-disconnect cancels them at the end, too."""
    typed(server, "buy AAPL 10 --at 1.00", options=("--cancel-on-disconnect",) if chooses else ())
    (answer,) = (line for line in programmed(server, {"do": "orders"}) if "done" in line)
    assert len(answer["orders"]) == (0 if chooses else 1)


def test_the_session_lives_while_nobody_types(server: Server) -> None:
    """A shell whose input comes late is neither silent for three heartbeats, nor blind: it prints what happens meanwhile."""
    command = [sys.executable, "-c", "from ome.cli.main import main; main()", "shell", "--orders", server.orders_endpoint, "--session", "3"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, encoding="utf-8") as shell:
        assert shell.stdin is not None
        assert shell.stdout is not None
        shell.stdin.write("buy AAPL 10 --at 1.00\n")
        shell.stdin.flush()
        assert shell.stdout.readline().startswith("sent:")
        assert shell.stdout.readline().startswith("accepted")
        programmed(server, {"do": "sell", "symbol": "AAPL", "quantity": "4"})
        assert shell.stdout.readline().startswith("trade")
        shell.stdin.write("mass-cancel\nquit\n")
        shell.stdin.flush()
        rest, errors = shell.communicate(timeout=20)
    assert [line.split()[0] for line in rest.splitlines()] == ["cancelled", "completed"]
    assert (shell.returncode, errors) == (0, "")
