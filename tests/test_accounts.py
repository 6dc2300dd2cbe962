"""Accounts that belong to participants: the accounts file, and venues that follow it. docs/OPERATING.md, Accounts."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import CliRunner
from venues import LIMITS, Wire, new_order, venue_config

from ome.accounts import AccountFileError, read_accounts_file
from ome.cli.admin import main
from ome.client import OrderEntry
from ome.codec import define_account
from ome.config import ServerConfig
from ome.engine import AccountState
from ome.enums import CommandKind, EventKind, LimitFlags, Policy, Reason
from ome.messages import DefineAccount
from ome.server import Server
from ome.server.accounts import AccountsWatch

RESTRICTED: Final = replace(LIMITS, limit_flags=LimitFlags.ACCOUNTS_RESTRICTED)


def file_of(**accounts: list[int]) -> str:
    """The text of an accounts file."""
    return "".join(f'[[participant]]\nname = "{name}"\naccounts = {numbers}\n' for name, numbers in accounts.items())


class Accounts:
    """An accounts file, and venues that have it."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "accounts.toml"
        self._directory = directory
        self.write()

    def write(self, **accounts: list[int]) -> None:
        """These are the accounts now."""
        temporary = self.path.with_suffix(".new")
        temporary.write_text(file_of(**accounts), encoding="utf-8")
        temporary.replace(self.path)

    @property
    def journal(self) -> Path:
        """The directory of the journal."""
        return self._directory / "data"

    def config(self, **fields: Any) -> ServerConfig:
        """A venue without keys on loopback, with a journal."""
        return venue_config(self.journal, **({"accounts_file": self.path} | fields))


@pytest.fixture
def accounts(tmp_path: Path) -> Accounts:
    """An empty accounts file."""
    return Accounts(tmp_path)


def tries(wire: Wire, account: int) -> Reason:
    """What becomes of an order for an account."""
    wire.say(new_order(account=account))
    report = wire.hear_report()
    assert report["account"] == account
    assert (report["kind"] is EventKind.ACCEPTED) == (report["reason"] == Reason.NONE)
    return Reason(report["reason"])


def until(is_so: Callable[[], bool]) -> None:
    """Waits for what an operator's change brings about."""
    deadline = time.monotonic() + 3
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


# ---- the file ----


def test_an_accounts_file_says_whose_each_account_is(tmp_path: Path) -> None:
    """In the order of the file; a participant may have several entries, or none of its accounts yet."""
    path = tmp_path / "accounts.toml"
    path.write_text(file_of(FIRM1=[7, 4_294_967_295], FIRM2=[]) + file_of(FIRM3=[5]) + file_of(FIRM1=[1]))
    assert list(read_accounts_file(path).items()) == [(7, "FIRM1"), (4_294_967_295, "FIRM1"), (5, "FIRM3"), (1, "FIRM1")]
    path.write_text("")
    assert read_accounts_file(path) == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[account]]\nnumber = 1", r"accounts file in .*: found 'account'.*\[\[participant\]\]"),
        ("participant = 5", r"participant in .*: found 5"),
        ("= 1", "accounts file in .*TOML"),
        ('[[participant]]\nname = "A"', "entry in participant 1 of .*no accounts"),
        ("[[participant]]\naccounts = [1]", "entry in participant 1 of .*no name"),
        ('[[participant]]\nname = "A"\naccounts = [1]\nrisk = 1', "entry in participant 1 of .*found 'risk'"),
        ('[[participant]]\nname = "A B"\naccounts = [1]', "name in participant 1 of .*without space"),
        ("[[participant]]\nname = 5\naccounts = [1]", "name in participant 1 of "),
        ('[[participant]]\nname = "A"\naccounts = 5', "accounts in participant 1 of .*a list"),
        (file_of(A=[1], B=[0]), "accounts in participant 2 of .*found 0.*1 to 4,294,967,295"),
        (file_of(A=[4_294_967_296]), "accounts in participant 1 of .*found 4294967296"),
        ('[[participant]]\nname = "A"\naccounts = [true]', "accounts in participant 1 of .*found True"),
        ('[[participant]]\nname = "A"\naccounts = ["5"]', "accounts in participant 1 of .*found '5'"),
        (file_of(A=[7], B=[8, 7]), "accounts in participant 2 of .*7, which belongs to A"),
    ],
)
def test_what_is_wrong_with_an_accounts_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    """With its place and what is allowed."""
    path = tmp_path / "accounts.toml"
    path.write_text(text)
    with pytest.raises(AccountFileError, match=message):
        read_accounts_file(path)


