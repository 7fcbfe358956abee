"""Which tests may run beside which, when several processes share them."""

import pytest

ROADS = ("banners_learn", "demo", "events_benchmark", "readme", "serve_benchmark")
"""Modules of `tests/end_to_end` that hold nothing to a second."""
POSTGRES, SERVERS = "postgres", "servers"


def make_scheduler(config: pytest.Config, log: object) -> object:
    """Make what gives the tests of a group to one process, which runs them one after the other."""
    from xdist.scheduler import LoadScopeScheduling  # only where processes share the tests

    class Scheduler(LoadScopeScheduling):  # type: ignore[misc]  # the library has no types
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid)

    return Scheduler(config, log)


def group_of(nodeid: str) -> str:
    """Name a test's group: in `tests/unit` its module, whose fixtures it shares.

    No two servers, browsers or benchmarks run at once, nor two servers of PostgreSQL.
    """
    path = nodeid.partition("::")[0].removeprefix("tests/")
    if not path.startswith("unit/"):
        return SERVERS
    return POSTGRES if "postgres" in nodeid or path.endswith("_move.py") else path


def put_in_order(items: list[pytest.Item]) -> None:
    """Put the long groups first; what is held to a time comes when most others have ended."""
    items.sort(key=lambda item: _place(item.nodeid))


def _place(nodeid: str) -> int:
    group = group_of(nodeid)
    if group == SERVERS:
        is_road = any(f"/test_{road}.py" in nodeid for road in ROADS)
        return 0 if is_road else 1 if "end_to_end/" in nodeid else 2
    return 3 if group == POSTGRES else 4
