"""Every test that asks for `fast` runs on the CPU and the CUDA rasterizer, and on the latter's code without a GPU."""

from __future__ import annotations

from collections.abc import Iterator

import gsplat_in_torch
import pytest
import torch

from gaussian_lens_app.raster import Rasterizer, for_device
from gaussian_lens_app.raster.cuda import CudaRasterizer
from gaussian_lens_app.raster.reference import ReferenceRasterizer


class CudaCode(CudaRasterizer):
    """All of it but gsplat's kernels, on a processor."""

    device = "cpu"


@pytest.fixture(scope="session", params=["cpu", "cuda", "cuda code"])
def fast(request: pytest.FixtureRequest) -> Iterator[Rasterizer]:
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device is visible to torch")
    if request.param != "cuda code":
        yield for_device(request.param)
        return
    with pytest.MonkeyPatch.context() as patch:
        gsplat_in_torch.stand_in(patch)
        yield CudaCode()


@pytest.fixture(scope="session")
def cpu() -> Rasterizer:
    return for_device("cpu")


@pytest.fixture(scope="session")
def reference() -> Rasterizer:
    return ReferenceRasterizer()
