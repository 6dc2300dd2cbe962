"""`ome-admin stats`: the counters of a running venue."""

from __future__ import annotations

import time
from pathlib import Path

import click

from ome.cli.terminal import failing, json_option, print_json
from ome.enums import Policy
from ome.metrics import Counters, Percentiles, percentiles, thread_statuses
from ome.recovery.wording import time_text

__all__ = ["stats"]


_STORAGE_ALARMS = ("", "  STORAGE IS LOW: new orders are refused", "  STORAGE IS SCARCE: all commands are refused")


@click.command()
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path), default=Path("data"))
@click.option("-i", "--interval", type=float, help="Repeat after this many seconds, with rates over the interval, until Ctrl-C.")
@click.option("-n", "--count", type=click.IntRange(1), help="With --interval: end after this many lines.")
@json_option
@failing
def stats(directory: Path, interval: float | None, count: int | None, as_json: bool) -> None:
    """Print statistics of the venue that runs on DIRECTORY.

    The command reads the counters file and uses no socket, so it works at any load.
    """
    with Counters(directory) as counters:
        if interval is None:
            _print_totals(counters, as_json)
            return
        if not as_json:
            click.echo("    orders/s   trades/s  cancels/s  rejects/s  sessions   p50 us   p99 us  journal lag  ring")
        before = _Look(counters)
        line = 0
        try:
            while count is None or line < count:
                time.sleep(interval)
                now = _Look(counters)
                _print_rates(before, now, as_json)
                before = now
                line += 1
        except KeyboardInterrupt:
            pass


class _Look:
    """All counters at one moment."""

    def __init__(self, counters: Counters) -> None:
        self.at = time.monotonic()
        self.values = counters.values()
        self.latency = counters.buckets("latency.report").copy()

    def rate(self, label: str, before: _Look) -> float:
        return (self.values[label] - before.values[label]) / (self.at - before.at)

    def latency_since(self, before: _Look) -> Percentiles:
        return percentiles(self.latency - before.latency, 2**36)

    @property
    def lag(self) -> int:
        """Commands that are matched and not on disk yet; 0 without a journal."""
        if self.values["venue.policy"] == Policy.MEMORY:
            return 0
        return max(0, self.values["match.sequence"] - self.values["journal.sequence"])

    @property
    def ring_share(self) -> float:
        """How full the inbound ring was when the match stage last looked."""
        return max(0, self.values["ring.cursor"] - self.values["match.sequence"]) / max(1, self.values["venue.ring_slots"])


def _print_rates(before: _Look, now: _Look, as_json: bool) -> None:
    rates = {
        "orders": now.rate("gateway.orders_accepted", before),
        "trades": now.rate("match.trades", before),
        "cancels": now.rate("gateway.orders_cancelled", before),
        "rejects": now.rate("gateway.commands_rejected", before),
    }
    latency = now.latency_since(before)
    sessions = now.values["gateway.sessions"]
    if as_json:
        print_json(
            rates
            | {"sessions": sessions, "p50_ns": latency.p50_ns, "p99_ns": latency.p99_ns, "journal_lag": now.lag, "ring": now.ring_share}
        )
        return
    columns = "".join(f"{rate:>{width},.0f}" for rate, width in zip(rates.values(), (12, 11, 11, 11), strict=True))
    click.echo(f"{columns}{sessions:>10,}{latency.p50_ns / 1000:>9,.0f}{latency.p99_ns / 1000:>9,.0f}{now.lag:>13,}{now.ring_share:>6.0%}")


def _print_totals(counters: Counters, as_json: bool) -> None:
    values = counters.values()
    latencies = {label: counters.latency(label) for label in ("latency.report", "latency.commit")}
    running = counters.is_running()
    threads = thread_statuses(counters.path.parent)
    if as_json:
        found = {"running": running, "pid": counters.pid, "epoch": counters.epoch, "counters": values, "latencies": latencies}
        print_json(found | {"threads": threads})
        return
    alarms = _STORAGE_ALARMS[min(2, values.get("storage.is_low", 0))]
    alarms += "  THE CLOCK HAS JUMPED: ome-admin clock" if values.get("clock.is_held") else ""
    alarms += "  A THREAD FAILS: see below" if values.get("threads.failing") else ""
    alarms += "  STORED SEGMENTS ARE DAMAGED: see the log" if values.get("check.damaged") else ""
    click.echo(
        f"{'running' if running else 'stopped'}  pid {counters.pid}  epoch {counters.epoch}  "
        f"policy {Policy(values['venue.policy']).name.lower()}{alarms}"
    )
    for label, value in values.items():
        click.echo(f"  {label:<32} {value:>20,}")
    for label, latency in latencies.items():
        click.echo(
            f"  {label:<32} count {latency.count:,}  p50 {latency.p50_ns / 1000:,.1f} us  p99 {latency.p99_ns / 1000:,.1f} us  "
            f"p99.9 {latency.p999_ns / 1000:,.1f} us  max {latency.max_ns / 1000:,.1f} us"
        )
    for thread in threads:
        error = f"  {time_text(thread.last_error_time_ns)}  {thread.last_error}" if thread.last_error else ""
        click.echo(f"  thread {thread.name:<25} {thread.state if running else 'ended'}  failures {thread.failures:,}{error}")
