"""Keys and their files: what is written, what is read back, and what is refused, with a message that says where and why."""

from __future__ import annotations

import json
import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import zmq
from click.testing import CliRunner

from ome.cli.admin import main as admin
from ome.codec.requests import logon_message
from ome.errors import InvalidTypeError, InvalidValueError
from ome.keys import (
    AdmittedKey,
    KeyFileError,
    KeyRegister,
    Role,
    key_from_text,
    key_pair_from_secret,
    key_text,
    keys_file_text,
    make_key_pair,
    make_secret,
    read_key_pair,
    read_keys,
    read_public_key,
    write_key_pair,
)

TEXT = "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID"
"""The public key in an example of libzmq's manual."""
SECRET = "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs"
"""Its secret key."""


def entry(**fields: str) -> str:
    """An entry of a keys file, with each field as it stands in the file; a field that is empty is left out."""
    defaults = {"participant": '"FIRM1"', "public": f'"{TEXT}"', "roles": '["trade"]'}
    return "[[key]]\n" + "".join(f"{name} = {value}\n" for name, value in (defaults | fields).items() if value)


def admitted(
    public: bytes = bytes(32), *, participant: str = "FIRM1", roles: tuple[Role, ...] = (Role.TRADE,), **fields: datetime
) -> AdmittedKey:
    """An entry."""
    return AdmittedKey(participant=participant, public=public, roles=frozenset(roles), **fields)


# ---- keys ----


def test_a_secret_that_is_made_can_be_sent() -> None:
    """A Logon takes none with a zero byte, which one in eight of 32 random bytes would have."""
    assert all(0 not in make_secret() for _ in range(200))
    logon_message("FIRM1", secret=make_secret())


def test_keys_are_those_of_libzmq() -> None:
    """The public key that belongs to a secret one is the one that libzmq computes, and its text is ZeroMQ's Z85."""
    assert key_text(key_pair_from_secret(key_from_text(SECRET)).public) == TEXT
    pair = make_key_pair()
    assert zmq.curve_public(key_text(pair.secret).encode()) == key_text(pair.public).encode()
    assert make_key_pair() != pair


def test_a_secret_key_is_not_shown() -> None:
    """Neither the repr of a pair nor that of what contains it has the secret key."""
    pair = make_key_pair()
    assert "secret" not in repr(pair)
    assert repr(pair.secret) not in repr(pair)


@pytest.mark.parametrize("text", ["", TEXT[:-1], TEXT + "0", TEXT[:-1] + "~", TEXT[:-1] + "\n", "#" * 40, "é" * 40, TEXT[:-1] + "\0"])
def test_text_that_is_no_key_is_refused(text: str) -> None:
    """Too short, too long, another alphabet, or a number of more than 32 bits."""
    with pytest.raises(InvalidValueError, match=r"public in entry 3: found .*, allowed: a key: 40 characters of Z85 text"):
        key_from_text(text, what="public", where="entry 3")


def test_what_is_no_text_is_no_key() -> None:
    """Bytes are not taken for text."""
    with pytest.raises(InvalidTypeError, match="40 characters"):
        key_from_text(TEXT.encode())


# ---- files of one key ----


def test_a_pair_is_written_and_read_back(tmp_path: Path) -> None:
    """Only its owner may read the secret key, whatever the mask of the process is."""
    pair = make_key_pair()
    mask = os.umask(0)
    try:
        public_path = write_key_pair(tmp_path / "client", pair)
    finally:
        os.umask(mask)
    assert public_path == tmp_path / "client.pub"
    assert stat.S_IMODE((tmp_path / "client").stat().st_mode) == 0o600
    assert (tmp_path / "client").read_text() == key_text(pair.secret) + "\n"
    assert read_key_pair(tmp_path / "client") == pair
    assert read_public_key(public_path) == pair.public


@pytest.mark.parametrize("taken", ["client", "client.pub"])
def test_no_key_is_overwritten(tmp_path: Path, taken: str) -> None:
    """A file that is there stays, and no half of a pair is left."""
    (tmp_path / taken).write_text("mine")
    with pytest.raises(KeyFileError, match=rf"key file in .*{taken}: found 'a file of that name', allowed: a name that is not taken"):
        write_key_pair(tmp_path / "client", make_key_pair())
    assert [path.name for path in tmp_path.iterdir()] == [taken]
    assert (tmp_path / taken).read_text() == "mine"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o777])
