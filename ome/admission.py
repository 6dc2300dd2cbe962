"""Who may come in: the keys file of a venue while it runs, and what a client has to prove.

The file is read again when it changes. A file that cannot be read, or has a mistake, changes nothing, and is told to the log.
"""

from __future__ import annotations

import hmac
import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from ome.enums import Reason
from ome.keys import AdmittedKey, AdmittedSecret, KeyFileError, KeyRegister, KeysFile, Role, digest_of_secret, read_keys_file
from ome.tables import FileVersion, file_version

__all__ = ["OPEN", "WRONG_LOGON_MS", "Admission", "Credential"]

WRONG_LOGON_MS: Final = 1_000
"""Nothing is read for so long from a connection whose logon proved nothing: guessing costs the guesser time."""

_log = logging.getLogger("ome.admission")
_NAME_SIZE_MAX: Final = 16
_ORDERS: Final = (Role.TRADE, Role.GATEWAY, Role.DROP_COPY)
_FEED: Final = (Role.TRADE, Role.GATEWAY, Role.MARKET_DATA)


@dataclass(frozen=True, slots=True)
class Credential:
    """What a client has proved: a key by its number, or a secret by its digest; neither where the venue asks for nothing."""

    key_id: int = 0
    digest: bytes = b""
    roles: frozenset[Role] = frozenset()


OPEN: Final = Credential()
"""Of a venue without a keys file."""


class Admission:
    """Decides about logons by the names that are admitted (none: any), and by a keys file where there is one.

    `look` reads the file again where it has changed, and calls `on_change` where somebody may have lost, or got, something. Raises
    KeyFileError. Any thread may ask.
    """

    PERIOD_S: Final = 0.5

    def __init__(self, participants: Collection[str], keys_file: Path | None) -> None:
        self._participants = frozenset(participants)
        self._path = keys_file
        self._register = KeyRegister()
        self._secrets: tuple[AdmittedSecret, ...] = ()
        self._version: FileVersion | None = None
        self.on_change: Callable[[], None] = lambda: None
        if keys_file is not None:
            self._version = file_version(keys_file)
            self._take(read_keys_file(keys_file))
        self._admitted = self._good()

    def admit(self, participant_name: bytes, secret: bytes, key_id: int, *, role: Role = Role.TRADE) -> Credential | Reason:
        """What a client that logs on under a name has proved by its connection's key, or else by its secret; or why it is refused.

        `role` is what it wants to do.
        """
        if not 1 <= len(participant_name) <= _NAME_SIZE_MAX or not all(0x21 <= byte <= 0x7E for byte in participant_name):
            return Reason.BAD_PARTICIPANT
        name = participant_name.decode("ascii")
        if key_id:
            return self._admit_key(name, key_id, role)
        if self._participants and name not in self._participants:
            return Reason.BAD_PARTICIPANT
        if self._path is None:
            return OPEN
        digest, now = digest_of_secret(secret), datetime.now(UTC)
        for entry in self._secrets:
            is_right = hmac.compare_digest(entry.sha256, digest)
            if is_right and entry.is_good_at(now) and _may_act_for(name, entry, role):
                return Credential(digest=digest, roles=entry.roles)
        return Reason.BAD_SECRET

    def _admit_key(self, name: str, key_id: int, role: Role) -> Credential | Reason:
        entry = self._register.find(key_id)
        if entry is None or not entry.is_good_at(datetime.now(UTC)):
            return Reason.BAD_SECRET
        if not _may_act_for(name, entry, role):
            return Reason.NOT_PERMITTED
        if self._participants and name not in self._participants:
            return Reason.BAD_PARTICIPANT
        return Credential(key_id=key_id, roles=entry.roles)

    def is_good(self, credential: Credential) -> bool:
        """Whether what was proved still counts."""
        now = datetime.now(UTC)
        if credential.key_id:
            entry = self._register.find(credential.key_id)
            return entry is not None and entry.is_good_at(now)
        if credential.digest:
            return any(one.sha256 == credential.digest and one.roles == credential.roles and one.is_good_at(now) for one in self._secrets)
        return True

    def keys_of_orders(self) -> dict[bytes, int]:
        """The public keys that may connect to order entry, with their numbers."""
        return self._register.admitted(_ORDERS)

    def keys_of_feed(self) -> dict[bytes, int]:
        """The public keys that may connect to market data, with their numbers."""
        return self._register.admitted(_FEED)

    @property
    def counts(self) -> dict[str, int]:
        """How many keys and secrets are admitted now."""
        orders, feed, secrets = self._good()
        return {"keys": len(orders | feed), "secrets": len(secrets)}

    def look(self) -> None:
        """Reads the file again where it has changed; a time may also be over."""
        if self._path is None:
            return
        try:
            version = file_version(self._path)
            if version != self._version:
                self._version = version
                self._take(read_keys_file(self._path))
        except (KeyFileError, OSError) as error:
            _log.warning("the keys file was not read again, and those of before are admitted: %s", error)
        self._tell()

    def _take(self, file: KeysFile) -> None:
        self._register.replace(file.keys)
        self._secrets = file.secrets

    def _tell(self) -> None:
        admitted = self._good()
        if admitted != self._admitted:
            self._admitted = admitted
            self.on_change()

    def _good(self) -> tuple[dict[bytes, int], dict[bytes, int], tuple[AdmittedSecret, ...]]:
        """Who is admitted now."""
        now = datetime.now(UTC)
        return self.keys_of_orders(), self.keys_of_feed(), tuple(secret for secret in self._secrets if secret.is_good_at(now))


def _may_act_for(name: str, entry: AdmittedKey | AdmittedSecret, role: Role) -> bool:
    """A gateway logs on for others."""
    return Role.GATEWAY in entry.roles or (role in entry.roles and entry.participant == name)
