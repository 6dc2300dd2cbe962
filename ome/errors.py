"""The exceptions that ome raises; all are `OmeError`.

A message says what was refused, where, the value found and the values allowed. A business reject is an event with a reason,
never an exception.
"""

from __future__ import annotations

from typing import Final

__all__ = ["InvalidTypeError", "InvalidValueError", "InvariantError", "OmeError"]

_ABSENT: Final = object()
_SIZE_MAX: Final = 400  # characters of a value, or of what is allowed, in a message


def _bounded(text: str) -> str:
    """A message stays one that can be read, whatever somebody hands in."""
    return text if len(text) <= _SIZE_MAX else f"{text[:_SIZE_MAX]}... ({len(text):,} characters)"


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
        parts = [] if found is _ABSENT else [f"found {_bounded(repr(found))}"]
        if allowed:
            parts.append(f"allowed: {_bounded(allowed)}")
        subject = f"{what} in {where}" if where else what
        super().__init__(f"{subject}: {', '.join(parts)}" if parts else subject)


class InvalidTypeError(OmeError, TypeError):
    """A value has a type that is not taken here: above all a float where money or quantity is meant."""


class InvalidValueError(OmeError, ValueError):
    """A value has the right type, and is outside what is allowed."""


class InvariantError(OmeError, AssertionError):
    """Something that always holds does not: a defect of ome itself. The message holds the state."""
