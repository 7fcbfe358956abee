"""Keys: made once, kept as digests, revoked for good."""

from pathlib import Path
from typing import get_args

import pytest

from models.errors import InputError, NotFoundError
from service.control.keys import (
    KeyInfo,
    Principal,
    Scope,
    create_first_keys,
    create_key,
    digest_of,
    ensure_key,
    list_keys,
    revoke_key,
)
from tests.unit.service.control.samples import Worker, run_sql


def test_first_keys_are_made_once(worker: Worker) -> None:
    """The first start makes an admin and a publishable key; later starts make none."""
    made = create_first_keys(worker.store, 1)
    assert [key.info.scope for key in made] == ["admin", "publishable"]
    for key in made:
        revoke_key(worker.store, key.info.id, actor="tester", now_ms=2)
    assert create_first_keys(worker.store, 3) == []


def test_key_is_found_by_its_digest_until_it_is_revoked(worker: Worker, tmp_path: Path) -> None:
    """A new key is found after a refresh, a revoked one no longer; its secret is on no disk."""
    made = create_key(worker.store, scope="trainer", name="nightly", actor="tester", now_ms=1)
    worker.current.refresh()
    assert worker.current.find_principal(digest_of(made.key)) == Principal(made.info.id, "trainer")
    assert made.key not in str(run_sql(worker.store.place, "SELECT * FROM keys"))
    for file in tmp_path.iterdir():
        assert made.key.encode() not in file.read_bytes()
    revoked = revoke_key(worker.store, made.info.id, actor="tester", now_ms=5)
    worker.current.refresh()
    assert worker.current.find_principal(digest_of(made.key)) is None
    again = revoke_key(worker.store, made.info.id, actor="tester", now_ms=9)
    assert revoked.revoked_at_ms == again.revoked_at_ms == 5
    assert list_keys(worker.store) == [revoked]


def test_key_of_a_scope_of_a_newer_release_opens_nothing(worker: Worker) -> None:
    """On a machine that does not know it, where all else goes on."""
    newer, known = (
        create_key(worker.store, scope="server", name=name, actor="tester", now_ms=1)
        for name in ("newer", "known")
    )
    run_sql(worker.store.place, "UPDATE keys SET scope = 'auditor' WHERE name = 'newer'")
    worker.current.refresh()
    assert worker.current.find_principal(digest_of(newer.key)) is None
    assert worker.current.find_principal(digest_of(known.key)) is not None


def test_derived_key_is_stored_once_and_stays_revoked(worker: Worker) -> None:
    """Every worker that starts finds the same key; one that was revoked is not made again."""

    def ensure(now_ms: int) -> KeyInfo:
        return ensure_key(
            worker.store,
            "endcap_publishable_derived",
            scope="publishable",
            name="shop",
            actor="start",
            now_ms=now_ms,
        )

    made = ensure(1)
    assert ensure(2) == made
    revoked = revoke_key(worker.store, made.id, actor="tester", now_ms=5)
    assert ensure(9) == revoked
    assert list_keys(worker.store) == [revoked]


@pytest.mark.parametrize(
    ("scope", "allowed"),
    [
        ("server", {"server"}),
        ("publishable", {"server", "publishable"}),
        ("merchandiser", {"server", "publishable", "merchandiser"}),
        ("trainer", {"server", "publishable", "trainer"}),
        ("support", {"server", "publishable", "support"}),
        ("admin", {"server", "publishable", "merchandiser", "trainer", "support", "admin"}),
    ],
)
def test_scope_includes(scope: Scope, allowed: set[str]) -> None:
    """An admin may everything; a merchandiser is no trainer; a server only sends events."""
    everything: tuple[Scope, ...] = get_args(Scope)
    assert {each for each in everything if Principal("k", scope).may(each)} == allowed


def test_unknown_key_names_the_known_ones(worker: Worker) -> None:
    """Revoking a key that does not exist lists those that do."""
    with pytest.raises(NotFoundError, match="none is known yet"):
        revoke_key(worker.store, "key_x", actor="tester", now_ms=1)


def test_key_without_name_is_refused(worker: Worker) -> None:
    """A name has 1 to 100 characters."""
    with pytest.raises(InputError, match="0 characters"):
        create_key(worker.store, scope="admin", name="", actor="tester", now_ms=1)
