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


class Lottery:
    """Candidates for `k` positions: who is the best, and how often chance takes whom.

    Parameters
    ----------
    scores : ndarray, shape (n_candidates,)
        Expected worth; of equal ones the first candidate is the better.
    draws : ndarray, shape (n_candidates, n_draws)
        Guesses at it.
    k : int
    """

    def __init__(self, scores: NDArray[np.float64], draws: NDArray[np.float32], k: int) -> None:
        self.n = len(scores)
        self.best: list[int] = np.argsort(-scores, kind="stable")[:k].tolist()
        """What stands there without chance."""
        self._n_draws = draws.shape[1]
        self._wins = _winners(draws, len(self.best))
        shares = [np.bincount(wins, minlength=self.n) / self._n_draws for wins in self._wins]
        self._shares: list[list[float]] = [each.tolist() for each in shares]

    def play(self, share: float, seed: bytes | None) -> list[Placed]:
        """Fill the positions; a `share` of the slates, 0 to 1, is left to chance.

        `seed` names what chance does; without one it does nothing. The propensity at a position is
        the probability that this candidate stands there, whatever stands elsewhere: one draw
        decides the whole slate.
        """
        if seed is None or not share or self.n < 2:
            return [Placed(one, 1.0, False) for one in self.best]
        chosen, is_explored = self._draw(share, seed)
        even, guessed, greedy = share * EVEN_SHARE / self.n, share * (1 - EVEN_SHARE), 1 - share
        placed = []
        for one, best, shares in zip(chosen, self.best, self._shares, strict=True):
            propensity = even + guessed * shares[one] + (greedy if one == best else 0.0)
            placed.append(Placed(one, propensity, is_explored and one != best))
        return placed

    def _draw(self, share: float, seed: bytes) -> tuple[list[int], bool]:
        """Choose a slate; tell whether it was left to chance."""
        stream = shake_128(seed).digest(_BYTES * (3 + len(self.best)))
        numbers = [
            int.from_bytes(stream[begin : begin + _BYTES], "big")
            for begin in range(0, len(stream), _BYTES)
        ]
        if numbers[0] / _WHOLE >= share:
            return self.best, False
        if numbers[1] / _WHOLE >= EVEN_SHARE:
            return self._wins[:, numbers[2] * self._n_draws >> 64].tolist(), True
        rest = list(range(self.n))
        return [rest.pop(number * len(rest) >> 64) for number in numbers[3:]], True


def _winners(draws: NDArray[np.float32], k: int) -> NDArray[np.uint16]:
    """Return who stands at each position by each draw, shape (k, n_draws)."""
    n_draws = draws.shape[1]
    wins = np.empty((k, n_draws), dtype=np.uint16)
    left, every = draws.copy(), np.arange(n_draws)
    for position in range(k):
        wins[position] = left.argmax(axis=0)
        left[wins[position], every] = -1.0
    return wins


def weighed(values: Values, factors: Sequence[float]) -> Values:
    """Multiply rates, or draws of them, by a factor for each candidate."""
    column = np.asarray(factors, dtype=values.dtype)
    found: Values = values * (column if values.ndim == 1 else column[:, None])
    return found
