"""An app is built once, and starts as often as it is set up."""

from pathlib import Path

import pytest
from litestar.testing import TestClient

from service import app as service_app
from service.app import build_app, create_app, prepare_app, set_up
from service.control.keys import create_key
from service.measured import MeasuredApp
from service.services import STATE_KEY
from service.settings import Settings


def test_prepared_app_is_taken_by_who_needs_its_shape(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker of the same settings builds none, and one of others its own."""
    built: list[Settings] = []

    def build(settings: Settings) -> MeasuredApp:
        built.append(settings)
        return build_app(settings)

    monkeypatch.setenv("ENDCAP_HOME", str(tmp_path))
    monkeypatch.setattr(service_app, "build_app", build)
    monkeypatch.setattr(service_app, "_prepared", {})
    prepare_app()
    [same] = built
    assert same.home == tmp_path
    create_app(Settings(home=tmp_path / "other", storefront=True))
    assert [one.storefront for one in built] == [False, True]
    create_app(same)
    assert len(built) == 2
    create_app(same)
    assert len(built) == 3


def test_app_that_starts_again_knows_nothing_of_before(tmp_path: Path) -> None:
    """Neither a key nor a count, nor a head that it had read."""
    home = tmp_path / "first"
    home.mkdir()
    settings = Settings(home=home)
    app = build_app(settings)
    set_up(app, settings)
    with TestClient(app) as client:
        store = app.state[STATE_KEY].control_store
        made = create_key(store, scope="admin", name="n", actor="tester", now_ms=1)
        app.state[STATE_KEY].current.refresh()
        headers = {"X-API-Key": made.key}
        assert client.get("/v1/banners", headers=headers).status_code == 200
        assert 'route="/v1/banners"' in client.get("/metrics", headers=headers).text
    heads = app.heads

    other = tmp_path / "second"
    other.mkdir()
    set_up(app, Settings(home=other))
    with TestClient(app) as client:
        assert client.get("/v1/banners", headers=headers).status_code == 401
        store = app.state[STATE_KEY].control_store
        made = create_key(store, scope="admin", name="n", actor="tester", now_ms=1)
        app.state[STATE_KEY].current.refresh()
        told = client.get("/metrics", headers={"X-API-Key": made.key}).text
        assert 'route="/v1/banners",status="200"' not in told
        assert 'route="/v1/banners",status="401"' in told
    assert app.heads is not heads
