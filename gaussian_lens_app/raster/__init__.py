"""Scene + cameras -> pixels. One protocol, three implementations; `for_device` chooses."""

from gaussian_lens_app.raster.base import ANTIALIASED, CLASSIC, Rasterizer, Render, RenderMode

__all__ = ["ANTIALIASED", "CLASSIC", "Rasterizer", "Render", "RenderMode", "for_device"]


def for_device(device: str = "auto") -> Rasterizer:
    """The rasterizer for "cpu", "cuda", or whichever of the two this machine has ("auto")."""
    import torch

    from gaussian_lens_app.errors import DeviceError

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda":
        if not torch.cuda.is_available():
            raise DeviceError("No CUDA device is visible to torch: use --device cpu, or install a CUDA build of torch.")
        from gaussian_lens_app.raster.cuda import CudaRasterizer

        return CudaRasterizer()
    if device != "cpu":
        raise DeviceError(f"Unknown device {device!r}: choose auto, cpu or cuda.")
    from gaussian_lens_app.raster.cpu import CpuRasterizer
    from gaussian_lens_app.raster.culled import Culled

    return Culled(CpuRasterizer())
