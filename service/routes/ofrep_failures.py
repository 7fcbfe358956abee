"""How OFREP refuses: with `errorCode` and `errorDetails` where everything else has problems."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from litestar import Response
from litestar.exceptions import HTTPException
from litestar.openapi.datastructures import ResponseSpec
from litestar.types import ExceptionHandlersMap
from msgspec import Meta

from models.errors import AccessError, EndcapError
from service.middleware.problems import (
    answer_endcap_error,
    answer_http_exception,
    answer_unexpected,
)
from service.routes.documents import AnyRequest, problems

ErrorCode = Literal[
    "FLAG_NOT_FOUND", "PARSE_ERROR", "TARGETING_KEY_MISSING", "INVALID_CONTEXT", "GENERAL"
]


class Failure(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why nothing was evaluated."""

    key: Annotated[str | None, Meta(description="of the flag, unless all were asked")] = None
    error_code: ErrorCode = msgspec.field(name="errorCode")
    error_details: str = msgspec.field(name="errorDetails")


class ContextError(EndcapError):
    """The request cannot be evaluated, for one of the protocol's reasons."""

    def __init__(self, error_code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.error_code = error_code


FAILURES = {
    **problems(),
    **{
        status: ResponseSpec(Failure, description=description, generate_examples=False)
        for status, description in (
            (400, "The body or its context is wrong; `errorCode` says how."),
            (404, "There is no such flag."),
            (413, "The body is too large."),
        )
    },
}


def _answer_context_error(request: AnyRequest, error: ContextError) -> Response[Failure]:
    status = 404 if error.error_code == "FLAG_NOT_FOUND" else 400
    return _fail(request, status, error.error_code, error.message, {})


def _answer_endcap_error(request: AnyRequest, error: EndcapError) -> Response[Any]:
    problem = answer_endcap_error(request, error)
    if isinstance(error, AccessError):
        return problem
    return _fail(request, problem.status_code or 500, "GENERAL", error.message, problem.headers)


def _answer_http_exception(request: AnyRequest, error: HTTPException) -> Response[Failure]:
    problem = answer_http_exception(request, error)
    details = problem.content.detail
    return _fail(request, error.status_code, "GENERAL", details, problem.headers)


def _answer_unexpected(request: AnyRequest, error: Exception) -> Response[Failure]:
    details = answer_unexpected(request, error).content.detail
    return _fail(request, 500, "GENERAL", details, {})


def _fail(
    request: AnyRequest, status: int, error_code: ErrorCode, details: str, headers: dict[str, Any]
) -> Response[Failure]:
    return Response(
        Failure(key=request.path_params.get("key"), error_code=error_code, error_details=details),
        status_code=status,
        headers=headers,
        media_type="application/json",
    )


HANDLERS: ExceptionHandlersMap = {
    ContextError: _answer_context_error,
    EndcapError: _answer_endcap_error,
    HTTPException: _answer_http_exception,
    Exception: _answer_unexpected,
}
