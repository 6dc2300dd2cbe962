"""`ome-admin dump`: print the commands of a journal in words."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ome.cli.admin.arguments import directory_argument
from ome.cli.terminal import failing, json_option, json_text, moment, printing, progress_bar
from ome.enums import CommandKind
from ome.recovery.directory import command_count, first_sequence, is_served, require_journal
from ome.recovery.listing import Entry, Selection, listing
from ome.recovery.wording import lines_of

__all__ = ["dump"]

_KINDS = {kind.name.lower(): int(kind) for kind in CommandKind}


@click.command()
@directory_argument
@click.option("--from", "first", type=click.IntRange(1), default=1, help="First sequence to print.")
@click.option("--to", "last", type=click.IntRange(1), help="Last sequence to print.")
@click.option("--since", callback=moment, help="Only commands from this time on: nanoseconds since 1970, or ISO 8601 with zone.")
@click.option("--until", callback=moment, help="Only commands up to this time; format as --since.")
@click.option("--instrument", help="Only commands that name this symbol.")
@click.option("--participant", help="Only commands of this participant, by name or number.")
@click.option("--kind", "kinds", multiple=True, type=click.Choice(list(_KINDS)), help="Only commands of this kind; may be repeated.")
@click.option(
    "--order", type=click.IntRange(1), help="Only commands that name this client order id or order id, or that caused an event with it."
)
@click.option("--events", is_flag=True, help="Also print the events that each command caused, by replay.")
@click.option("-f", "--follow", is_flag=True, help="Continue while a server writes, until Ctrl-C.")
@json_option
@failing
def dump(
    directory: Path,
    first: int,
    last: int | None,
    since: int | None,
    until: int | None,
    instrument: str | None,
    participant: str | None,
    kinds: tuple[str, ...],
    order: int | None,
    events: bool,
    follow: bool,
    as_json: bool,
) -> None:
    """Print the commands of a journal, one on each line. With --json, one object on each line. Read-only.

    If the first segments are missing, the output begins with the first command that is there, or with --events and
    --order after the oldest snapshot.
    """
    if not follow:
        require_journal(directory)
    if (begin := first_sequence(directory)) > 1:
        click.echo(f"the journal begins with command {begin:,}: the segments before are missing", err=True)
    selection = Selection(
        first=first,
        last=last,
        since_ns=since,
        until_ns=until,
        instrument=instrument,
        participant=int(participant) if participant is not None and participant.isdecimal() else participant,
        kinds=frozenset(_KINDS[kind] for kind in kinds),
        order=order,
    )
    is_hidden = follow or as_json or sys.stdout.isatty() or not sys.stderr.isatty()
    length = None if is_hidden else last or command_count(directory)
    with progress_bar(f"reading {directory}", length, hidden=is_hidden) as progress, printing() as line:
        try:
            for entry in listing(directory, selection, live=is_served(directory), with_events=events, follow=follow, progress=progress):
                for text in _lines(entry, events, as_json):
                    line(text)
                if follow:
                    sys.stdout.flush()
        except KeyboardInterrupt:
            if not follow:
                raise


def _lines(entry: Entry, with_events: bool, as_json: bool) -> list[str]:
    if not as_json:
        command, *events = lines_of(entry.command, entry.events)
        return [f"{command}  quarantined" if entry.is_quarantined else command, *events]
    fields = entry.command | ({"quarantined": True} if entry.is_quarantined else {})
    return [json_text(fields | {"events": entry.events} if with_events else fields)]
