"""What every page of the console shares: how it is drawn, where a form leads, what it may load."""

from __future__ import annotations

from functools import cache
from typing import Any
from urllib.parse import quote, unquote

import msgspec
from litestar import Request, Response
from litestar.connection import ASGIConnection
from litestar.datastructures import Cookie
from litestar.handlers import BaseRouteHandler
from markupsafe import escape

from service.console.pages import make_environment
from service.console.sections import BY_KEY, open_sections
from service.console.session import COOKIE, Session
from service.control.keys import Principal
from service.services import services_of

HOME = "/console"
FLASH_COOKIE = "endcap_flash"
_FLASH_S = 60
_MAX_FLASH = 900

ConsoleRequest = Request[Principal, Session | None, Any]
Page = Response[str]

HEADERS = {
    "Content-Security-Policy": "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "connect-src 'self'",
            # Pictures of banners and items stand wherever the shop keeps them.
            "img-src 'self' https: data:",
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        )
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""On every answer of the console."""


class Flash(msgspec.Struct, frozen=True):
    """What the page after a form says of it."""

    text: str
    tone: str = "good"


def page(
    request: ConsoleRequest,
    template: str,
    *,
    title: str,
    status: int = 200,
    **context: Any,
) -> Page:
    """Draw a whole page. Here, in the handler's thread: in the event loop it would hold up others.

    The template also gets `me`, `sections`, `here`, `flash`, `form_token`, `now_ms` and `who`.
    """
    body = render(request, template, title=title, **context)
    unseen = [
        str(one) for one in context.get("errors", {}).values() if str(escape(one)) not in body
    ]
    if unseen:
        # Of a field that the page does not have: it stands above all others.
        context["errors"] = {**context["errors"], "": "; ".join(unseen)}
        body = render(request, template, title=title, **context)
    response: Page = Response(body, status_code=status, media_type="text/html")
    if _flash_of(request) is not None and "flash" not in context:
        response.delete_cookie(FLASH_COOKIE, path=HOME)
    session = signed_in(request)[1]
    if session is not None:
        prolonged = services_of(request).console.sessions.prolonged(
            session, services_of(request).now_ms()
        )
        if prolonged is not None:
            set_session(response, request, prolonged)
    return response


def render(request: ConsoleRequest, template: str, **context: Any) -> str:
    """Draw a template, which may be a part of a page that a script asked for."""
    services = services_of(request)
    me, session = signed_in(request)
    handler: BaseRouteHandler | None = request.scope.get("route_handler")
    shared: dict[str, Any] = {
        "me": me,
        "my_name": services.console.key_names.of(me.key_id) if me else "",
        "sections": open_sections(me) if me else [],
        "section": handler.opt.get("section") if handler else None,
        "here": request.url.path,
        "flash": _flash_of(request),
        "form_token": services.console.sessions.form_token(session) if session else "",
        "now_ms": services.now_ms(),
        "revision": services.current.get().revision,
        "who": services.console.key_names.of,
        "errors": {},
        **context,
    }
    text: str = _environment().get_template(template).render(shared)
    return text


def go(request: ConsoleRequest, path: str, flash: str = "", tone: str = "good") -> Response[str]:
    """Lead to a page after a form, where a line says what came of it."""
    response: Response[str] = Response("", status_code=303, headers={"Location": path})
    if flash:
        value = quote(msgspec.json.encode(Flash(flash[:_MAX_FLASH], tone)).decode())
        response.set_cookie(
            Cookie(
                key=FLASH_COOKIE,
                value=value,
                path=HOME,
                max_age=_FLASH_S,
                httponly=True,
                samesite="strict",
                secure=is_secure(request),
            )
        )
    return response


def signed_in(request: ASGIConnection[Any, Any, Any, Any]) -> tuple[Principal | None, Any]:
    """Return who signed in and their session, on pages where nobody has to as well."""
    return request.scope.get("user"), request.scope.get("auth")


def set_session(
    response: Response[Any], request: ASGIConnection[Any, Any, Any, Any], session: Session
) -> None:
    """Put a session into the browser, out of the reach of scripts and of other sites."""
    sessions = services_of(request).console.sessions
    response.set_cookie(
        Cookie(
            key=COOKIE,
            value=sessions.write(session),
            path=HOME,
            max_age=sessions.length_ms // 1000,
            httponly=True,
            samesite="strict",
            secure=is_secure(request),
        )
    )


def is_secure(request: ASGIConnection[Any, Any, Any, Any]) -> bool:
    """Say whether the browser speaks HTTPS, to this process or to the proxy before it."""
    forwarded = request.headers.get("x-forwarded-proto", "").partition(",")[0].strip()
    return (forwarded or request.scope["scheme"]) == "https"


def wants_part(request: ASGIConnection[Any, Any, Any, Any]) -> bool:
    """Say whether a script of the console asks, and not the browser itself."""
    return request.headers.get("x-requested-with") == "console"


def local_path(path: str) -> str:
    """Return a path of the console to lead to; anything else becomes its beginning."""
    inside = path == HOME or path.startswith((f"{HOME}/", f"{HOME}?"))
    # What a header cannot hold, or a browser reads as another place, is not followed.
    is_plain = inside and all("!" <= sign <= "~" and sign != "\\" for sign in path)
    return path if is_plain and not path.startswith(f"{HOME}/sign-") else HOME


@cache
def _environment() -> Any:
    return make_environment()


def _flash_of(request: ConsoleRequest) -> Flash | None:
    value = request.cookies.get(FLASH_COOKIE)
    if not value:
        return None
    try:
        return msgspec.json.decode(unquote(value), type=Flash)
    except msgspec.MsgspecError:
        return None


def section_scope(opt: dict[str, Any]) -> Any:
    """Return the scope that a route of the console needs, or nothing."""
    section = opt.get("section")
    return opt.get("also") or (BY_KEY[section].scope if section else None)
