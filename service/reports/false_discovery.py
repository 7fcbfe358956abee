"""Keeps the share of false finds low when many metrics are looked at."""

from __future__ import annotations

from collections.abc import Sequence


def adjusted_p_values(p_values: Sequence[float]) -> list[float]:
    """Return for each p-value the false-discovery rate at which it would just be a find.

    References
    ----------
    Benjamini, Hochberg (1995), Controlling the false discovery rate.
    doi:10.1111/j.2517-6161.1995.tb02031.x
    """
    n = len(p_values)
    order = sorted(range(n), key=lambda i: p_values[i], reverse=True)
    found = [1.0] * n
    least = 1.0
    for rank, i in zip(range(n, 0, -1), order, strict=True):
        least = min(least, p_values[i] * n / rank)
        found[i] = least
    return found
