"""The console's gate: who gets in, which forms are taken, what every answer carries."""

import re

import httpx
import pytest

from service.console.session import COOKIE
from tests.unit.service.routes.console_shop import Visitor
from tests.unit.service.routes.samples import Shop

HOUR_MS = 3_600_000


def sign_in(shop: Shop, scope: str = "admin", place: str = "/console") -> httpx.Response:
    """Send the form to sign in."""
    form = {"key": shop.keys[scope], "next": place}
    return shop.client.post("/console/sign-in", data=form, follow_redirects=False)


def form_token(shop: Shop) -> str:
    """Read the token out of a page."""
    found = re.search(r'name="form-token" content="(\w+)"', shop.client.get("/console").text)
    assert found is not None
    return found[1]


def test_nobody_is_sent_to_sign_in_and_back(shop: Shop) -> None:
    """The address that was asked for is where signing in leads."""
    asked = shop.client.get("/console/rollouts?x=1", follow_redirects=False)
    assert asked.status_code == 303
    assert asked.headers["location"] == "/console/sign-in?next=/console/rollouts%3Fx%3D1"
    signed_in = sign_in(shop, place="/console/rollouts?x=1")
    assert (signed_in.status_code, signed_in.headers["location"]) == (303, "/console/rollouts?x=1")
    cookie = signed_in.headers["set-cookie"]
    assert all(part in cookie for part in ("HttpOnly", "SameSite=strict", "Path=/console"))
    assert "Secure" not in cookie
    assert shop.client.get("/console").status_code == 200


@pytest.mark.parametrize(
    "place",
    [
        *("https://evil.example", "//evil.example", "/console\\@evil", "/v1/keys"),
        *("/console/\nx", "/console/\x7f", "/console/€"),
    ],
)
def test_signing_in_never_leads_elsewhere(shop: Shop, place: str) -> None:
    """Only to the console."""
    assert sign_in(shop, place=place).headers["location"] == "/console"


def test_cookie_is_secure_behind_https(shop: Shop) -> None:
    """Also where a proxy speaks it."""
    form = {"key": shop.keys["admin"]}
    headers = {"x-forwarded-proto": "https"}
    answer = shop.client.post(
        "/console/sign-in", data=form, headers=headers, follow_redirects=False
    )
    assert "Secure" in answer.headers["set-cookie"]


def test_keys_that_are_no_persons_are_refused(shop: Shop) -> None:
    """With a page that says why, and the form again."""
    wrong = shop.client.post("/console/sign-in", data={"key": "nonsense"})
    assert (wrong.status_code, "unknown or was revoked" in wrong.text) == (401, True)
    public = sign_in(shop, "publishable")
    assert (public.status_code, "publishable key" in public.text) == (403, True)
    server = sign_in(shop, "server")
    assert (server.status_code, "server key, with which a shop" in server.text) == (403, True)
    assert COOKIE not in shop.client.cookies


def test_form_that_no_browser_sends_is_refused_before_it_is_looked_at(shop: Shop) -> None:
    """Thousands of fields; and a part whose encoding nobody knows is read as any other."""
    many = [("key", shop.keys["admin"])] * 5_001
    body = "&".join(f"{name}={value}" for name, value in many).encode()
    form = {"content-type": "application/x-www-form-urlencoded"}
    refused = shop.client.post("/console/sign-in", content=body, headers=form)
    assert (refused.status_code, "more than 5000 fields" in refused.text) == (400, True)
    part = 'Content-Disposition: form-data; name="key"\r\nContent-Type: text/plain; charset=odd'
    body = f"--x\r\n{part}\r\n\r\n{shop.keys['admin']}\r\n--x--\r\n".encode()
    form = {"content-type": "multipart/form-data; boundary=x"}
    answer = shop.client.post("/console/sign-in", content=body, headers=form)
    assert (answer.status_code, COOKIE in shop.client.cookies) == (200, True)


def test_too_many_wrong_keys_wait(shop: Shop) -> None:
    """The eleventh within a minute is not looked at, right or wrong."""
    for _ in range(10):
        assert shop.client.post("/console/sign-in", data={"key": "x"}).status_code == 401
    assert sign_in(shop).status_code == 429


def test_form_of_another_site_signs_nobody_in(shop: Shop) -> None:
    """Nor does one whose origin is another."""
    for headers in ({"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example"}):
        form = {"key": shop.keys["admin"]}
        answer = shop.client.post("/console/sign-in", data=form, headers=headers)
        assert answer.status_code == 403


