"""How the HTTP server is set up."""

from service.run import server_config
from service.settings import Settings


def test_server_keeps_idle_connections_longer_than_proxies_do() -> None:
    """A load balancer gives an idle connection up after 60 s; the server must not be the first."""
    assert server_config(Settings(), "app:make").timeout_keep_alive > 60
