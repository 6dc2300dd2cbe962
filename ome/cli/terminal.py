"""Code that all commands share: exit codes, errors as one line, JSON, times, lines for a pipe, progress only on a terminal."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import io
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from enum import Enum, IntEnum, IntFlag
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import click

from ome.audit import AuditIntegrityError
from ome.codec import COMMAND, EVENT, time_ns
from ome.codec.layouts import TEMPLATES
from ome.config import ConfigError
from ome.conformance import Mismatch
from ome.descriptors import open_standard_streams
from ome.errors import InvalidTypeError, InvalidValueError, OmeError
from ome.recovery import JournalIntegrityError
from ome.recovery.manifest import ManifestError

__all__ = ["Commands", "ExitCode", "failing", "json_option", "json_text", "moment", "print_json", "printing", "progress_bar", "table"]

P = ParamSpec("P")
R = TypeVar("R")


class ExitCode(IntEnum):
    """The exit codes of every command."""

    OK = 0
    FAILED = 1
    USAGE = 2
    INTEGRITY = 3


class Commands(click.Group):
    """A group of commands that never end in a traceback, whether a command fails or its arguments are wrong."""

    def main(self, *args: Any, **options: Any) -> Any:
        open_standard_streams()
        return super().main(*args, **options)

    def invoke(self, ctx: click.Context) -> Any:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")  # a terminal without a character shows its number
        return failing(super().invoke)(ctx)


def failing(function: Callable[P, R]) -> Callable[P, R]:
    """Turns every exception into one line on standard error and an exit code. With OME_TRACEBACK=1 in the environment it is raised."""

    @wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except (click.ClickException, click.Abort, click.exceptions.Exit):
            raise
        except Exception as error:
            if os.environ.get("OME_TRACEBACK") or (isinstance(error, OSError) and error.errno == errno.EPIPE):
                raise  # click ends quietly when a pipe is closed
            with contextlib.suppress(OSError):  # the terminal may be gone
                click.echo(f"error: {_one_line(error)}", err=True)
            raise SystemExit(_code(error)) from None

    return wrapped


def _one_line(error: Exception) -> str:
    text = str(error) if isinstance(error, OmeError) else f"{type(error).__name__}: {error}".removesuffix(": ")
    return " ".join(text.split("\n"))


def _code(error: Exception) -> ExitCode:
    if isinstance(error, JournalIntegrityError | ManifestError | AuditIntegrityError):
        return ExitCode.INTEGRITY
    if isinstance(error, ConfigError | InvalidValueError | InvalidTypeError) and not isinstance(error, Mismatch):
        return ExitCode.USAGE
    return ExitCode.FAILED


json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")


def _wide_names() -> frozenset[str]:
    """Fields of the schema that have 64 bits."""
    layouts = (COMMAND, EVENT, *(layout for _, _, layout in TEMPLATES.values()))
    fields = [(name, place[0]) for layout in layouts if layout.fields is not None for name, place in layout.fields.items()]
    return frozenset(name for name, kind in fields if kind.kind in "iu" and kind.itemsize == 8)


_WIDE_NAMES = _wide_names() | {"time_ns", "deadline_ns", "begins_behind", "snapshot", "price_units", "quantity_lots", "value", "counters"}
_WIDE_ENDINGS = ("sequence", "_id", "_ids")


def _json_value(value: object, *, is_wide: bool = False) -> object:
    """A value of types that JSON has. `is_wide`: it is, or holds, integers of 64 bits."""
    if isinstance(value, IntFlag):
        return [str(flag.name).lower() for flag in value]
    if isinstance(value, Enum):
        return value.name.lower()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(name): _json_value(held, is_wide=is_wide or _is_wide(str(name))) for name, held in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_json_value(held, is_wide=is_wide) for held in value]
    if isinstance(value, Decimal):
        return f"{value:f}"
    if value is None or isinstance(value, bool | float) or (isinstance(value, int) and not is_wide):
        return value
    return str(value)


def _is_wide(name: str) -> bool:
    return name in _WIDE_NAMES or name.endswith(_WIDE_ENDINGS)


def json_text(value: Any) -> str:
    """One line of JSON, which any reader understands.

    Dataclasses become objects, enumerators their names in lower case. Decimals are strings without an exponent. Fields
    of 64 bits (ids, sequences, times in nanoseconds, epochs, the counters of a venue) are strings too, since many
    readers keep only 53 bits of a number.

    >>> json_text({"order_id": 2**60 + 1, "price": Decimal("1E-8"), "reason": ExitCode.OK, "account": 7})
    '{"order_id": "1152921504606846977", "price": "0.00000001", "reason": "ok", "account": 7}'
    """
    return json.dumps(_json_value(value))


def print_json(value: Any) -> None:
    """Prints one line of JSON."""
    click.echo(json_text(value))


def moment(context: click.Context, option: click.Parameter, text: str | None) -> int | None:
    """The callback of an option that takes nanoseconds since 1970, or a date and time of ISO 8601 with its zone; returns nanoseconds."""
    if text is None:
        return None
    try:
        return time_ns(int(text) if text.isdecimal() else datetime.fromisoformat(text), option.opts[0])
    except InvalidValueError as error:
        raise click.BadParameter(str(error), context, option) from None
    except ValueError:
        allowed = "nanoseconds since 1970, or a time of ISO 8601 with its zone, such as 2030-01-31T16:30:00+01:00"
        raise click.BadParameter(f"found {text!r}, allowed: {allowed}", context, option) from None


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a table whose columns are as wide as they need.

    >>> table(("side", "lots"), [("buy", "10")])
    ['side  lots', 'buy   10']
    """
    lines = [head, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return ["  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in lines]


@contextlib.contextmanager
def printing() -> Iterator[Callable[[str], object]]:
    """Yields a function that prints a line, through a buffer. If the reader goes away, as `head` does, the block ends quietly."""
    try:
        try:
            yield lambda line: sys.stdout.write(line + "\n")
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # The rest of the buffer is dropped, and closing it at the end raises nothing.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextlib.contextmanager
def progress_bar(label: str, length: int | None, *, hidden: bool = False) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal; elsewhere one line at the start. Yields a function that takes the count reached."""
    if hidden or not sys.stderr.isatty() or not length:
        if not hidden:
            click.echo(label, err=True)
        yield lambda _: None
        return
    with click.progressbar(length=length, label=label, file=sys.stderr, show_pos=True) as bar:
        yield lambda position: bar.update(max(0, position - bar.pos))


def paths(values: tuple[str, ...]) -> list[Path]:
    """Arguments as paths."""
    return [Path(value) for value in values]
