"""What the routes of placements, banners, rollouts and items share: ids, ETags, preconditions."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar
from urllib.parse import unquote_to_bytes

import msgspec
from litestar import Request, Response
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import HeaderParameter, PathParameter
from msgspec import Meta

from models.errors import IdError
from models.ids import check_id
from service.control.approval import Proposal
from service.control.consent import NO_CONSENT, Consent
from service.control.documents import Document, DocumentKind
from service.control.precondition import Precondition
from service.control.writing import Change, Changed
from service.middleware.access import principal_of
from service.middleware.json_body import broken_rule
from service.middleware.problems import MEDIA_TYPE, BodyError, FieldError, Problem
from service.rollouts.definition import Rollout
from service.services import services_of

AnyRequest = Request[Any, Any, Any]
Patch = dict[str, Any]
D = TypeVar("D", bound=Document)

PathId = Annotated[
    str, PathParameter(description="1 to 256 bytes of UTF-8 without NUL, percent-encoded")
]
IfMatch = Annotated[
    str | None,
    HeaderParameter(
        name="If-Match",
        description="Changes only this revision, the ETag of an answer; else 412.",
    ),
]
IfNoneMatch = Annotated[
    str | None,
    HeaderParameter(name="If-None-Match", description="`*` creates, and never replaces. Else 412."),
]


class Undo(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which state to go back to."""

    revision: Annotated[int, Meta(ge=1, description="the document as it was after this change")]
    confirm: Annotated[bool, Meta(description="also if many times more units are treated")] = False
    new_phase: Annotated[bool, Meta(description="also if every unit is dealt anew")] = False


_PROBLEMS = {
    400: "The request breaks a rule; `errors` says where.",
    401: "No key, or one that is unknown or revoked.",
    403: "The key lacks the scope.",
    404: "What was named does not exist.",
    409: "The state does not allow it.",
    412: "It has changed since; `current` is its state now.",
    413: "The body is too large.",
    429: "A buffer is full; try again after `Retry-After` seconds.",
    503: "The store or a model version cannot be read or written.",
}
ALWAYS = (400, 401, 403)


def problems(*statuses: int) -> dict[int, ResponseSpec]:
    """Describe in OpenAPI the problems a route answers with, beside those of every route."""
    return {
        status: ResponseSpec(
            data_container=Problem,
            description=_PROBLEMS[status],
            media_type=MEDIA_TYPE,
            generate_examples=False,
        )
        for status in sorted({*ALWAYS, *statuses})
    }


def created(document: type[Document]) -> dict[int, ResponseSpec]:
    """Describe in OpenAPI that a PUT may also make the document."""
    return {
        201: ResponseSpec(
            data_container=document, description="It is new.", generate_examples=False
        )
    }


def or_proposal(responses: dict[int, ResponseSpec]) -> dict[int, ResponseSpec]:
    """Describe in OpenAPI that a change may wait for a second key."""
    waits = ResponseSpec(
        data_container=Proposal,
        description="The rollout wants approval: nothing is changed until another key approves.",
        generate_examples=False,
    )
    return {202: waits, **responses}


def check_path_id(value: str, name: str) -> str:
    """Check an id out of a path, where bytes that are no UTF-8 arrive as the replacement sign."""
    if "\ufffd" in value:
        raise IdError(f"{name} in the path is not valid UTF-8; percent-encode UTF-8 bytes")
    return check_id(value, name)


def path_id_with_slashes(request: AnyRequest, prefix: str) -> str:
    """Read an id out of the path as it was sent; in the decoded one slashes are merged."""
    _, _, encoded = request.scope["raw_path"].partition(b"?")[0].partition(prefix.encode())
    try:
        return unquote_to_bytes(encoded).decode()
    except UnicodeDecodeError as error:
        raise IdError("the id in the path is not valid UTF-8; percent-encode UTF-8") from error