def test_a_secret_key_that_others_can_read_is_not_used(tmp_path: Path, mode: int) -> None:
    """Also one that they can write or execute; the message says how to help. The public key may be read by all."""
    path = tmp_path / "client"
    write_key_pair(path, make_key_pair())
    path.chmod(mode)
    with pytest.raises(KeyFileError, match=rf"mode of a secret key's file in .*client: found '{mode:04o}', allowed: 0600.*chmod 600"):
        read_key_pair(path)


def test_a_file_that_holds_no_secret_key_is_refused_and_not_shown(tmp_path: Path) -> None:
    """What it has could be a secret with an error in it."""
    path = tmp_path / "client"
    path.write_text(SECRET[:-1])
    path.chmod(0o600)
    with pytest.raises(KeyFileError, match=r"secret key in .*client: found '39 characters that are no key'") as caught:
        read_key_pair(path)
    assert SECRET[:-1] not in str(caught.value)
    assert caught.value.__cause__ is None
    with pytest.raises(KeyFileError, match=r"key file in .*none: found 'No such file or directory'"):
        read_key_pair(tmp_path / "none")
    with pytest.raises(KeyFileError, match="a regular file"):
        read_key_pair("/dev/null")
    with pytest.raises(KeyFileError, match=r"public key in .*client: found"):
        read_public_key(path)


# ---- the keys file of a venue ----


def test_a_keys_file_is_written_and_read_back(tmp_path: Path) -> None:
    """Also names with quotes and backslashes, all roles, a time, and two keys of one participant."""
    keys = (
        admitted(bytes(32)),
        admitted(bytes(31) + b"\1", participant='A"\\B', roles=tuple(Role), not_after=datetime(2027, 6, 30, 22, tzinfo=UTC)),
        admitted(bytes(31) + b"\2", roles=(Role.MARKET_DATA, Role.DROP_COPY)),
    )
    path = tmp_path / "keys.toml"
    path.write_text(keys_file_text(keys))
    assert read_keys(path) == keys
    path.write_text("")
    assert read_keys(path) == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[key]", r"keys file in .*keys\.toml: found .*, allowed: TOML"),
        ("[[keys]]\n", r"keys file in .*keys\.toml: found 'keys', allowed: tables that begin with \[\[key\]\]"),
        ("[key]\n", r"key in .*keys\.toml: found \{\}, allowed: tables that begin with \[\[key\]\]"),
        ("key = [1]\n", r"key in .*keys\.toml: found \[1\]"),
        (
            entry(participant=""),
            r"participant in entry 1 of .*keys\.toml: found 'nothing', allowed: entries with participant, public, roles",
        ),
        (entry(public=""), r"public in entry 1 of .*: found 'nothing'"),
        (entry(roles=""), r"roles in entry 1 of .*: found 'nothing'"),
        (entry(role='"trade"'), r"entry in entry 1 of .*: found 'role', allowed: participant, public, roles, not_after"),
        (entry(participant="1"), r"participant in entry 1 of .*: found 1, allowed: 1 to 16 printable ASCII"),
        (entry(participant='""'), r"participant in entry 1 of .*: found ''"),
        (entry(participant='"A B"'), r"participant in entry 1 of .*: found 'A B'"),
        (entry(participant='"12345678901234567"'), r"participant in entry 1 of"),
        (entry(public='"x"'), r"public in entry 1 of .*: found 'x', allowed: a key: 40 characters of Z85 text"),
        (entry(public="1"), r"public in entry 1 of .*: found 1, allowed: a key"),
        (entry(roles="[]"), r"roles in entry 1 of .*: found \[\], allowed: a list of trade, gateway, drop-copy, market-data"),
        (entry(roles='"trade"'), r"roles in entry 1 of .*: found 'trade', allowed: a list"),
        (entry(roles='["trade", "admin"]'), r"roles in entry 1 of .*: found 'admin'"),
        (entry(roles='["trade", 1]'), r"roles in entry 1 of .*: found 1"),
        (entry(roles='["trade", ["x"]]'), r"roles in entry 1 of .*: found \['x'\]"),
        (entry(not_after="2027-06-30T22:00:00"), r"not_after in entry 1 of .*: found '2027-06-30 22:00:00', allowed: .*offset"),
        (entry(not_after="2027-06-30"), r"not_after in entry 1 of .*: found '2027-06-30', allowed: .*offset"),
        (entry(not_after='"soon"'), r"not_after in entry 1 of .*: found 'soon'"),
        (
            entry() + entry(participant='"FIRM2"'),
            r"public in entry 2 of .*: found 'Yne@.*, the key of entry 1', allowed: a key that no other entry",
        ),
    ],
)
def test_an_entry_that_is_wrong_is_named(tmp_path: Path, text: str, message: str) -> None:
    """The message says which entry and field, what was found and what is allowed."""
    path = tmp_path / "keys.toml"
    path.write_text(text)
    with pytest.raises(KeyFileError, match=message):
        read_keys(path)


