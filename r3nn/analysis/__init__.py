"""Looks inside models and programs: pure functions that return numbers and arrays."""

from r3nn.analysis.cost import matmul_flops

__all__ = ["matmul_flops"]
