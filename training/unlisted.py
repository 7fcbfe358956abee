"""Items that people met and that the catalogue does not list: told, and not offered for sale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from models.errors import InputError


class Unlisted(msgspec.Struct, frozen=True, kw_only=True):
    """How much of the interactions is about items that the catalogue does not list."""

    items: int
    share: float
    """Of the interactions, 0 to 1."""
    example: str
    """Id of the one that was met most."""

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
        if missing.sum() == counts.sum():
            listed = next(name for name, known in zip(names, is_listed, strict=True) if known)
            raise InputError(
                f"no item of the interactions is in the catalog: {example!r} is not, and the "
                f"catalog lists {listed!r}; if they are written differently, name what makes them "
                "alike under [items] in the file of --mapping, such as normalise = "
                '["strip", "upper"]; else give the catalog that belongs to the interactions'
            )
        share = round(float(missing.sum() / counts.sum()), 6)
        return cls(items=int((missing > 0).sum()), share=share, example=example)

    def tell(self, *, is_offered: bool) -> str:
        """Say it in a line."""
        follows = (
            "they are recommended without a title; take out only_listed = false to hide them"
            if is_offered
            else "they count as unavailable; only_listed = false under [catalog] in the file of "
            "--mapping offers them"
        )
        return (
            f"not in the catalog: {self.items} items of {self.share:.1%} of the interactions, "
            f"such as {self.example!r}; {follows}"
        )
