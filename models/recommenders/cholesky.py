"""Solve with a Cholesky factor in several threads at once.

scipy's own way to LAPACK keeps the interpreter while it solves, so threads would wait for each
other, and with them everything else that the process does. It publishes the same routine for other
compilers, and what ctypes calls leaves the interpreter alone.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cython_lapack

_POINTER = ctypes.c_void_p


def factorise(matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the upper factor of a positive definite matrix, which is written over, (n, n)."""
    factor, _ = cho_factor(matrix, lower=False, check_finite=False, overwrite_a=True)
    return np.asfortranarray(factor, dtype=np.float32)


def solve(factor: NDArray[np.float32], right: NDArray[np.generic]) -> NDArray[np.float32]:
    """Solve ``UᵀU x = right`` for the factor U of `factorise`, shape (n, n_columns)."""
    solved = np.array(right, dtype=np.float32, order="F")
    # Of 64 bits with the low ones first: whoever reads 32 of them reads the same.
    n, n_columns, info = (ctypes.c_int64(number) for number in (*solved.shape, 0))
    if not solved.size:
        return solved
    numbers = [ctypes.byref(one) for one in (n, n_columns, info)]
    _spotrs()(
        ctypes.c_char_p(b"U"),
        numbers[0],
        numbers[1],
        factor.ctypes.data_as(_POINTER),
        numbers[0],
        solved.ctypes.data_as(_POINTER),
        numbers[0],
        numbers[2],
    )
    return solved


@cache
def _spotrs() -> Callable[..., None]:
    """Find LAPACK's routine: U or L, n, columns, factor and its height, sides and theirs, info."""
    capsule = cython_lapack.__pyx_capi__["spotrs"]
    name_of = ctypes.pythonapi.PyCapsule_GetName
    name_of.restype, name_of.argtypes = ctypes.c_char_p, [ctypes.py_object]
    address_of = ctypes.pythonapi.PyCapsule_GetPointer
    address_of.restype, address_of.argtypes = _POINTER, [ctypes.py_object, ctypes.c_char_p]
    address = address_of(capsule, name_of(capsule))
    return ctypes.CFUNCTYPE(None, *[_POINTER] * 8)(address)
