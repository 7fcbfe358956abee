"""``/endcap.js`` and its types, for any page, without a key."""

from __future__ import annotations

import re
from hashlib import blake2b
from importlib.resources import files

from litestar import Response, get

from service.browser.short_names import shorten_names
from service.middleware.access import OPEN
from service.routes.documents import AnyRequest
from service.routes.etags import has_already

MAX_AGE_S = 3_600
"""How long a browser goes without asking whether the script has changed."""

# A text or comment, else a sign that parts words by itself. `a - -b` needs its spaces.
# A line may end before what no statement begins with, and after what none ends with.
_TEXT_OR_SIGN = re.compile(
    r"""("(?:[^"\\]|\\.)*"|`(?:[^`\\]|\\.)*`|/\*.*?\*/)"""
    r"""|[;,]\s*(?=})|(?<![\w)\]])\((\w+)\)\s*(?==>)"""
    r"""|\s*([,;:=?&|<>*])\s*|\s*([})\]]) *| *([{(\[])\s*"""
)


def compact(source: str) -> str:
    """Leave out lines of comment, indentation, and spaces and line ends beside signs.

    Line ends between statements stay, so none runs into the next; no statement is empty. Texts are
    in ``"`` or backticks, on one line. It knows no regular expressions: they hold neither of these
    quotes, no space, no ``;}`` and no ``,}``. Depth is told by indentation.
    """
    lines = (line.rstrip() for line in source.splitlines())
    kept = [line for line in lines if line and not line.lstrip().startswith("//")]
    return _TEXT_OR_SIGN.sub(_without_spaces, "\n".join(_with_one_const(kept)))


def _with_one_const(lines: list[str]) -> list[str]:
    """Let a `const` right after another one of the same depth go on with that."""
    made: list[str] = []
    begun: dict[int, str] = {}
    for line in lines:
        text = line.lstrip()
        depth = len(line) - len(text)
        begun = {one: word for one, word in begun.items() if one <= depth}
        if text.startswith("const ") and begun.get(depth) == "const" and made[-1][-1] == ";":
            made[-1] = made[-1][:-1] + ","
            text = text.removeprefix("const ")
        elif text[0] not in "})]":
            begun[depth] = text.partition(" ")[0]
        made.append(text)
    return made


def _without_spaces(found: re.Match[str]) -> str:
    return found[found.lastindex] if found.lastindex else ""


def _file(name: str) -> str:
    return files("service.browser").joinpath(name).read_text(encoding="utf-8")


_SCRIPT = shorten_names(compact(_file("endcap.js")))
_TYPES = _file("endcap.d.ts")


@get(
    "/endcap.js",
    opt=OPEN,
    security=[{}],
    operation_id="getScript",
    summary="The script for a shop's pages",
    tags=["serve"],
    media_type="text/javascript",
    sync_to_thread=False,
)
def read_script(request: AnyRequest) -> Response[str]:
    """Give the script that fills marked elements and reports what was seen and clicked."""
    return _public(request, _SCRIPT, "text/javascript")


@get(
    "/endcap.d.ts",
    opt=OPEN,
    security=[{}],
    operation_id="getScriptTypes",
    summary="The script's types",
    tags=["serve"],
    media_type="text/plain",
    sync_to_thread=False,
)
def read_types(request: AnyRequest) -> Response[str]:
    """Give the TypeScript declarations of `window.endcap`."""
    return _public(request, _TYPES, "application/typescript; charset=utf-8")


def _public(request: AnyRequest, text: str, media_type: str) -> Response[str]:
    tag = f'"{blake2b(text.encode(), digest_size=8).hexdigest()}"'
    headers = {
        "Cache-Control": f"public, max-age={MAX_AGE_S}",
        "ETag": tag,
        "Access-Control-Allow-Origin": "*",
        "Cross-Origin-Resource-Policy": "cross-origin",
        "X-Content-Type-Options": "nosniff",
    }
    if has_already(request.headers.get("if-none-match"), tag):
        return Response("", status_code=304, headers=headers)
    return Response(text, media_type=media_type, headers=headers)
