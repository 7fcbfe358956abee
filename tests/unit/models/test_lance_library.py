"""LanceDB is loaded without the client of remote catalogues."""

import subprocess
import sys

LOAD = """
import sys
from models.lance_library import REMOTE_CLIENT, load_lancedb
lancedb = load_lancedb()
assert load_lancedb() is lancedb is sys.modules["lancedb"]
assert not [name for name in sys.modules if name.startswith(REMOTE_CLIENT)]
from lance_namespace_urllib3_client.api.tag_api import TagApi
assert callable(TagApi.list_table_tags)
"""


def test_whoever_wants_the_remote_client_gets_the_real_one() -> None:
    """Placeholders stand in for it while LanceDB is loaded, and no longer."""
    # In a process of its own: here it may be loaded already.
    subprocess.run([sys.executable, "-c", LOAD], check=True)
