"""Numbers that are the same every time: the last bits of BLAS depend on threads and alignment."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

GRID = 65_536.0
"""Values become multiples of 1/65536: far above the noise, far below what matters."""


def settle(values: NDArray[np.floating]) -> NDArray[np.float32]:
    """Round to the grid, which float32 holds exactly up to 1; -0 becomes 0."""
    return (np.round(np.asarray(values, dtype=np.float64) * GRID) / GRID + 0.0).astype(np.float32)


def exact_cosines(left: NDArray[np.floating], right: NDArray[np.floating]) -> NDArray[np.float32]:
    """Multiply settled unit rows, shape (n_left, n_right); in float64, they need not be copied.

    Products of grid values are multiples of 2**-32 and their sums stay below 2, so float64 holds
    each partial sum exactly: the order in which threads add them up changes nothing.
    """
    wide = left.astype(np.float64, copy=False), right.astype(np.float64, copy=False)
    return (wide[0] @ wide[1].T).astype(np.float32)
