"""Signing in with a key, and out."""

from __future__ import annotations

from typing import Annotated, Any

import structlog
from litestar import Response, get, post
from litestar.params import FromQuery, QueryParameter

from models.errors import CapacityError
from service.console.attempts import MAX_FAILED
from service.console.sections import may_sign_in
from service.console.session import COOKIE
from service.control.keys import Scope, digest_of
from service.routes.console.frame import (
    HOME,
    ConsoleRequest,
    Page,
    go,
    local_path,
    page,
    set_session,
    signed_in,
)
from service.routes.console.gate import ANYONE, ForgeryError, FormData, is_own_page
from service.services import services_of

log = structlog.get_logger(__name__)

_NO_PERSON: dict[Scope, str] = {
    "publishable": "which stands in web pages for all to read",
    "server": "with which a shop's server sends events",
}
"""Whose the keys are that nobody signs in with."""

Next = Annotated[str, QueryParameter(name="next")]


@get("/sign-in", opt=ANYONE, sync_to_thread=True)
def show_sign_in(
    request: ConsoleRequest, place: Next = HOME, over: FromQuery[int] = 0, lost: FromQuery[int] = 0
) -> Response[Any]:
    """Ask for a key; who is signed in already goes on."""
    if signed_in(request)[0] is not None:
        return go(request, local_path(place))
    return _ask(request, place, is_over=bool(over), is_lost=bool(lost))


@post("/sign-in", opt=ANYONE, sync_to_thread=True)
def sign_in(request: ConsoleRequest, form: FormData) -> Response[Any]:
    """Begin a session of whoever shows a key of a person."""
    services = services_of(request)
    if not is_own_page(request):
        raise ForgeryError("the form to sign in was on another site; open the console itself")
    now_ms, attempts = services.now_ms(), services.console.attempts
    address = request.client.host if request.client else ""
    if not attempts.may_try(address, now_ms):
        raise CapacityError(
            f"{MAX_FAILED} wrong keys came from your address within a minute; wait a minute"
        )
    place = form.text("next", HOME)
    principal = services.current.find_principal(digest_of(form.text("key")))
    if principal is None:
        attempts.count_failed(address, now_ms)
        log.warning("console_sign_in_refused", reason="key_unknown")
        return _ask(
            request,
            place,
            status=401,
            error="This key is unknown or was revoked. Make one with “endcap keys create”.",
        )
    if not may_sign_in(principal):
        return _ask(
            request,
            place,
            status=403,
            error=f"This is a {principal.scope} key, {_NO_PERSON[principal.scope]}. "
            "Sign in with a key of the scope merchandiser, trainer, support or admin.",
        )
    response = go(request, local_path(place))
    set_session(response, request, services.console.sessions.begin(principal.key_id, now_ms))
    services.console.plotter.start()
    log.info("console_signed_in", key_id=principal.key_id)
    return response


@get("/session", media_type="text/plain", sync_to_thread=False)
def read_session(request: ConsoleRequest) -> str:
    """Tell a page that is about to send a form the token of the session, if there is one still."""
    return services_of(request).console.sessions.form_token(signed_in(request)[1])


@post("/sign-out", sync_to_thread=False)
def sign_out(request: ConsoleRequest) -> Response[str]:
    """End the session in this browser."""
    response = go(request, f"{HOME}/sign-in", "You are signed out.")
    response.delete_cookie(COOKIE, path=HOME)
    return response


def _ask(
    request: ConsoleRequest,
    place: str,
    *,
    status: int = 200,
    error: str = "",
    is_over: bool = False,
    is_lost: bool = False,
) -> Page:
    return page(
        request,
        "sign_in.html",
        title="Sign in",
        status=status,
        place=local_path(place),
        error=error,
        is_over=is_over,
        is_lost=is_lost,
    )
