"""The keys of CurveZMQ, and their files: with them a client proves who it is, and the server that it is the right one.

A key is 32 bytes; in files and messages it is Z85 text of 40 characters (ZeroMQ RFC 32). A secret key stands alone in a file that only its
owner may read; the public one is in a file beside it, with `.pub` behind its name. The keys file of a venue says which clients it admits,
and for what:

    [[key]]
    participant = "FIRM1"
    public = "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID"
    roles = ["trade", "market-data"]
    not_after = 2027-06-30T22:00:00Z

    [[secret]]
    participant = "FIRM2"
    sha256 = "66687aadf862bd776c8fc18b8e9f8e20089714856ee233b3902a591d0d5f2925"
    roles = ["trade"]

A secret proves who a client is on a connection without keys, as on loopback: 32 random bytes, of which the file has the SHA-256.

A participant may have several keys and secrets. To replace one, add the new one, wait until all its clients use it, and remove the old one.

The libraries are imported where they are needed: a command that has nothing to do with keys does not wait for them.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import stat
import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from ome.errors import InvalidTypeError, InvalidValueError, OmeError, one_of
from ome.instruments import NAME_SIZE
from ome.tables import read_tables

__all__ = [
    "KEY_SIZE",
    "AdmittedKey",
    "AdmittedSecret",
    "ClientKeys",
    "KeyFileError",
    "KeyPair",
    "KeyRegister",
    "KeysFile",
    "Role",
    "digest_of_secret",
    "key_from_text",
    "key_pair_from_secret",
    "key_text",
    "keys_file_text",
    "make_key_pair",
    "make_secret",
    "read_key_pair",
    "read_keys",
    "read_keys_file",
    "read_public_key",
    "read_secret",
    "write_key_pair",
    "write_secret",
]

KEY_SIZE: Final = 32
_TEXT_SIZE: Final = 40
_FILE_SIZE_MAX: Final = 1 << 24
_KEY_ALLOWED: Final = "a key: 40 characters of Z85 text"
_SECRET_MODE: Final = 0o600
_PUBLIC_SUFFIX: Final = ".pub"


class KeyFileError(OmeError):
    """A file of keys cannot be used."""


class Role(StrEnum):
    """What a key may be used for."""

    TRADE = "trade"
    """Order entry as its participant."""
    GATEWAY = "gateway"
    """Order entry in the name of others."""
    DROP_COPY = "drop-copy"
    """A drop copy of its participant's reports."""
    MARKET_DATA = "market-data"
    """Subscribing to market data."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPair:
    """A secret key and the public key that belongs to it. The secret one is not shown."""

    public: bytes
    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientKeys:
    """What a client needs for a connection with keys: the server's public key, and a pair of its own."""

    server: bytes
    pair: KeyPair


@dataclass(frozen=True, slots=True, kw_only=True)
class _Admitted:
    """What entries of a keys file have in common. `not_after` is the last moment at which the entry is good; None: it has none."""

    participant: str
    roles: frozenset[Role]
    not_after: datetime | None = None

    def __post_init__(self) -> None:
        """Raises InvalidValueError for what cannot be the name of a participant."""
        name = self.participant
        if not isinstance(name, str) or not 1 <= len(name) <= NAME_SIZE or not all("!" <= character <= "~" for character in name):
            allowed = f"1 to {NAME_SIZE} printable ASCII characters without space"
            raise InvalidValueError("participant", found=name, allowed=allowed)

    def is_good_at(self, moment: datetime) -> bool:
        """Whether it may still be used."""
        return self.not_after is None or moment <= self.not_after


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmittedKey(_Admitted):
    """An entry [[key]]."""

    public: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmittedSecret(_Admitted):
    """An entry [[secret]]: `sha256` is the digest of the secret."""

    sha256: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysFile:
    """The entries of a keys file, in their order, also those whose time is over."""

    keys: tuple[AdmittedKey, ...] = ()
    secrets: tuple[AdmittedSecret, ...] = ()


# ---- Keys ----


def make_key_pair() -> KeyPair:
    """A new pair, from the system's random numbers."""
    from nacl.bindings import crypto_box_keypair

    public, secret = crypto_box_keypair()
    return KeyPair(public=public, secret=secret)


