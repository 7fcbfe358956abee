"""Items that people met and that the catalogue does not list: told, and not offered for sale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from models.errors import InputError
from models.plural import plural


class Unlisted(msgspec.Struct, frozen=True, kw_only=True):
    """How much of the interactions is about items that the catalogue does not list."""

    items: int
    share: float
    """Of the interactions, 0 to 1."""
    example: str
    """Id of the one that was met most."""
    alike: int = 0
    """Of the items, how many differ from a listed one in blanks around or in case alone."""

    @classmethod
    def find(
        cls, names: Sequence[str], item_rows: NDArray[np.int32], is_listed: NDArray[np.bool_]
    ) -> Self | None:
        """Count them; nothing where every item is listed.

        `item_rows` are those of the interactions, `is_listed` says it of each of `names`.

        Raises
        ------
        InputError
            If no item of the interactions is listed: ids must be written differently.
        """
        counts = np.bincount(item_rows, minlength=len(names))
        missing = np.where(is_listed, 0, counts)
        if not missing.any():
            return None
        example = names[int(missing.argmax())]
        plain = {_plain(name): name for name, known in zip(names, is_listed, strict=True) if known}
        if missing.sum() == counts.sum():
            listed = plain.get(_plain(example), next(iter(plain.values())))
            raise InputError(
                f"no item of the interactions is in the catalog: {example!r} is not, and the "
                f"catalog lists {listed!r}; if they are written differently, name what makes them "
                "alike under [items] in the file of --mapping, such as normalise = "
                '["strip", "upper"]; else give the catalog that belongs to the interactions'
            )
        share = round(float(missing.sum() / counts.sum()), 6)
        unlisted = np.flatnonzero(missing).tolist()
        alike = sum(_plain(names[row]) in plain for row in unlisted)
        return cls(items=len(unlisted), share=share, example=example, alike=alike)

    def tell(self, *, is_offered: bool) -> str:
        """Say it in a line."""
        follows = (
            "they are recommended without a title; take out only_listed = false to hide them"
            if is_offered
            else "they count as unavailable; only_listed = false under [catalog] in the file of "
            "--mapping offers them"
        )
        return (
            f"not in the catalog: {plural(self.items, 'item')} of {self.share:.1%} of the "
            f"interactions, such as {self.example!r}; {follows}"
            + (
                f"; {self.alike} of them would be, but for blanks around or case: set normalise "
                "under [items]"
                if self.alike
                else ""
            )
        )


def _plain(name: str) -> str:
    return name.strip().casefold()
