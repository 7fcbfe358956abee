"""The quick way to score a history against a loop over everything, to the last tie."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import scoring
from models.manifest import Blend
from models.scoring import History, ScoredItems, score_shares
from models.snapshot import POPULAR, Snapshot
from models.spoken import lay_out, slots_of
from models.vocabulary import Vocabulary
from tests.unit.models.small_snapshot import make_snapshot, neighbours

BLEND = Blend(factor_weight=0.5, popularity_weight=0.25)


class World(NamedTuple):
    """A small shop and who speaks in it, with numbers so round that every sum is exact."""

    snapshot: Snapshot
    shares: dict[int, float]

    def score(self, k: int, n_popular: int) -> ScoredItems:
        """Score the quick way."""
        n = len(self.shares)
        rows, at_ms = np.array(list(self.shares), dtype=np.int32), np.arange(n, dtype=np.int64)
        history = History(rows, np.zeros(n, dtype=np.int8), at_ms)
        shares = np.array(list(self.shares.values()), dtype=np.float32)
        return score_shares(self.snapshot, history, shares, k=k, n_popular=n_popular)

    def plain(self, n_popular: int) -> list[tuple[float, int, int]]:
        """Return minus the score, the row and the loudest speaker of each candidate, in order."""
        items = self.snapshot.items
        heard: dict[int, list[tuple[float, int]]] = {}
        for speaker, share in self.shares.items():
            for row, weight in zip(*self.snapshot.graph[speaker], strict=True):
                heard.setdefault(int(row), []).append((float(weight) * share, speaker))
        prior = self.snapshot.priors.popular
        for row in [] if prior is None else prior[0][:n_popular]:
            heard.setdefault(int(row), [])
        user = sum(share * items.fold_in[speaker] for speaker, share in self.shares.items())
        found = []
        for row, parts in heard.items():
            score = sum(part for part, _ in parts) + 0.5 * float(items.factors[row] @ user)
            score += 0.25 * float(items.popularity[row])
            # Of equal parts the last one counts, and one of nothing does not.
            largest = max((part for part, _ in parts), default=0.0)
            loudest = [speaker for part, speaker in parts if part == largest > 0]
            found.append((-score, row, loudest[-1] if loudest else -1))
        return sorted(found)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Draw graphs whose lists are of one length, of several or empty; scores often tie."""
    n = draw(st.integers(2, 12))
    rows, eighths = st.integers(0, n - 1), st.integers(1, 8).map(lambda number: number / 8)
    length = draw(st.none() | rows)
    sizes = (0, n) if length is None else (length, length)
    a_list = st.dictionaries(rows, eighths, min_size=sizes[0], max_size=sizes[1])
    pair = st.lists(st.integers(-2, 2), min_size=2, max_size=2)
    small = make_snapshot(blend=BLEND)

    def column(values: st.SearchStrategy[object]) -> np.ndarray:
        return np.array(draw(st.lists(values, min_size=n, max_size=n)), dtype=np.float32)

    items = replace(
        small.items,
        ids=Vocabulary.from_ids(f"i{row}" for row in range(n)),
        factors=column(pair),
        fold_in=column(pair),
        popularity=column(eighths),
        n_interactions=np.ones(n, dtype=np.int32),
    )
    popular = dict.fromkeys(draw(st.permutations(range(n))), 1.0)
    priors = replace(
        small.priors,
        keys=Vocabulary.from_ids([draw(st.sampled_from([POPULAR, "country:DE"])), "country:GB"]),
        lists=neighbours([popular, {}]),
    )
    graph = neighbours(draw(st.lists(a_list, min_size=n, max_size=n)))
    shares = draw(st.dictionaries(rows, st.just(0.0) | eighths, min_size=1, max_size=n))
    return World(replace(small, items=items, priors=priors, graph=graph), shares)


@given(worlds(), st.integers(1, 14), st.integers(0, 12))
def test_quick_way_is_the_plain_loop(world: World, k: int, n_popular: int) -> None:
    """The same rows in the same order, the same scores and explanations, whatever ties."""
    plain, scored = world.plain(n_popular)[:k], world.score(k, n_popular)
    assert scored.rows.tolist() == [row for _, row, _ in plain]
    assert scored.scores.tolist() == [-score for score, *_ in plain]
    assert scored.because.tolist() == [speaker for *_, speaker in plain]
    assert [each.dtype for each in (scored.rows, scored.scores, scored.because)] == [
        np.int32,
        np.float32,
        np.int32,
    ]


@pytest.mark.parametrize("numbers", [1, 3, 4, 11])
@given(world=worlds())
def test_factors_are_gathered_some_at_a_time(world: World, numbers: int) -> None:
    """One item's at a time or several: the scores are those of the plain loop."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scoring, "GATHERED_AT_ONCE", numbers)
        scored = world.score(20, 0)
    assert scored.scores.tolist() == [-score for score, *_ in world.plain(0)]


@given(worlds())
def test_lists_are_laid_end_to_end(world: World) -> None:
    """In the order of the speakers, each entry with its weight, and that times the share."""
    speakers = np.array(list(world.shares), dtype=np.int32)
    shares = np.array(list(world.shares.values()), dtype=np.float32)
    spoken, lists = lay_out(world.snapshot.graph, speakers, shares), world.snapshot.graph
    expected = [lists[row] for row in world.shares]
    assert spoken.rows.tolist() == [row for rows, _ in expected for row in rows]
    assert spoken.weights.tolist() == [weight for _, weights in expected for weight in weights]
    assert spoken.ends.tolist() == np.cumsum([len(rows) for rows, _ in expected]).tolist()
    parts = [
        share * weight
        for share, (_, weights) in zip(world.shares.values(), expected, strict=True)
        for weight in weights
    ]
    assert spoken.parts.tolist() == parts


@given(st.lists(st.integers(0, 20), max_size=40))
def test_slot_is_where_an_item_stands_last(rows: list[int]) -> None:
    """Whatever the thread's memory holds from before, and each item is among the distinct once."""
    slots, distinct = slots_of(np.array(rows, dtype=np.intp), 21)
    assert slots.tolist() == [len(rows) - 1 - rows[::-1].index(row) for row in rows]
    assert sorted(rows[place] for place in distinct) == sorted(set(rows))