def key_pair_from_secret(secret: bytes) -> KeyPair:
    """The pair of a secret key of 32 bytes."""
    from nacl.bindings import crypto_scalarmult_base

    return KeyPair(public=crypto_scalarmult_base(secret), secret=secret)


def key_text(key: bytes) -> str:
    """A key of 32 bytes as Z85 text.

    >>> key_text(bytes(32))
    '0000000000000000000000000000000000000000'
    """
    from zmq.utils import z85

    return z85.encode(key).decode("ascii")


def key_from_text(text: object, *, what: str = "key", where: str = "") -> bytes:
    """The 32 bytes of a key from its Z85 text.

    Raises InvalidValueError, which names `what` and `where`, or InvalidTypeError where it is no text.

    >>> key_from_text("0" * 40) == bytes(32)
    True
    """
    from zmq.utils import z85

    if not isinstance(text, str):
        raise InvalidTypeError(what, where=where, found=text, allowed=_KEY_ALLOWED)
    try:
        key = z85.decode(text) if len(text) == _TEXT_SIZE else b""
    except (ValueError, KeyError, struct.error):  # not ASCII; not a character of Z85; more than 32 bits
        key = b""
    if len(key) != KEY_SIZE:
        raise InvalidValueError(what, where=where, found=text, allowed=_KEY_ALLOWED)
    return key


def make_secret() -> bytes:
    """A new secret, from the system's random numbers; no byte is zero, as a Logon wants it."""
    return bytes(1 + secrets.randbelow(255) for _ in range(KEY_SIZE))


def digest_of_secret(secret: bytes) -> bytes:
    """Its SHA-256, 32 bytes. A secret that is shorter than 32 bytes is padded with zeros, as it is in a Logon.

    >>> digest_of_secret(b"").hex()[:16]
    '66687aadf862bd77'
    """
    return hashlib.sha256(secret.ljust(KEY_SIZE, b"\0")).digest()


# ---- Files of one key ----


def write_key_pair(path: str | os.PathLike[str], pair: KeyPair) -> Path:
    """Writes the secret key to `path`, which only its owner may read, and the public key beside it, with `.pub` behind the name.

    Returns the path of the public key. A file that is there already stays as it is. Raises KeyFileError.
    """
    secret_path = Path(path)
    public_path = secret_path.with_name(secret_path.name + _PUBLIC_SUFFIX)
    _write_new(secret_path, pair.secret, _SECRET_MODE)
    try:
        _write_new(public_path, pair.public, 0o644)
    except KeyFileError:
        with contextlib.suppress(OSError):
            secret_path.unlink()
        raise
    return public_path


def read_key_pair(path: str | os.PathLike[str]) -> KeyPair:
    """The pair of the secret key in a file.

    Raises KeyFileError: it is not there, holds no key, or others than its owner may read or write it.
    """
    source = os.fspath(path)
    text = _read(source, is_secret=True)
    try:
        return key_pair_from_secret(key_from_text(text))
    except InvalidValueError:  # a message must not show what may be a secret
        allowed = "one line with a secret key: 40 characters of Z85 text"
        raise KeyFileError("secret key", where=source, found=f"{len(text)} characters that are no key", allowed=allowed) from None


def write_secret(path: str | os.PathLike[str], secret: bytes) -> None:
    """Writes a secret to a file that only its owner may read. A file that is there already stays as it is. Raises KeyFileError."""
    _write_new(Path(path), secret, _SECRET_MODE)


def read_secret(path: str | os.PathLike[str]) -> bytes:
    """The secret in a file. Raises KeyFileError as `read_key_pair`."""
    source = os.fspath(path)
    text = _read(source, is_secret=True)
    try:
        return key_from_text(text)
    except InvalidValueError:
        allowed = "one line with a secret: 40 characters of Z85 text"
        raise KeyFileError("secret", where=source, found=f"{len(text)} characters that are none", allowed=allowed) from None


