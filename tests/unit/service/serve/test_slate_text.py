"""A slate as text: byte for byte what encoding its structs would write."""

import msgspec
import pytest

from service.exposure import Shown
from service.serve.page import ServedItem
from service.serve.slate_text import CARD, write_slate
from service.serve.stock import Item

TRAPS = [
    "plain",
    '"score":null,',
    '"because":null,',
    ',"attributes":\n',
    '{"because":null,"attributes":\n}',
    "line\nbreak",
    "ünï \u2028 \x00",
]
CARDS = [
    b"{}",
    b'{"title":"a"}',
    b'{\n  "title": null,\n  "score":null,"because":null}',
    b'["\\n"]',
]


@pytest.mark.parametrize("because", [None, "rose", '"because":null,'])
@pytest.mark.parametrize("score", [None, 0.0, 1.25e-7, 3.0])
def test_texts_are_what_structs_become(score: float | None, because: str | None) -> None:
    """Ids and cards that look like what is looked for, with and without what may be missing."""
    items = [
        Item(n, item_id, msgspec.Raw(CARDS[n % len(CARDS)]), -1, -1)
        for n, item_id in enumerate(TRAPS)
    ]
    served = [_served(item, n, score, because) for n, item in enumerate(items, 1)]
    shown = tuple(
        Shown(id=one.id, position=one.position, score=score, source=one.source, because=because,
              propensity=one.propensity)
        for one in served
    )  # fmt: skip
    without = [msgspec.structs.replace(one, attributes=CARD) for one in served]
    text = write_slate(without, [item.attributes for item in items])
    assert bytes(text.served) == msgspec.json.encode(served)
    assert bytes(text.shown) == msgspec.json.encode(shown)
    assert text.n_bytes == len(bytes(text.served)) + len(bytes(text.shown))
    assert text.read() == (tuple(served), shown)


def test_empty_slate() -> None:
    """There is nothing to put a card into."""
    text = write_slate([], [])
    assert bytes(text.served) == bytes(text.shown) == b"[]"
    assert text.read() == ((), ())


def _served(item: Item, position: int, score: float | None, because: str | None) -> ServedItem:
    return ServedItem(
        id=item.id,
        position=position,
        score=score,
        source="graph",
        because=because,
        propensity=0.5,
        attributes=item.attributes,
    )
