"""A synthetic shop of any size as a published model version, built once and kept in a home folder.

Only the shape is realistic: ids, cards, lists and histories have the lengths that a trained shop
has, neighbours lie in the same department, and popularity follows a Zipf law.
"""

from __future__ import annotations

import os
import shutil
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from models.artifact import ArtifactStore
from models.errors import ArtifactError
from models.manifest import Blend, Gate, Manifest
from models.pseudonym import load_pseudonymiser
from models.ragged import Neighbours, RowLists, Texts
from models.ready_candidates import fill, make_room, ready_name
from models.snapshot import POPULAR, ItemTable, Priors, Snapshot, UserTable, country_prior
from models.vocabulary import Vocabulary

N_FACTORS = 32
N_CONTENT = 16
N_GRAPH = 100
N_SIMILAR = 20
N_HISTORY = 20
N_CATEGORIES = 100
N_BRANDS = 500
COUNTRIES = ("AE", "DE", "GB", "TR")
DAY_MS = 86_400_000
TRAINED_MS = 1_700_000_000_000


def user_id(number: int) -> str:
    """Name a shopper that the model knows, or, beyond their number, one that it does not."""
    return f"shopper-{number:08d}"


def item_id(number: int) -> str:
    """Name an item."""
    return f"item-{number:08d}"


def open_shop(root: Path, n_items: int, n_users: int) -> Path:
    """Return the home of a shop of this size with its model live; build what is missing."""
    home = root / f"shop-{n_items}-{n_users}"
    store = ArtifactStore(home)
    live = store.live_version()
    try:
        if live is not None:
            work_ahead(home, live)
            return home
    except ArtifactError:  # a version of the program before this one built it
        shutil.rmtree(home)
    home.mkdir(parents=True, exist_ok=True)
    version = store.publish(make_snapshot(home, n_items, n_users))
    work_ahead(home, version)  # makes the copy that servers map, too
    store.promote(version)
    return home


def work_ahead(home: Path, version: str) -> None:
    """Work the candidates of all users out, as a server's own process does when nobody comes.

    On all cores but one, for a million users take that process some minutes.
    """
    store = ArtifactStore(home)
    snapshot = store.open(version)
    whole = store.cache_folder(version) / ready_name(snapshot.manifest)
    if whole.exists():
        return
    part = whole.with_suffix(".draft")
    make_room(snapshot, part)
    n_users, n_cores = len(snapshot.users.ids), max(len(os.sched_getaffinity(0)) - 1, 1)
    bounds = np.linspace(0, n_users, 20 * n_cores + 1).astype(int).tolist()
    tasks = [(home, version, part, begin, end) for begin, end in pairwise(bounds)]
    with get_context("spawn").Pool(n_cores) as pool:
        pool.starmap(_fill_share, tasks, chunksize=1)
    part.rename(whole)


def _fill_share(home: Path, version: str, part: Path, begin: int, end: int) -> None:
    with threadpool_limits(limits=1, user_api="blas"):
        fill(ArtifactStore(home).open(version), part, range(begin, end))


def make_snapshot(home: Path, n_items: int, n_users: int, *, seed: int = 1) -> Snapshot:
    """Make the arrays; equal numbers and seeds give an equal model."""
    rng = np.random.default_rng(seed)
    pseudonym = load_pseudonymiser(home).pseudonym
    popularity = _zipf_popularity(rng, n_items)
    return Snapshot(
        manifest=_manifest(n_items, n_users, seed),
        items=_items(rng, n_items, popularity),
        users=_users(
            rng, n_items, [pseudonym("user_id", user_id(user)) for user in range(n_users)]
        ),
        graph=_lists(rng, n_items, N_GRAPH),
        similar=_lists(rng, n_items, N_SIMILAR),
        bought_together=_lists(rng, n_items, min(5, N_SIMILAR)),
        priors=_priors(popularity),
    )


def bytes_per_row(snapshot: Snapshot) -> tuple[float, float]:
    """Return how many bytes of arrays an item and a user take."""
    sizes = {name: array.nbytes for name, array in snapshot.to_arrays().items()}
    users = sum(size for name, size in sizes.items() if name.startswith("users."))
    items = sum(sizes.values()) - users
    return items / max(len(snapshot.items.ids), 1), users / max(len(snapshot.users.ids), 1)


