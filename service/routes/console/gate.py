"""Who gets into the console: a session, the scope of the section, and forms of its own only."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlsplit

import msgspec
import structlog
from litestar import Response
from litestar.connection import ASGIConnection
from litestar.di import NamedDependency
from litestar.exceptions import HTTPException
from litestar.handlers import BaseRouteHandler

from models.errors import AccessError, EndcapError, KeyMissingError, NotFoundError
from service.console.form import Form, Upload
from service.console.form_body import Sent, read_form_body
from service.console.next_steps import for_the_console
from service.console.session import COOKIE, Session
from service.control.keys import Scope
from service.middleware.access import OPEN
from service.middleware.encoded_slashes import put_slashes_back
from service.middleware.nul_signs import refuse_nul, refuse_nul_in_fields
from service.middleware.problems import (
    answer_endcap_error,
    answer_http_exception,
    answer_too_deep,
    answer_unexpected,
)
from service.routes.console.frame import (
    HEADERS,
    HOME,
    ConsoleRequest,
    local_path,
    page,
    section_scope,
    wants_part,
)
from service.services import services_of

log = structlog.get_logger(__name__)

FORM_FIELD = "form_token"
FORM_HEADER = "x-form-token"
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_SENT = "console_form"
FormData = NamedDependency[Form]
"""The type of a handler's parameter `form`."""
ANYONE: dict[str, Any] = {**OPEN, "anyone": True}
"""For what is shown before someone signs in."""


class SessionError(KeyMissingError):
    """Nobody is signed in (any more)."""

    code = "session_missing"


class ForgeryError(AccessError):
    """A form did not come from a page of this session."""

    code = "form_foreign"


def section(key: str) -> dict[str, Any]:
    """Declare which section a controller is: ``opt=section("rollouts")``."""
    return {**OPEN, "section": key}


def also(scope: Scope) -> dict[str, Any]:
    """Declare that one route of a section needs more than the others."""
    return {"also": scope}


async def guard_console(
    connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler
) -> None:
    """Let in who is signed in and may see the section, with an address that has no NUL."""
    session, principal = _session_of(connection)
    connection.scope["auth"], connection.scope["user"] = session, principal
    if handler.opt.get("anyone"):
        return
    if session is None or principal is None:
        raise SessionError(
            "this session is over, or its key was revoked; sign in again"
            if connection.cookies.get(COOKIE)
            else "nobody is signed in; sign in"
        )
    scope = section_scope(handler.opt)
    if scope is not None and not principal.may(scope):
        raise AccessError(
            f"the key you signed in with has the scope {principal.scope!r}; "
            f"this page is for {scope!r}; ask whoever makes keys, or sign in with another"
        )
    refuse_nul(connection)


async def refuse_forgery(request: ConsoleRequest) -> None:
    """Refuse to change anything for a form that another site made."""
    if request.method in SAFE or request.route_handler.opt.get("anyone"):
        return
    token = request.headers.get(FORM_HEADER)
    if token is None:
        sent = await _sent(request)
        token = next((str(value) for name, value in sent if name == FORM_FIELD), "")
    session = request.scope.get("auth")
    sessions = services_of(request).console.sessions
    if not isinstance(session, Session) or not sessions.is_own_form(session, token):
        raise ForgeryError(
            "the form was not made for this session, so nothing was changed; "
            "open the page again and send it from there"
        )


