"""Uploaded lists over HTTP: counts, limits, replacement, use in an audience."""

from pathlib import Path

from tests.unit.service.routes.samples import Shop, open_client
from tests.unit.service.routes.test_bad_input import is_problem

MEMBERS = "/v1/segments/vip/members"


def variant(shop: Shop, user_id: str) -> str:
    """Evaluate the rollout `r`."""
    context = {"context": {"targetingKey": user_id}}
    return str(shop.call("POST", "/ofrep/v1/evaluate/flags/r", json=context).json()["variant"])


def test_list_is_uploaded_used_and_replaced(shop: Shop) -> None:
    """An upload counts what it got, the audience follows, and a list in use is not deleted."""
    uploaded = shop.call("PUT", MEMBERS, content=b"user_id\nu1\nu2\nu1\n", scope="merchandiser")
    assert uploaded.status_code == 200
    answer = uploaded.json()
    counts = [answer[name] for name in ("received", "accepted", "duplicate", "rejected")]
    assert (counts, answer["segment"]["n_members"]) == ([3, 2, 1, 0], 2)
    audience = {"op": "segment", "segment": "vip"}
    shop.call("PUT", "/v1/rollouts/r", json={"share": 1, "audience": audience})
    assert [variant(shop, one) for one in ("u1", "u3")] == ["personal", "control"]
    shop.call("PUT", MEMBERS, content=b'{"user_id": "u3"}\n')
    assert [variant(shop, one) for one in ("u1", "u3")] == ["control", "personal"]
    is_problem(shop.call("DELETE", "/v1/segments/vip"), 409)
    shop.call("DELETE", "/v1/rollouts/r")
    assert shop.call("DELETE", "/v1/segments/vip").status_code == 204
    assert shop.call("GET", "/v1/segments").json() == {"segments": []}


def test_rule_with_a_name_is_asked_like_a_list(shop: Shop) -> None:
    """Who is in follows the request and the rule; what asks for it holds it fast."""

    def rule(*countries: str) -> dict[str, object]:
        return {"rule": {"op": "in", "attribute": "country", "values": list(countries)}}

    def answer(country: str) -> str:
        context = {"context": {"targetingKey": "u1", "country": country}}
        return str(shop.call("POST", "/ofrep/v1/evaluate/flags/r", json=context).json()["variant"])

    made = shop.call("PUT", "/v1/segments/gulf", json=rule("AE", "SA"), scope="merchandiser")
    assert (made.status_code, made.json()["rule"]["values"]) == (201, ["AE", "SA"])
    audience = {"op": "segment", "segment": "gulf"}
    shop.call("PUT", "/v1/rollouts/r", json={"share": 1, "audience": audience})
    assert [answer(country) for country in ("AE", "DE")] == ["personal", "control"]
    assert shop.call("PUT", "/v1/segments/gulf", json=rule("DE")).status_code == 200
    assert [answer(country) for country in ("AE", "DE")] == ["control", "personal"]
    is_problem(shop.call("DELETE", "/v1/segments/gulf"), 409)
    stale = {"If-Match": made.headers["etag"]}
    is_problem(shop.call("PUT", "/v1/segments/gulf", json=rule("FR"), headers=stale), 412)
    is_problem(shop.call("PUT", "/v1/segments/gulf", json=rule("FR"), scope="publishable"), 403)


def test_rule_asks_lists_and_no_other_rule(shop: Shop) -> None:
    """So it cannot ask itself; and a list stays a list."""
    shop.call("PUT", MEMBERS, content=b"user_id\nu1\n")
    on_list = {"rule": {"op": "segment", "segment": "vip"}}
    assert shop.call("PUT", "/v1/segments/best", json=on_list).status_code == 201
    audience = {"op": "segment", "segment": "best"}
    shop.call("PUT", "/v1/rollouts/r", json={"share": 1, "audience": audience})
    assert [variant(shop, one) for one in ("u1", "u3")] == ["personal", "control"]
    is_problem(shop.call("DELETE", "/v1/segments/vip"), 409)
    for asked in ("best", "self", "nobody"):
        body = {"rule": {"op": "not", "of": {"op": "segment", "segment": asked}}}
        is_problem(shop.call("PUT", "/v1/segments/self", json=body), 400)
    is_problem(shop.call("PUT", "/v1/segments/vip", json=on_list), 409)
    is_problem(shop.call("PUT", "/v1/segments/best/members", content=b"user_id\nu1\n"), 409)
    person = shop.call("DELETE", "/v1/users/u1")
    assert person.json()["is_verified"]


def test_refused_list_changes_nothing(shop: Shop) -> None:
    """A list that is wrong as a whole, stale, or without scope leaves the old one."""
    first = shop.call("PUT", MEMBERS, content=b"user_id\nu1\n")
    problem = is_problem(shop.call("PUT", MEMBERS, content=b"nothing\nu2\n"), 400)
    assert problem["code"] == "upload_invalid"
    shop.call("PUT", MEMBERS, content=b"user_id\nu1\nu2\n")
    stale = {"If-Match": first.headers["etag"]}
    is_problem(shop.call("PUT", MEMBERS, content=b"user_id\nu3\n", headers=stale), 412)
    is_problem(shop.call("PUT", MEMBERS, content=b"user_id\n", scope="publishable"), 403)
    is_problem(shop.call("PUT", "/v1/segments/no%20name/members", content=b"user_id\n"), 400)
    assert shop.call("GET", "/v1/segments/vip").json()["n_members"] == 2
    is_problem(shop.call("GET", "/v1/segments/nope"), 404)


def test_list_may_be_longer_than_other_bodies(tmp_path: Path) -> None:
    """The limit of bodies is not that of lists, which have one of their own."""
    with open_client(tmp_path, body_limit_bytes=1024, segment_limit_bytes=500_000) as client:
        shop = Shop(client)
        body = b"user_id\n" + b"".join(b"user-%d\n" % number for number in range(20_000))
        assert shop.call("PUT", MEMBERS, content=body).json()["accepted"] == 20_000
        is_problem(shop.call("PUT", MEMBERS, content=body * 3), 413)
