"""The sections of the console, and which scope each needs: for the navigation and for the guard."""

from __future__ import annotations

from dataclasses import dataclass

from service.control.keys import Principal, Scope


@dataclass(frozen=True, slots=True)
class Section:
    """One entry of the navigation. The scope is that of the routes it stands for."""

    key: str
    title: str
    icon: str
    """The name of a drawing in `templates/icons.html`."""
    scope: Scope | None
    """Nothing: whoever may sign in."""

    @property
    def path(self) -> str:
        """Return where it begins."""
        return "/console" if self.key == "overview" else f"/console/{self.key}"

    def is_open_to(self, principal: Principal) -> bool:
        """Say whether a key may see it."""
        return self.scope is None or principal.may(self.scope)


SECTIONS = (
    Section("overview", "Overview", "gauge", None),
    Section("rollouts", "Rollouts", "sliders", "merchandiser"),
    Section("placements", "Placements", "grid", "merchandiser"),
    Section("rules", "Rules", "list", "merchandiser"),
    Section("banners", "Banners", "image", "merchandiser"),
    Section("preview", "Preview", "eye", "merchandiser"),
    Section("catalogue", "Catalogue", "box", "merchandiser"),
    Section("insights", "Insights", "chart", "merchandiser"),
    Section("models", "Models", "layers", "trainer"),
    Section("shoppers", "Shoppers", "user", "support"),
)
"""In the order of the navigation."""

BY_KEY = {section.key: section for section in SECTIONS}


def may_sign_in(principal: Principal) -> bool:
    """Say whether a key is a person's: a page's is for all to read, a server's sends events."""
    return principal.scope not in ("publishable", "server")


def open_sections(principal: Principal) -> list[Section]:
    """Return what a key may see."""
    return [section for section in SECTIONS if section.is_open_to(principal)]