def read_public_key(path: str | os.PathLike[str]) -> bytes:
    """The public key in a file. Raises KeyFileError."""
    source = os.fspath(path)
    text = _read(source, is_secret=False)
    try:
        return key_from_text(text)
    except InvalidValueError:
        allowed = "one line with a public key: 40 characters of Z85 text"
        raise KeyFileError("public key", where=source, found=text, allowed=allowed) from None


def _write_new(path: Path, key: bytes, mode: int) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with open(descriptor, "w", encoding="ascii") as file:
            os.fchmod(descriptor, mode)  # whatever the mask of the process
            file.write(f"{key_text(key)}\n")
            file.flush()
            os.fsync(descriptor)
    except FileExistsError:
        raise KeyFileError(
            "key file", where=str(path), found="a file of that name", allowed="a name that is not taken: no key is overwritten"
        ) from None
    except OSError as error:
        raise KeyFileError("key file", where=str(path), found=error.strerror, allowed="a file that can be written") from None


def _read(source: str, *, is_secret: bool) -> str:
    try:
        descriptor = os.open(source, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise KeyFileError("key file", where=source, found="something else", allowed="a regular file")
            mode = stat.S_IMODE(status.st_mode)
            if is_secret and mode & (stat.S_IRWXG | stat.S_IRWXO):
                allowed = "0600: a secret key that others than its owner can read is not used (chmod 600; better, make a new key)"
                raise KeyFileError("mode of a secret key's file", where=source, found=f"{mode:04o}", allowed=allowed)
            return file.read(1_024).decode("ascii", errors="replace").strip()
    except OSError as error:
        raise KeyFileError("key file", where=source, found=error.strerror, allowed="a file that can be read") from None


# ---- The keys file of a venue ----


def read_keys(path: str | os.PathLike[str]) -> tuple[AdmittedKey, ...]:
    """The keys of a keys file. Raises as `read_keys_file`."""
    return read_keys_file(path).keys


def read_keys_file(path: str | os.PathLike[str]) -> KeysFile:
    """A keys file. Raises KeyFileError, which names the entry and what is wrong with it."""
    source = os.fspath(path)
    tables = read_tables(source, "keys file", KeyFileError, size_max=_FILE_SIZE_MAX)
    for name, entries in tables.items():
        if name not in ("key", "secret"):
            raise KeyFileError("keys file", where=source, found=name, allowed=_TABLES)
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise KeyFileError(name, where=source, found=entries, allowed=_TABLES)
    numbers: dict[bytes, int] = {}
    keys = []
    for number, entry in enumerate(tables.get("key", []), 1):
        where = f"entry {number} of {source}"
        key = AdmittedKey(**_entry(entry, where, "public", lambda text: key_from_text(text, what="public")))
        if key.public in numbers:
            found = f"{key_text(key.public)}, the key of entry {numbers[key.public]}"
            raise KeyFileError("public", where=where, found=found, allowed="a key that no other entry has")
        numbers[key.public] = number
        keys.append(key)
    secrets = [
        AdmittedSecret(**_entry(entry, f"secret {number} of {source}", "sha256", _digest))
        for number, entry in enumerate(tables.get("secret", []), 1)
    ]
    return KeysFile(keys=tuple(keys), secrets=tuple(secrets))


def keys_file_text(keys: Iterable[AdmittedKey | AdmittedSecret]) -> str:
    """The text of a keys file with these entries, which `read_keys` reads.

    >>> print(keys_file_text([AdmittedKey(participant="FIRM1", public=bytes(32), roles=frozenset({Role.TRADE}))]))
    [[key]]
    participant = "FIRM1"
    public = "0000000000000000000000000000000000000000"
    roles = ["trade"]
    <BLANKLINE>
    """
    return "\n".join(_entry_text(key) for key in keys)


def _entry_text(key: AdmittedKey | AdmittedSecret) -> str:
    participant = key.participant.replace("\\", "\\\\").replace('"', '\\"')  # Z85 has neither of both
    roles = ", ".join(f'"{role}"' for role in Role if role in key.roles)
    if isinstance(key, AdmittedKey):
        lines = ["[[key]]", f'participant = "{participant}"', f'public = "{key_text(key.public)}"', f"roles = [{roles}]"]
    else:
        lines = ["[[secret]]", f'participant = "{participant}"', f'sha256 = "{key.sha256.hex()}"', f"roles = [{roles}]"]
    if key.not_after is not None:
        lines.append(f"not_after = {key.not_after.isoformat()}")
    return "\n".join(lines) + "\n"


_TABLES: Final = "tables that begin with [[key]] or [[secret]]"


def _entry(entry: dict[str, Any], where: str, proof: str, read_proof: Callable[[object], bytes]) -> dict[str, Any]:
    """The fields of an entry; `proof` is the name of the one that says how its participant proves who it is."""
    needed = ("participant", proof, "roles")
    for name in entry:
        if name not in (*needed, "not_after"):
            raise KeyFileError("entry", where=where, found=name, allowed=one_of((*needed, "not_after")))
    for name in needed:
        if name not in entry:
            raise KeyFileError(name, where=where, found="nothing", allowed=f"entries with {one_of(needed)}")
    roles, not_after = _roles(entry["roles"], where), _not_after(entry.get("not_after"), where)
    fields = {"participant": entry["participant"], "roles": roles, "not_after": not_after}
    try:
        _Admitted(**fields)
        return fields | {proof: read_proof(entry[proof])}
    except (InvalidValueError, InvalidTypeError) as error:
        raise KeyFileError(error.what, where=where, found=error.found, allowed=error.allowed) from None


def _digest(text: object) -> bytes:
    if not isinstance(text, str) or not re.fullmatch(r"[0-9a-f]{64}", text):
        raise InvalidValueError("sha256", found=text, allowed="64 lower-case hexadecimal digits: ome-admin keygen --secret prints them")
    return bytes.fromhex(text)


def _roles(found: object, where: str) -> frozenset[Role]:
    allowed = f"a list of {one_of(tuple(Role))}; at least one"
    if not isinstance(found, list) or not found:
        raise KeyFileError("roles", where=where, found=found, allowed=allowed)
    for name in found:
        if name not in tuple(Role):
            raise KeyFileError("roles", where=where, found=name, allowed=allowed)
    return frozenset(Role(name) for name in found)


def _not_after(found: object, where: str) -> datetime | None:
    if found is None:
        return None
    if not isinstance(found, datetime) or found.tzinfo is None:
        allowed = "a date and time with its offset, such as 2027-06-30T22:00:00Z"
        raise KeyFileError("not_after", where=where, found=str(found), allowed=allowed)
    return found


# ---- The keys of a running venue ----


class KeyRegister:
    """The keys of a running venue by number.

    A key keeps its number while its participant and its roles stay the same; a number is never used again. One thread at a time calls
    `replace`; any may look up.

    >>> key = AdmittedKey(participant="FIRM1", public=bytes(32), roles=frozenset({Role.TRADE}))
    >>> register = KeyRegister([key])
    >>> register.admitted([Role.TRADE]) == {bytes(32): 1}, register.find(1).participant
    (True, 'FIRM1')
    """

    def __init__(self, keys: Iterable[AdmittedKey] = ()) -> None:
        self._number = 0
        self._keys: dict[int, AdmittedKey] = {}
        self.replace(keys)

    def replace(self, keys: Iterable[AdmittedKey]) -> None:
        """These are the keys now. No two have the same public key."""
        numbers = {(key.public, key.participant, key.roles): number for number, key in self._keys.items()}
        replaced = {}
        for key in keys:
            number = numbers.get((key.public, key.participant, key.roles))
            if number is None:
                self._number += 1
                number = self._number
            replaced[number] = key
        self._keys = replaced

    def find(self, number: int) -> AdmittedKey | None:
        """The key of that number; None: there is none, or not any more."""
        return self._keys.get(number)

    def admitted(self, roles: Sequence[Role], moment: datetime | None = None) -> dict[bytes, int]:
        """The numbers of the public keys that have one of these roles and are good at `moment`, by default now: what a listener admits."""
        moment = moment or datetime.now(UTC)
        return {key.public: number for number, key in self._keys.items() if key.is_good_at(moment) and not key.roles.isdisjoint(roles)}
