"""Looks inside models and programs: pure functions that return numbers and arrays."""

from r3nn.analysis.attractors import Attractors, attractors, fixed_points
from r3nn.analysis.capacity import linear_capacity
from r3nn.analysis.cost import matmul_flops
from r3nn.analysis.failing_words import Answers, FailingWords, Failure, Family, failing_words
from r3nn.analysis.free_run import running_free, valid_steps
from r3nn.analysis.gates import Gates, gates
from r3nn.analysis.geometry import Discriminant, discriminant_axes, probe_accuracy
from r3nn.analysis.gradient_flow import Decay, Flow, decay, gradient_flow
from r3nn.analysis.lyapunov import Exponents, cell_exponents, lyapunov_exponents
from r3nn.analysis.memory import live_bytes

__all__ = [
    "Answers",
    "Attractors",
    "Decay",
    "Discriminant",
    "Exponents",
    "FailingWords",
    "Failure",
    "Family",
    "Flow",
    "Gates",
    "attractors",
    "cell_exponents",
    "decay",
    "discriminant_axes",
    "failing_words",
    "fixed_points",
    "gates",
    "gradient_flow",
    "linear_capacity",
    "live_bytes",
    "lyapunov_exponents",
    "matmul_flops",
    "probe_accuracy",
    "running_free",
    "valid_steps",
]
