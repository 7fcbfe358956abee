"""Pages of other origins: who may read answers, and what a cache between may mix up."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.middleware.cors import vary_by_origin
from tests.unit.service.routes.samples import Shop, open_client

SHOP, STRANGER = "https://shop.example", "https://evil.example"


@pytest.fixture(scope="module")
def listening(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """Open an app that one origin may call."""
    home: Path = tmp_path_factory.mktemp("home")
    with open_client(home, cors_origins=(SHOP,)) as client:
        yield Shop(client)


def varies(answer: httpx.Response) -> list[str]:
    """List what an answer varies by."""
    return [each.strip() for each in answer.headers.get("vary", "").split(",")]


def rights(answer: httpx.Response) -> set[str]:
    """Name the headers that tell a page what it may do."""
    return {name for name in answer.headers if name.startswith("access-control-")}


@pytest.mark.parametrize("origin", [SHOP, STRANGER, None])
@pytest.mark.parametrize("path", ["/v1/rules", "/v1/rules/none", "/nowhere"])
def test_answer_varies_by_origin_whoever_asks(
    listening: Shop, origin: str | None, path: str
) -> None:
    """Else a cache gives the answer without rights, or with another's, to who has them."""
    headers = {} if origin is None else {"Origin": origin}
    answer = listening.call("GET", path, headers=headers)
    assert varies(answer) == ["Origin"]
    assert answer.headers.get("access-control-allow-origin") == (SHOP if origin == SHOP else None)
    assert bool(rights(answer)) == (origin == SHOP)


def test_preflight_of_a_stranger_learns_nothing(listening: Shop) -> None:
    """Neither which methods nor which headers others may send."""
    asked = {"Origin": STRANGER, "Access-Control-Request-Method": "PUT"}
    answer = listening.call("OPTIONS", "/v1/rules", scope=None, headers=asked)
    assert (answer.status_code, rights(answer), varies(answer)) == (400, set(), ["Origin"])


def test_what_no_cache_keeps_does_not_vary(listening: Shop) -> None:
    """An answer to a POST is for who asked; a stranger's still says nothing of rights."""
    answer = listening.call("POST", "/v1/events", json={}, headers={"Origin": STRANGER})
    assert (varies(answer), rights(answer)) == ([""], set())


def test_what_is_for_every_origin_does_not_vary(listening: Shop, shop: Shop) -> None:
    """The script is one for all, and so is everything where no origin is set."""
    assert "vary" not in listening.call("GET", "/endcap.js", scope=None).headers
    assert "vary" not in shop.call("GET", "/v1/rules", headers={"Origin": SHOP}).headers


def test_vary_keeps_what_was_there() -> None:
    """A second reason to keep answers apart is added to the first, once."""
    scope: Any = {"method": "GET"}
    message: Any = {"type": "http.response.start", "status": 200, "headers": [(b"vary", b"Accept")]}
    for _ in range(2):
        asyncio.run(vary_by_origin(message, scope))
        assert message["headers"] == [(b"vary", b"Accept, Origin")]
