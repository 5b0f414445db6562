"""Looks inside models and programs: pure functions that return numbers and arrays."""

from r3nn.analysis.cost import matmul_flops
from r3nn.analysis.memory import live_bytes

__all__ = ["live_bytes", "matmul_flops"]
