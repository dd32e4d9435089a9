"""Registries in each kind of place."""

import pytest

from hopline.registry.registry import Registry


@pytest.fixture(params=["local", "gs", "s3"])
def registry(request, tmp_path, bucket):
    """An empty registry in each kind of place."""
    return Registry(tmp_path / "registry" if request.param == "local" else f"{bucket(request.param)}/registry")


@pytest.fixture
def local_registry(tmp_path):
    """An empty registry in a folder, for tests that look into the folder or kill what writes there."""
    return Registry(tmp_path / "registry")
