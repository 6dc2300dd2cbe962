"""The `ome-admin` command: read and repair the journal of a venue, and look at a running venue."""

from __future__ import annotations

import click

from ome.cli.admin.archive import archive
from ome.cli.admin.audit import audit
from ome.cli.admin.clock import clock
from ome.cli.admin.diff import diff
from ome.cli.admin.dump import dump
from ome.cli.admin.export import export
from ome.cli.admin.keygen import keygen
from ome.cli.admin.manifest import manifest
from ome.cli.admin.repair import repair
from ome.cli.admin.replay import replay
from ome.cli.admin.snapshot import snapshot
from ome.cli.admin.state import state
from ome.cli.admin.stats import stats
from ome.cli.admin.verify import verify
from ome.cli.terminal import Commands

__all__ = ["main"]


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="ome", prog_name="ome-admin")
def main() -> None:
    """Administration of a venue. Exit codes: 0 ok, 1 failed, 2 usage, 3 integrity.

    All commands are read-only except snapshot, manifest, archive, repair, keygen and clock --accept. Read-only commands also
    work while a server runs on the directory: they end at the last complete record.
    """


for command in (replay, verify, dump, state, diff, export, snapshot, manifest, archive, repair, stats, clock, audit, keygen):
    main.add_command(command)
