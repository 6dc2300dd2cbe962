"""The reference model: docs/RULES.md as plain Python. Every other engine of ome is compared with it."""

from __future__ import annotations

from ome.reference.engine import ReferenceEngine
from ome.reference.orders import Order

__all__ = ["Order", "ReferenceEngine"]