def test_an_accounts_file_that_is_not_there_is_named(accounts: Accounts) -> None:
    """It stops a start."""
    accounts.path.unlink()
    with pytest.raises(AccountFileError, match="accounts file"):
        read_accounts_file(accounts.path)
    with pytest.raises(AccountFileError, match="accounts file"):
        Server(accounts.config()).start()


# ---- the definitions that follow from it ----


def test_only_what_differs_from_the_engine_is_defined(accounts: Accounts) -> None:
    """What the file does not have any more belongs to nobody; what belonged to nobody before is not told again."""
    accounts.write(FIRM1=[1, 2], FIRM2=[3, 4])
    known = [AccountState(account=number, participant_name=name) for number, name in ((1, "FIRM1"), (3, "FIRM1"), (5, "FIRM1"), (6, ""))]
    watch = AccountsWatch(accounts.path, known, 10)
    wanted = [(2, "FIRM1"), (3, "FIRM2"), (4, "FIRM2"), (5, "")]
    assert sorted(watch.missing, key=lambda one: one.account) == [define_account(number, name) for number, name in wanted]
    sent: list[DefineAccount] = []
    counts: list[int] = []

    def submit(definition: DefineAccount) -> bool:
        sent.append(definition)
        return True

    watch.follow(submit, counts.append)
    watch.look()
    assert not sent
    accounts.write(FIRM1=[1, 2, 5], FIRM2=[3])
    watch.look()
    watch.look()
    assert sorted(sent, key=lambda one: one.account) == [define_account(4, ""), define_account(5, "FIRM1")]
    assert counts == [2]


def test_no_more_accounts_than_the_limit(accounts: Accounts) -> None:
    """Those included that belong to nobody any more: they keep their places."""
    accounts.write(FIRM1=[1, 2])
    assert len(AccountsWatch(accounts.path, (), 2).missing) == 2
    with pytest.raises(AccountFileError, match=r"3 accounts.*limits.accounts = 2"):
        AccountsWatch(accounts.path, [AccountState(account=9, participant_name="")], 2)


def test_without_a_file_accounts_stay_as_they_are() -> None:
    """Nothing is missing."""
    assert AccountsWatch(None, [AccountState(account=9, participant_name="A")], 2).missing == ()


# ---- venues ----


def test_a_session_acts_for_the_accounts_of_its_participant_alone(accounts: Accounts) -> None:
    """D9, on the wire: another participant's order is refused with its reason; after a restart, from a snapshot too, it is the same."""
    accounts.write(FIRM1=[7], FIRM2=[8])
    for _ in range(3):
        with Server(accounts.config()) as server, Wire(server.orders_endpoint) as one, Wire(server.orders_endpoint) as two:
            one.log_on("FIRM1")
            two.log_on("FIRM2")
            assert tries(one, 7) == tries(two, 8) == Reason.NONE
            assert tries(one, 8) == tries(two, 7) == Reason.ACCOUNT_NOT_OWNED
            assert tries(one, 0) == tries(two, 99) == Reason.NONE
    shown = json.loads(CliRunner().invoke(main, ["state", str(accounts.journal), "--json"]).stdout)["accounts"]
    assert shown == [{"account": 7, "participant_name": "FIRM1"}, {"account": 8, "participant_name": "FIRM2"}]
    lines = CliRunner().invoke(main, ["state", str(accounts.journal)]).stdout.splitlines()
    assert "account 7 FIRM1" in lines
    dumped = [json.loads(line) for line in CliRunner().invoke(main, ["dump", str(accounts.journal), "--json"]).stdout.splitlines()]
    defined = [line for line in dumped if line["kind"] == CommandKind.DEFINE_ACCOUNT.name.lower()]
    assert [(line["account"], line["participant_name"]) for line in defined] == [(7, "FIRM1"), (8, "FIRM2")], "once"


