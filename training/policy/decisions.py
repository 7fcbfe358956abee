"""Logged decisions as arrays, and a policy as the probability of each action in each of them."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]
K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Decisions:
    """One row for each position that was filled; all arrays have shape (n_decisions,)."""

    actions: Sequence[str]
    """What can be shown; `action` numbers them."""
    action: Rows
    position: Rows
    """From 0."""
    propensity: Floats
    """Probability that the action stood there, in (0, 1]."""
    reward: Floats
    unit: Rows
    """Numbers whoever saw it; decisions of one unit are not independent."""

    def __len__(self) -> int:
        return len(self.action)

    @property
    def n_positions(self) -> int:
        """How many positions there are."""
        return int(self.position.max()) + 1 if len(self) else 0


@dataclass(frozen=True, slots=True)
class Policy:
    """Which action stands where, as probabilities."""

    name: str
    table: csr_array
    """Shape (n_rows, n_actions); a row sums to 1 where the policy fills the position."""
    row: Rows
    """The row of the table that is each decision's, shape (n_decisions,)."""

    def of_logged(self, decisions: Decisions) -> Floats:
        """Return the probability of what was shown, shape (n_decisions,)."""
        found = self.table[self.row, decisions.action]
        return np.asarray(found, dtype=np.float64).reshape(-1)


def number(keys: Iterable[K]) -> tuple[Rows, list[K]]:
    """Number keys in the order of their first appearance; return the numbers and the keys."""
    numbers: dict[K, int] = {}
    rows = np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.intp)
    return rows, list(numbers)


def tabulate(name: str, rows: Sequence[Mapping[int, float]], row: Rows, n_actions: int) -> Policy:
    """Make a policy of rows that give each action's probability."""
    lengths = [len(one) for one in rows]
    indptr = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    indices = np.array([action for one in rows for action in one], dtype=np.int64)
    values = np.array([share for one in rows for share in one.values()], dtype=np.float64)
    return Policy(name, csr_array((values, indices, indptr), shape=(len(rows), n_actions)), row)
