"""`ome-admin manifest`: update the digests of the sealed segments of a journal."""

from __future__ import annotations

from pathlib import Path

import click

from ome.cli.admin.arguments import directory_argument
from ome.cli.terminal import failing, json_option, print_json
from ome.recovery import verify_manifest
from ome.recovery.directory import hold, require_journal
from ome.recovery.manifest import append_manifest, read_entries

__all__ = ["manifest"]


def _print_verifier(context: click.Context, _option: click.Parameter, is_wanted: bool) -> None:
    if is_wanted and not context.resilient_parsing:
        click.echo(Path(verify_manifest.__file__).read_text(encoding="utf-8"), nl=False)
        context.exit()


@click.command()
@directory_argument
@click.option(
    "--verifier",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_verifier,
    help="Only print the program that checks a manifest (it needs Python and nothing else).",
)
@json_option
@failing
def manifest(directory: Path, as_json: bool) -> None:
    """Add a line for each sealed segment to the manifest in DIRECTORY. No server may run on it.

    --verifier prints the program that checks a manifest.
    """
    require_journal(directory)
    with hold(directory):
        added = append_manifest(directory)
        lines, _ = read_entries(directory)
    chain = lines[-1].chain.hex() if lines else None
    count = sum(not line.is_anchor for line in lines)
    if as_json:
        print_json({"added": [line.name for line in added], "segments": count, "chain": chain})
        return
    for line in added:
        click.echo(f"added {line.name}  {line.size_bytes:,} bytes")
    click.echo(f"{count:,} segments in the manifest" + (f"  chain digest {chain}" if chain else ""))
