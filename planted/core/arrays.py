"""Numbers of any library as numpy arrays, and numpy's, jax's and torch's read in one way."""

from __future__ import annotations

from typing import Any

import numpy as np


def to_numpy(value: Any) -> Any:
    """An array, or a tensor of torch, as a numpy array.

    A tensor is taken off its device and its graph; one of a type that numpy does not have, as
    bfloat16, becomes float32, which holds each of its numbers.

    Example:
        >>> to_numpy([[1, 2]])
        array([[1, 2]])
    """
    if hasattr(value, "detach") and hasattr(value, "cpu"):
        tensor = value.detach().cpu()
        try:
            return tensor.numpy()
        except TypeError:
            return tensor.float().numpy()
    array = np.asarray(value)
    # ml_dtypes' bfloat16, as safetensors gives it to numpy, is of no kind that numpy knows.
    return array.astype(np.float32) if array.dtype.name == "bfloat16" else array