def _items(rng: np.random.Generator, n_items: int, popularity: NDArray[np.float32]) -> ItemTable:
    content = rng.standard_normal((n_items, N_CONTENT), dtype=np.float32)
    content /= np.linalg.norm(content, axis=1, keepdims=True)
    category_rows = (np.arange(n_items) * N_CATEGORIES // n_items).astype(np.int32)
    brand_rows = rng.integers(0, N_BRANDS, n_items, dtype=np.int32)
    price = rng.uniform(1, 200, n_items).astype(np.float32).round(2)
    cards = (
        b'{"title":"The %s of brand %d","price":%.2f,"image_url":"/i/%d.jpg","url":"/items/%d"}'
        % (item_id(row).encode(), brand_rows[row], price[row], row, row)
        for row in range(n_items)
    )
    return ItemTable(
        ids=Vocabulary.from_ids(map(item_id, range(n_items))),
        popularity=popularity,
        n_interactions=(popularity * 1000).astype(np.int32),
        factors=0.1 * rng.standard_normal((n_items, N_FACTORS), dtype=np.float32),
        fold_in=0.1 * rng.standard_normal((n_items, N_FACTORS), dtype=np.float32),
        content=content,
        available=rng.random(n_items) > 0.05,
        price=price,
        created_at_ms=np.full(n_items, TRAINED_MS - 100 * DAY_MS, dtype=np.int64),
        category_rows=category_rows,
        brand_rows=brand_rows,
        categories=Vocabulary.from_ids(f"Home > Aisle {n}" for n in range(N_CATEGORIES)),
        brands=Vocabulary.from_ids(f"brand {n}" for n in range(N_BRANDS)),
        cards=Texts.of(cards),
    )


def _users(rng: np.random.Generator, n_items: int, keys: list[str]) -> UserTable:
    n_users, length = len(keys), min(N_HISTORY, n_items)
    # Half of a history is one walk through a department, half is from anywhere.
    walk = _steps(rng, n_users, length, n_items)
    shape = (n_users, length)
    ages_ms = np.sort(rng.integers(0, 90 * DAY_MS, shape), axis=1)[:, ::-1]
    offsets = np.arange(n_users + 1, dtype=np.int64)
    return UserTable(
        ids=Vocabulary.from_ids(keys),
        history=RowLists(offsets * length, walk.reshape(-1)),
        history_kinds=rng.choice(4, shape, p=[0.7, 0.15, 0.1, 0.05]).astype(np.int8).reshape(-1),
        history_at_ms=(TRAINED_MS - ages_ms).reshape(-1),
        purchased=RowLists(offsets, walk[:, -1].copy()),
        segments=RowLists.of([[]] * n_users),
        segment_keys=Vocabulary.from_ids([]),
    )


def _lists(rng: np.random.Generator, n_items: int, length: int) -> Neighbours:
    length = min(length, max(n_items - 1, 0))
    rows = _steps(rng, n_items, length, n_items)
    weights = np.sort(rng.random((n_items, length), dtype=np.float32), axis=1)[:, ::-1]
    offsets = np.arange(n_items + 1, dtype=np.int64) * length
    return Neighbours(offsets, rows.reshape(-1), np.ascontiguousarray(weights).reshape(-1))


def _steps(rng: np.random.Generator, n: int, length: int, n_items: int) -> NDArray[np.int32]:
    """Give each of `n` rows `length` distinct items, none of them the row's own, shape (n, l)."""
    largest = max(min(40, (n_items - 1) // max(length, 1)), 1)
    steps = rng.integers(1, largest + 1, (n, length), dtype=np.int32)
    np.cumsum(steps, axis=1, out=steps)
    steps += (
        (np.arange(n, dtype=np.int64)[:, None] * 7_919 % n_items).astype(np.int32)
        if (n != n_items)
        else np.arange(n, dtype=np.int32)[:, None]
    )
    steps %= n_items
    shuffled: NDArray[np.int32] = rng.permuted(steps, axis=1)
    return shuffled


def _zipf_popularity(rng: np.random.Generator, n_items: int) -> NDArray[np.float32]:
    ranks = rng.permutation(n_items) + 1.0
    popularity: NDArray[np.float32] = (1 / ranks**0.5).astype(np.float32)
    return popularity


def _priors(popularity: NDArray[np.float32]) -> Priors:
    best = np.argsort(-popularity, kind="stable")[:500].astype(np.int32)
    keys = [POPULAR, *map(country_prior, COUNTRIES)]
    lists = [np.roll(best, 50 * turn) for turn in range(len(keys))]
    scores = np.sort(popularity[best])[::-1]
    return Priors(
        keys=Vocabulary.from_ids(keys),
        lists=Neighbours(
            np.arange(len(keys) + 1, dtype=np.int64) * len(best),
            np.concatenate(lists),
            np.tile(scores, len(keys)),
        ),
    )


def _manifest(n_items: int, n_users: int, seed: int) -> Manifest:
    return Manifest(
        version="",
        parent=None,
        created_at_ms=TRAINED_MS,
        data_from_ms=TRAINED_MS - 90 * DAY_MS,
        data_until_ms=TRAINED_MS,
        counts={"items": n_items, "users": n_users},
        blend=Blend(),
        hyperparameters={"seed": float(seed)},
        metrics={},
        gate=Gate(verdict="first", reason="a benchmark"),
        checksums={},
        seed=seed,
    )
