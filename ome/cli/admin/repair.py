"""`ome-admin repair`: find what is wrong with a journal, and repair it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from ome.audit import note_act
from ome.cli.admin.arguments import directory_argument
from ome.cli.admin.verify import print_verification
from ome.cli.terminal import ExitCode, failing, json_option, print_json, progress_bar
from ome.recovery.directory import command_count, hold, require_journal
from ome.recovery.findings import Doer, Remedy, way_of
from ome.recovery.repair import Diagnosis, RepairError, apply_remedy, copy_directory, diagnose, quarantine
from ome.recovery.verification import verify

__all__ = ["repair"]


@click.command()
@directory_argument
@click.option("--quarantine", "sequence", type=click.IntRange(1), help="Treat the command that trips an assertion as rejected.")
@click.option(
    "--from", "source", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Directory with good copies of segments."
)
@click.option("--accept-loss", is_flag=True, help="Also allow repairs that lose something, if nothing else helps.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@failing
def repair(directory: Path, sequence: int | None, source: Path | None, accept_loss: bool, yes: bool, as_json: bool) -> None:
    """Find out what is wrong in DIRECTORY, say what can be done, and do it. No server may run on DIRECTORY.

    Before the first change the command copies all files to DIRECTORY.before-repair-TIME. Exit codes: 0 nothing is wrong
    any more, 1 declined or failed, 3 something is still wrong.
    """
    if sequence is not None and (source is not None or accept_loss):
        raise click.UsageError("--quarantine excludes --from and --accept-loss")
    require_journal(directory)
    work = _Work(directory, yes, as_json)
    with hold(directory):
        if sequence is None:
            is_sound = work.heal(source, accept_loss)
        else:
            work.quarantine(sequence)
            is_sound = True
        if work.copy is not None:
            is_sound = work.verify() and is_sound
    if as_json:
        print_json({"ok": is_sound, "copy": work.copy, "steps": work.steps})
    if not is_sound:
        raise SystemExit(ExitCode.INTEGRITY)


class _Work:
    """A repair in progress: the findings so far, and the path of the copy, None before it is made."""

    def __init__(self, directory: Path, yes: bool, as_json: bool) -> None:
        self.directory = directory
        self.copy: Path | None = None
        self.steps: list[dict[str, Any]] = []
        self._yes = yes
        self._as_json = as_json
        self._length = command_count(directory)

    def heal(self, source: Path | None, accept_loss: bool) -> bool:
        """Applies one remedy after another, until nothing is wrong, or nothing can be done."""
        done: set[Diagnosis] = set()
        while True:
            with progress_bar(f"reading {self.directory}", self._length, hidden=self._as_json) as progress:
                found = diagnose(self.directory, source=source, progress=progress)
            self._tell(found)
            if way_of(found.remedy).doer is not Doer.REPAIR:
                return found.is_sound
            if found.is_loss and not accept_loss:
                self._say("this repair loses something: it is done only with --accept-loss")
                return False
            if found in done:
                raise RepairError(
                    "repair", where=str(self.directory), found=found.wrong, allowed="another finding, or none, after the repair"
                )
            self._prepare()
            apply_remedy(self.directory, found)
            note_act(self.directory, "repair", act=found.remedy.value, finding=found.finding, user_id=os.getuid())
            self._say(f"done: {found.remedy}")
            done.add(found)

    def quarantine(self, sequence: int) -> None:
        """Quarantines a command, if a replay trips at it."""
        with progress_bar(f"replaying {self.directory}", self._length, hidden=self._as_json) as progress:
            quarantine(self.directory, sequence, prepare=self._prepare, progress=progress)
        note_act(self.directory, "repair", act=Remedy.QUARANTINE.value, sequence=sequence, user_id=os.getuid())
        self.steps.append({"remedy": Remedy.QUARANTINE, "sequence": sequence})
        self._say(f"command {sequence:,} is quarantined: it counts as rejected from now on")

    def verify(self) -> bool:
        """Prints what a verification finds."""
        found = verify(self.directory)
        if not self._as_json:
            print_verification(found)
        return found.is_ok

    def _prepare(self) -> None:
        """Asks the operator and makes the copy, once."""
        if self.copy is not None:
            return
        if not self._yes:
            click.confirm("Copy all files and do this?", abort=True, err=True)
        self.copy = copy_directory(self.directory)
        self._say(f"copied all files to {self.copy}")

    def _tell(self, found: Diagnosis) -> None:
        self.steps.append(
            {"finding": found.finding, "remedy": found.remedy, "wrong": found.wrong, "plan": found.plan, "sequence": found.sequence}
        )
        if found.remedy is Remedy.NOTHING:
            self._say("nothing is wrong")
            return
        self._say(f"{found.finding}: {found.wrong}")
        if found.damaged:
            self._say(f"according to the manifest these segments are not what was sealed: {', '.join(found.damaged)}")
            if found.remedy is not Remedy.COPY:
                self._say("a good copy of each, with the right digest, repairs all (--from an archive or a backup)")
        self._say(f"{found.remedy}: {found.plan}")

    def _say(self, text: str) -> None:
        if not self._as_json:
            click.echo(text)