def is_own_page(request: ConsoleRequest) -> bool:
    """Say whether a form that needs no session comes from a page of this server."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("host")


async def read_form(request: ConsoleRequest) -> Form:
    """Read what was typed; a dependency, so that a handler can be a function in a thread."""
    fields: dict[str, list[str]] = {}
    files: dict[str, Upload] = {}
    for name, value in await _sent(request):
        if isinstance(value, Upload):
            files[name] = value
        elif name != FORM_FIELD:
            fields.setdefault(name, []).append(value)
    return Form({name: tuple(values) for name, values in fields.items()}, files)


async def _sent(request: ConsoleRequest) -> Sent:
    """Read what a form holds, once a request."""
    state: dict[str, Any] = request.scope["state"]
    if _SENT not in state:
        media_type, options = request.content_type
        body = await request.body()
        fields = read_form_body(body, media_type, options.get("boundary"))
        refuse_nul_in_fields(fields)
        state[_SENT] = fields
    sent: Sent = state[_SENT]
    return sent


async def seal(response: Response[Any]) -> Response[Any]:
    """Put the headers of the console on an answer."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response


def show_refusal(request: ConsoleRequest, error: Exception) -> Response[Any]:
    """Say what went wrong as a page; a script gets the problem that the interface would answer."""
    response = _show(request, error)
    response.headers.update(HEADERS)
    return response


def answer_unrouted(request: ConsoleRequest, error: HTTPException) -> Response[Any]:
    """Answer for the whole app what no route of the console could: its own refusals are pages.

    An address that only longer ones begin with, or a form's that was typed, comes to no handler.
    """
    put_slashes_back(request.scope)
    path: str = request.scope["path"]
    if path != HOME and not path.startswith(f"{HOME}/"):
        return answer_http_exception(request, error)
    session, principal = _session_of(request)
    if principal is None:
        return show_refusal(request, SessionError("nobody is signed in; sign in"))
    request.scope["auth"], request.scope["user"] = session, principal
    return show_refusal(request, error)


def _show(request: ConsoleRequest, error: Exception) -> Response[Any]:
    if isinstance(error, EndcapError):
        problem = answer_endcap_error(request, error).content
    elif isinstance(error, HTTPException):
        problem = answer_http_exception(request, error).content
    elif isinstance(error, RecursionError):
        problem = answer_too_deep(request, error).content
    else:
        problem = answer_unexpected(request, error).content
    problem = msgspec.structs.replace(problem, detail=for_the_console(problem.detail))
    if isinstance(error, SessionError) and not wants_part(request):
        return _to_sign_in(request, error)
    if wants_part(request):
        return Response(problem, status_code=problem.status, media_type="application/problem+json")
    return page(
        request,
        "refused.html",
        title=problem.title,
        status=problem.status,
        problem=problem,
        is_missing=isinstance(error, NotFoundError) or problem.status == 404,
    )


def _to_sign_in(request: ConsoleRequest, error: SessionError) -> Response[Any]:
    """Ask to sign in, and lead back to where one was."""
    if request.method not in SAFE:
        # The page that the form was on; the form itself is lost, and says so.
        referer = urlsplit(request.headers.get("referer", ""))
        place = local_path(referer.path)
    else:
        place = local_path(
            request.url.path + (f"?{request.url.query}" if request.url.query else "")
        )
        if request.headers.get("sec-fetch-site") == "cross-site":
            # Followed from elsewhere, the browser holds the cookie back until a page of ours asks.
            return Response(
                f'<!doctype html><title>Endcap</title><meta http-equiv="refresh" content="0">'
                f'<a href="{HOME}">Open the console</a>',
                media_type="text/html",
            )
    why = "" if not request.cookies.get(COOKIE) else "&over=1"
    lost = "&lost=1" if request.method not in SAFE else ""
    target = f"{HOME}/sign-in?next={quote(place, safe='/')}{why}{lost}"
    log.info("console_sign_in_asked", reason=error.code)
    return Response("", status_code=303, headers={"Location": target})


def _session_of(connection: ASGIConnection[Any, Any, Any, Any]) -> tuple[Session | None, Any]:
    services = services_of(connection)
    cookie = connection.cookies.get(COOKIE)
    session = services.console.sessions.read(cookie, services.now_ms()) if cookie else None
    principal = services.current.find_key(session.key_id) if session else None
    return (session, principal) if principal is not None else (None, None)
