"""`ome-admin export`: write a journal as Parquet."""

from __future__ import annotations

from pathlib import Path

import click

from ome.cli.admin.arguments import directory_argument
from ome.cli.terminal import failing, json_option, print_json, progress_bar
from ome.recovery.directory import command_count, is_served, require_journal
from ome.recovery.export import export_journal

__all__ = ["export"]


@click.command()
@directory_argument
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--events", is_flag=True, help="Also write the events, by replay, to <name of FILE>-events in the same directory.")
@json_option
@failing
def export(directory: Path, file: Path, events: bool, as_json: bool) -> None:
    """Write the commands of a journal to a Parquet file, one row for each. Needs the extra ome[parquet]. Read-only for DIRECTORY."""
    require_journal(directory)
    with progress_bar(f"exporting {directory}", command_count(directory), hidden=as_json) as progress:
        written = export_journal(directory, file, events=events, live=is_served(directory), progress=progress)
    if as_json:
        print_json(written)
        return
    if written.first_sequence > 1:
        click.echo(f"begins with command {written.first_sequence:,}: the segments before are missing")
    click.echo(f"{written.commands_path}: {written.command_count:,} commands")
    if written.events_path is not None:
        click.echo(f"{written.events_path}: {written.event_count:,} events")
