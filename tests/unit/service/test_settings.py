"""Settings: command line over environment over default; each one documented; a clear refusal."""

from pathlib import Path

import msgspec
import pytest

from models.errors import ConfigError
from service.settings import Settings, read_settings, to_environment

GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "operations.md"


def test_settings_come_from_the_command_line_first() -> None:
    """An option beats its variable, a variable beats the default."""
    settings = read_settings({"ENDCAP_PORT": "9000", "ENDCAP_WORKERS": "3"}, {"port": "9001"})
    assert (settings.port, settings.workers, settings.host) == (9001, 3, "127.0.0.1")


def test_settings_survive_the_way_to_a_worker() -> None:
    """What a supervisor puts into the environment is what a worker reads."""
    settings = Settings(home=Path("/tmp/a b"), cors_origins=("https://a.example", "*"), port=0)
    assert read_settings(to_environment(settings), {}) == settings
    assert read_settings(to_environment(Settings()), {}) == Settings()


@pytest.mark.parametrize(("text", "is_on"), [("1", True), ("true", True), ("False", False)])
def test_storefront_is_a_switch(text: str, is_on: bool) -> None:
    """It is off unless the environment or the flag says so."""
    assert read_settings({"ENDCAP_STOREFRONT": text}, {}).storefront is is_on
    assert read_settings({}, {"storefront": True}).storefront
    assert not read_settings({}, {}).storefront


@pytest.mark.parametrize(
    ("environment", "given", "said"),
    [
        ({"ENDCAP_PORT": "x"}, {}, "ENDCAP_PORT is 'x'"),
        ({}, {"port": "70000"}, "--port is '70000': Expected `int` <= 65535"),
        ({"ENDCAP_LOG_LEVEL": "loud"}, {}, "ENDCAP_LOG_LEVEL is 'loud'"),
        ({}, {"body_limit_bytes": "1"}, "--body-limit-bytes is '1'"),
    ],
)
def test_wrong_setting_is_named(
    environment: dict[str, str], given: dict[str, str], said: str
) -> None:
    """A refusal names where the value came from, the value and the rule."""
    with pytest.raises(ConfigError, match=said):
        read_settings(environment, given)


@pytest.mark.parametrize(
    "origin",
    [
        "https://shop.example",
        "http://localhost:3000",
        "https://*.shop.example",
        "http://[::1]",
        "*",
    ],
)
def test_origin_of_a_page_may_call(origin: str) -> None:
    """As browsers send it; all below a name, or any."""
    Settings(cors_origins=(origin, "https://b.example:8443")).check()


@pytest.mark.parametrize(
    "origin",
    [
        *("javascript:", "shop.example", "https://", "ftp://shop.example", "null", "https://*"),
        *("https://shop.example/", "https://Shop.example", "https://a.example https://b.example"),
        *("https://shop.example*", "https://u@shop.example", "https://shop.example:"),
    ],
)
def test_what_is_no_origin_is_refused(origin: str) -> None:
    """No page could ever have it, or others than were meant."""
    with pytest.raises(ConfigError, match="is no origin of a page; write scheme, host and port"):
        Settings(cors_origins=("https://a.example", origin)).check()


def test_server_is_told_at_once_what_it_cannot_work_with(tmp_path: Path) -> None:
    """Before a home is made: days of the archive, of kinds, and addresses of databases."""
    home = tmp_path / "home"
    Settings(home=home, archive_days=8).check()
    for wrong, said in (
        (Settings(home=home, archive_days=3), "3 days are too few"),
        (Settings(home=home, archive_days=14, attribution_days=14), "last 14 days; give 15"),
        (Settings(home=home, keep=("joy=3",)), "'joy=3' names no kind"),
        (Settings(home=home, control_url="mysql://x"), "CONTROL_URL"),
    ):
        with pytest.raises(ConfigError, match=said):
            wrong.check()
    assert not home.exists()


def test_every_setting_is_in_the_guide() -> None:
    """The guide's table has each option with its variable, default and description."""
    guide = GUIDE.read_text()
    for field in msgspec.structs.fields(Settings):
        default = field.default
        shown = ",".join(default) if isinstance(default, tuple) else str(default)
        row = (
            f"| `--{field.name.replace('_', '-')}` | `ENDCAP_{field.name.upper()}` "
            f"| {f'`{shown}`' if shown else 'none'} | {field.type.__metadata__[0].description} |"
        )
        assert row in guide


def test_one_address_serves_both_halves() -> None:
    """What is named for one half alone goes there; without any address all is in the home."""
    both, one = "postgresql://db/both", "postgresql://db/one"
    settings = Settings(database_url=both)
    assert (settings.events_address, settings.control_place.name) == (both, "postgresql://db/both")
    apart = Settings(database_url=both, events_url=one)
    assert (apart.events_address, apart.control_place.name) == (one, "postgresql://db/both")
    assert Settings().events_address is None
    assert Settings().event_log == Path(".endcap/events.sqlite")


def test_what_a_shared_log_has_not_is_refused_at_the_start() -> None:
    """An archive would lie on one machine; the message names both settings and a way out."""
    settings = Settings(events_url="postgresql://db/endcap", archive_days=30)
    with pytest.raises(ConfigError, match=r"ENDCAP_ARCHIVE_DAYS is 30.*ENDCAP_KEEP"):
        _ = settings.events_address
    with pytest.raises(ConfigError, match="ENDCAP_EVENTS_URL does not begin with postgresql://"):
        _ = Settings(events_url="mysql://db/endcap").event_log
