"""`ome-admin keygen`: make a pair of keys."""

from __future__ import annotations

from pathlib import Path

import click

from ome.cli.terminal import failing, json_option, print_json
from ome.keys import (
    AdmittedKey,
    AdmittedSecret,
    Role,
    digest_of_secret,
    key_text,
    keys_file_text,
    make_key_pair,
    make_secret,
    write_key_pair,
    write_secret,
)

__all__ = ["keygen"]


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--participant", help="Also print the entry of this participant for the keys file of the venue.")
@click.option(
    "--role", "roles", multiple=True, type=click.Choice([role.value for role in Role]), help="What the entry allows; may be repeated."
)
@click.option("--secret", "is_secret", is_flag=True, help="Make a secret in FILE instead, for connections without keys, as on loopback.")
@json_option
@failing
def keygen(file: Path, participant: str | None, roles: tuple[str, ...], is_secret: bool, as_json: bool) -> None:
    """Make a pair of keys, for a client or for a server: the secret key in FILE, the public key in FILE.pub. No file is overwritten.

    Only the public key is printed, or the digest of a secret. What is secret stays on the machine that uses it: FILE can be read by its
    owner only.
    """
    if bool(roles) != (participant is not None):
        raise click.UsageError("--participant and --role are given together")
    if is_secret:
        _make_secret(file, participant, frozenset(map(Role, roles)), as_json)
        return
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


def _make_secret(file: Path, participant: str | None, roles: frozenset[Role], as_json: bool) -> None:
    secret = make_secret()
    digest = digest_of_secret(secret)
    entry = None
    if participant is not None:
        entry = keys_file_text([AdmittedSecret(participant=participant, sha256=digest, roles=roles)])
    write_secret(file, secret)
    if as_json:
        print_json({"sha256": digest.hex(), "secret_file": str(file), "entry": entry})
        return
    click.echo(f"secret in {file}, its SHA-256:\n{digest.hex()}")
    if entry is not None:
        click.echo(f"\n{entry}", nl=False)
