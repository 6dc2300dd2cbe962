"""Accounts that have names: the engine knows a number for each."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ome.units import Integer

__all__ = ["Accounts"]


class Accounts:
    """The accounts that were given by name, and their numbers, 1, 2... in the order in which they came."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._names: dict[int, str] = {}

    @property
    def numbers(self) -> Mapping[str, int]:
        """The number of each name."""
        return MappingProxyType(self._numbers)

    def number(self, account: str | Integer) -> Integer:
        """The number of an account; a new name has the next one, once `remember` is called."""
        return self._numbers.get(account, len(self._numbers) + 1) if isinstance(account, str) else account

    def remember(self, account: str | Integer, number: int) -> None:
        """A command with this account was made: a name keeps its number from now on."""
        if isinstance(account, str):
            self._numbers[account] = number
            self._names[number] = account

    def name(self, number: int) -> str | int:
        """What an account is called: its name, or without one its number."""
        return self._names.get(number, number)
