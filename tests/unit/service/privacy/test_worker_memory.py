"""What a worker forgets of one person, in its event loop."""

from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import Mock

import pytest

from service.privacy.worker_memory import MANY, WorkerMemory


@pytest.mark.parametrize(
    ("n_keys", "n_alone", "n_all"), [(1, 1, 0), (MANY, MANY, 0), (MANY + 1, 0, 1)]
)
def test_person_of_very_many_visitors_is_forgotten_at_once(
    n_keys: int, n_alone: int, n_all: int
) -> None:
    """Not one after the other, each in all profiles, while pages wait: then all profiles go."""
    intake = SimpleNamespace(recents=Mock(), people=Mock(), banner_views=Mock())
    engine = Mock()
    keys = [f"visitor-{number}" for number in range(n_keys)]
    WorkerMemory(cast(Any, intake), engine, Mock()).forget(keys)
    assert (engine.forget.call_count, engine.forget_all.call_count) == (n_alone, n_all)
    for kept in (intake.recents, intake.people, intake.banner_views):
        kept.forget.assert_called_once_with(keys)
