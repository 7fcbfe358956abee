"""The demo's other processes: a command's answer, its progress and its refusal."""

import asyncio
import socket
from pathlib import Path

import pytest

from training.simulation.processes import DemoError, is_free, run_endcap


def test_command_returns_the_object_it_prints(tmp_path: Path) -> None:
    """The answer of `endcap keys list --json` in an empty home is an empty list of keys."""
    assert asyncio.run(run_endcap("keys", "list", "--home", str(tmp_path))) == {"keys": []}


def test_command_that_refuses_says_why() -> None:
    """A refusal names the command and repeats the last thing it said."""
    with pytest.raises(DemoError, match=r"'endcap keys create' failed: .*'admin'"):
        asyncio.run(run_endcap("keys", "create", "--scope", "emperor"))


def test_port_is_free_until_somebody_listens() -> None:
    """A port with a listener is taken; any port, asked for as 0, never is."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        assert not is_free(listener.getsockname()[1])
    assert is_free(0)
