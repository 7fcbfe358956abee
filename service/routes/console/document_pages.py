"""What the pages of every kind of document do alike: delete, go back to a change, switch."""

from __future__ import annotations

from typing import Any, ClassVar

from litestar import Controller, Response, post
from litestar.params import FromPath

from service.routes.console.editing import (
    Section,
    delete_document,
    switch_document,
    undo_document,
)
from service.routes.console.frame import ConsoleRequest, go
from service.routes.console.gate import FormData


class DocumentPages(Controller):
    """The pages of one kind of document."""

    documents: ClassVar[Section]

    @post("/{document_id:str}/delete", sync_to_thread=True)
    def remove(self, request: ConsoleRequest, document_id: FromPath[str]) -> Response[Any]:
        """Delete it."""
        delete_document(request, self.documents, document_id)
        return go(request, self.documents.path, f"“{document_id}” is deleted.")

    @post("/{document_id:str}/undo", sync_to_thread=True)
    def undo(
        self, request: ConsoleRequest, document_id: FromPath[str], form: FormData
    ) -> Response[Any]:
        """Take it back to a change of its history."""
        undo_document(request, self.documents, document_id, form)
        return go(request, self.documents.path_of(document_id), "It is as it was.")


class SwitchedPages(DocumentPages):
    """Those of a kind that its list switches on and off."""

    @post("/{document_id:str}/switch", sync_to_thread=True)
    def switch(
        self, request: ConsoleRequest, document_id: FromPath[str], form: FormData
    ) -> Response[Any]:
        """Switch it on or off."""
        on = form.is_on("enabled")
        switch_document(request, self.documents, document_id, enabled=on)
        return go(request, self.documents.path, f"“{document_id}” is {'on' if on else 'off'}.")