def test_a_change_of_the_file_takes_effect_without_a_restart(accounts: Accounts, caplog: pytest.LogCaptureFixture) -> None:
    """D9: an account that is added, one that goes to another participant, one that is gone. A file with a mistake changes nothing."""
    accounts.write(FIRM1=[7, 8])
    config = accounts.config(policy=Policy.MEMORY, limits=RESTRICTED)
    with Server(config) as server, Wire(server.orders_endpoint) as one, Wire(server.orders_endpoint) as two:
        one.log_on("FIRM1")
        two.log_on("FIRM2")
        assert (tries(one, 8), tries(two, 8), tries(two, 9)) == (Reason.NONE, Reason.ACCOUNT_NOT_OWNED, Reason.UNKNOWN_ACCOUNT)
        accounts.write(FIRM1=[7], FIRM2=[8, 9])
        until(lambda: tries(two, 9) == Reason.NONE)
        assert (tries(one, 8), tries(two, 8)) == (Reason.ACCOUNT_NOT_OWNED, Reason.NONE)
        accounts.write(FIRM1=[7])
        until(lambda: tries(two, 9) == Reason.UNKNOWN_ACCOUNT)
        accounts.path.write_text("[[participant]]\nname = 5\n", encoding="utf-8")
        until(lambda: "was not read again" in caplog.text)
        assert (tries(one, 7), tries(two, 7)) == (Reason.NONE, Reason.ACCOUNT_NOT_OWNED)


def test_where_accounts_are_restricted_after_a_restart_an_unknown_one_is_refused(accounts: Accounts) -> None:
    """D9: the choice is in the journal, as the sizes are; an order that rests stays."""
    with Server(accounts.config()) as server, Wire(server.orders_endpoint) as wire:
        wire.log_on("FIRM1")
        assert tries(wire, 7) is Reason.NONE
    with Server(accounts.config(limits=RESTRICTED)) as server, Wire(server.orders_endpoint) as wire:
        assert server.summary is not None
        assert server.summary.limits_before == LIMITS
        wire.log_on("FIRM1")
        assert tries(wire, 7) is Reason.UNKNOWN_ACCOUNT
        assert tries(wire, 0) is Reason.NONE


def test_a_journal_from_before_accounts_goes_on_with_them(accounts: Accounts) -> None:
    """D9, section Versions of the rules: a start moves the engine to the newest rules."""
    before = accounts.config(limits=replace(LIMITS, rules_version=1), accounts_file=None)
    with Server(before) as server, Wire(server.orders_endpoint) as wire:
        wire.log_on("FIRM1")
        assert tries(wire, 7) is Reason.NONE
    accounts.write(FIRM2=[7])
    with Server(accounts.config()) as server, Wire(server.orders_endpoint) as wire:
        wire.log_on("FIRM1")
        assert tries(wire, 7) is Reason.ACCOUNT_NOT_OWNED


def test_a_client_is_told_by_name_why(accounts: Accounts) -> None:
    """The report of the refusal says the reason."""
    accounts.write(FIRM1=[7])
    with Server(accounts.config(policy=Policy.MEMORY)) as server, OrderEntry(server.orders_endpoint, "FIRM2") as client:
        client.buy("AAPL", 1, at="1.00", account=7)
        assert next(client.reports(timeout=5)).reason is Reason.ACCOUNT_NOT_OWNED
