"""`ome-admin manifest`: digests of the sealed segments of a journal, brought up to date."""

from __future__ import annotations

from pathlib import Path

import click

from ome.cli.admin.arguments import directory_argument
from ome.cli.terminal import failing, json_option, print_json
from ome.recovery.directory import hold, require_journal
from ome.recovery.manifest import append_manifest, read_manifest

__all__ = ["manifest"]


@click.command()
@directory_argument
@json_option
@failing
def manifest(directory: Path, as_json: bool) -> None:
    """Add a line for each sealed segment to the manifest in DIRECTORY, on which no server may run. tools/verify_manifest.py checks it."""
    require_journal(directory)
    with hold(directory):
        added = append_manifest(directory)
        lines, _ = read_manifest(directory)
    chain = lines[-1].chain.hex() if lines else None
    if as_json:
        print_json({"added": [line.name for line in added], "segments": len(lines), "chain": chain})
        return
    for line in added:
        click.echo(f"added {line.name}  {line.size_bytes:,} bytes")
    click.echo(f"{len(lines):,} segments in the manifest" + (f"  chain digest {chain}" if chain else ""))
