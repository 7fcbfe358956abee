"""Choosing banners by learned click rates, with the exact propensity of each. Pure.

Most slates hold the banners with the best expected rates. A declared share is left to chance: nine
tenths of it show each banner as often as it is believed to be the best (Thompson sampling over a
finite number of draws), one tenth any banner alike, so that every one has a propensity above zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import shake_128
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

EVEN_SHARE = 0.1
"""Of what is left to chance."""

Values = TypeVar("Values", NDArray[np.float64], NDArray[np.float32])

_BYTES = 8
_WHOLE = float(2**64)


class Placed(NamedTuple):
    """What stands at a position."""

    number: int
    """Place among the candidates."""
    propensity: float
    by_chance: bool
    """Whether chance put something else there than the best."""


class Choice(NamedTuple):
    """A slate, and what would have stood there without chance."""

    placed: list[Placed]
    best: list[int]


def choose(
    scores: NDArray[np.float64],
    draws: NDArray[np.float32] | None,
    k: int,
    share: float,
    seed: bytes | None,
) -> Choice:
    """Fill `k` positions from candidates.

    Parameters
    ----------
    scores : ndarray, shape (n_candidates,)
        Expected worth; of equal ones the first candidate is the better.
    draws : ndarray, shape (n_candidates, n_draws), or None
        Guesses at it; without them nothing is left to chance.
    k : int
    share : float
        Left to chance, 0 to 1.
    seed : bytes or None
        Names what chance does; without one it does nothing.

    Returns
    -------
    Choice
        The propensity at a position is the probability that this candidate stands there, whatever
        stands elsewhere: one draw decides the whole slate.
    """
    n = len(scores)
    best: list[int] = np.argsort(-scores, kind="stable")[:k].tolist()
    if draws is None or seed is None or not share or n < 2:
        return Choice([Placed(number, 1.0, False) for number in best], best)
    wins = _winners(draws, len(best))
    chosen, is_explored = _draw(best, wins, n, share, seed)
    even, guessed, greedy = share * EVEN_SHARE / n, share * (1 - EVEN_SHARE), 1 - share
    placed = []
    for position, number in enumerate(chosen):
        shares = float(np.count_nonzero(wins[position] == number)) / draws.shape[1]
        is_best = number == best[position]
        propensity = even + guessed * shares + (greedy if is_best else 0.0)
        placed.append(Placed(number, propensity, is_explored and not is_best))
    return Choice(placed, best)


def _winners(draws: NDArray[np.float32], k: int) -> NDArray[np.intp]:
    """Return who stands at each position by each draw, shape (k, n_draws)."""
    n_draws = draws.shape[1]
    wins = np.empty((k, n_draws), dtype=np.intp)
    left, every = draws if k == 1 else draws.copy(), np.arange(n_draws)
    for position in range(k):
        wins[position] = left.argmax(axis=0)
        if position + 1 < k:
            left[wins[position], every] = -1.0
    return wins


def _draw(
    best: list[int], wins: NDArray[np.intp], n: int, share: float, seed: bytes
) -> tuple[list[int], bool]:
    """Choose a slate; tell whether it was left to chance."""
    k, n_draws = wins.shape
    stream = shake_128(seed).digest(_BYTES * (3 + k))
    numbers = [
        int.from_bytes(stream[begin : begin + _BYTES], "big")
        for begin in range(0, len(stream), _BYTES)
    ]
    if numbers[0] / _WHOLE >= share:
        return best, False
    if numbers[1] / _WHOLE >= EVEN_SHARE:
        return wins[:, numbers[2] * n_draws >> 64].tolist(), True
    rest = list(range(n))
    return [rest.pop(number * len(rest) >> 64) for number in numbers[3:]], True


def weighed(values: Values, factors: Sequence[float]) -> Values:
    """Multiply rates, or draws of them, by a factor for each candidate."""
    column = np.asarray(factors, dtype=values.dtype)
    found: Values = values * (column if values.ndim == 1 else column[:, None])
    return found
