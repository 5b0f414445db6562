"""Names the arrays of a tree, and makes the checksums by which they are known again."""

import hashlib
from typing import Any

import jax
import numpy as np


def flatten(tree: Any) -> dict[str, Any]:
    """Lists leaves by path, such as params/body/bias/update/value, in the tree's order."""
    name = lambda path: jax.tree_util.keystr(path, simple=True, separator="/")
    return {name(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def sums(tree: Any) -> dict[str, str]:
    """Computes the SHA-256 of each array of a tree, by name; {} for None."""
    return {name: digest(leaf) for name, leaf in flatten(tree).items()}


def digest(leaf) -> str:
    """Hashes an array's dtype, shape and bytes."""
    array = np.asarray(leaf)
    return hashlib.sha256(f"{array.dtype}{array.shape}".encode() + array.tobytes()).hexdigest()
