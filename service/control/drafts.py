"""Documents that are not saved, put in the place of the stored ones for one preview."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import msgspec
from msgspec import Meta

from models.pseudonym import Pseudonymiser
from service.control.configuration import Configuration
from service.control.documents import Banner, Placement
from service.control.forced import pseudonymise_forced
from service.control.rule import Rule
from service.rollouts.compiled import compile_rollouts
from service.rollouts.definition import Rollout

MAX_DRAFTS = 50


class Drafts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Documents as they might be saved; each names itself, by `id` or `key`."""

    placements: Annotated[tuple[Placement, ...], Meta(max_length=MAX_DRAFTS)] = ()
    banners: Annotated[tuple[Banner, ...], Meta(max_length=MAX_DRAFTS)] = ()
    rules: Annotated[tuple[Rule, ...], Meta(max_length=MAX_DRAFTS)] = ()
    rollouts: Annotated[tuple[Rollout, ...], Meta(max_length=MAX_DRAFTS)] = ()

    def __post_init__(self) -> None:
        documents: tuple[Placement | Banner | Rule, ...]
        documents = (*self.placements, *self.banners, *self.rules)
        if any(not one.id for one in documents) or any(not one.key for one in self.rollouts):
            raise ValueError("a draft has no id, or no key; say which document it stands for")


def with_drafts(
    configuration: Configuration, drafts: Drafts, pseudonymiser: Pseudonymiser
) -> Configuration:
    """Return the state as it would be with these documents saved; nothing else changes."""
    rollouts = configuration.rollouts
    if drafts.rollouts:
        written = {key: one.definition for key, one in rollouts.items()}
        for draft in drafts.rollouts:
            forced = pseudonymise_forced(draft.forced, draft.unit, pseudonymiser)
            written[draft.key] = msgspec.structs.replace(draft, forced=forced)
        rollouts = compile_rollouts(written.values(), configuration.layers, configuration.holdout)
    return dataclasses.replace(
        configuration,
        placements=configuration.placements | {one.id: one for one in drafts.placements},
        banners=configuration.banners | {one.id: one for one in drafts.banners},
        rules=configuration.rules | {one.id: one for one in drafts.rules},
        rollouts=rollouts,
    )
