"""Models to keep in places of all kinds."""

from pathlib import Path

import pytest

from tests.registries import make_model


@pytest.fixture
def model(tmp_path):
    """Makes a model once for each name and returns its folder."""

    def make(name: str) -> Path:
        folder = tmp_path / "models" / name
        if not folder.exists():
            make_model(folder, name)
        return folder

    return make
