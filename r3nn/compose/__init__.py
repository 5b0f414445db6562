"""Composition: cell -> cell. What comes out is a cell again: it nests, and every mode applies to it."""

from r3nn.compose._chain import Chain, chain
from r3nn.compose._deep import Deep, DeepParams, deep, every_depth
from r3nn.compose._feedback import Feedback, FeedbackParams, FeedbackState, feedback
from r3nn.compose._wrapper import delay, norm, residual

__all__ = [
    "Chain",
    "Deep",
    "DeepParams",
    "Feedback",
    "FeedbackParams",
    "FeedbackState",
    "chain",
    "deep",
    "delay",
    "every_depth",
    "feedback",
    "norm",
    "residual",
]
