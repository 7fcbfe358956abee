"""What to open while the demo runs, in plain words."""

from __future__ import annotations

from rich.console import Console

_ROLLOUT_PATH = "/console/rollouts/home_recs"


def addresses_of(url: str) -> dict[str, str]:
    """Name what the server at an address shows."""
    return {"shop": f"{url}/demo", "console": f"{url}/console", "api": f"{url}/schema"}


def invite(console: Console, url: str, admin_key: str) -> None:
    """Say where the shop and the console are, and what to do there first.

    A line at a time and without a frame, so that addresses and the key can be clicked and copied.
    """
    open_at = addresses_of(url)
    lines = (
        "",
        "[bold]Open these two beside each other:[/]",
        f"  [bold]the shop[/]     {open_at['shop']}",
        f"  [bold]the console[/]  {open_at['console']}",
        f"  [bold]its key[/]      {admin_key}",
        "",
        f"1. In the console, sign in with the key and open [bold]{url}{_ROLLOUT_PATH}[/].",
        "2. Move the slider, to 95 % or to 5 %, and watch the shop follow within a second.",
        "3. Click on two or three things in the shop: the next page is chosen for you, and the",
        "   drawer says why. Or be one of the shop's regulars, in the menu above it.",
        "4. Come back to the rollout: what a personal page brings is measured while shoppers come.",
        "",
    )
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True)
