"""Rules at work on candidates: what is hidden is taken out, what is boosted or buried moves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec
import numpy as np

from service.serve.rules import ActingRules, are_among
from service.serve.shelf import Layer, Shelf, rounded


def ruled(layers: Iterable[Layer], rules: ActingRules | None, shelf: Shelf) -> Iterator[Layer]:
    """Give the layers as the rules leave them; without rules, as they are.

    A boost or a bury moves an item inside its tier and source, whose scores can be compared; lists
    without scores keep their order.
    """
    if rules is None:
        yield from layers
        return
    for layer in _joined(layers) if rules.factors else layers:
        yield _apply(layer, rules, shelf)


def _apply(layer: Layer, rules: ActingRules, shelf: Shelf) -> Layer:
    rows = np.asarray(layer.rows, dtype=np.int64)
    order = np.flatnonzero(~are_among(rows, rules.hidden_rows))
    if rules.hidden_ids:
        hidden = [
            place
            for place in np.flatnonzero(rows < 0).tolist()
            if shelf.item(layer.rows[place]).id in rules.hidden_ids
        ]
        order = np.setdiff1d(order, hidden)
    scores = layer.scores
    if rules.factors and scores is not None:
        before = np.asarray(scores, dtype=np.float64)
        factors = rules.factors_of(rows)
        # The factor part of a score may be negative: a boost then brings it nearer to zero.
        after = np.where(before < 0, before / factors, before * factors)
        order = order[np.argsort(-after[order], kind="stable")]
        scores = rounded(after)
    if scores is layer.scores and len(order) == len(rows):
        return layer
    places: list[int] = order.tolist()
    because = layer.because
    return msgspec.structs.replace(
        layer,
        rows=[layer.rows[place] for place in places],
        scores=None if scores is None else [scores[place] for place in places],
        because=None if because is None else [because[place] for place in places],
    )


def _joined(layers: Iterable[Layer]) -> Iterator[Layer]:
    """Put together the two parts of a personal list, so that a boost reaches across."""
    waiting: Layer | None = None
    for layer in layers:
        if waiting is None:
            waiting = layer
        elif layer.tier == "personal" and layer.source == waiting.source:
            waiting = _with_rest(waiting, layer)
        else:
            yield waiting
            waiting = layer
        if waiting.tier != "personal":
            yield waiting
            waiting = None
    if waiting is not None:
        yield waiting


def _with_rest(head: Layer, rest: Layer) -> Layer:
    scores, because = head.scores, head.because
    return msgspec.structs.replace(
        head,
        rows=head.rows + rest.rows,
        scores=None if scores is None or rest.scores is None else scores + rest.scores,
        because=None if because is None or rest.because is None else because + rest.because,
    )
