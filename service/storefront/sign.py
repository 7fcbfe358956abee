"""What stands over the shop's door: its name, its currency, and whom a visitor may be.

``storefront.json`` in the home says so; `endcap demo` writes one. Without it the shop has a plain
name, and a visitor may be any user id.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from models.errors import ConfigError

FILE = "storefront.json"


class Persona(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody known to the model whom a visitor may be."""

    user_id: str
    name: str
    about: str
    """What they like, in a few words."""


class Sign(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The shop's front."""

    name: str = "The demo shop"
    currency: str = ""
    """Written before a price."""
    personas: tuple[Persona, ...] = ()

    def persona(self, user_id: str | None) -> Persona | None:
        """Find a persona; somebody who is not listed is only an id."""
        if not user_id:
            return None
        known = next((one for one in self.personas if one.user_id == user_id), None)
        return known or Persona(user_id=user_id, name=user_id, about="a shopper by id")


class SignBoard:
    """The sign of a home as its file says now."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._sign, self._changed_ns = read_sign(home), self._stat()

    def get(self) -> Sign:
        """Return the sign; a file that changed is read again."""
        changed_ns = self._stat()
        if changed_ns != self._changed_ns:
            self._sign, self._changed_ns = read_sign(self._home), changed_ns
        return self._sign

    def _stat(self) -> int:
        try:
            return (self._home / FILE).stat().st_mtime_ns
        except OSError:
            return 0


def read_sign(home: Path) -> Sign:
    """Read the sign of a home.

    Raises
    ------
    ConfigError
        If its file is not what it should be.
    """
    path = home / FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=Sign)
    except FileNotFoundError:
        return Sign()
    except (msgspec.DecodeError, OSError) as error:
        raise ConfigError(f"{path} does not describe a shop ({error}); mend or remove it") from None