def test_form_without_the_token_is_refused(shop: Shop) -> None:
    """A page says so, and nobody is signed out; the token of the page is taken."""
    sign_in(shop)
    for form in ({}, {"form_token": "0" * 40}):
        refused = shop.client.post("/console/sign-out", data=form)
        assert (refused.status_code, "not made for this session" in refused.text) == (403, True)
    out = shop.client.post(
        "/console/sign-out", data={"form_token": form_token(shop)}, follow_redirects=False
    )
    assert out.headers["location"] == "/console/sign-in"
    assert shop.client.get("/console", follow_redirects=False).status_code == 303


def test_session_ends_with_its_key(shop: Shop) -> None:
    """A revoked key is out at its next request."""
    made = shop.call("POST", "/v1/keys", json={"scope": "merchandiser", "name": "Ann"}).json()
    shop.client.post("/console/sign-in", data={"key": made["key"]})
    page = shop.client.get("/console")
    assert (page.status_code, "Ann" in page.text) == (200, True)
    shop.call("DELETE", f"/v1/keys/{made['info']['id']}")
    ended = shop.client.get("/console", follow_redirects=False)
    assert (ended.status_code, "over=1" in ended.headers["location"]) == (303, True)


def test_session_lasts_as_long_as_somebody_asks(shop: Shop) -> None:
    """Twelve hours after the last request; each one after a while prolongs it."""
    sign_in(shop)
    shop.advance(11 * HOUR_MS)
    assert "Max-Age=43200" in shop.client.get("/console").headers["set-cookie"]
    shop.advance(11 * HOUR_MS)
    assert shop.client.get("/console", follow_redirects=False).status_code == 200
    shop.advance(12 * HOUR_MS)
    over = shop.client.get("/console?tab=2", follow_redirects=False)
    assert over.headers["location"] == "/console/sign-in?next=/console%3Ftab%3D2&over=1"


def test_script_is_told_with_a_status(shop: Shop) -> None:
    """A redirect would give it the page to sign in, as if it were what it asked for."""
    answer = shop.client.get("/console", headers={"x-requested-with": "console"})
    assert (answer.status_code, answer.json()["code"]) == (401, "session_missing")


def test_every_answer_carries_the_policy(shop: Shop) -> None:
    """Pages, refusals and assets; and no page has a style or a script in it."""
    sign_in(shop)
    for path in ("/console", "/console/sign-in", "/console/nothing", "/console/assets/console.css"):
        answer = shop.client.get(path, follow_redirects=False)
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert not re.search(r"<style|style=|<script(?! src)|\son\w+=", answer.text)
    assert shop.client.get("/console/nothing").status_code == 404


def test_link_from_elsewhere_reaches_the_session(shop: Shop) -> None:
    """A strict cookie does not come with it, so a page of ours asks once more."""
    answer = shop.client.get(
        "/console/rollouts", headers={"sec-fetch-site": "cross-site"}, follow_redirects=False
    )
    assert (answer.status_code, 'http-equiv="refresh"' in answer.text) == (200, True)


def test_overview_says_which_slots_it_looked_at(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of the last hour; of a busy shop the newest ones, as many as it says."""
    sign_in(shop)
    assert "of 0 slots in the last hour" in shop.client.get("/console").text
    monkeypatch.setattr("service.routes.console.overview.NEWEST", 0)
    assert "the newest 0 slots" in shop.client.get("/console").text


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("zzz", 404),
        ("shoppers/zzz", 404),
        ("rollouts/r/proposals/x", 404),
        ("banners/b/zzz", 404),
        ("placements/save", 405),
        ("rollouts/r/kill", 405),
    ],
)
def test_address_that_no_page_has_is_answered_with_one(shop: Shop, path: str, status: int) -> None:
    """Whoever is signed in has the menu there, a script gets the problem; a stranger signs in."""
    ann = Visitor(shop)
    told = ann.get(f"/console/{path}")
    assert (told.status_code, told.headers["content-type"]) == (status, "text/html; charset=utf-8")
    assert "Content-Security-Policy" in told.headers
    assert "/console/sign-out" in told.text
    part = shop.client.get(f"/console/{path}", headers={"x-requested-with": "console"})
    assert part.headers["content-type"] == "application/problem+json"
    shop.client.cookies.clear()
    stranger = shop.client.get(f"/console/{path}", follow_redirects=False)
    assert stranger.headers["location"].startswith("/console/sign-in?next=/console/")
    assert shop.client.get("/consolezzz").headers["content-type"] == "application/problem+json"
