"""Where a PostgreSQL database is, as a setting says it; its password stands in no message."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from models.errors import ConfigError

_SCHEMES = ("postgresql://", "postgres://")
_DRIVER = "pip install 'endcap[postgres]'"


@dataclass(frozen=True, slots=True)
class PostgresAddress:
    """One database."""

    url: str = field(repr=False)
    """As libpq reads it; it may hold a password."""
    name: str
    """Where it is, for people."""


def read_address(url: str, source: str) -> PostgresAddress:
    """Read an address out of the setting `source`.

    Raises
    ------
    ConfigError
        If it is none, or the driver is not installed.
    """
    if not url.startswith(_SCHEMES):
        raise ConfigError(
            f"{source} does not begin with postgresql://; "
            "write postgresql://user@host:5432/database, or leave it out for SQLite"
        )
    try:
        import psycopg  # noqa: PLC0415  # an extra
    except ImportError as error:
        raise ConfigError(f"{source} needs the driver of PostgreSQL: {_DRIVER}") from error
    try:
        parts: dict[str, Any] = psycopg.conninfo.conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        # What libpq says may quote the password.
        raise ConfigError(
            f"{source} is no address that PostgreSQL reads; write "
            "postgresql://user@host:5432/database, and a password with % and two hexadecimal "
            "digits for each odd character"
        ) from None
    host = parts.get("host") or "localhost"
    port = f":{parts['port']}" if "port" in parts else ""
    return PostgresAddress(url, f"postgresql://{host}{port}/{parts.get('dbname', '')}")
