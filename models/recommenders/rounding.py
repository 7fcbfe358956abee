"""Numbers that are the same every time: the last bits of BLAS depend on threads and alignment."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

DECIMALS = 5


def settle(values: NDArray[np.floating]) -> NDArray[np.float32]:
    """Round to `DECIMALS`, far above the noise and far below what matters; -0 becomes 0."""
    return (np.round(values, DECIMALS) + 0.0).astype(np.float32)
