"""`ome-admin dump`: the commands of a journal, in words."""

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
@click.option("--from", "first", type=click.IntRange(1), default=1, help="First sequence.")
@click.option("--to", "last", type=click.IntRange(1), help="Last sequence.")
@click.option("--since", callback=moment, help="Not before: nanoseconds since 1970, or ISO 8601 with zone.")
@click.option("--until", callback=moment, help="Not after; as --since.")
@click.option("--instrument", help="Commands that name this symbol.")
@click.option("--participant", help="Commands of this participant, by name or number.")
@click.option("--kind", "kinds", multiple=True, type=click.Choice(list(_KINDS)), help="Commands of this kind; may be repeated.")
@click.option("--order", type=click.IntRange(1), help="Commands that name this client order id or order id, or had an event that does.")
@click.option("--events", is_flag=True, help="Also the events that each caused, by replay.")
@click.option("-f", "--follow", is_flag=True, help="Go on as a server writes, until Ctrl-C.")
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
    """Print the commands of a journal, one a line. With --json, one object a line. Changes nothing.

    Where the first segments are not there it begins with the first that is, or with --events and --order behind the oldest snapshot.
    """
    if not follow:
        require_journal(directory)
    if (begin := first_sequence(directory)) > 1:
        click.echo(f"the journal begins with command {begin:,}: the segments before are not there", err=True)
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
