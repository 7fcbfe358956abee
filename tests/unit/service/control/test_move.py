"""A machine's control plane goes into the database that several machines share."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from models.errors import ConfigError, ConflictError
from service.control.documents import Banner
from service.control.keys import create_key, list_keys
from service.control.move import describe, move_control
from service.control.trail import check_trail
from service.rollouts.definition import Rollout
from service.rollouts.segment import Segment
from service.settings import Settings
from service.stores.pictures import PictureFiles
from service.stores.postgres_address import read_address
from tests.unit.service.control.samples import PSEUDONYMISER, Worker

PNG = b"\x89PNG\r\n\x1a\n" + b"x" * 100


def test_everything_goes_along(tmp_path: Path, postgres_url: str) -> None:
    """Documents, trail, epochs, keys, lists and pictures are the same on another machine."""
    one = Worker(tmp_path / "one")
    content = one.segment_files.write("vip", np.array([3, 5], dtype=np.uint64))
    one.put("segment", "vip", Segment(unit="user_id", n_members=2, content=content))
    one.put("rollout", "r", Rollout(share=0.1))
    one.patch("rollout", "r", {"share": 0.2})
    picture = PictureFiles(tmp_path / "one").write(PNG, max_bytes=1_000)
    one.put("banner", "b", Banner(title="B", image_url="i", link_url="l"))
    one.delete("banner", "b")
    create_key(one.store, scope="admin", name="n", actor="tester", now_ms=1)
    settings = Settings(home=tmp_path / "one", control_url=postgres_url)
    moved = move_control(settings, PSEUDONYMISER)
    assert (moved.rows["audit"], moved.rows["rollout_epochs"], moved.rows["keys"]) == (6, 2, 1)
    assert (moved.lists, moved.pictures) == (1, 1)
    assert "6 audit" in describe(moved, settings.home)
    (tmp_path / "two").mkdir()
    two = Worker(tmp_path / "two", read_address(postgres_url, "ENDCAP_CONTROL_URL"))
    one.current.refresh()
    assert msgspec.json.encode(two.plane.list("rollout")) == msgspec.json.encode(
        one.plane.list("rollout")
    )
    assert check_trail(two.store) == check_trail(one.store)
    assert list_keys(two.store) == list_keys(one.store)
    assert two.segment_files.open("vip", content, 2).tolist() == [3, 5]
    pictures = PictureFiles(tmp_path / "two", two.store.shared_files)
    assert pictures.read(picture.hash).content == PNG
    assert two.put("rollout", "r", Rollout(share=0.3)).document.epoch == 3
    with pytest.raises(ConflictError, match="holds a control plane at revision 7"):
        move_control(settings, PSEUDONYMISER)
    one.close()
    two.close()


def test_move_needs_a_database_and_a_home(tmp_path: Path, postgres_url: str) -> None:
    """Without either nothing is made, and the message says what to set."""
    with pytest.raises(ConfigError, match="set ENDCAP_CONTROL_URL to the database"):
        move_control(Settings(home=tmp_path), PSEUDONYMISER)
    with pytest.raises(ConfigError, match=r"there is no .*control\.sqlite"):
        move_control(Settings(home=tmp_path, control_url=postgres_url), PSEUDONYMISER)
