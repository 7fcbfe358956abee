"""Settings of the service: a default each, then ``ENDCAP_<NAME>``, then the command line."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from models.errors import ConfigError
from service.origins import check_origins
from service.stores.event_log import EventLog, event_log
from service.stores.postgres_address import PostgresAddress, read_address

PREFIX = "ENDCAP_"
SUPERVISOR_VARIABLE = "ENDCAP_SUPERVISOR_PID"
"""Tells a worker which process started it; no setting."""
CONTROL_FILE = "control.sqlite"
_LISTS = ("cors_origins", "keep")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that can be set; `endcap serve --help` shows each description."""

    home: Annotated[
        Path, Meta(description="Folder of models, databases and the pseudonym key.")
    ] = Path(".endcap")
    database_url: Annotated[
        str,
        Meta(
            description="PostgreSQL database of both, the control plane and events, where the two "
            "settings below name no other."
        ),
    ] = ""
    events_url: Annotated[
        str,
        Meta(
            description="PostgreSQL database of events and exposures, which several machines then "
            "share; without it, SQLite in the home."
        ),
    ] = ""
    control_url: Annotated[
        str,
        Meta(
            description="PostgreSQL database of the control plane, which several machines then "
            "share, such as postgresql://user@host/database; without it, SQLite in the home."
        ),
    ] = ""
    host: Annotated[str, Meta(min_length=1, description="Address to listen on.")] = "127.0.0.1"
    port: Annotated[
        int, Meta(ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    ] = 8080
    workers: Annotated[
        int, Meta(ge=1, le=128, description="Worker processes that share the port.")
    ] = 1
    body_limit_bytes: Annotated[
        int, Meta(ge=1024, description="Largest request body; a larger one is answered 413.")
    ] = 1_000_000
    cors_origins: Annotated[
        tuple[str, ...],
        Meta(
            description="Origins whose pages may call, such as https://shop.example, separated by "
            "commas; https://*.shop.example is all below it, * is any."
        ),
    ] = ()
    deadline_ms: Annotated[
        int,
        Meta(
            ge=1,
            le=10_000,
            description="Time a page may take before a less personal tier answers; "
            "a request may say otherwise.",
        ),
    ] = 50
    control_poll_ms: Annotated[
        int, Meta(ge=10, description="How often a worker looks for changes of the control plane.")
    ] = 100
    event_poll_ms: Annotated[
        int, Meta(ge=10, description="How often a worker looks for events that others accepted.")
    ] = 100
    model_poll_ms: Annotated[
        int, Meta(ge=10, description="How often a worker looks for a new live model.")
    ] = 1_000
    exposure_queue_size: Annotated[
        int, Meta(ge=1, description="Exposures a worker holds before it drops, and counts, one.")
    ] = 20_000
    event_queue_size: Annotated[
        int, Meta(ge=1, description="Events a worker holds before it answers 429.")
    ] = 20_000
    event_wait_s: Annotated[
        int,
        Meta(
            ge=1,
            description="How long a request waits for its events to be on disk before it is "
            "answered 503.",
        ),
    ] = 15
    change_clients: Annotated[
        int, Meta(ge=0, description="Clients that may listen for changes, in each worker.")
    ] = 1_000
    console_session_hours: Annotated[
        int,
        Meta(ge=1, le=720, description="How long the console stays signed in without a request."),
    ] = 12
    segment_limit_bytes: Annotated[
        int, Meta(ge=1024, description="Longest uploaded list, unpacked.")
    ] = 300_000_000
    segment_limit_members: Annotated[
        int, Meta(ge=1, description="Most members of an uploaded list.")
    ] = 10_000_000
    picture_limit_bytes: Annotated[
        int, Meta(ge=1024, description="Largest picture that a merchandiser may upload.")
    ] = 5_000_000
    keep: Annotated[
        tuple[str, ...],
        Meta(
            description="How many days rows of a kind are kept, such as view=90,rendered=30; "
            "older ones are deleted daily. Other kinds are kept until erased."
        ),
    ] = ()
    archive_days: Annotated[
        int,
        Meta(
            ge=0,
            description="After how many days a day of events and exposures moves to Parquet files "
            "in the archive of the home, 8 or more; 0 leaves it in the store.",
        ),
    ] = 0
    attribution_days: Annotated[
        int,
        Meta(
            ge=1,
            le=90,
            description="How long after an exposure a click, cart or purchase of its item that "
            "names none is put down to it; what is counted already stays.",
        ),
    ] = 7
    banner_period_s: Annotated[
        int,
        Meta(
            ge=1,
            description="How long learned click rates and what chance shows stand unchanged, so "
            "that a reload shows the same banner.",
        ),
    ] = 3_600
    banner_half_life_days: Annotated[
        float, Meta(gt=0, description="Age at which a click on a banner counts half.")
    ] = 30.0
    drain_s: Annotated[
        int, Meta(ge=1, description="How long a stop waits for requests and queues to finish.")
    ] = 20
    no_scorer: Annotated[
        bool,
        Meta(
            description="Score shoppers who have just acted when their next page is asked for, and "
            "not before in a process of its own, which runs where a core is left over."
        ),
    ] = False
    storefront: Annotated[
        bool, Meta(description="Show a demonstration shop over the live catalogue at /demo.")
    ] = False
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Meta(description="The least important log line that is written."),
    ] = "info"

    def check(self) -> None:
        """Raise `ConfigError` for what only a server uses, before it makes or opens anything."""
        from service.stores.archive_files import check_days  # noqa: PLC0415  # loads SQLAlchemy

        _ = self.kept_days, self.events_address, self.control_place
        check_origins(self.cors_origins)
        if self.archive_days:
            check_days(self.archive_days, self.attribution_days)

    @property
    def control_place(self) -> Path | PostgresAddress:
        """Where the control plane is kept; raises `ConfigError` if its address is wrong."""
        address = self._address("control_url")
        return self.home / CONTROL_FILE if address is None else address

    @property
    def events_address(self) -> str | None:
        """Address of the events' database, if they are not in the home.

        Raises
        ------
        ConfigError
            If it is wrong, or another setting does not go with it.
        """
        address = self._address("events_url")
        if address is not None and self.archive_days:
            raise ConfigError(
                f"{PREFIX}ARCHIVE_DAYS is {self.archive_days}, and the events are in PostgreSQL: "
                "files of the archive would be on one machine alone; leave it out, and bound the "
                f"log with {PREFIX}KEEP"
            )
        return None if address is None else address.url

    def _address(self, name: Literal["control_url", "events_url"]) -> PostgresAddress | None:
        """Read the address of one part, else that of both."""
        for source in (name, "database_url"):
            url: str = getattr(self, source)
            if url:
                return read_address(url, PREFIX + source.upper())
        return None

    @property
    def event_log(self) -> EventLog:
        """Where events and exposures are; raises as `events_address` does."""
        return event_log(self.home, self.events_address)

    @property
    def kept_days(self) -> dict[str, int]:
        """How many days rows of a kind are kept; raises `ConfigError` if `keep` is wrong."""
        from service.stores.retention import PICTURE, read_limits  # noqa: PLC0415  # loads SQLAlchemy

        return read_limits(self.keep, others=(PICTURE,))