def put_document(
    request: AnyRequest,
    kind: DocumentKind,
    document_id: str,
    document: D,
    *,
    if_match: str | None,
    if_none_match: str | None,
    consent: Consent = NO_CONSENT,
) -> Response[D]:
    """Create or replace; 201 or 200 with the stored document and its ETag."""
    change = _change(request, kind, document_id, if_match, if_none_match, consent=consent)
    changed = services_of(request).control.put(change, document)
    return _answer_change(changed, type(document))


def patch_document(
    request: AnyRequest,
    kind: DocumentKind,
    document_id: str,
    patch: Patch,
    returned: type[D],
    *,
    if_match: str | None,
    create: bool = False,
    consent: Consent = NO_CONSENT,
) -> Response[D]:
    """Merge; 200 with the stored document and its ETag."""
    change = _change(request, kind, document_id, if_match, None, consent=consent)
    try:
        changed = services_of(request).control.patch(change, patch, create=create)
    except msgspec.ValidationError as error:
        raise broken_rule(patch, error) from error
    return _answer_change(changed, returned, new_status=200)


def take_consent(patch: Patch) -> tuple[Patch, Consent]:
    """Take what the caller says yes to out of a patch.

    Raises
    ------
    BodyError
        If one of the two is neither true nor false.
    """
    names = ("confirm", "new_phase")
    for name in names:
        if not isinstance(patch.get(name, False), bool):
            raise BodyError(
                f"$.{name} is neither true nor false",
                (FieldError(path=f"$.{name}", message="Expected `bool`"),),
            )
    rest = {name: value for name, value in patch.items() if name not in names}
    return rest, Consent(**{name: patch.get(name, False) for name in names})


def kill_rollout(request: AnyRequest, rollout_key: str, *, killed: bool) -> Response[Rollout]:
    """Kill a rollout or resume it; 200 with the stored document and its ETag."""
    change = _change(request, "rollout", rollout_key, None, None)
    changed = services_of(request).control.kill(change, killed=killed)
    return _answer(changed.document, Rollout, 200)


def undo_document(
    request: AnyRequest, kind: DocumentKind, document_id: str, undo: Undo, returned: type[D]
) -> Response[D]:
    """Write a document as it was; 200 with the stored document and its ETag."""
    consent = Consent(new_phase=undo.new_phase, confirm=undo.confirm)
    change = _change(request, kind, document_id, None, None, consent=consent)
    changed = services_of(request).control.undo(change, undo.revision)
    return _answer_change(changed, returned, new_status=200)


def delete_document(
    request: AnyRequest, kind: DocumentKind, document_id: str, *, if_match: str | None
) -> None:
    """Delete; 204."""
    change = _change(request, kind, document_id, if_match, None)
    services_of(request).control.delete(change)


def get_document(
    request: AnyRequest, kind: DocumentKind, document_id: str, returned: type[D]
) -> Response[D]:
    """Read one; 200 with its ETag."""
    check_path_id(document_id, f"{kind} id")
    return _answer(services_of(request).control.find(kind, document_id), returned, 200)


def list_documents(request: AnyRequest, kind: DocumentKind, returned: type[D]) -> list[D]:
    """Read all, by id."""
    found = services_of(request).control.list(kind)
    return [document for document in found if isinstance(document, returned)]


def _change(
    request: AnyRequest,
    kind: DocumentKind,
    document_id: str,
    if_match: str | None,
    if_none_match: str | None,
    *,
    consent: Consent = NO_CONSENT,
) -> Change:
    return Change(
        kind,
        check_path_id(document_id, f"{kind} id"),
        principal_of(request).key_id,
        Precondition.from_headers(if_match, if_none_match),
        consent,
    )


def _answer_change(changed: Changed, returned: type[D], *, new_status: int = 201) -> Response[D]:
    """Answer with the document; 202 with the proposal if a second key has to approve first."""
    if changed.proposal is not None:
        waiting: Response[Any] = Response(changed.proposal, status_code=202)
        return waiting
    return _answer(changed.document, returned, new_status if changed.is_new else 200)


def _answer(document: Document, returned: type[D], status: int) -> Response[D]:
    assert isinstance(document, returned)
    return Response(document, status_code=status, headers={"ETag": f'"{document.revision}"'})
