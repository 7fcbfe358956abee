"""Finds which of very many texts stand in a long one, in a single pass over it.

A user who signs in where no cookie lasts may have been tens of thousands of visitors; to look for
one after the other takes as many passes over a whole home.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

FEW = 16
"""So many are found one after the other at least as fast."""
_WORD_BYTES = 8
_TABLE_BITS = 22
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
"""Of multiplicative hashing: 2 to the 64 by the golden ratio."""
_SHIFT = np.uint64(64 - _TABLE_BITS)


class ManyTexts:
    """Texts as bytes, none of them empty.

    Each begins with a word of eight bytes. Words of the long text, at every offset, are looked up
    in a table of bits that knows most of those that are nobody's; what is left is compared.
    """

    def __init__(self, texts: Collection[bytes]) -> None:
        self.longest = max(map(len, texts), default=0)
        is_few = len(texts) <= FEW
        self._few = [text for text in texts if is_few or len(text) < _WORD_BYTES]
        self._by_word: dict[int, list[bytes]] = {}
        for text in () if is_few else texts:
            if len(text) >= _WORD_BYTES:
                word = int.from_bytes(text[:_WORD_BYTES], "little")
                self._by_word.setdefault(word, []).append(text)
        self._words = np.array(sorted(self._by_word), dtype="<u8")
        self._may_begin = np.zeros(1 << _TABLE_BITS if self._by_word else 0, dtype=bool)
        if self._by_word:
            self._may_begin[_hashes(self._words)] = True

    def found_in(self, data: bytes) -> set[bytes]:
        """Return those that stand in `data`."""
        found = {text for text in self._few if text in data}
        if self._by_word:
            for offset in range(min(_WORD_BYTES, len(data) - _WORD_BYTES + 1)):
                found.update(self._found_at(data, offset))
        return found

    def _found_at(self, data: bytes, offset: int) -> set[bytes]:
        """Return those that begin at an offset or a whole number of words behind it."""
        n_words = (len(data) - offset) // _WORD_BYTES
        words = np.frombuffer(data, dtype="<u8", count=n_words, offset=offset)
        places = np.flatnonzero(self._may_begin[_hashes(words)])
        # Few are left, so the exact look costs little.
        near = np.minimum(np.searchsorted(self._words, words[places]), len(self._words) - 1)
        places = places[self._words[near] == words[places]]
        return {
            text
            for place in places.tolist()
            for text in self._by_word[int(words[place])]
            if data.startswith(text, offset + place * _WORD_BYTES)
        }


def _hashes(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    hashes: NDArray[np.uint64] = (words * _MULTIPLIER) >> _SHIFT
    return hashes
