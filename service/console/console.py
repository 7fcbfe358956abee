"""What the console keeps in a process: one of each."""

from __future__ import annotations

from dataclasses import dataclass

from service.changes import ChangeHub
from service.console.attempts import SignInAttempts
from service.console.key_names import KeyNames
from service.console.plotter import Plotter
from service.console.session import Sessions


@dataclass(frozen=True, slots=True, kw_only=True)
class Console:
    """Who is signed in, who tried, who listens, who draws."""

    sessions: Sessions
    attempts: SignInAttempts
    changes: ChangeHub
    key_names: KeyNames
    plotter: Plotter
