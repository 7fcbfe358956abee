"""Solving in threads gives what scipy gives, and leaves the interpreter to others."""

import sys
import threading

import numpy as np
import pytest
from scipy.linalg import cho_factor, cho_solve

from models.recommenders.blocks import one_blas_thread
from models.recommenders.cholesky import factorise, solve


@pytest.mark.parametrize("n", [1, 7, 130])
@pytest.mark.parametrize("order", ["C", "F"])
def test_solution_is_that_of_scipy(n: int, order: str) -> None:
    """To the last bit, for sides that lie in memory by row or by column; these stay as they are."""
    rng = np.random.default_rng(n)
    half = rng.standard_normal((n, n)).astype(np.float32)
    matrix = half @ half.T + np.float32(n) * np.eye(n, dtype=np.float32)
    right = np.array(rng.standard_normal((n, 5)), dtype=np.float32, order=order)  # type: ignore[call-overload]  # one of the two
    before = right.copy()
    expected = cho_solve(cho_factor(matrix), right)
    assert np.array_equal(solve(factorise(matrix.copy()), right), expected)
    assert np.array_equal(right, before)
    np.testing.assert_allclose(matrix @ expected, right, atol=1e-4)
    assert solve(factorise(matrix.copy()), right[:, :0]).shape == (n, 0)


def test_other_threads_go_on_meanwhile() -> None:
    """With nothing that makes threads take turns, another one runs while a system is solved."""
    n = 450  # numpy keeps the interpreter while it copies so few numbers
    factor, right = factorise(4 * np.eye(n, dtype=np.float32)), np.ones((n, 1), dtype=np.float32)
    may_run, has_run = threading.Event(), threading.Event()

    def run() -> None:
        may_run.wait()
        has_run.set()

    other = threading.Thread(target=run)
    interval = sys.getswitchinterval()
    with one_blas_thread():
        other.start()
        sys.setswitchinterval(1_000.0)
        try:
            may_run.set()
            for _ in range(20_000):
                solve(factor, right)
                if has_run.is_set():
                    break
            ran = has_run.is_set()
        finally:
            sys.setswitchinterval(interval)
            may_run.set()
            other.join()
    assert ran
