"""The configuration: every document of the control plane, compiled, immutable, with its revision.

A request reads it once and works on that state to the end, whatever changes meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from service.control.documents import Banner, Document, ItemStatus, Placement
from service.control.fit import rollout_key_of
from service.control.rule import Rule
from service.rollouts.audience import compile_audience
from service.rollouts.compiled import CompiledRollout, compile_rollouts, turning_points_ms
from service.rollouts.definition import Rollout
from service.rollouts.layer import Holdout, Layer
from service.rollouts.segment import Segment
from service.rollouts.visitor import Members, RuleMembers

OpenSegment = Callable[[Segment], Members | None]
"""Finds the members of an uploaded list; nothing if they cannot be read."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """One state of the control plane; nobody changes it, the next state replaces it."""

    revision: int = 0
    """Grows by one with each change to any document."""
    flags_revision: int = 0
    """The newest revision that changed what a rollout answers."""
    placements: dict[str, Placement] = field(default_factory=dict)
    banners: dict[str, Banner] = field(default_factory=dict)
    rules: dict[str, Rule] = field(default_factory=dict)
    rollouts: dict[str, CompiledRollout] = field(default_factory=dict)
    layers: dict[str, Layer] = field(default_factory=dict)
    holdout: Holdout | None = None
    segments: dict[str, Members] = field(default_factory=dict)
    """Uploaded lists, and segments that rules make."""
    turning_points_ms: tuple[int, ...] = ()
    """Moments, ascending, at which a schedule or an audience begins or ends."""
    hidden_items: frozenset[str] = frozenset()
    unavailable_items: frozenset[str] = frozenset()
    """Set to unavailable here, whatever the catalogue of the model says."""
    available_items: frozenset[str] = frozenset()
    """Set to available here, whatever the catalogue of the model says."""

    @classmethod
    def compile(
        cls,
        revision: int,
        documents: Iterable[Document],
        *,
        flags_revision: int = 0,
        open_segment: OpenSegment = lambda _segment: None,
        before: Configuration | None = None,
    ) -> Configuration:
        """Sort documents by kind and work out what does not depend on a request.

        The rollouts of the state `before` go on where nothing that they are made of has changed.
        """
        placements: dict[str, Placement] = {}
        banners: dict[str, Banner] = {}
        rules: dict[str, Rule] = {}
        rollouts: list[Rollout] = []
        layers: dict[str, Layer] = {}
        holdout: Holdout | None = None
        segments: dict[str, Members] = {}
        statuses: list[ItemStatus] = []
        for document in documents:
            match document:
                case Placement():
                    placements[document.id] = document
                case Banner():
                    banners[document.id] = document
                case Rule():
                    rules[document.id] = document
                case Rollout():
                    rollouts.append(document)
                case Layer():
                    layers[document.key] = document
                case Holdout():
                    holdout = document
                case Segment():
                    members = _members_of(document, open_segment)
                    if members is not None:
                        segments[document.key] = members
                case ItemStatus():
                    statuses.append(document)
        if before is not None and before.flags_revision == flags_revision:
            compiled, turning_points = before.rollouts, before.turning_points_ms
        else:
            compiled = compile_rollouts(rollouts, layers, holdout)
            turning_points = turning_points_ms(rollouts)
        return cls(
            revision=revision,
            flags_revision=flags_revision,
            segments=segments,
            turning_points_ms=turning_points,
            placements=placements,
            banners=banners,
            rules=rules,
            rollouts=compiled,
            layers=layers,
            holdout=holdout,
            hidden_items=frozenset(s.item_id for s in statuses if s.hidden),
            unavailable_items=frozenset(s.item_id for s in statuses if s.available is False),
            available_items=frozenset(s.item_id for s in statuses if s.available is True),
        )

    def rollout_of(self, placement: Placement) -> CompiledRollout | None:
        """Find the rollout a placement names, else the one whose key is the placement's id."""
        return self.rollouts.get(rollout_key_of(placement))


def _members_of(segment: Segment, open_segment: OpenSegment) -> Members | None:
    if segment.rule is None:
        return open_segment(segment)
    return RuleMembers(compile_audience(segment.rule))
