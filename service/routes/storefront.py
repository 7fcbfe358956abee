"""The pages of the demonstration shop at ``/demo`` and what its forms do, in plain HTML.

Every page works without a script; with one, Endcap fills its slots as in any other shop.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated, Any
from urllib.parse import quote

from litestar import Response, get, post
from litestar.datastructures import Cookie
from litestar.enums import MediaType
from litestar.params import FromPath, QueryParameter

from service.console.form_body import read_fields
from service.middleware.access import OPEN
from service.middleware.problems import BodyError
from service.routes.console.gate import is_own_page
from service.routes.documents import AnyRequest
from service.services import services_of
from service.storefront.basket import (
    put_in,
    read_basket,
    read_order,
    take_out,
    write_basket,
    write_order,
)
from service.storefront.catalogue import PRODUCTS_PER_PAGE, Catalogue, Category, Product
from service.storefront.shop import Storefront
from service.storefront.slots import PageKind, slots_of

HOME = "/demo"
BASKET, ORDER = "endcap_demo_basket", "endcap_demo_order"
PERSONA, CONSENT, DRAWER = "endcap_demo_persona", "endcap_demo_consent", "endcap_demo_drawer"
A_MONTH_S = 30 * 86_400
HEADERS = {
    "Cache-Control": "private, no-cache",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self' https:; form-action 'self'; base-uri 'none'; frame-ancestors 'self'; "
        "require-trusted-types-for 'script'"
    ),
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


@get("/demo", opt=OPEN, include_in_schema=False, sync_to_thread=False)
def show_home(request: AnyRequest) -> Response[str]:
    """Show the home page."""
    catalogue = _catalogue(request)
    if catalogue is None:
        return _page(request, "waiting.html", HTTPStatus.OK)
    configuration = services_of(request).current.get()
    tiles = [
        (department, catalogue.best(department.path, configuration, 1))
        for department in catalogue.departments
    ]
    return _page(request, "home.html", page="home", tiles=tiles)


@get("/demo/shop/{slug:path}", opt=OPEN, include_in_schema=False, sync_to_thread=False)
def show_category(
    request: AnyRequest,
    slug: FromPath[str],
    number: Annotated[int, QueryParameter(name="page", ge=1)] = 1,
) -> Response[str]:
    """Show what a category holds, the most popular first."""
    catalogue = _catalogue(request)
    category = catalogue and catalogue.by_slug.get(slug.strip("/"))
    if not category or not catalogue:
        return _missing(request, "There is no such department.")
    configuration = services_of(request).current.get()
    products, n_products = catalogue.listing(category.path, configuration, page=number)
    return _page(
        request,
        "category.html",
        page="category",
        about=products[:1],
        category=category,
        trail=_trail(catalogue, category.path),
        products=products,
        n_products=n_products,
        number=number,
        n_pages=-(-n_products // PRODUCTS_PER_PAGE),
    )


@get("/demo/items/{item_id:str}", opt=OPEN, include_in_schema=False, sync_to_thread=False)
def show_product(request: AnyRequest, item_id: FromPath[str]) -> Response[str]:
    """Show one item."""
    catalogue = _catalogue(request)
    product = catalogue and catalogue.product(item_id, services_of(request).current.get())
    if not product or not catalogue:
        return _missing(request, "This item is not in the shop.")
    return _page(
        request,
        "product.html",
        page="product",
        about=[product],
        product=product,
        trail=_trail(catalogue, product.category or ""),
    )


@get("/demo/basket", opt=OPEN, include_in_schema=False, sync_to_thread=False)
def show_basket(request: AnyRequest) -> Response[str]:
    """Show the basket."""
    lines = _lines(request, read_basket(request.cookies.get(BASKET)))
    return _page(
        request,
        "basket.html",
        page="basket" if lines else "empty_basket",
        about=[product for product, _ in lines],
        lines=lines,
        total=_total(lines),
    )


@post("/demo/basket", opt=OPEN, include_in_schema=False)
async def change_basket(request: AnyRequest) -> Response[str]:
    """Put an item in or take it out."""
    form = await _form(request)
    item_id = form.get("item_id", "")
    lines = read_basket(request.cookies.get(BASKET))
    if form.get("do") == "take_out":
        lines = take_out(lines, item_id)
    elif _lines(request, {item_id: 1}):
        lines = put_in(lines, item_id)
    return _go("/demo/basket", {BASKET: write_basket(lines)})


@post("/demo/checkout", opt=OPEN, include_in_schema=False)
async def check_out(request: AnyRequest) -> Response[str]:
    """Buy what is in the basket; no money and no goods change hands."""
    await _form(request)
    bought = _lines(request, read_basket(request.cookies.get(BASKET)))
    lines = {product.id: n for product, n in bought}
    if not lines:
        return _go("/demo/basket", {})
    order_id = f"demo-{services_of(request).now_ms():x}"
    written = write_order(order_id, lines)
    return _go(f"/demo/orders/{order_id}", {ORDER: written, BASKET: ""})


@get("/demo/orders/{order_id:str}", opt=OPEN, include_in_schema=False, sync_to_thread=False)
def show_order(request: AnyRequest, order_id: FromPath[str]) -> Response[str]:
    """Confirm the newest order."""
    known, bought = read_order(request.cookies.get(ORDER))
    lines = _lines(request, bought)
    if known != order_id or not lines:
        return _missing(request, "This order is not known in this browser.")
    return _page(
        request, "order.html", page="order", order_id=order_id, lines=lines, total=_total(lines)
    )


@post("/demo/visitor", opt=OPEN, include_in_schema=False)
async def change_visitor(request: AnyRequest) -> Response[str]:
    """Become somebody else, or give or refuse consent; then go back to the page."""
    form = await _form(request)
    cookies = {}
    if "user_id" in form:
        cookies[PERSONA] = _packed(form["user_id"].strip())
    if "consent" in form:
        cookies[CONSENT] = "no" if form["consent"] == "no" else ""
    back = form.get("back", HOME)
    is_here = back == HOME or back.startswith(f"{HOME}/")
    # A page sends its path as it reads; in a header it stands quoted.
    return _go(quote(back) if is_here else HOME, cookies)


def storefront_of(request: AnyRequest) -> Storefront:
    """Return the shop of the process."""
    storefront = services_of(request).storefront
    assert storefront is not None  # the routes are there only with it
    return storefront


def _catalogue(request: AnyRequest) -> Catalogue | None:
    return storefront_of(request).catalogue(services_of(request).live_model.get())


def _page(
    request: AnyRequest,
    template: str,
    status: HTTPStatus = HTTPStatus.OK,
    *,
    page: PageKind | None = None,
    about: Sequence[Product] = (),
    **values: Any,
) -> Response[str]:
    """Fill a page's template with what all pages have and what this one has."""
    services, storefront = services_of(request), storefront_of(request)
    configuration, catalogue = services.current.get(), _catalogue(request)
    persona = storefront.sign.persona(_unpacked(request.cookies.get(PERSONA)))
    html = storefront.render(
        template,
        page=page,
        about=about,
        departments=catalogue.departments if catalogue else [],
        slots=slots_of(page, configuration, catalogue) if page and catalogue else [],
        persona=persona,
        consent=request.cookies.get(CONSENT) != "no",
        n_in_basket=sum(read_basket(request.cookies.get(BASKET)).values()),
        drawer_is_open=bool(page) and request.cookies.get(DRAWER) == "open",
        here=request.scope["path"],
        key=storefront.key,
        newest=services.console.changes.newest(),
        **values,
    )
    return Response(html, status_code=status, media_type=MediaType.HTML, headers=HEADERS)


