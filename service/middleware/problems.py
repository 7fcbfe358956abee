"""Errors as answers: every refusal is ``application/problem+json`` (RFC 9457), never a traceback.

A problem names the value, the rule and the next step in `detail`; `code` is stable; `errors` says
where in the request each mistake is.
"""

from __future__ import annotations

import traceback
from http import HTTPStatus
from typing import Annotated, Any

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, MethodNotAllowedException
from litestar.exceptions import NotFoundException as NoRouteException
from msgspec import Meta

from models.errors import (
    AccessError,
    CapacityError,
    ConflictError,
    EndcapError,
    GateError,
    InputError,
    KeyMissingError,
    NotFoundError,
)
from service.control.documents import Document
from service.control.precondition import RevisionError
from service.control.upload import UploadSizeError
from service.intake.body import BodySizeError
from service.middleware.patience import SlowBodyError
from service.stores.events import StoreSilentError
from service.stores.pictures import PictureSizeError

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 1
EMPTY_BODY = "body.data"
"""Where Litestar misses the handler's `data`, which is so only without a body."""

_STATUS: tuple[tuple[type[EndcapError], HTTPStatus], ...] = (
    (KeyMissingError, HTTPStatus.UNAUTHORIZED),
    (AccessError, HTTPStatus.FORBIDDEN),
    (BodySizeError, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    (PictureSizeError, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    (UploadSizeError, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    (SlowBodyError, HTTPStatus.REQUEST_TIMEOUT),
    (InputError, HTTPStatus.BAD_REQUEST),
    (NotFoundError, HTTPStatus.NOT_FOUND),
    (RevisionError, HTTPStatus.PRECONDITION_FAILED),
    (ConflictError, HTTPStatus.CONFLICT),
    (GateError, HTTPStatus.CONFLICT),
    (CapacityError, HTTPStatus.TOO_MANY_REQUESTS),
    (EndcapError, HTTPStatus.SERVICE_UNAVAILABLE),
)
_CODES = {
    HTTPStatus.BAD_REQUEST: "input_invalid",
    HTTPStatus.NOT_FOUND: "path_unknown",
    HTTPStatus.METHOD_NOT_ALLOWED: "method_not_allowed",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "body_too_large",
}


class FieldError(msgspec.Struct, frozen=True, kw_only=True):
    """One mistake in a request."""

    path: Annotated[str, Meta(description="where: `$.a[3].b` in the body, or `query.name`")]
    message: Annotated[str, Meta(description="which rule is broken")]


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why a request was refused (RFC 9457)."""

    type: Annotated[str, Meta(description="`urn:endcap:problem:` and the code")]
    title: Annotated[str, Meta(description="the meaning of the status")]
    status: Annotated[int, Meta(description="the HTTP status")]
    detail: Annotated[str, Meta(description="the value, the rule and the next step, for people")]
    code: Annotated[str, Meta(description="stable; programs may branch on it")]
    instance: Annotated[str, Meta(description="the path of the request")]
    errors: Annotated[tuple[FieldError, ...], Meta(description="mistakes by place")] = ()
    current: Annotated[
        dict[str, Any] | None, Meta(description="with status 412: the document as it is now")
    ] = None


class BodyError(InputError):
    """The body of a request is not JSON, or not what the route takes."""

    code = "body_invalid"

    def __init__(self, message: str, errors: tuple[FieldError, ...] = ()) -> None:
        super().__init__(message)
        self.errors = errors


def answer_endcap_error(request: Request[Any, Any, Any], error: EndcapError) -> Response[Problem]:
    """Answer a refusal of our own."""
    status = next(status for kind, status in _STATUS if isinstance(error, kind))
    headers = {}
    if status is HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        headers["Retry-After"] = str(RETRY_AFTER_S)
    if status is HTTPStatus.REQUEST_TIMEOUT:
        headers["Connection"] = "close"
    # That the store is silent is logged where it is found, once and not for each request.
    if status is HTTPStatus.SERVICE_UNAVAILABLE and not isinstance(error, StoreSilentError):
        log.error("request_failed", code=error.code, reason=error.message)
    return _answer(
        request,
        status,
        error.message,
        error.code,
        errors=error.errors if isinstance(error, BodyError) else (),
        current=error.current if isinstance(error, RevisionError) else None,
        headers=headers,
    )


def answer_http_exception(
    request: Request[Any, Any, Any], error: HTTPException
) -> Response[Problem]:
    """Answer a refusal of the framework: unknown path, wrong method, too large, wrong parameter."""
    status = HTTPStatus(error.status_code)
    path = request.scope["path"]
    headers = dict(error.headers or {})
    errors: tuple[FieldError, ...] = ()
    match error:
        case NoRouteException():
            detail = f"there is no {path}; see the paths in /schema"
        case MethodNotAllowedException():
            # Litestar itself says so in some cases, in lower case.
            if not any(name.lower() == "allow" for name in headers):
                headers["Allow"] = _allowed_methods(request)
            detail = f"{request.method} is not a method of {path}; see /schema"
        case _ if status is HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            limit = request.route_handler.resolve_request_max_body_size()
            detail = f"the body is larger than {limit} bytes; send less at a time"
        case _:
            errors = _field_errors(error.extra)
            if errors and errors[0].path == EMPTY_BODY:
                errors = (FieldError(path="$", message="the body is empty; send one JSON value"),)
            places = "; ".join(f"{each.path}: {each.message}" for each in errors)
            detail = f"{places or error.detail}; see /schema"
    code = _CODES.get(status, "internal" if status >= 500 else "input_invalid")
    return _answer(request, status, detail, code, errors=errors, headers=headers)


def answer_bad_value(
    request: Request[Any, Any, Any], error: msgspec.MsgspecError
) -> Response[Problem]:
    """Answer a value that was decoded outside a body, such as one in a query."""
    return answer_endcap_error(request, BodyError(f"the request breaks a rule: {error}"))


def answer_too_deep(request: Request[Any, Any, Any], error: RecursionError) -> Response[Problem]:
    """Answer a value so deeply nested that it cannot be looked through."""
    return answer_endcap_error(request, BodyError("the body is nested too deeply"))


def answer_unexpected(request: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
    """Answer a defect of ours: say nothing of the inside, log where it happened, without values."""
    log.error(
        "request_crashed",
        error=type(error).__name__,
        at=traceback.format_tb(error.__traceback__)[-3:],
    )
    return _answer(
        request,
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "the server made a mistake; its log says where; try again or report it",
        "internal",
    )


def _answer(
    request: Request[Any, Any, Any],
    status: HTTPStatus,
    detail: str,
    code: str,
    *,
    errors: tuple[FieldError, ...] = (),
    current: Document | None = None,
    headers: dict[str, str] | None = None,
) -> Response[Problem]:
    problem = Problem(
        type=f"urn:endcap:problem:{code}",
        title=status.phrase,
        status=status.value,
        detail=detail,
        code=code,
        instance=request.scope["path"],
        errors=errors,
        current=None if current is None else msgspec.to_builtins(current),
    )
    return Response(problem, status_code=status, media_type=MEDIA_TYPE, headers=headers or {})


def _allowed_methods(request: Request[Any, Any, Any]) -> str:
    """List the methods of the path that a request came to with another one."""
    template = request.scope.get("path_template")
    methods = {
        method
        for route in request.app.routes
        if getattr(route, "path_format", None) == template
        for method in getattr(route, "methods", ())
    }
    return ", ".join(sorted(methods))


def _field_errors(extra: object) -> tuple[FieldError, ...]:
    if not isinstance(extra, list):
        return ()
    return tuple(
        FieldError(
            path=f"{_source(each.get('source'))}.{each.get('key', '')}",
            message=str(each.get("message", "")),
        )
        for each in extra
        if isinstance(each, dict)
    )


def _source(source: object) -> str:
    """Name where a parameter was: Litestar tells it as text or as an enum of text."""
    return str(getattr(source, "value", source) or "request")
