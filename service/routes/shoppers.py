"""One customer on one screen, asked for by an id in the body or by a pseudonym in the address."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar

import msgspec
from litestar import Controller, get, post
from litestar.params import JSONBody, PathParameter
from msgspec import Meta

from models.errors import IdError
from models.ids import check_id
from service.middleware.access import needs
from service.rollouts.bucketing import UnitKind
from service.routes.documents import AnyRequest, problems
from service.routes.privacy import Kind
from service.services import services_of
from service.shopper.view import ShopperView

_PSEUDONYM = re.compile(r"[0-9a-f]{32}")

Pseudonym = Annotated[str, PathParameter(description="32 hexadecimal digits, from a look-up")]


class LookUp(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whom to look up."""

    id: Annotated[str, Meta(min_length=1, max_length=256, description="the shop's own id")]
    kind: UnitKind = "user_id"


class ShopperController(Controller):
    """What is known of a customer."""

    path = "/v1/shoppers"
    tags: ClassVar[list[str]] = ["privacy"]  # type: ignore[misc]  # Litestar's own is of the instance
    opt = needs("support")

    @post(
        "/look-up",
        operation_id="lookUpShopper",
        summary="Look a customer up by the shop's own id",
        responses=problems(503),
        status_code=200,
    )
    async def look_up(self, request: AnyRequest, data: JSONBody[LookUp]) -> ShopperView:
        """Return one customer: events, orders, segments, tastes, rollouts, exposures, and a page.

        The id stands in the body and not in the address, where logs would keep it. Nothing of the
        answer is logged, and the page it holds is no exposure.
        """
        services = services_of(request)
        check_id(data.id, data.kind)
        return await services.shoppers.read(
            data.kind, services.pseudonymiser.pseudonym(data.kind, data.id)
        )

    @get(
        "/{pseudonym:str}",
        operation_id="getShopper",
        summary="Look a customer up by pseudonym",
        responses=problems(503),
    )
    async def read(
        self, request: AnyRequest, pseudonym: Pseudonym, kind: Kind = "user_id"
    ) -> ShopperView:
        """Return what a look-up returns; `is_known` is false for a pseudonym without a trace."""
        return await services_of(request).shoppers.read(kind, check_pseudonym(pseudonym))


def check_pseudonym(value: str) -> str:
    """Check a pseudonym out of a path.

    Raises
    ------
    IdError
        If it has another shape, as an id that was not to stand in an address has.
    """
    if not _PSEUDONYM.fullmatch(value):
        raise IdError(
            "the path names no pseudonym, which is 32 hexadecimal digits; send the shop's own id "
            "in the body of POST /v1/shoppers/look-up"
        )
    return value
