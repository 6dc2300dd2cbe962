"""`ome-admin audit`: print the audit file of a venue, and check it."""

from __future__ import annotations

from pathlib import Path

import click

from ome.audit import AuditLine, AuditReader
from ome.cli.admin.arguments import directory_argument
from ome.cli.terminal import failing, json_option, json_text, moment, print_json, printing
from ome.log import text_line, utc_text
from ome.recovery.audit_check import AuditState, check_audit
from ome.recovery.directory import is_served

__all__ = ["audit"]


@click.command()
@directory_argument
@click.option("--participant", help="Only lines whose field `participant` is this name.")
@click.option("--kind", "kinds", multiple=True, help="Only lines of this kind, such as logon or refusal; may be repeated.")
@click.option("--since", callback=moment, help="Only lines from this time on: nanoseconds since 1970, or ISO 8601 with zone.")
@click.option("--verify", is_flag=True, help="Print no lines: check that each follows from the one before, and agrees with the manifest.")
@json_option
@failing
def audit(directory: Path, participant: str | None, kinds: tuple[str, ...], since: int | None, verify: bool, as_json: bool) -> None:
    """Print the audit file in DIRECTORY: logons, refusals and administrative acts. With --json, one object on each line. Read-only.

    At the first line that is not what was written the command says so and exits with 3.
    """
    if verify:
        if participant is not None or kinds or since is not None:
            raise click.UsageError("--verify checks all lines: it excludes --participant, --kind and --since")
        _print_state(check_audit(directory), as_json, is_live=is_served(directory))
        return
    first = "" if since is None else utc_text(since)
    with printing() as print_line:
        for line in AuditReader(directory):
            is_meant = (participant is None or line.fields.get("participant") == participant) and (not kinds or line.kind in kinds)
            if is_meant and line.time >= first:
                print_line(_json(line) if as_json else _text(line))


def _text(line: AuditLine) -> str:
    head = {"time": line.time, "level": f"{line.sequence:>8}", "kind": line.kind}
    return text_line(head | {name: value for name, value in line.fields.items() if name not in head})


def _json(line: AuditLine) -> str:
    return json_text({"sequence": line.sequence, "time": line.time, "kind": line.kind, "fields": line.fields, "chain": line.chain.hex()})


def _print_state(state: AuditState, as_json: bool, *, is_live: bool) -> None:
    if as_json:
        print_json(
            {
                "ok": True,
                "lines": state.count,
                "begins_behind": state.begins_behind,
                "anchors": state.anchors,
                "anchored": state.anchored,
                "torn_bytes": 0 if is_live else state.torn_bytes,
                "chain": state.chain.hex(),
            }
        )
        return
    click.echo(
        f"{state.count:,} lines, all right  {state.anchors:,} anchors of the manifest, the last at line {state.anchored:,}  "
        f"chain digest {state.chain.hex()}"
    )
    if state.begins_behind:
        click.echo(f"begins after line {state.begins_behind:,}: a repair set the lines before aside")
    if state.torn_bytes and not is_live:
        click.echo(f"torn audit line: {state.torn_bytes:,} bytes; the next start cuts them off and saves them to a file")
