"""POST /v1/rollouts/{key}/preview-change: whom a change would move, before it is made."""

from __future__ import annotations

from typing import Annotated

import msgspec
from litestar import post
from litestar.params import JSONBody
from msgspec import Meta

from service.control.consent import Consent, JumpError, is_jump
from service.control.precondition import Precondition
from service.control.writing import Change
from service.middleware.access import needs, principal_of
from service.middleware.json_body import broken_rule
from service.rollouts.compiled import CompiledRollout
from service.rollouts.definition import Rollout
from service.rollouts.reach import MAX_UNITS, Reach, measure_reach
from service.routes.documents import (
    AnyRequest,
    Patch,
    PathId,
    Undo,
    check_path_id,
    problems,
    take_consent,
)
from service.services import services_of
from service.stores.known_visitors import read_known_visitors

DAYS = 30
MAX_EXPOSURES = 300_000
MIN_TREATED = 100
"""Known units that are treated now, below which a multiple of them says nothing."""
REACHING = frozenset({"audience", "layer", "holdout", "prerequisites"})
"""What changes who is treated beside the share."""
_YES = Consent(new_phase=True, confirm=True)


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """What the numbers rest on. They are counts of these units; nothing is scaled up."""

    days: Annotated[int, Meta(description="how far back exposures count")] = DAYS
    exposures: Annotated[int, Meta(description="the newest exposures, which were read")]
    exposures_since: Annotated[int, Meta(description="all exposures of these days")]
    is_whole: Annotated[
        bool, Meta(description="false if there were more exposures or units than are looked at")
    ]


class ChangePreview(msgspec.Struct, frozen=True, kw_only=True):
    """Whom a change would move."""

    rollout: str
    wants_confirm: Annotated[bool, Meta(description="whether it is refused without `confirm`")]
    reach: Reach
    sample: Sample


@post(
    "/v1/rollouts/{rollout_key:str}/preview-change",
    operation_id="previewRolloutChange",
    summary="See whom a change would move",
    tags=["rollouts"],
    opt=needs("merchandiser"),
    status_code=200,
    responses=problems(404, 409, 413, 503),
    sync_to_thread=True,
)
def preview_change(
    request: AnyRequest, rollout_key: PathId, data: JSONBody[Patch]
) -> ChangePreview:
    """Try a JSON Merge Patch on the units seen in the last 30 days; nothing is changed.

    Says how many would be treated who are not, no longer be treated, or be treated otherwise.
    """
    check_path_id(rollout_key, "rollout key")
    return preview(request, rollout_key, take_consent(data)[0])


def check_reach(request: AnyRequest, rollout_key: str, patch: Patch, consent: Consent) -> None:
    """Refuse a patch of the audience or the like that would treat many times more known units."""
    if consent.confirm or not REACHING & patch.keys():
        return
    _refuse_jump(preview(request, rollout_key, patch))


def check_replaced_reach(
    request: AnyRequest, rollout_key: str, document: Rollout, consent: Consent
) -> None:
    """As `check_reach`, for a whole document."""
    if not consent.confirm:
        control, change = services_of(request).control, _trial(request, rollout_key)
        _check_difference(request, rollout_key, control.try_put(change, document))


def check_undone_reach(request: AnyRequest, rollout_key: str, undo: Undo) -> None:
    """As `check_reach`, for the state of an earlier revision."""
    if not undo.confirm:
        control, change = services_of(request).control, _trial(request, rollout_key)
        _check_difference(request, rollout_key, control.try_undo(change, undo.revision))


def _check_difference(
    request: AnyRequest,
    rollout_key: str,
    found: tuple[CompiledRollout, CompiledRollout] | None,
) -> None:
    if found is None:
        return
    before, after = found[0].definition, found[1].definition
    if any(getattr(before, name) != getattr(after, name) for name in REACHING):
        _refuse_jump(_measure(request, rollout_key, *found))


def _refuse_jump(found: ChangePreview) -> None:
    moved = found.reach.all
    if found.wants_confirm and moved.treated_before >= MIN_TREATED:
        raise JumpError(
            f"of {moved.units} units that were here lately rollout {found.rollout!r} would treat "
            f"{moved.treated_after}, which is more than five times the {moved.treated_before} of "
            f"now; see who with POST /v1/rollouts/{found.rollout}/preview-change, then send "
            '"confirm": true'
        )


def preview(request: AnyRequest, rollout_key: str, patch: Patch) -> ChangePreview:
    """Work out whom a patch would move; blocking, for a thread."""
    try:
        before, after = services_of(request).control.try_patch(_trial(request, rollout_key), patch)
    except msgspec.ValidationError as error:
        raise broken_rule(patch, error) from error
    return _measure(request, rollout_key, before, after)


def _trial(request: AnyRequest, rollout_key: str) -> Change:
    actor = principal_of(request).key_id
    return Change("rollout", rollout_key, actor, Precondition(), _YES, is_approved=True)


def _measure(
    request: AnyRequest, rollout_key: str, before: CompiledRollout, after: CompiledRollout
) -> ChangePreview:
    services = services_of(request)
    now_ms = services.now_ms()
    known = read_known_visitors(
        services.settings.event_log,
        since_ms=now_ms - DAYS * 86_400_000,
        max_exposures=MAX_EXPOSURES,
    )
    reach = measure_reach(
        before,
        after,
        known.visitors,
        segments=services.engine.shelf().segments,
        now_ms=now_ms,
    )
    moved = reach.all
    return ChangePreview(
        rollout=rollout_key,
        wants_confirm=is_jump(before.definition, after.definition)
        or moved.treated_after > 5 * moved.treated_before >= 5 * MIN_TREATED,
        reach=reach,
        sample=Sample(
            exposures=known.n_read,
            exposures_since=known.n_since,
            is_whole=known.n_read == known.n_since and moved.units < MAX_UNITS,
        ),
    )
