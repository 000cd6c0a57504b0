"""A workspace of its own with a small generated dataset, shared by the tests of the study."""

from pathlib import Path

import pytest

from mrlm_core.datasets.iot_shop import make_iot_shop


@pytest.fixture(scope="session")
def shop_workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data/shop, a tiny iot-shop; the artefacts made in it are shared by the session's tests."""
    folder = tmp_path_factory.mktemp("workspace")
    make_iot_shop(folder / "data" / "shop", size="tiny", progress=False)
    return folder


@pytest.fixture
def workspace(shop_workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MRLM_WORKSPACE", str(shop_workspace))
    return shop_workspace
