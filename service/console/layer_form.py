"""A rollout's part of a layer as fields of a form: which layer, how much of it; and who has it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from service.console.form import Form, FormError
from service.console.formatting import number
from service.control.slots import SlotUse
from service.rollouts.definition import Rollout
from service.rollouts.layer import Layer, ranges_of

N_TONES = 5
_RANGE = re.compile(r"(\d+)(?:\s*(?:-|–|to)\s*(\d+))?")


@dataclass(frozen=True, slots=True)
class Part:
    """Slots of a layer that one rollout has, or gave back."""

    rollout: str
    n_slots: int
    share: float
    """Of the layer, 0 to 1."""
    rests_until: datetime | None
    tone: int


@dataclass(frozen=True, slots=True)
class Stretch:
    """Neighbouring slots in the drawing of a layer, in shares of it."""

    begin: float
    width: float
    tone: int
    rests: bool


@dataclass(frozen=True, slots=True)
class LayerView:
    """A layer and who has how much of it."""

    layer: Layer
    use: tuple[SlotUse, ...]

    @property
    def key(self) -> str:
        """Its key."""
        return self.layer.key

    @property
    def title(self) -> str:
        """What people call it."""
        return self.layer.name or self.layer.key

    @property
    def parts(self) -> list[Part]:
        """Who has how much, the largest first; what rests is last."""
        counted: dict[tuple[str, datetime | None], int] = {}
        for one in self.use:
            owner = one.rollout, one.rests_until
            counted[owner] = counted.get(owner, 0) + one.last - one.first + 1
        tones = self._tones()
        parts = [
            Part(rollout, n, n / self.layer.n_slots, until, tones[rollout])
            for (rollout, until), n in counted.items()
        ]
        return sorted(parts, key=lambda one: (one.rests_until is not None, -one.n_slots))

    @property
    def stretches(self) -> list[Stretch]:
        """What is drawn."""
        n, tones = self.layer.n_slots, self._tones()
        return [
            Stretch(
                begin=one.first / n,
                width=(one.last - one.first + 1) / n,
                tone=tones[one.rollout],
                rests=one.rests_until is not None,
            )
            for one in self.use
        ]

    @property
    def free_share(self) -> float:
        """How much of it nobody has, 0 to 1."""
        return len(self.free()) / self.layer.n_slots

    @property
    def is_owned(self) -> bool:
        """Whether a rollout has a slot, so that it can neither be cut anew nor deleted."""
        return any(one.rests_until is None for one in self.use)

    def free(self, rollout: str | None = None) -> list[int]:
        """List the slots that a rollout may take: those that nobody has, and what it gave back."""
        taken = {
            slot
            for one in self.use
            if one.rests_until is None or one.rollout != rollout
            for slot in range(one.first, one.last + 1)
        }
        return [slot for slot in range(self.layer.n_slots) if slot not in taken]

    def _tones(self) -> dict[str, int]:
        owners = dict.fromkeys(one.rollout for one in self.use)
        return {owner: 1 + place % N_TONES for place, owner in enumerate(owners)}


def layer_fields(rollout: Rollout, layers: Mapping[str, LayerView]) -> dict[str, tuple[str, ...]]:
    """Write a rollout's part of its layer as fields."""
    part = rollout.layer
    if part is None:
        return {"layer": ("",), "layer_share": ("",), "layer_slots": ("",)}
    view = layers.get(part.key)
    return {
        "layer": (part.key,),
        "layer_share": (number(100 * len(part.numbers) / view.layer.n_slots) if view else "",),
        "layer_slots": (slots_text(part.slots),),
    }


def read_layer(form: Form, base: Rollout, layers: Mapping[str, LayerView]) -> Any:
    """Read which slots of which layer are wanted; nothing outside of layers.

    A share keeps the slots that the rollout has and adds free ones, or gives the last ones back;
    slots that were typed are taken as they are.

    Raises
    ------
    FormError
        If the layer has not so much left, or what was typed cannot be read.
    """
    key = form.text("layer")
    if not key:
        return None
    view = layers.get(key)
    if view is None:
        raise FormError("layer", f"layer {key!r} is not there any more; choose another")
    before = {name: values[0] for name, values in layer_fields(base, layers).items()}
    typed = form.text("layer_slots")
    if typed and typed != before["layer_slots"]:
        return {"key": key, "slots": _read_slots(typed)}
    is_same = base.layer is not None and base.layer.key == key
    if is_same and typed and form.text("layer_share") == before["layer_share"]:
        return {"key": key, "slots": _read_slots(typed)}
    owned = sorted(base.layer.numbers) if is_same and base.layer else []
    return {"key": key, "slots": _allot(form, view, base.key, owned)}


def _allot(form: Form, view: LayerView, rollout: str, owned: list[int]) -> list[tuple[int, int]]:
    n_slots = view.layer.n_slots
    wanted = round(form.number("layer_share", "How much of it") / 100 * n_slots)
    least = 100 / n_slots
    if not 1 <= wanted <= n_slots:
        raise FormError("layer_share", f"write from {least:g} to 100; a slot is {least:g} %")
    slots = [*owned, *(slot for slot in view.free(rollout) if slot not in owned)]
    if wanted > len(slots):
        left = 100 * len(slots) / n_slots
        raise FormError(
            "layer_share", f"only {left:g} % of this layer can be had; others have the rest"
        )
    return ranges_of(slots[:wanted])


def slots_text(slots: Iterable[tuple[int, int]]) -> str:
    """Write ranges of slots as people do."""
    return ", ".join(f"{a}" if a == b else f"{a}-{b}" for a, b in slots)


def _read_slots(typed: str) -> list[tuple[int, int]]:
    ranges = []
    for part in typed.split(","):
        found = _RANGE.fullmatch(part.strip())
        if found is None:
            raise FormError("layer_slots", f"{part.strip()!r}: write ranges as 0-99, 150-199")
        ranges.append((int(found[1]), int(found[2] or found[1])))
    return ranges
