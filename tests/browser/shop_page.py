"""A shop's page on an address of its own, with elements that Endcap fills."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from playwright.sync_api import Browser, Page

PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Shop</title>
<link rel="icon" href="data:,">
<script src="{endcap}/endcap.js" data-key="{key}" {options} defer></script></head><body>
<h1>Shop</h1>
<div id="hero" data-endcap-placement="hero">
  <template><a class="new" data-endcap-attr="href:link_url title:title">
  <b data-endcap-text="title"></b><br>two<br>three<br>four lines</a></template>
  <p class="old">Written by the merchandiser</p>
</div>
<p id="after">After the hero</p>
<div style="height: 3000px"></div>
<div id="low" data-endcap-placement="low">
<template><a class="new" data-endcap-text="id"></a></template>
<p class="old">Low down</p></div>
</body></html>"""

PERSON = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/131.0.0.0 Safari/537.36"
WATCH_SHIFTS = """window.shifts = 0; window.errors = [];
new PerformanceObserver((list) => list.getEntries().forEach((e) => { window.shifts += e.value; }))
  .observe({type: "layout-shift", buffered: true});
addEventListener("error", (e) => window.errors.push(e.message));
addEventListener("unhandledrejection", (e) => window.errors.push(String(e.reason)));
addEventListener("securitypolicyviolation", (e) => window.errors.push(e.violatedDirective));"""
SETTLE = """new Promise((done) => {
  const last = new IntersectionObserver(() => { last.disconnect(); done(); });
  last.observe(document.body);
})"""
"""Observers are told in the order in which they were made, so this one hears of a frame last."""


@contextmanager
def shop_page(endcap: str, key: str, options: str = 'data-user="u1"') -> Iterator[str]:
    """Serve the page under a strict policy on a free port, and return its address."""
    # The styles of the test's own page are inline; the script's must not need that for scripts.
    policy = (
        f"default-src 'none'; script-src {endcap}; connect-src {endcap}; "
        "style-src-attr 'unsafe-inline'; img-src data:; require-trusted-types-for 'script'"
    )

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = PAGE.format(endcap=endcap, key=key, options=options).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Security-Policy", policy)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/"
        finally:
            server.shutdown()
            thread.join(5)


@contextmanager
def opened(
    chromium: Browser,
    endcap: str,
    key: str,
    before: Callable[[Page], None] | None = None,
    **options: str,
) -> Iterator[Page]:
    """Open the shop's page in a fresh profile."""
    with shop_page(endcap, key, **options) as address:
        context = chromium.new_context(user_agent=PERSON, viewport={"width": 800, "height": 600})
        page = context.new_page()
        page.add_init_script(WATCH_SHIFTS)
        if before is not None:
            before(page)
        page.goto(address)
        yield page
        context.close()