def _missing(request: AnyRequest, what: str) -> Response[str]:
    return _page(request, "missing.html", HTTPStatus.NOT_FOUND, what=what)


def _lines(request: AnyRequest, lines: dict[str, int]) -> list[tuple[Product, int]]:
    """Find the products of a basket; what can no longer be bought is left out."""
    catalogue, configuration = _catalogue(request), services_of(request).current.get()
    if catalogue is None:
        return []
    return [(one, lines[one.id]) for one in catalogue.products(lines, configuration)]


def _total(lines: Sequence[tuple[Product, int]]) -> float:
    return sum((product.price or 0.0) * n for product, n in lines)


def _trail(catalogue: Catalogue, path: str) -> list[Category]:
    """List the categories from the department down to a path."""
    trail = [one for one in catalogue.by_slug.values() if f"{path} > ".startswith(f"{one.path} > ")]
    return sorted(trail, key=lambda one: len(one.path))


def _packed(text: str) -> str:
    """Write a text so that no cookie parser changes it."""
    return urlsafe_b64encode(text[:256].encode()).decode()


def _unpacked(cookie: str | None) -> str:
    try:
        return urlsafe_b64decode(cookie or "").decode()
    except ValueError:
        return ""


async def _form(request: AnyRequest) -> dict[str, str]:
    """Read a form that a page of this shop sent."""
    if not is_own_page(request):
        raise BodyError("the form comes from another site; open the shop at /demo")
    return dict(read_fields(await request.body()))


def _go(where: str, cookies: dict[str, str]) -> Response[str]:
    """Send the browser to a page, and have it keep some cookies."""
    kept = [
        Cookie(
            key=name,
            value=value,
            path=HOME,
            max_age=A_MONTH_S if value else 0,
            httponly=True,
            samesite="lax",
        )
        for name, value in cookies.items()
    ]
    headers = {"Location": where, "Cache-Control": "no-store"}
    return Response("", status_code=HTTPStatus.SEE_OTHER, headers=headers, cookies=kept)


STOREFRONT_PAGES = [
    show_home,
    show_category,
    show_product,
    show_basket,
    change_basket,
    check_out,
    show_order,
    change_visitor,
]
