"""Defines a whole model, encode -> recurrent body -> predict, as a value, and builds it from names and
sizes."""

from r3nn.model._build import ENCODERS, PREDICT, as_cell, build
from r3nn.model._model import Model, ModelParams
from r3nn.model._options import BuildOptions, SizedOptions
from r3nn.model._size import count_params, fit_hidden_size

__all__ = [
    "ENCODERS",
    "PREDICT",
    "BuildOptions",
    "Model",
    "ModelParams",
    "SizedOptions",
    "as_cell",
    "build",
    "count_params",
    "fit_hidden_size",
]
