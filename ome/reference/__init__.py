"""The reference model: docs/RULES.md written down as plainly as possible. It is what every other engine of ome is compared with."""

from __future__ import annotations

from ome.reference.engine import ReferenceEngine
from ome.reference.orders import Order

__all__ = ["Order", "ReferenceEngine"]
