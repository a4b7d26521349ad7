"""Fixtures for all tests; this file also lets them import `scenes`."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Iterator

import pytest
import torch
from scenes import Board, board

from gaussian_lens_app.raster import Rasterizer


@pytest.fixture(scope="session", autouse=True)
def _two_threads() -> None:
    """Oversubscribed cores make small kernels many times slower."""
    torch.set_num_threads(2)


@pytest.fixture(scope="session")
def fast_rasterizer() -> Rasterizer:
    """The rasterizer the product uses on this machine's CPU."""
    from gaussian_lens_app.raster import for_device

    return for_device("cpu")


@pytest.fixture(scope="session")
def textured_board(fast_rasterizer: Rasterizer) -> Board:
    """A blurred scene, its sharp truth and six photos of the latter."""
    return board(fast_rasterizer)


@contextlib.contextmanager
def small_files_only(size: int) -> Iterator[None]:
    """The kernel refuses files above `size` bytes, as a full disk would in the middle of a write.

    Only for the lines that write: what the test runner prints may go to a larger file.
    """
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture(name="small_files_only")
def small_files_only_fixture():
    return small_files_only
