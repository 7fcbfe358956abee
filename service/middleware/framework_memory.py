"""Has the framework forget what requests said.

Litestar keeps the last 1,024 queries, cookies, paths and forms, of any length, to take none apart
twice. A shopper's id or a session would stay in memory for as long as nobody comes, past an erasure
too, and whoever sends long ones without a key would fill the memory. To take one apart anew costs
some microseconds, and pages and events are answered without it.
"""

from __future__ import annotations

from typing import Any

from litestar import Litestar
from litestar._asgi.routing_trie.traversal import parse_path_params
from litestar._kwargs.extractors import create_query_default_dict
from litestar._parsers import (
    parse_cookie_string,
    parse_query_string,
    parse_url_encoded_form_data,
)
from litestar.datastructures import URL

_KEPT: tuple[Any, ...] = (
    parse_path_params,
    create_query_default_dict,
    parse_cookie_string,
    parse_query_string,
    parse_url_encoded_form_data,
    URL._new,
    URL.from_components,
)
"""What remembers its answers, with what was asked; beside the router of each app."""


def forget_requests(app: Litestar) -> None:
    """Empty all of that."""
    app.asgi_router.handle_routing.cache_clear()
    for remembered in _KEPT:
        remembered.cache_clear()
