"""Slots of layers change hands together with the documents that say so, or not at all."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import groupby
from typing import Annotated

import msgspec
from msgspec import Meta

from models.errors import ConflictError, InputError
from models.ids import list_known
from service.control.documents import Document
from service.rollouts.definition import Rollout
from service.rollouts.layer import Layer, LayerShare, ranges_of
from service.stores.control import ControlTransaction
from service.stores.layer_slots import StoredSlot

DAY_MS = 86_400_000


class SlotUse(msgspec.Struct, frozen=True, kw_only=True):
    """Neighbouring slots that one rollout owns, or gave back a while ago."""

    first: int
    last: int
    rollout: Annotated[str, Meta(description="who owns them, or owned them last")]
    rests_until: Annotated[
        datetime | None, Meta(description="null while they are owned; then nobody else may until")
    ] = None


class SlotError(ConflictError):
    """A slot belongs to another rollout, or rests."""

    code = "slot_taken"


def move_slots(
    transaction: ControlTransaction,
    key: str,
    after: Rollout | None,
    layer: Layer | None,
    now_ms: int,
) -> None:
    """Give back the slots that a rollout no longer names and claim those that it newly names.

    Raises
    ------
    SlotError
        If another rollout owns one of them, or gave it back less than the layer's rest ago.
    """
    share = None if after is None else after.layer
    slots = transaction.slots
    keep = None if share is None else (share.key, share.numbers)
    slots.free(key, now_ms, keep=keep)
    if share is None or layer is None:
        return
    wanted = share.numbers
    known = [stored for stored in slots.list(share.key) if stored.slot in wanted]
    _check_free(known, key, layer, now_ms)
    owned = {stored.slot for stored in known if stored.owner == key}
    slots.claim(share.key, wanted - owned, key)


def use_of_slots(transaction: ControlTransaction, layer: Layer, now_ms: int) -> list[SlotUse]:
    """List the slots of a layer that are owned or rest."""

    def until(stored: StoredSlot) -> datetime | None:
        if stored.owner is not None:
            return None
        return datetime.fromtimestamp(_rested_ms(stored, layer) / 1000, UTC)

    stored = [
        one
        for one in transaction.slots.list(layer.key)
        if one.owner is not None or _rested_ms(one, layer) > now_ms
    ]
    uses: list[SlotUse] = []
    for (rollout, rests_until), group in groupby(stored, lambda one: (one.last_owner, until(one))):
        uses.extend(
            SlotUse(first=first, last=last, rollout=rollout, rests_until=rests_until)
            for first, last in ranges_of(one.slot for one in group)
        )
    return uses


def check_share(share: LayerShare, unit: str, layer: Layer | None, layers: list[str]) -> None:
    """Raise `InputError` unless the layer exists, has these slots and hashes the same unit."""
    if layer is None:
        raise InputError(
            f"layer {share.key!r} is not configured; {list_known(layers)}; "
            f"add it with PUT /v1/layers/{share.key}"
        )
    last = max(share.numbers)
    if last >= layer.n_slots:
        raise InputError(
            f"slot {last} is beyond layer {share.key!r}, which has the slots 0 to "
            f"{layer.n_slots - 1}"
        )
    if layer.unit != unit:
        raise InputError(
            f"unit {unit!r} is not the unit of layer {share.key!r}, {layer.unit!r}; rollouts of "
            "one layer hash the same unit, or they would share people; change one of the two"
        )


def check_layer(
    transaction: ControlTransaction, before: Document | None, after: Layer | None
) -> None:
    """Refuse to delete a layer, or to move its units to other slots, while a rollout owns one."""
    if not isinstance(before, Layer):
        return
    is_moved = after is not None and (
        (before.n_slots, before.salt or before.key, before.unit)
        != (after.n_slots, after.salt or before.key, after.unit)
    )
    if after is not None and not is_moved:
        return
    owners = {stored.owner for stored in transaction.slots.list(before.key) if stored.owner}
    if owners:
        refused = "deleted" if after is None else "changed in n_slots, salt or unit"
        raise ConflictError(
            f"layer {before.key!r} cannot be {refused}: "
            f"rollouts own slots of it ({list_known(owners)}); take them out of the layer first"
        )
    transaction.slots.forget(before.key)


def _check_free(known: list[StoredSlot], key: str, layer: Layer, now_ms: int) -> None:
    taken = [stored for stored in known if stored.owner not in (None, key)]
    if taken:
        owner = taken[0].owner
        slots = ranges_of(stored.slot for stored in taken if stored.owner == owner)
        raise SlotError(
            f"slots {_shown(slots)} of layer {layer.key!r} belong to rollout {owner!r}; "
            f"GET /v1/layers/{layer.key}/slots says what is free"
        )
    resting = [
        stored
        for stored in known
        if stored.owner is None and stored.last_owner != key and _rested_ms(stored, layer) > now_ms
    ]
    if resting:
        until_ms = max(_rested_ms(stored, layer) for stored in resting)
        until = datetime.fromtimestamp(until_ms / 1000, UTC).isoformat(timespec="seconds")
        slots = ranges_of(stored.slot for stored in resting)
        raise SlotError(
            f"slots {_shown(slots)} of layer {layer.key!r} rest until {until}, after rollout "
            f"{resting[0].last_owner!r}; take others, or shorten rest_days of the layer"
        )


def _rested_ms(stored: StoredSlot, layer: Layer) -> int:
    return (stored.freed_at_ms or 0) + int(layer.rest_days * DAY_MS)


def _shown(ranges: list[tuple[int, int]]) -> str:
    return ", ".join(f"{a}" if a == b else f"{a} to {b}" for a, b in ranges[:5])
