"""The exceptions that ome raises; all are `OmeError`.

A message names what was refused, where, the value found and the values allowed. A business reject is an event with a
reason, never an exception. Exceptions pickle, with all their attributes, so they pass through process pools.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Collection
from decimal import Decimal
from itertools import islice
from typing import Any, ClassVar, Final, NoReturn, SupportsIndex

__all__ = ["InvalidTypeError", "InvalidValueError", "InvariantError", "NotCopyable", "NotCopyableError", "OmeError", "one_of"]

_ABSENT: Final = object()
_LENGTH_MAX: Final = 400  # characters of a value, or of what is allowed, that a message shows
_NAMES_MAX: Final = 40  # names that a message lists
_ENUMERATOR: Final = re.compile(r"<\w+(?:\.([\w|]+))?: (-?\w+)>")  # as repr writes one, by name or without


class OmeError(Exception):
    """Base of all exceptions of ome.

    `what` is the thing refused, `where` its place (a file, a field, a record), `found` the value found and `allowed` a sentence on the
    values allowed. All but `what` may be left out; each stays readable as an attribute.

    >>> str(OmeError("tick", where="instrument AAPL", found=0, allowed="1 to 2^62"))
    'tick in instrument AAPL: found 0, allowed: 1 to 2^62'
    """

    def __init__(self, what: str, *, where: str = "", found: object = _ABSENT, allowed: str = "") -> None:
        self.what = what
        self.where = where
        self.found = None if found is _ABSENT else found
        self.allowed = allowed
        parts = [] if found is _ABSENT else [f"found {_text(found)}"]
        if allowed:
            parts.append(f"allowed: {_cut(allowed)}")
        subject = f"{what} in {where}" if where else what
        super().__init__(f"{subject}: {', '.join(parts)}" if parts else subject)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles the message and the attributes as they are; a value that does not pickle becomes its text."""
        state = {name: value if _pickles(value) else _text(value) for name, value in self.__dict__.items()}
        return _restored, (type(self), self.args), state


def _restored(kind: type[OmeError], args: tuple[object, ...]) -> OmeError:
    """An exception that was made before: its message exists already, so `__init__` is not called."""
    return kind.__new__(kind, *args)


def _pickles(value: object) -> bool:
    try:
        pickle.dumps(value)
    except Exception:  # whatever the value's own methods raise
        return False
    return True


def _text(value: object) -> str:
    """The value as a message shows it: of bounded length, whatever it is."""
    try:
        is_written_out = isinstance(value, Decimal) and abs(value.adjusted()) < _LENGTH_MAX
        text = f"Decimal('{value:f}')" if is_written_out else repr(value)
        if not isinstance(value, str):
            text = _ENUMERATOR.sub(lambda found: found[1] or found[2], text)
    except Exception:  # such as an int of more digits than Python writes
        return f"a value of type {type(value).__name__}"
    return _cut(text)


def _cut(text: str) -> str:
    return text if len(text) <= _LENGTH_MAX else f"{text[:_LENGTH_MAX]}... ({len(text):,} characters)"


def one_of(names: Collection[object], nothing: str = "") -> str:
    """The values allowed, as a message lists them: at most 40 of them, and how many more there are. `nothing` where there is none.

    >>> one_of(["gtc", "ioc"]), one_of([], "none is defined")
    ('gtc, ioc', 'none is defined')
    >>> one_of(range(1000))[-26:]
    ', 37, 38, 39, and 960 more'
    """
    listed = ", ".join(str(name) for name in islice(names, _NAMES_MAX))
    more = len(names) - _NAMES_MAX
    return (f"{listed}, and {more:,} more" if more > 0 else listed) or nothing


class InvalidTypeError(OmeError, TypeError):
    """A value has a type that is not taken here: above all a float where money or quantity is meant."""


class InvalidValueError(OmeError, ValueError):
    """A value has the right type, and is outside what is allowed."""


class InvariantError(OmeError, AssertionError):
    """Something that always holds does not: a defect of ome itself. The message holds the state."""


class NotCopyableError(OmeError, TypeError):
    """The object holds memory, a socket or a file of this process: it cannot be copied or pickled. `allowed` says what to use instead."""


class NotCopyable:
    """An object that `copy` and `pickle` refuse. A class says in `_use_instead` what serves the purpose."""

    _use_instead: ClassVar[str]

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        """`copy.copy`, `copy.deepcopy` and `pickle` all ask here. Raises NotCopyableError."""
        raise NotCopyableError("copy or pickle", where=type(self).__name__, found="asked for", allowed=self._use_instead)
