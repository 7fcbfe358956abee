"""PyPI's OpenFeature SDK with its OFREP provider against a running server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode

from tests.clients.ofrep.flags import VALUES, flag_server
from tests.end_to_end.running_server import RunningServer, assert_live_everywhere


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """Start a server with the flags."""
    with flag_server(tmp_path_factory.mktemp("home")) as running:
        yield running


@pytest.fixture
def client(server: RunningServer) -> Iterator[OpenFeatureClient]:
    """Make a client with a publishable key."""
    yield client_of(server, server.keys["publishable"])
    api.shutdown()


def client_of(server: RunningServer, key: str) -> OpenFeatureClient:
    """Make a client whose provider sends a bearer key."""
    provider = OFREPProvider(
        server.address, headers_factory=lambda: {"Authorization": f"Bearer {key}"}
    )
    api.set_provider(provider)
    return api.get_client()


def details(client: OpenFeatureClient, kind: str, key: str, fallback: Any, **context: Any) -> Any:
    """Evaluate a flag for u1."""
    target = context.pop("targeting_key", "u1")
    asked = EvaluationContext(target, context)
    return getattr(client, f"get_{kind}_details")(key, fallback, asked)


@pytest.mark.parametrize("key", VALUES)
def test_python_sdk_reads_every_type(client: OpenFeatureClient, key: str) -> None:
    """Each type arrives as that Python type; a whole float is a float."""
    kind, fallback, value = VALUES[key]
    fallback = float(fallback) if kind == "float" else fallback
    found = details(client, kind, key, fallback)
    assert (found.value, found.variant, found.error_code) == (value, "on", None)
    assert type(found.value) is {"float": float, "integer": int}.get(kind, type(value))
    assert (found.reason, found.flag_metadata["epoch"]) == ("STATIC", 1)


def test_python_sdk_falls_back_to_the_code(client: OpenFeatureClient) -> None:
    """A flag without a control value leaves it to the code, without an error."""
    found = details(client, "boolean", "code_default", True)
    assert (found.value, found.variant, found.error_code) == (True, "control", None)


@pytest.mark.parametrize(
    ("key", "kind", "context", "code"),
    [
        ("nope", "boolean", {}, ErrorCode.FLAG_NOT_FOUND),
        ("string", "boolean", {}, ErrorCode.TYPE_MISMATCH),
        ("boolean", "boolean", {"targeting_key": None}, ErrorCode.TARGETING_KEY_MISSING),
        ("boolean", "boolean", {"targeting_key": "x" * 257}, ErrorCode.INVALID_CONTEXT),
        ("boolean", "boolean", {"page": "\ud800"}, ErrorCode.PARSE_ERROR),
        ("boolean", "boolean", {"big": "x" * 1_100_000}, ErrorCode.GENERAL),
    ],
)
def test_python_sdk_names_every_error(
    client: OpenFeatureClient, key: str, kind: str, context: dict[str, Any], code: ErrorCode
) -> None:
    """Every mistake gives the fallback, the protocol's code and a sentence."""
    found = details(client, kind, key, True, **context)
    assert (found.value, found.error_code) == (True, code)
    assert found.error_message


def test_python_sdk_without_any_context_is_told(client: OpenFeatureClient) -> None:
    """A flag is always for somebody; the answer says what is missing."""
    found = client.get_boolean_details("boolean", False)
    assert (found.value, found.error_code) == (False, ErrorCode.TARGETING_KEY_MISSING)


def test_python_sdk_with_a_wrong_key_is_told(server: RunningServer) -> None:
    """An unknown key is an error, not a value."""
    found = details(client_of(server, "wrong"), "boolean", "boolean", False)
    assert (found.value, found.error_message) == (False, "unauthorized")
    api.shutdown()


def test_python_sdk_follows_the_context(client: OpenFeatureClient) -> None:
    """Each call has its own context."""
    assert details(client, "string", "country", "", country="AE").value == "here"
    assert details(client, "string", "country", "", country="SA").value == "elsewhere"


def test_python_sdk_sees_a_kill(client: OpenFeatureClient, server: RunningServer) -> None:
    """A kill holds for every call within a second, whichever worker answers."""
    assert details(client, "boolean", "killable", False).value is True
    server.call("POST", "/v1/rollouts/killable/kill", scope="admin")

    def is_off() -> bool:
        found = details(client, "boolean", "killable", True)
        return (found.value, found.reason) == (False, "DISABLED")

    assert_live_everywhere(is_off)
