"""`ome-admin snapshot`: make a snapshot of the state now."""

from __future__ import annotations

from pathlib import Path

import click

from ome.cli.admin.arguments import directory_argument
from ome.cli.terminal import failing, json_option, print_json
from ome.recovery.snapshots import make_snapshot

__all__ = ["snapshot"]


@click.command()
@directory_argument
@click.option("--timeout", type=click.FloatRange(0, 86_400), default=60.0, show_default=True, help="Seconds to wait for a running server.")
@json_option
@failing
def snapshot(directory: Path, timeout: float, as_json: bool) -> None:
    """Make a snapshot of the state now. A running server makes it without stopping. Without a server, the command replays the journal."""
    made = make_snapshot(directory, timeout)
    if as_json:
        print_json(made)
    else:
        click.echo(f"{made.path}: command {made.sequence:,}, {made.size_bytes:,} bytes, in {made.seconds:.2f} s")
