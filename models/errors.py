"""The one error tree of Endcap.

    EndcapError
    ├── ConfigError           a setting, a mapping or a parameter is wrong
    ├── InputError            data from outside is wrong
    │   ├── IdError           an external id breaks the rule of ids
    │   └── RejectedShareError  too many rows of a file are bad
    ├── NotFoundError         what was named does not exist
    ├── ConflictError         the caller worked on an older state
    ├── AccessError           the caller may not do this
    │   └── KeyMissingError   no key, or an unknown one
    ├── CapacityError         try again later: a buffer is full
    ├── ArtifactError         a model version cannot be read or written
    │   └── GateError         a candidate is not good enough to go live
    └── StoreError            the SQL store cannot be read or written

Every message names the value, the rule and the next step. ``code`` is stable:
clients may branch on it.
"""

from __future__ import annotations

from typing import ClassVar


class EndcapError(Exception):
    """Anything Endcap refuses, with a stable ``code`` and a message fit for whoever caused it."""

    code: ClassVar[str] = "endcap"

    @property
    def message(self) -> str:
        """The sentence to show."""
        return str(self)


class ConfigError(EndcapError):
    """A setting, a mapping file or a parameter is wrong."""

    code = "config_invalid"


class InputError(EndcapError):
    """Data from outside is wrong."""

    code = "input_invalid"


class IdError(InputError):
    """An external id is not 1 to 256 bytes of UTF-8 without NUL."""

    code = "id_invalid"


class RejectedShareError(InputError):
    """More rows of a file were rejected than ``max_reject_share`` allows."""

    code = "too_many_rejects"


class NotFoundError(EndcapError):
    """What was named does not exist."""

    code = "not_found"


class ConflictError(EndcapError):
    """The caller changed a state that somebody else has changed since."""

    code = "conflict"


class AccessError(EndcapError):
    """The caller's key lacks the scope."""

    code = "forbidden"


class KeyMissingError(AccessError):
    """The request carries no key, or one that is unknown or revoked."""

    code = "key_missing"


class CapacityError(EndcapError):
    """A bounded buffer is full; the same call may succeed later."""

    code = "capacity"


class ArtifactError(EndcapError):
    """A model version cannot be read or written."""

    code = "artifact"


class GateError(ArtifactError):
    """A candidate is worse than the live version or than popularity."""

    code = "gate_refused"


class StoreError(EndcapError):
    """The SQL store cannot be read or written."""

    code = "store"
