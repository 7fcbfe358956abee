"""What documents say of each other: layers, prerequisites, lists and placements that must exist.

Checked inside the transaction of a change, so what it leans on cannot go at the same time.
"""

from __future__ import annotations

from models.errors import ConflictError, InputError
from models.ids import list_known
from service.control.current import decode_document
from service.control.documents import Banner, Document, DocumentKind, Placement
from service.control.rule import Rule
from service.control.slots import check_layer, check_share, move_slots
from service.rollouts.conditions import Condition, empty_bounds, segments_of
from service.rollouts.definition import CONTROL, Rollout
from service.rollouts.fields import ppm_of
from service.rollouts.layer import HOLDOUT_ID, Holdout, Layer
from service.rollouts.segment import INTENT_PREFIX, INTENT_SEGMENTS, Segment
from service.stores.control import ControlTransaction


def follow_change(
    transaction: ControlTransaction,
    kind: DocumentKind,
    document_id: str,
    *,
    before: Document | None,
    after: Document | None,
    now_ms: int,
) -> None:
    """Check what a change leans on and what leans on it, and move slots of layers with it.

    Raises
    ------
    InputError
        If the document names something that does not exist, or rollouts would require each other.
    ConflictError
        If another document needs what would go, or a slot is not free.
    """
    _check_bounds(before, after)
    _check_shares(before, after)
    match kind:
        case "rollout":
            _follow_rollout(transaction, document_id, after, now_ms)
        case "rule" | "banner" | "placement":
            _check_named(transaction, after)
        case "layer":
            check_layer(transaction, before, after if isinstance(after, Layer) else None)
        case "segment":
            _check_segment(transaction, document_id, before, after)
        case "holdout":
            _check_holdout(document_id, before, after)
        case _:
            pass


def _check_bounds(before: Document | None, after: Document | None) -> None:
    """Refuse a new audience that can let in nobody; one that stood there before stops no kill."""
    if not isinstance(after, Rollout | Banner | Rule | Placement | Segment):
        return
    known = _audiences(before) if isinstance(before, type(after)) else []
    for audience in _audiences(after):
        empty = None if audience is None or audience in known else empty_bounds(audience)
        if empty is not None:
            raise InputError(
                f"no value lies {empty}, so a condition of the audience never holds; "
                "swap the bounds, or leave one out"
            )


def _check_shares(before: Document | None, after: Document | None) -> None:
    """Refuse a new share that is not 0 and yet lets in nobody; an older one stops no kill."""
    known = _shares(before)
    for share in _shares(after):
        if share and not ppm_of(share) and share not in known:
            raise InputError(
                f"share {share:g} is less than a millionth, the finest there is, so nobody would "
                "be in; give at least 0.000001, or 0"
            )


def _shares(document: Document | None) -> list[float]:
    match document:
        case Rollout(share=share, ramp=ramp):
            return [share, *(step.share for step in (ramp.steps if ramp else ()))]
        case Holdout(share=share):
            return [share]
        case _:
            return []


def _follow_rollout(
    transaction: ControlTransaction, key: str, after: Document | None, now_ms: int
) -> None:
    rollout = after if isinstance(after, Rollout) else None
    rollouts = {one.key: one for one in _all(transaction, "rollout") if isinstance(one, Rollout)}
    rollouts.pop(key, None)
    _check_required_by_others(key, rollout, rollouts)
    layer = None
    if rollout is not None:
        _check_prerequisites(rollout, rollouts)
        _check_segments(transaction, rollout.audience)
        if rollout.layer is not None:
            layers = {one.key: one for one in _all(transaction, "layer") if isinstance(one, Layer)}
            layer = layers.get(rollout.layer.key)
            check_share(rollout.layer, rollout.unit, layer, sorted(layers))
    move_slots(transaction, key, rollout, layer, now_ms)


def _check_prerequisites(rollout: Rollout, others: dict[str, Rollout]) -> None:
    for one in rollout.prerequisites:
        if one.rollout == rollout.key:
            raise InputError(
                f"rollout {rollout.key!r} is a prerequisite of itself; leave it out, or name "
                "another rollout"
            )
        required = others.get(one.rollout)
        if required is None:
            raise InputError(
                f"prerequisite {one.rollout!r} is not configured; {list_known(others)}; "
                f"add it with PUT /v1/rollouts/{one.rollout}"
            )
        unknown = set(one.variants) - _variants(required)
        if unknown:
            raise InputError(
                f"prerequisite {one.rollout!r} has no variant {min(unknown)!r}; "
                f"{list_known(_variants(required))}"
            )
    path = _path_back(rollout, others)
    if path:
        raise InputError(
            f"rollouts would require each other: {' → '.join(path)}; leave one prerequisite out"
        )


