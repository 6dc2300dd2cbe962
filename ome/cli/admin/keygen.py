"""`ome-admin keygen`: make a pair of keys."""

from __future__ import annotations

from pathlib import Path

import click

from ome.cli.terminal import failing, json_option, print_json
from ome.keys import AdmittedKey, Role, key_text, keys_file_text, make_key_pair, write_key_pair

__all__ = ["keygen"]


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--participant", help="Also print the entry of this participant for the keys file of the venue.")
@click.option(
    "--role", "roles", multiple=True, type=click.Choice([role.value for role in Role]), help="What the entry allows; may be repeated."
)
@json_option
@failing
def keygen(file: Path, participant: str | None, roles: tuple[str, ...], as_json: bool) -> None:
    """Make a pair of keys, for a client or for a server: the secret key in FILE, the public key in FILE.pub. No file is overwritten.

    Only the public key is printed. The secret key stays on the machine that uses it: FILE can be read by its owner only.
    """
    if bool(roles) != (participant is not None):
        raise click.UsageError("--participant and --role are given together")
    pair = make_key_pair()
    entry = None
    if participant is not None:
        entry = keys_file_text([AdmittedKey(participant=participant, public=pair.public, roles=frozenset(map(Role, roles)))])
    public_path = write_key_pair(file, pair)
    if as_json:
        print_json({"public": key_text(pair.public), "secret_file": str(file), "public_file": str(public_path), "entry": entry})
        return
    click.echo(f"secret key in {file}, public key in {public_path}:\n{key_text(pair.public)}")
    if entry is not None:
        click.echo(f"\n{entry}", nl=False)
