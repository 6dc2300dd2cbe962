"""The accounts of a venue: what its accounts file says, as definitions for the engine, which decides about orders.

The file is read again when it changes. A file that cannot be read, or has a mistake, changes nothing, and is told to the log.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

from ome.accounts import AccountFileError, read_accounts_file
from ome.codec import define_account
from ome.engine import AccountState
from ome.messages import DefineAccount
from ome.tables import FileVersion, file_version

__all__ = ["AccountsWatch"]

_log = logging.getLogger("ome.server.accounts")


class AccountsWatch:
    """Follows an accounts file; None: there is none, and the engine keeps the accounts that it has.

    `missing` gives the definitions by which the engine, which has `known`, does what the file says. Raises AccountFileError for a file that
    cannot be used. Once those are sent, and `follow` has said by what, `look` sends what changes.
    """

    PERIOD_S: Final = 0.5

    def __init__(self, path: Path | None, known: Iterable[AccountState], count_max: int) -> None:
        self._path = path
        self._count_max = count_max
        self._owners = {account.account: account.participant_name for account in known}
        self._version: FileVersion | None = None
        self.missing: tuple[DefineAccount, ...] = () if path is None else self._take(read_accounts_file(path))

    def follow(self, submit: Callable[[DefineAccount], bool], on_change: Callable[[int], None]) -> None:
        """From now on changes are sent by `submit`, which is False where the venue has stopped; `on_change` gets how many accounts did."""
        self._submit, self._on_change = submit, on_change

    def look(self) -> None:
        """Reads the file again where it has changed."""
        assert self._path is not None, "there is a file to follow"
        try:
            version = file_version(self._path)
            if version == self._version:
                return
            self._version = version
            definitions = self._take(read_accounts_file(self._path))
        except (AccountFileError, OSError) as error:
            _log.warning("the accounts file was not read again, and accounts belong to whom they did: %s", error)
            return
        for definition in definitions:
            if not self._submit(definition):
                return  # the venue has stopped; the next start compares again
        if definitions:
            self._on_change(len(definitions))

    def _take(self, owners: Mapping[int, str]) -> tuple[DefineAccount, ...]:
        """The definitions of what has changed; what the file does not have any more belongs to nobody. Then they count as sent."""
        count = len(owners.keys() | self._owners.keys())
        if count > self._count_max:
            allowed = f"at most limits.accounts = {self._count_max}, those included that belong to nobody any more"
            raise AccountFileError("accounts", where=str(self._path), found=f"{count} accounts", allowed=allowed)
        wanted = dict.fromkeys(self._owners, "") | dict(owners)
        changed = {account: name for account, name in wanted.items() if self._owners.get(account, "") != name}
        self._owners = wanted
        return tuple(define_account(account, name) for account, name in changed.items())