def read_settings(environment: Mapping[str, str], given: Mapping[str, Any]) -> Settings:
    """Merge the command line's values over the environment's over the defaults.

    Raises
    ------
    ConfigError
        If a value breaks its rule; it names the setting.
    """
    values: dict[str, Any] = {}
    for name in Settings.__struct_fields__:
        value: Any = given.get(name)
        source = f"--{name.replace('_', '-')}"
        if value is None:
            source = PREFIX + name.upper()
            value = environment.get(source)
        if value is not None:
            values[name] = _convert(name, value, source)
    return Settings(**values)


def read_home(given: str | None) -> Path:
    """Return the home of `read_home_settings`."""
    return read_home_settings(given).home


def read_home_settings(given: str | None) -> Settings:
    """Return the settings of a command that looks at what is there, and must not make a new home.

    Raises
    ------
    ConfigError
        If there is no such folder.
    """
    settings = read_settings(os.environ, {"home": given})
    if not settings.home.is_dir():
        raise ConfigError(
            f"there is no home at {str(settings.home)!r}; name it with --home or {PREFIX}HOME "
            "('endcap train' and 'endcap serve' make one)"
        )
    return settings


def to_environment(settings: Settings) -> dict[str, str]:
    """Write settings as the variables that `read_settings` reads, for worker processes."""
    return {
        PREFIX + name.upper(): ",".join(value) if isinstance(value, tuple) else str(value)
        for name, value in msgspec.structs.asdict(settings).items()
    }


def settings_from_environment() -> Settings:
    """Read the settings of this process."""
    return read_settings(os.environ, {})


def _convert(name: str, value: Any, source: str) -> Any:
    field = next(field for field in msgspec.structs.fields(Settings) if field.name == name)
    if name == "home":
        return Path(value)
    if name in _LISTS and isinstance(value, str):
        value = tuple(part.strip() for part in value.split(",") if part.strip())
    try:
        return msgspec.convert(value, field.type, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{source} is {value!r}: {error}; see 'endcap serve --help'") from error
