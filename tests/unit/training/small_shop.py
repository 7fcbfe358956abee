"""A small shop of two tastes, drawn from one seed: enough to learn from, fast enough for tests."""

from pathlib import Path

import numpy as np
import polars as pl

N_USERS = 60
N_ITEMS = 24
DAY_MS = 86_400_000
START_MS = 1_700_000_000_000


def interactions_frame(seed: int = 0, n_days: int = 60) -> pl.DataFrame:
    """Draw a log: even users buy even items, odd users odd ones, nine in ten times."""
    rng = np.random.default_rng(seed)
    rows = []
    for user in range(N_USERS):
        for day in sorted(rng.choice(n_days, size=10, replace=False).tolist()):
            parity = user % 2 if rng.random() < 0.9 else 1 - user % 2
            item = 2 * int(rng.integers(0, N_ITEMS // 2)) + parity
            rows.append(
                {
                    "user_id": f"user {user}",
                    "item_id": f"item {item}",
                    "event": "purchase" if rng.random() < 0.5 else "view",
                    "timestamp": START_MS + day * DAY_MS + int(rng.integers(0, DAY_MS)),
                    "quantity": 1,
                    "price": 1.5 + item,
                    "order_id": f"order {user} {day}",
                    "country": "GB" if user % 3 else "FR",
                }
            )
    return pl.DataFrame(rows)


def catalog_frame() -> pl.DataFrame:
    """List the items, and one that nobody has bought yet."""
    kinds = ("mug", "lamp")
    return pl.DataFrame(
        [
            {
                "item_id": f"item {item}",
                "title": f"{kinds[item % 2]} number {item}",
                "category": f"Home > {kinds[item % 2].title()}s",
                "price": 1.5 + item,
            }
            for item in range(N_ITEMS + 1)
        ]
    )


def write_shop(folder: Path) -> tuple[str, str]:
    """Write both files; return the path of the interactions and of the catalogue."""
    log, catalog = folder / "interactions.parquet", folder / "catalog.parquet"
    interactions_frame().write_parquet(log)
    catalog_frame().write_parquet(catalog)
    return str(log), str(catalog)
