"""The accounts file of a venue: which accounts belong to which participant.

    [[participant]]
    name = "FIRM1"
    accounts = [1001, 1002]

An account belongs to one participant at most, whose sessions alone may enter orders for it. docs/OPERATING.md, Accounts.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final

from ome.errors import OmeError, one_of
from ome.instruments import NAME_SIZE
from ome.tables import read_tables

__all__ = ["AccountFileError", "read_accounts_file"]

_FILE_SIZE_MAX: Final = 1 << 28
_ACCOUNT_MAX: Final = 2**32 - 1
_NEEDED: Final = ("name", "accounts")
_TABLES: Final = "tables that begin with [[participant]]"


class AccountFileError(OmeError):
    """A file of accounts cannot be used."""


def read_accounts_file(path: str | os.PathLike[str]) -> Mapping[int, str]:
    """The name of the participant of each account, in the order of the file. Raises AccountFileError, which names what is wrong."""
    source = os.fspath(path)
    tables = read_tables(source, "accounts file", AccountFileError, size_max=_FILE_SIZE_MAX)
    for table in tables:
        if table != "participant":
            raise AccountFileError("accounts file", where=source, found=table, allowed=_TABLES)
    entries = tables.get("participant", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise AccountFileError("participant", where=source, found=entries, allowed=_TABLES)
    owners: dict[int, str] = {}
    for number, entry in enumerate(entries, 1):
        _take(owners, entry, f"participant {number} of {source}")
    return owners


def _take(owners: dict[int, str], entry: dict[str, Any], where: str) -> None:
    """Adds the accounts of an entry."""
    for key in (*entry, *_NEEDED):
        if key not in _NEEDED or key not in entry:
            found = key if key in entry else f"no {key}"
            raise AccountFileError("entry", where=where, found=found, allowed=f"entries with {one_of(_NEEDED)}")
    name, accounts = entry["name"], entry["accounts"]
    if not isinstance(name, str) or not 1 <= len(name) <= NAME_SIZE or not all("!" <= character <= "~" for character in name):
        allowed = f"1 to {NAME_SIZE} printable ASCII characters without space"
        raise AccountFileError("name", where=where, found=name, allowed=allowed)
    if not isinstance(accounts, list):
        raise AccountFileError("accounts", where=where, found=accounts, allowed="a list of account numbers")
    for account in accounts:
        if type(account) is not int or not 1 <= account <= _ACCOUNT_MAX:
            raise AccountFileError("accounts", where=where, found=account, allowed=f"account numbers, 1 to {_ACCOUNT_MAX:,}")
        if account in owners:
            found = f"{account}, which belongs to {owners[account]}"
            raise AccountFileError("accounts", where=where, found=found, allowed="an account that no participant has before")
        owners[account] = name
