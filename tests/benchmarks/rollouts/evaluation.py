"""What one evaluation costs, beside one hash of the same kind."""

from __future__ import annotations

from hashlib import blake2b
from time import perf_counter_ns
from typing import Any

import msgspec
import numpy as np

from service.rollouts.compiled import CompiledRollout, compile_rollouts
from service.rollouts.definition import Rollout
from service.rollouts.evaluate import evaluate
from service.rollouts.flags import answer_flag
from service.rollouts.layer import Holdout, Layer
from service.rollouts.segment import MemberList
from service.rollouts.visitor import Visitor

NOW_MS = 1_768_435_200_000
TWO_ARMS = [{"key": "a"}, {"key": "b"}]
AUDIENCE = {
    "op": "all",
    "of": [
        {"op": "in", "attribute": "country", "values": ["AE", "SA", "KW"]},
        {"op": "version", "at_least": "4.2"},
        {"op": "not", "of": {"op": "equals", "attribute": "tier", "value": "staff"}},
        {"op": "range", "attribute": "age", "at_least": 18},
        {"op": "segment", "segment": "vip"},
    ],
}
ATTRIBUTES = {"country": "AE", "app_version": "4.10.1", "tier": "gold", "age": 40, "page": "home"}
CASES: dict[str, dict[str, Any]] = {
    "one arm": {},
    "two arms": {"variants": TWO_ARMS},
    "killed": {"killed": True},
    "holdout, layer, two arms": {
        "variants": TWO_ARMS,
        "holdout": True,
        "layer": {"key": "home", "slots": [[0, 998]]},
    },
    "five conditions, holdout, layer, two arms": {
        "variants": TWO_ARMS,
        "holdout": True,
        "layer": {"key": "home", "slots": [[0, 998]]},
        "audience": AUDIENCE,
    },
}


def measure(n_units: int, n_members: int, n_rollouts: int = 20) -> dict[str, float]:
    """Return microseconds a rollout by case: a new visitor meets some rollouts, as on a page."""
    keys = [blake2b(b"%d" % number, digest_size=16).hexdigest() for number in range(n_units)]
    numbers = np.unique(np.random.default_rng(7).integers(0, 2**64, n_members, dtype=np.uint64))
    numbers = np.unique(np.append(numbers, [np.uint64(int(key[:16], 16)) for key in keys]))
    members = MemberList("user_id", memoryview(numbers.tobytes()).cast("Q"))
    figures = {"one blake2b": _time(lambda key: blake2b(key.encode()).digest(), keys, 1)}
    figures[f"look-up in a list of {len(numbers)}"] = _time(
        lambda key: members.has(key, None), keys, 1
    )
    compiled: list[CompiledRollout] = []

    def visit(key: str) -> Visitor:
        return Visitor(key, None, now_ms=NOW_MS, attributes=ATTRIBUTES, segments={"vip": members})

    def page(key: str) -> None:
        visitor = visit(key)
        for rollout in compiled:
            evaluate(rollout, visitor)

    def flags(key: str) -> None:
        visitor = visit(key)
        msgspec.json.encode([answer_flag(rollout, visitor) for rollout in compiled])

    for name, fields in CASES.items():
        rollouts = [
            msgspec.convert({"key": f"r{n}", "share": 0.5, "holdout": False, **fields}, Rollout)
            for n in range(n_rollouts)
        ]
        compiled[:] = compile_rollouts(
            rollouts, {"home": Layer(key="home")}, Holdout(share=0.01)
        ).values()

        figures[name] = _time(page, keys, n_rollouts)

    figures["the last, as an OFREP answer in JSON"] = _time(flags, keys, n_rollouts)
    return {name: round(figure, 3) for name, figure in figures.items()}


def _time(work: Any, keys: list[str], n_each: int) -> float:
    """Return the best of five rounds in microseconds."""
    best = float("inf")
    for _ in range(5):
        begin = perf_counter_ns()
        for key in keys:
            work(key)
        best = min(best, (perf_counter_ns() - begin) / len(keys) / n_each / 1000)
    return best
