"""Every test that asks for `fast` runs on the CPU and the CUDA rasterizer."""

from __future__ import annotations

import pytest
import torch

from gaussian_lens_app.raster import Rasterizer, for_device
from gaussian_lens_app.raster.reference import ReferenceRasterizer


@pytest.fixture(scope="session", params=["cpu", "cuda"])
def fast(request: pytest.FixtureRequest) -> Rasterizer:
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device is visible to torch")
    return for_device(request.param)


@pytest.fixture(scope="session")
def cpu() -> Rasterizer:
    return for_device("cpu")


@pytest.fixture(scope="session")
def reference() -> Rasterizer:
    return ReferenceRasterizer()
