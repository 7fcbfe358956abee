"""Which devices' pseudonyms go with a user's: those that were nobody else's."""

from contextlib import closing

from service.stores.event_database import connect
from service.stores.event_log import EventLog
from service.stores.personal_rows import keys_of

_EXPOSED = """
INSERT INTO exposures (exposure_id, request_id, at_ms, unit_kind, unit_key, user_key,
  anonymous_key, placement_id, kind, recipe, tier, shown)
VALUES (?, 'r', 5, ?, ?, ?, ?, 'home', 'items', 'popular', 'popular', '[]')
"""
_IDENTIFIED = "INSERT INTO identities (user_key, unit_kind, unit_key, at_ms) VALUES (?, ?, ?, 5)"
_LINKED = "INSERT INTO unit_links (unit_key, other_kind, other_key, at_ms) VALUES (?, ?, ?, 5)"
_SEEN = """
INSERT INTO events (event_id, kind, at_ms, received_ms, user_key, anonymous_key, flags)
VALUES (?, 0, 5, 5, ?, ?, 0)
"""


def test_device_that_another_is_dealt_as_is_shared(event_log: EventLog) -> None:
    """Ben signed in on a tablet that Ann is dealt as: her pages elsewhere are not his to erase."""
    with closing(connect(event_log)) as connection:
        connection.execute(_IDENTIFIED, ("ann", "anonymous_id", "tablet"))
        connection.execute(_EXPOSED, ("x1", "anonymous_id", "tablet", "ann", "anns-phone"))
        connection.execute(_SEEN, ("e1", "ben", "tablet"))
        connection.execute(_SEEN, ("e2", "ben", "bens-phone"))
    assert keys_of(event_log, "ben") == ["ben", "bens-phone"]
    assert keys_of(event_log, "ann") == ["ann", "anns-phone"]


def test_links_tell_of_devices_whose_rows_were_kept_long_enough(event_log: EventLog) -> None:
    """Ann's laptop is known by its link alone; one that Ben is linked to as well is not hers."""
    with closing(connect(event_log)) as connection:
        connection.execute(_IDENTIFIED, ("ann", "anonymous_id", "phone"))
        connection.execute(_IDENTIFIED, ("ben", "anonymous_id", "bens-phone"))
        for one, other in (("phone", "laptop"), ("phone", "tablet"), ("bens-phone", "tablet")):
            connection.execute(_LINKED, (one, "anonymous_id", other))
            connection.execute(_LINKED, (other, "anonymous_id", one))
        connection.execute(_LINKED, ("phone", "anonymous_id", "kiosk"))
        connection.execute(_LINKED, ("kiosk", "anonymous_id", "phone"))
        connection.execute(_LINKED, ("kiosk", "user_id", "carl"))
    assert keys_of(event_log, "ann") == ["ann", "laptop", "phone"]
    assert keys_of(event_log, "ben") == ["ben", "bens-phone"]
