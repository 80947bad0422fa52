"""What pictures say of how they were painted."""

from __future__ import annotations


def read_painted(path, name):
    """How a picture was painted."""
    from tfnst.images.manifest import read_manifest

    manifest = read_manifest(path, name=name)
    if manifest is None:
        raise ValueError(
            f"`{name}` must be a picture that tfnst has painted. "
            f"Received: {str(path)!r}, in which nothing says so"
        )
    return manifest
