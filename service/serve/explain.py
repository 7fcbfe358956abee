"""Explaining scores: the summands behind each personal score, worked out only when asked for."""

from __future__ import annotations

import numpy as np

from models.scoring import score_parts
from service.serve.items import Placed
from service.serve.page import Parts
from service.serve.shelf import Shelf
from service.serve.visit import Visit


def parts_of(shelf: Shelf, visit: Visit, placed: list[Placed]) -> list[Parts | None]:
    """Return the summands of each item's score, or nothing where no history was scored."""
    profile = visit.profile
    if shelf.stock is None or profile is None or not profile.speaks:
        return [None] * len(placed)
    rows = np.array([max(pick.item.row, 0) for pick, _ in placed], dtype=np.int32)
    now_ms = int(profile.history.at_ms.max())
    columns = score_parts(shelf.stock.snapshot, profile.history, now_ms, rows)
    return [
        Parts(graph=round(graph, 6), factors=round(factors, 6), popularity=round(popularity, 6))
        if pick.tier == "personal" and pick.item.row >= 0
        else None
        for (pick, _), graph, factors, popularity in zip(
            placed, *(column.tolist() for column in columns), strict=True
        )
    ]
