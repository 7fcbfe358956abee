"""The overview: what is happening, and whether anything wants attention."""

from __future__ import annotations

from litestar import Controller, get

from service.routes.console.frame import ConsoleRequest, Page, page
from service.routes.console.gate import section


class OverviewPages(Controller):
    """The first page."""

    opt = section("overview")

    @get(sync_to_thread=True)
    def show(self, request: ConsoleRequest) -> Page:
        """Show the state of the shop."""
        return page(request, "overview.html", title="Overview")