def _check_named(transaction: ControlTransaction, after: Document | None) -> None:
    """Hold a rule, a banner or a placement to the lists and placements that it names."""
    if isinstance(after, Rule | Banner | Placement):
        for audience in _audiences(after):
            _check_segments(transaction, audience)
    if isinstance(after, Rule) and after.placements:
        known = {stored.id for stored in transaction.list_documents("placement")}
        missing = next((one for one in after.placements if one not in known), None)
        if missing is not None:
            raise InputError(
                f"placement {missing!r} of the rule is not configured; {list_known(known)}; "
                f"add it with PUT /v1/placements/{missing}, or name another"
            )


def _check_segments(transaction: ControlTransaction, audience: Condition | None) -> None:
    # A segment of the model is called `kind:name`, and comes and goes with the model.
    every = segments_of(audience)
    misspelt = {one for one in every if one.startswith(INTENT_PREFIX)} - set(INTENT_SEGMENTS)
    if misspelt:
        raise InputError(
            f"segment {min(misspelt)!r} of the audience is no intent; {list_known(INTENT_SEGMENTS)}"
        )
    asked = {key for key in every if ":" not in key}
    if not asked:
        return
    known = {stored.id for stored in transaction.list_documents("segment")}
    if asked - known:
        missing = min(asked - known)
        raise InputError(
            f"segment {missing!r} of the audience is not uploaded; {list_known(known)}; "
            f"upload it with PUT /v1/segments/{missing}/members, or make it by a rule with PUT "
            f"/v1/segments/{missing}"
        )


def _check_segment(
    transaction: ControlTransaction, key: str, before: Document | None, after: Document | None
) -> None:
    if isinstance(after, Segment):
        _check_kind(transaction, key, before, after)
        return
    kinds: tuple[DocumentKind, ...] = ("rollout", "banner", "rule", "placement", "segment")
    for kind in kinds:
        for one in _all(transaction, kind):
            if not isinstance(one, Rollout | Banner | Rule | Placement | Segment):
                continue
            if any(key in segments_of(audience) for audience in _audiences(one)):
                name = one.key if isinstance(one, Rollout | Segment) else one.id
                raise ConflictError(
                    f"segment {key!r} is asked by the audience of {kind} {name!r}; "
                    "change that one first"
                )


def _check_kind(
    transaction: ControlTransaction, key: str, before: Document | None, after: Segment
) -> None:
    """Hold a segment to what it is, and a rule to lists: one that asks rules could ask itself."""
    if isinstance(before, Segment) and (before.rule is None) != (after.rule is None):
        is_now = "an uploaded list" if before.rule is None else "made by a rule"
        raise ConflictError(f"segment {key!r} is {is_now}; delete it first, or take another key")
    _check_segments(transaction, after.rule)
    rules = {
        one.key
        for one in _all(transaction, "segment")
        if isinstance(one, Segment) and one.rule is not None
    }
    asked = segments_of(after.rule) & (rules | {key})
    if asked:
        raise InputError(
            f"segment {key!r} asks segment {min(asked)!r}, which a rule makes; "
            "ask uploaded lists and segments of the model, and write the other conditions out"
        )


def _audiences(document: Rollout | Banner | Rule | Placement | Segment) -> list[Condition | None]:
    if isinstance(document, Placement):
        return [one.audience for one in document.recipes]
    return [document.rule if isinstance(document, Segment) else document.audience]


def _path_back(rollout: Rollout, others: dict[str, Rollout]) -> list[str]:
    """Find a chain of prerequisites from a rollout back to itself; empty if there is none."""
    stack = [[rollout.key, one.rollout] for one in rollout.prerequisites]
    seen: set[str] = set()
    while stack:
        path = stack.pop()
        if path[-1] == rollout.key:
            return path
        if path[-1] not in seen:
            seen.add(path[-1])
            required = others.get(path[-1])
            if required is not None:
                stack.extend([*path, one.rollout] for one in required.prerequisites)
    return []


def _check_required_by_others(key: str, after: Rollout | None, others: dict[str, Rollout]) -> None:
    known = set() if after is None else _variants(after)
    for other in others.values():
        for one in other.prerequisites:
            missing = set(one.variants) - known
            if one.rollout == key and missing:
                gone = f"variant {min(missing)!r} of {key!r}" if after else f"rollout {key!r}"
                raise ConflictError(
                    f"{gone} is a prerequisite of rollout {other.key!r}; change that one first"
                )


def _check_holdout(document_id: str, before: Document | None, after: Document | None) -> None:
    if document_id != HOLDOUT_ID:
        raise InputError(f"there is one holdout, {HOLDOUT_ID!r}; use /v1/holdout")
    if (
        isinstance(before, Holdout)
        and isinstance(after, Holdout)
        and before.share
        and before.salt != after.salt
    ):
        raise ConflictError(
            f"another salt would choose other units for a running holdout of {before.share:.4%}; "
            "end it with share 0, then begin a new one with its own salt"
        )


def _all(transaction: ControlTransaction, kind: DocumentKind) -> list[Document]:
    return [decode_document(stored) for stored in transaction.list_documents(kind)]


def _variants(rollout: Rollout) -> set[str]:
    return {CONTROL, *(variant.key for variant in rollout.variants)}
