"""How the HTTP server is set up."""

import resource
from pathlib import Path

import pytest

from models.errors import ConfigError
from service.run import LEAST_FILES, run, server_config
from service.settings import Settings


def test_server_keeps_idle_connections_longer_than_proxies_do() -> None:
    """A load balancer gives an idle connection up after 60 s; the server must not be the first."""
    assert server_config(Settings(), "app:make").timeout_keep_alive > 60


def test_server_that_may_open_too_few_files_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its workers ended as soon as they had begun, or refused every connection."""
    limit = LEAST_FILES - 1
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, limit))
    with pytest.raises(ConfigError, match=f"may open {limit} files.*ulimit -n"):
        run(Settings(home=tmp_path, port=0), lambda _address: None)
    assert not list(tmp_path.iterdir())