def test_a_keys_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """A file that is not there, and one that is not UTF-8."""
    with pytest.raises(KeyFileError, match=r"keys file in .*none: found 'No such file or directory'"):
        read_keys(tmp_path / "none")
    (tmp_path / "keys.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(KeyFileError, match="allowed: TOML"):
        read_keys(tmp_path / "keys.toml")


# ---- the keys of a running venue ----


def test_a_key_keeps_its_number_while_it_means_the_same() -> None:
    """Reading the file again ends no connection of a key that is still there; a key that now means somebody else has another number."""
    one, two, three = (bytes(31) + bytes([number]) for number in (1, 2, 3))
    register = KeyRegister([admitted(one), admitted(two)])
    assert register.admitted([Role.TRADE]) == {one: 1, two: 2}
    later = datetime.now(UTC) + timedelta(days=1)
    register.replace([admitted(three), admitted(one, not_after=later)])
    assert register.admitted([Role.TRADE]) == {three: 3, one: 1}
    assert register.find(2) is None
    register.replace([admitted(two), admitted(one, participant="FIRM2"), admitted(three, roles=(Role.TRADE, Role.GATEWAY))])
    assert register.admitted([Role.TRADE]) == {two: 4, one: 5, three: 6}
    found = register.find(5)
    assert found is not None
    assert found.participant == "FIRM2"


def test_a_listener_admits_the_keys_of_its_roles_while_they_are_good() -> None:
    """A key is good up to its last moment, and not after it."""
    end = datetime(2027, 6, 30, 22, tzinfo=UTC)
    trade, data, both = (bytes(31) + bytes([number]) for number in (1, 2, 3))
    register = KeyRegister(
        [
            admitted(trade, not_after=end),
            admitted(data, roles=(Role.MARKET_DATA,)),
            admitted(both, roles=(Role.TRADE, Role.MARKET_DATA)),
        ]
    )
    assert set(register.admitted([Role.TRADE, Role.GATEWAY], end)) == {trade, both}
    assert set(register.admitted([Role.TRADE], end + timedelta(microseconds=1))) == {both}
    assert set(register.admitted([Role.MARKET_DATA], end)) == {data, both}
    assert register.admitted([], end) == {}


# ---- ome-admin keygen ----


def test_keygen_prints_the_public_key_and_never_the_secret_one(tmp_path: Path) -> None:
    """The secret key goes to its file; the entry that is printed can be put into the keys file as it is."""
    path = tmp_path / "client"
    result = CliRunner().invoke(admin, ["keygen", str(path), "--participant", "FIRM1", "--role", "trade", "--role", "market-data"])
    assert result.exit_code == 0, result.output
    pair = read_key_pair(path)
    assert key_text(pair.public) in result.output
    assert key_text(pair.secret) not in result.output
    (tmp_path / "keys.toml").write_text(result.output[result.output.index("[[key]]") :])
    assert read_keys(tmp_path / "keys.toml") == (admitted(pair.public, roles=(Role.TRADE, Role.MARKET_DATA)),)


def test_keygen_as_json(tmp_path: Path) -> None:
    """One object with the public key and both files."""
    result = CliRunner().invoke(admin, ["keygen", str(tmp_path / "server"), "--json"])
    shown = json.loads(result.output)
    assert shown["public"] == key_text(read_key_pair(tmp_path / "server").public)
    assert (shown["secret_file"], shown["public_file"]) == (str(tmp_path / "server"), str(tmp_path / "server.pub"))
    assert shown["entry"] is None


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--participant", "FIRM1"], 2, "--participant and --role are given together"),
        (["--role", "trade"], 2, "--participant and --role are given together"),
        (["--participant", "A B", "--role", "trade"], 2, "participant: found 'A B'"),
        (["--participant", "A", "--role", "admin"], 2, "'admin' is not one of"),
    ],
)
def test_keygen_refuses_what_is_wrong_and_writes_nothing(tmp_path: Path, arguments: list[str], code: int, message: str) -> None:
    """Wrong arguments are found before a key is made."""
    result = CliRunner().invoke(admin, ["keygen", str(tmp_path / "client"), *arguments])
    assert result.exit_code == code
    assert message in result.output
    assert not list(tmp_path.iterdir())
    (tmp_path / "client").write_text("mine")
    result = CliRunner().invoke(admin, ["keygen", str(tmp_path / "client")])
    assert result.exit_code == 1
    assert "a name that is not taken" in result.output
