"""Benchmarks: each figure is measured beside its yardstick in the same run. `bench/run` is the command."""

from __future__ import annotations
