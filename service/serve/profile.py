"""A profile: one shopper's merged history and the candidates it brings up, worked out once.

It stays valid until the shopper acts or the model changes, for scores do not depend on the time.
Of someone who did nothing since the model was trained, the best few may be worked out already.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from struct import Struct

import numpy as np
from numpy.typing import NDArray

from models.candidates import (
    HEAD,
    N_READY,
    best_candidates,
    history_shares,
)
from models.ready_candidates import ReadyCandidates
from models.scoring import History, ScoredItems
from models.vocabulary import MISSING_ROW
from service.serve.history import (
    continue_history,
    merge_history,
    trained_history,
    trained_purchases,
)
from service.serve.recent import RecentEvent
from service.serve.remembered import MAX_OWN_BYTES, RememberedSlates, Room
from service.serve.shared_candidates import Worked
from service.serve.shelf import Layer, Shelf, rounded
from service.serve.stock import Stock

MAX_SCORED = 512
"""Candidates kept per shopper before hidden, unavailable and bought items are taken out."""
MAX_CANDIDATES = 256
"""And after; a page that needs more goes on with the next tier."""
_PAIR = Struct("=di")


class Profile:
    """What the model and the newest events say of one shopper."""

    def __init__(
        self,
        stock: Stock,
        user_row: int,
        recent: Sequence[RecentEvent],
        before: Profile | None = None,
        room: Room | None = None,
    ) -> None:
        """Take `before` of the same shopper, whose history is only continued where it can be.

        Slates that are remembered are counted in `room`.
        """
        self.stock = stock
        self.recent = recent
        self.user_row = user_row
        self._merged: tuple[History, frozenset[int]] | None = None
        """Of those with news; of all others the snapshot has it, and views of it take 0.6 KB."""
        if recent:
            if before is not None and before.stock is stock:
                merged = before.history, before.purchased
                self._merged = continue_history(stock, user_row, merged, before.recent, recent)
            if self._merged is None:
                self._merged = merge_history(stock, user_row, recent)
        self._room = room
        self._remembered: RememberedSlates | None = None
        self._remembered_of: Shelf | None = None
        self._banners = b""
        """A tenth of the memory of pairs, for slates are remembered and this is rarely read."""
        self._banners_of: Shelf | None = None

    @property
    def history(self) -> History:
        """The newest distinct items of this shopper."""
        if self._merged is None:
            return trained_history(self.stock, self.user_row)
        return self._merged[0]

    @property
    def purchased(self) -> frozenset[int]:
        """Rows of the items that this shopper bought."""
        if self._merged is None:
            return trained_purchases(self.stock, self.user_row)
        return self._merged[1]

    @cached_property
    def weights(self) -> NDArray[np.float32]:
        """Weight of each item of the history, summing to 1; empty where none has any."""
        ready = self._ready()
        if ready is not None:
            return ready.shares(self.user_row)
        if self._shared is not None:
            return self._shared.shares
        return history_shares(self.stock.snapshot, self.history)

    @cached_property
    def segments(self) -> list[str]:
        """Keys of the segments that the trainer put this shopper into, by falling priority."""
        if self.user_row == MISSING_ROW:
            return []
        names = self.stock.segment_names
        return [names[row] for row in self.stock.snapshot.users.segments[self.user_row].tolist()]

    @property
    def speaks(self) -> bool:
        """Whether the model knows something this shopper liked."""
        return len(self.weights) > 0

    @cached_property
    def scored(self) -> ScoredItems:
        """The best few candidates, or none where only popularity speaks."""
        if self._shared is not None:
            return self._shared.best
        best = self._score(HEAD)
        if self.stock.shared is not None:
            self.stock.shared.keep(self.history, self.weights, best)
        return best

    def prepare(self) -> None:
        """Work the best few candidates out, before anybody asks for them."""
        _ = self.scored

    def is_ready(self, shelf: Shelf, excludes_bought: bool) -> bool:
        """Whether the candidates are worked out, so that asking for them costs next to nothing."""
        if shelf.stock is not self.stock:
            return False
        if "scored" in self.__dict__ or self._shared is not None:
            return True
        return excludes_bought and self._ready() is not None

    @property
    def is_stranger(self) -> bool:
        """Whether nothing is known of this shopper."""
        return self.user_row == MISSING_ROW and not self.recent

    def remembered(self, shelf: Shelf) -> RememberedSlates:
        """Return the slates that were worked out for this shopper from this shelf."""
        if self._remembered is None or self._remembered_of is not shelf:
            self._remembered = RememberedSlates(MAX_OWN_BYTES, self._room)
            self._remembered_of = shelf
        return self._remembered

    def has_banners(self, shelf: Shelf) -> bool:
        """Whether `banners` is worked out for this shelf."""
        return self._banners_of is shelf

    def banners(self, shelf: Shelf) -> list[tuple[float, int]]:
        """Return affinity times weight and number of each banner that fits, by falling affinity."""
        if self._banners_of is not shelf:
            newest = slice(-self.stock.snapshot.manifest.blend.max_recent, None)
            rows = self.history.rows[newest] if self.speaks else self.history.rows[:0]
            ranked = shelf.banners.rank(rows, self.weights[newest])
            self._banners = b"".join([_PAIR.pack(*pair) for pair in ranked])
            self._banners_of = shelf
            return ranked
        return list(_PAIR.iter_unpack(self._banners))

    def layers(self, shelf: Shelf, only_available: bool, excludes_bought: bool) -> Iterator[Layer]:
        """Give the candidates that may be shown, the best few first and the rest behind them.

        What the shopper bought may be among them, whatever is asked for.
        """
        ready = self._ready() if excludes_bought else None
        first = self.scored if ready is None else ready.best(self.user_row)
        if not len(first.rows):
            return
        kept = self._shown(first, shelf, only_available)
        yield self._layer(first, kept)
        if len(first.rows) < (HEAD if ready is None else N_READY):
            return  # there were no more
        every = self._score(MAX_SCORED)
        n_wanted = MAX_CANDIDATES + len(self.purchased) - len(kept)
        kept = self._shown(every, shelf, only_available)
        kept = kept[~np.isin(every.rows[kept], first.rows)]
        yield self._layer(every, kept[: max(n_wanted, 0)])

    def _ready(self) -> ReadyCandidates | None:
        """Return where the candidates stand ready, if nothing happened since the model was new."""
        ready = self.stock.ready
        if ready is None or self.recent or self.user_row == MISSING_ROW:
            return None
        return ready if ready.has((self.user_row,)) else None

    @cached_property
    def _shared(self) -> Worked | None:
        """What another worker has worked out of the same history."""
        shared = self.stock.shared
        return None if shared is None else shared.get(self.history)

    def _score(self, k: int) -> ScoredItems:
        return best_candidates(self.stock.snapshot, self.history, self.weights, k)

    def _shown(
        self, scored: ScoredItems, shelf: Shelf, only_available: bool
    ) -> NDArray[np.integer]:
        return shelf.shown_mask(only_available).take(scored.rows).nonzero()[0]

    def _layer(self, scored: ScoredItems, kept: NDArray[np.integer]) -> Layer:
        snapshot = self.stock.snapshot
        has_factors = bool(snapshot.manifest.blend.factor_weight) and (
            snapshot.items.factors.shape[1] > 0
        )
        return Layer(
            "personal",
            "graph",
            scored.rows.take(kept).tolist(),
            rounded(scored.scores.take(kept)),
            scored.because.take(kept).tolist(),
            "factors" if has_factors else "popular",
        )
