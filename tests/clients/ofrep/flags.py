"""The flags that the real clients ask for: every type, the code's default, audience, kill."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.end_to_end.running_server import RunningServer, assert_live_everywhere, run_server

VALUES: dict[str, tuple[str, Any, Any]] = {
    "boolean": ("boolean", False, True),
    "string": ("string", "", "é"),
    "integer": ("integer", 0, 7),
    "float": ("float", 0, 1),
    "object": ("object", {}, {"title": "Sale", "sizes": [1.5, None]}),
}


def flag(value_type: str, control: Any, value: Any, **fields: Any) -> dict[str, Any]:
    """Write a flag that everyone has."""
    return {
        "share": 1,
        "value_type": value_type,
        "control_value": control,
        "variants": [{"key": "on", "value": value}],
        **fields,
    }


@contextmanager
def flag_server(home: Path) -> Iterator[RunningServer]:
    """Start two workers that answer the flags."""
    with run_server(home, "--workers", "2") as server:
        for key, (value_type, control, value) in VALUES.items():
            server.put(f"/v1/rollouts/{key}", flag(value_type, control, value))
        in_ae = {"op": "equals", "attribute": "country", "value": "AE"}
        server.put("/v1/rollouts/country", flag("string", "elsewhere", "here", audience=in_ae))
        server.put("/v1/rollouts/killable", flag("boolean", False, True))
        unset = {"key": "on", "value": True}
        server.put(
            "/v1/rollouts/code_default",
            {"share": 0, "value_type": "boolean", "variants": [unset]},
        )
        # the last change carries all before it; either worker may answer the first test
        assert_live_everywhere(lambda: _is_known(server, "code_default"))
        yield server


def _is_known(server: RunningServer, key: str) -> bool:
    path = f"/ofrep/v1/evaluate/flags/{key}"
    return server.call("POST", path, {"context": {"targetingKey": "u1"}}).status_code == 200
