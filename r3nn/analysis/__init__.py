"""Looks inside models and programs: pure functions that return numbers and arrays."""

from r3nn.analysis.cost import matmul_flops
from r3nn.analysis.failing_words import Answers, FailingWords, Failure, Family, failing_words
from r3nn.analysis.memory import live_bytes

__all__ = ["Answers", "FailingWords", "Failure", "Family", "failing_words", "live_bytes", "matmul_flops"]
