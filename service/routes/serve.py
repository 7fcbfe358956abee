"""Serving: a whole page with POST, or one slot with GET for a quick start."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Controller, Response, get, post
from litestar.enums import MediaType
from litestar.params import JSONBody, QueryParameter

from models.errors import AccessError
from service.middleware.access import needs, principal_of
from service.middleware.problems import BodyError, FieldError
from service.routes.answer import answer_page
from service.routes.documents import AnyRequest, PathId, check_path_id, problems
from service.routes.placement_query import check_encoding, request_of
from service.serve.page import Page
from service.serve.request import MAX_COUNT, ServeRequest
from service.services import services_of
from service.telemetry.stages import Stopwatch


def _query(description: str) -> Any:
    return QueryParameter(required=False, description=description)


@post(
    "/v1/serve",
    opt=needs("publishable"),
    tags=["serve"],
    operation_id="servePage",
    summary="Fill the placements of a page",
    status_code=200,
    responses=problems(404, 413),
)
async def serve_page(request: AnyRequest, data: JSONBody[ServeRequest]) -> Response[Page]:
    """Fill every placement of the request, no item twice.

    The answer is 200 and no slate is empty while anything may be shown: what fails lets a less
    personal tier answer, and `degraded` says so. A placement that is not configured is answered
    empty, with `degraded` as `not_configured`; 404 is for a page of no other. Send
    the `exposure_id` with the events that follow.
    """
    return await _serve(request, data)


class PlacementServing(Controller):
    """The part of `PlacementController` that fills a placement.

    Litestar cannot register one path from two controllers, so that one inherits from this.
    """

    @get(
        "/{placement_id:str}",
        opt=needs("publishable"),
        tags=["serve"],
        operation_id="servePlacement",
        summary="Fill one placement",
        responses=problems(404),
    )
    async def serve_placement(
        self,
        request: AnyRequest,
        placement_id: PathId,
        *,
        user_id: Annotated[str | None, _query("the signed-in shopper")] = None,
        anonymous_id: Annotated[str | None, _query("the device or browser")] = None,
        session_id: Annotated[str | None, _query("the session")] = None,
        consent: Annotated[bool, _query("false uses and keeps no id")] = True,
        country: Annotated[str | None, _query("as in the interactions")] = None,
        channel: Annotated[str | None, _query("such as web")] = None,
        platform: Annotated[str | None, _query("such as ios")] = None,
        page: Annotated[str | None, _query("the kind of page")] = None,
        item_ids: Annotated[
            list[str] | None, _query("what the page is about; repeat it for several items")
        ] = None,
        exclude_item_ids: Annotated[
            list[str] | None, _query("never shown; repeat it for several items")
        ] = None,
        count: Annotated[int | None, _query(f"how many, 1 to {MAX_COUNT}")] = None,
        deadline_ms: Annotated[int | None, _query("1 to 10000")] = None,
        explain: Annotated[bool, _query("needs a merchandiser key")] = False,
    ) -> Response[Page]:
        """Fill one placement: the same as `POST /v1/serve` with one, for a quick start."""
        check_path_id(placement_id, "the placement id")
        check_encoding(request.scope["query_string"])
        _check_names(request)
        query = {
            "user_id": user_id,
            "anonymous_id": anonymous_id,
            "session_id": session_id,
            "consent": consent,
            "country": country,
            "channel": channel,
            "platform": platform,
            "page": page,
            "item_ids": item_ids,
            "exclude_item_ids": exclude_item_ids,
            "count": count,
            "deadline_ms": deadline_ms,
            "explain": explain,
        }
        return await _serve(request, request_of(placement_id, query))


def _check_names(request: AnyRequest) -> None:
    """Refuse a parameter that nobody reads: a misspelt `user_id` would go unnoticed."""
    parameters = request.route_handler.parsed_fn_signature.parameters
    known = sorted(set(parameters) - {"request", "placement_id"})
    for name in request.query_params:
        if name not in known:
            path = f"query.{name[:40]}"
            message = f"it is no parameter; known: {', '.join(known)}"
            raise BodyError(
                f"{path}: {message}; see /schema", (FieldError(path=path, message=message),)
            )


async def _serve(request: AnyRequest, asked: ServeRequest) -> Response[Any]:
    principal = principal_of(request)
    is_merchandiser = principal.may("merchandiser")
    if asked.options.is_for_merchandisers and not is_merchandiser:
        raise AccessError(
            "explain, why and preview need a key of scope 'merchandiser'; leave them out, "
            "or make a key with 'endcap keys create --scope merchandiser'"
        )
    watch = Stopwatch()
    watch.lap()  # the framework has decoded
    body = await answer_page(services_of(request), asked, watch, request.scope["headers"])
    headers = {"Server-Timing": watch.server_timing()} if is_merchandiser else {}
    return Response(body, media_type=MediaType.JSON, headers=headers)
