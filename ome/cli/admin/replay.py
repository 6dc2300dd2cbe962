"""`ome-admin replay`: replay a journal and print the resulting state."""

from __future__ import annotations

from pathlib import Path

import click

from ome.cli.admin.arguments import beginning_line, directory_argument, hash_text, tail_line
from ome.cli.terminal import failing, json_option, moment, print_json, progress_bar
from ome.recovery import Replay
from ome.recovery.directory import command_count, is_served, last_sequence_until
from ome.recovery.snapshots import replay_from_beginning

__all__ = ["replay"]


@click.command()
@directory_argument
@click.option("--to", type=click.IntRange(1), help="Stop after this command.")
@click.option(
    "--until", callback=moment, help="Stop before the first command that is later: nanoseconds since 1970, or ISO 8601 with zone."
)
@click.option("--from-snapshot", is_flag=True, help="Begin with the newest whole snapshot, as a start does.")
@click.option("--live", is_flag=True, help="End at the last complete record, because a server may be writing. Automatic if a server runs.")
@json_option
@failing
def replay(directory: Path, to: int | None, until: int | None, from_snapshot: bool, live: bool, as_json: bool) -> None:
    """Replay a journal and print the resulting state. Read-only.

    If the journal is damaged, the command prints the place and exits with 3.
    """
    if to is not None and until is not None:
        raise click.UsageError("--to and --until exclude each other: give one")
    live = live or is_served(directory)
    if until is not None:
        to = last_sequence_until(directory, until, live=live)
    length = to or command_count(directory)
    with (
        Replay(directory, live=live, from_snapshot=True) if from_snapshot else replay_from_beginning(directory, live=live) as source,
        progress_bar(f"replaying {directory}", length, hidden=as_json) as progress,
    ):
        seconds = source.run(to=to, progress=progress)
        report, view = source.report, source.view
        state = view.state if view is not None else None
        state_hash = hash_text(view.state_hash if view is not None else None)
    sequence = state.sequence if state is not None else 0
    trades = state.trade_count if state is not None else 0
    if as_json:
        values = {
            "sequence": sequence,
            "commands": sequence - report.snapshot_sequence,
            "snapshot": report.snapshot_sequence,
            "trades": trades,
            "seconds": seconds,
            "state_hash": state_hash,
        }
        print_json(values | {"event_hash": hash_text(report.event_hash), "verdict": report.verdict, "torn_bytes": report.torn_bytes})
        return
    replayed = sequence - report.snapshot_sequence
    rate = replayed / seconds / 1e6 if seconds > 0 else 0.0
    begin = f"snapshot of {report.snapshot_sequence:,}, then " if report.snapshot_sequence else ""
    click.echo(
        f"{begin}replayed {replayed:,} commands in {seconds:.1f} s ({rate:.1f} M/s)  {trades:,} trades  "
        f"state {state_hash or '-'}  sequence {sequence:,}"
    )
    if not from_snapshot and (line := beginning_line(report.snapshot_sequence)) is not None:
        click.echo(line)
    if (line := tail_line(report)) is not None:
        click.echo(line)
