"""`ome-admin verify`: check that a journal is what was written, and that its replay gives the same state and events."""

from __future__ import annotations

from pathlib import Path

import click

from ome.cli.admin.arguments import beginning_line, directory_argument, hash_text, tail_line
from ome.cli.terminal import ExitCode, failing, json_option, print_json, progress_bar
from ome.recovery.directory import command_count, is_served, require_journal
from ome.recovery.findings import remedies_of
from ome.recovery.verification import Verification, verify as verify_journal
from ome.recovery.wording import command_line, event_line

__all__ = ["print_verification", "verify"]


@click.command()
@directory_argument
@click.option(
    "--reference",
    is_flag=True,
    help="Also apply every command to the reference model, and compare every event and the state. This is slow.",
)
@json_option
@failing
def verify(directory: Path, reference: bool, as_json: bool) -> None:
    """Read a whole journal, replay it, and print the result of each check. Read-only.

    If a check fails, the command prints the place and exits with 3.
    """
    require_journal(directory)
    label = f"verifying {directory}" + (" against the reference" if reference else "")
    with progress_bar(label, command_count(directory), hidden=as_json) as progress:
        found = verify_journal(directory, live=is_served(directory), reference=reference, progress=progress)
    if as_json:
        print_json(_values(found))
    else:
        print_verification(found)
    if not found.is_ok:
        raise SystemExit(ExitCode.INTEGRITY)


def _values(found: Verification) -> dict[str, object]:
    report = found.report
    return {
        "ok": found.is_ok,
        "checks": found.checks,
        "begins_behind": found.begins_behind,
        "quarantined": found.quarantined,
        "configuration_hash": hash_text(report.configuration_hash),
        "sequence": found.sequence,
        "epochs": report.epoch,
        "segments": report.segment_count,
        "verdict": report.verdict.name.lower(),
        "torn_bytes": report.torn_bytes,
        "state_hash": hash_text(found.state_hash),
        "event_hash": hash_text(found.event_hash),
        "disagreement": found.disagreement,
    }


def print_verification(found: Verification) -> None:
    """Prints a line for each check, then the resulting state."""
    report = found.report
    for check in found.checks:
        click.echo(f"{check.name:<10} {'ok' if check.is_ok else 'FAILED':<7} {check.count:>14,} {check.unit}  {check.detail}".rstrip())
        if not check.is_ok:
            click.echo(f"  possible remedies of ome-admin repair: {', '.join(remedies_of(check.name))}")
    if found.disagreement is not None:
        click.echo(command_line(found.disagreement.command))
        for name, events in (("core", found.disagreement.core), ("reference", found.disagreement.reference)):
            click.echo(f"  {name}:" + ("" if events else " nothing"))
            for event in events:
                click.echo(f"    {event_line(event)}")
    click.echo(
        f"sequence {found.sequence:,}  epochs {report.epoch:,}  segments {report.segment_count:,}  "
        f"state {hash_text(found.state_hash) or '-'}  events {hash_text(found.event_hash)}  "
        f"configuration {hash_text(report.configuration_hash)}  verdict {report.verdict.name.lower()}"
    )
    if found.quarantined:
        click.echo(f"quarantined, so rejected: {', '.join(f'{sequence:,}' for sequence in found.quarantined)}")
    if (line := beginning_line(found.begins_behind)) is not None:
        click.echo(line)
    if (line := tail_line(report)) is not None:
        click.echo(line)
