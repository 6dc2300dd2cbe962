"""`ome-admin diff`: the first difference between two journals."""

from __future__ import annotations

from pathlib import Path

import click

from ome.cli.admin.arguments import beginning_line, book_lines
from ome.cli.terminal import ExitCode, failing, json_option, print_json, progress_bar
from ome.recovery.difference import Difference, DifferenceKind, first_difference
from ome.recovery.directory import command_count, is_served, require_journal
from ome.recovery.wording import lines_of

__all__ = ["diff"]

_FIELD_COUNT = 12  # names that are printed


@click.command()
@click.argument("left", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("right", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--ignore-time", is_flag=True, help="Ignore the timestamps of commands and events.")
@json_option
@failing
def diff(left: Path, right: Path, ignore_time: bool, as_json: bool) -> None:
    """Print the first command or event that differs between two journals, and the book before it.

    Changes nothing. Exit codes: 0 equal, 1 different, 3 damaged.
    """
    for path in (left, right):
        require_journal(path)
    length = min(command_count(path) for path in (left, right))
    with progress_bar(f"comparing {left} and {right}", length, hidden=as_json) as progress:
        found = first_difference(left, right, ignore_time=ignore_time, live=(is_served(left), is_served(right)), progress=progress)
    if as_json:
        values: dict[str, object] = {
            "begins_behind": found.begins_behind,
            "equal": found.difference is None,
            "commands": found.command_count,
            "events": found.event_count,
        }
        print_json(values | {"difference": found.difference})
    elif found.difference is None:
        click.echo(f"equal: {found.command_count:,} commands, {found.event_count:,} events")
    else:
        _print(found.difference)
    if not as_json and (line := beginning_line(found.begins_behind)) is not None:
        click.echo(line)
    if found.difference is not None:
        raise SystemExit(ExitCode.FAILED)


def _print(found: Difference) -> None:
    sides = (("left", found.left), ("right", found.right))
    if found.kind is DifferenceKind.BEGINNING:
        click.echo(f"different in state after command {found.sequence:,}, from which on both journals are there")
        return
    if found.kind is DifferenceKind.LENGTH:
        lengths = ", ".join(f"{name} {side.length:,} ({side.directory})" for name, side in sides)
        click.echo(f"different in length after {found.sequence:,} equal commands: {lengths}")
        return
    more = len(found.fields) - _FIELD_COUNT
    names = ", ".join(found.fields[:_FIELD_COUNT]) + (f", and {more} more" if more > 0 else "")
    click.echo(f"different at command {found.sequence:,}, in its {'events' if found.kind is DifferenceKind.EVENTS else 'record'}: {names}")
    for name, side in sides:
        click.echo(f"{name} {side.directory}")
        if side.command is not None:
            for line in lines_of(side.command, side.events):
                click.echo(f"  {line}")
    if found.instrument is not None:
        click.echo("before it:")
        for line in book_lines(found.instrument):
            click.echo(line)
