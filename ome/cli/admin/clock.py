"""`ome-admin clock`: the machine's clock and the venue's time, and the operator's decision about them."""

from __future__ import annotations

from pathlib import Path

import click

from ome.cli.admin.arguments import directory_argument
from ome.cli.terminal import failing, json_option, print_json
from ome.clock import ClockState, accept_clock, apart, clock_state
from ome.recovery.wording import time_text

__all__ = ["clock"]


@click.command()
@directory_argument
@click.option("--accept", is_flag=True, help="Confirm that the machine's clock is right, and make it the venue's time, earlier or later.")
@click.option("--yes", is_flag=True, help="With --accept: do not ask.")
@click.option(
    "--timeout", type=click.FloatRange(0, 86_400), default=10.0, show_default=True, help="Seconds to wait for the running server."
)
@json_option
@failing
def clock(directory: Path, accept: bool, yes: bool, timeout: float, as_json: bool) -> None:
    """Show the machine's clock and the time of the venue that runs on DIRECTORY. With --accept, after a jump, accept
    the clock as it is.

    A later time expires the orders whose deadline is over by then. An earlier time does not bring back expired orders.
    """
    found = clock_state(directory)
    if accept and found.is_held:
        if not yes:
            click.echo(_text(found), err=True)
            click.confirm("Is the machine's clock right, and is it to be the venue's time?", abort=True, err=True)
        found = accept_clock(directory, timeout)
        if found.is_held:
            raise click.ClickException("the server did not accept the clock: its log says why")
    if as_json:
        print_json(found)
    else:
        click.echo(_text(found))


def _text(found: ClockState) -> str:
    held = "NOT FOLLOWED until it is right, or accepted" if found.is_held else "followed"
    distance = apart(found.difference_ns, "the venue's time")
    return (
        f"machine's clock {time_text(found.wall_ns)}  venue's time {time_text(found.time_ns)}\n"
        f"the machine's clock is {distance}: {held}  jumps {found.jumps:,}"
    )
