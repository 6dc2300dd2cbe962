"""`ome-admin archive`: move or remove the oldest segments of a journal."""

from __future__ import annotations

import os
from pathlib import Path

import click

from ome.audit import note_act
from ome.cli.admin.arguments import directory_argument
from ome.cli.terminal import failing, json_option, print_json
from ome.recovery.archive import archive_segments
from ome.recovery.directory import hold

__all__ = ["archive"]


@click.command()
@directory_argument
@click.option(
    "--before", type=click.IntRange(1), required=True, help="Archive only segments whose records are all older than this sequence."
)
@click.option("--to", "target", type=click.Path(path_type=Path), help="Move them to this directory, and make it if needed.")
@click.option("--remove", is_flag=True, help="Remove them permanently.")
@click.option("--dry-run", is_flag=True, help="Check everything, say what would be done, and do nothing.")
@json_option
@failing
def archive(directory: Path, before: int, target: Path | None, remove: bool, dry_run: bool, as_json: bool) -> None:
    """Take the oldest segments out of DIRECTORY. No server may run on it.

    All of them must be sealed and in the manifest, or nothing is done. The last segment always stays, and so
    do the segments that a start from the oldest snapshot needs.
    """
    if (target is None) != remove:
        raise click.UsageError("give either --to or --remove")
    with hold(directory):
        archived = archive_segments(directory, before=before, target=target, dry_run=dry_run)
        if archived.names and not dry_run:
            act = "removed" if remove else "moved"
            note_act(directory, "archive", act=act, to=target, segments=len(archived.names), before=before, user_id=os.getuid())
    if as_json:
        print_json({"names": archived.names, "first_sequence": archived.first_sequence, "dry_run": dry_run})
        return
    done = ("removed" if remove else f"moved to {target}") if not dry_run else ("would remove" if remove else f"would move to {target}")
    for name in archived.names:
        click.echo(f"{done}: {name}")
    begins = "would begin" if dry_run else "begins"
    click.echo(f"{len(archived.names):,} segments  the journal {begins} with sequence {archived.first_sequence:,}")
