"""What the demo says when the shop is open."""

import io

from rich.console import Console

from training.simulation.invitation import addresses_of, invite


def test_invitation_can_be_copied_from_a_narrow_terminal() -> None:
    """Addresses and the key stand whole on lines of their own, however narrow the window is."""
    console = Console(file=io.StringIO(), width=20)
    invite(console, "http://127.0.0.1:8080", "endcap_admin_" + "x" * 43)
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert "  the shop     http://127.0.0.1:8080/demo" in lines
    assert "  the console  http://127.0.0.1:8080/console" in lines
    assert "  its key      endcap_admin_" + "x" * 43 in lines
    assert any("slider" in line for line in lines)


def test_addresses_are_below_the_server() -> None:
    """The shop, the console and the description of the API."""
    assert addresses_of("http://a:1") == {
        "shop": "http://a:1/demo",
        "console": "http://a:1/console",
        "api": "http://a:1/schema",
    }
