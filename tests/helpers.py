"""What several test files need."""

import jax
import numpy as np


def assert_close(actual, desired, rtol=1e-5, atol=1e-6):
    """Asserts that two pytrees have the same structure and shapes, and close values.

    NamedTuples must be of one type; None is a leaf, equal only to None; NaN equals nothing. Dtypes
    may differ (a float64 oracle); bfloat16 compares as float64. The message names the leaf.
    """
    actual, actual_structure = _flatten(actual)
    desired, desired_structure = _flatten(desired)
    assert actual_structure == desired_structure, (
        f"structures differ:\n actual  {actual_structure}\n desired {desired_structure}"
    )
    for (path, a), (_, d) in zip(actual, desired, strict=True):
        leaf = f"leaf {jax.tree_util.keystr(path) or '(the whole)'}"
        if a is None or d is None:
            assert a is d, f"{leaf}: actual {a}, desired {d}"
            continue
        a, d = _numbers(a), _numbers(d)
        assert a.shape == d.shape, f"{leaf}: actual shape {a.shape}, desired {d.shape}"
        np.testing.assert_allclose(a, d, rtol=rtol, atol=atol, equal_nan=False, err_msg=leaf)


def _flatten(tree):
    return jax.tree_util.tree_flatten_with_path(tree, is_leaf=lambda leaf: leaf is None)


def _numbers(leaf) -> np.ndarray:
    if isinstance(leaf, jax.Array) and jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    leaf = np.asarray(leaf)
    # numpy's own comparison does not know the small floats of ml_dtypes.
    return leaf if np.issubdtype(leaf.dtype, np.number) else leaf.astype(np.float64)
