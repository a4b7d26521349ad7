"""The rasterizer for processors: numba kernels behind one autograd function."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from gaussian_lens_app.errors import DeviceError
from gaussian_lens_app.raster.base import ANTIALIASED, Render, RenderMode
from gaussian_lens_app.raster.numba_kernels import passes
from gaussian_lens_app.raster.numba_kernels.layout import pack_view
from gaussian_lens_app.scene import Camera, Gaussians, Rect
from gaussian_lens_app.scene.memory import memory_ran_out


class CpuRasterizer:
    """Tile kernels on all threads torch uses; stateless, so several threads may render at once."""

    name: str = "cpu"
    device: str = "cpu"

    def render(
        self,
        scene: Gaussians,
        camera: Camera,
        *,
        mode: RenderMode = ANTIALIASED,
        crop: Rect | None = None,
        background: Float[Tensor, "3"] | None = None,
        features: Float[Tensor, "N F"] | None = None,
        probe: Float[Tensor, "N 4"] | None = None,
        sh_degree: int | None = None,
        trainable: Bool[Tensor, "N"] | None = None,
    ) -> Render:
        """The image of `scene`, see `base.Rasterizer`."""
        degree = scene.sh_degree if sh_degree is None else min(sh_degree, scene.sh_degree)
        view = pack_view(camera, crop or camera.rect, mode)
        tensors = [tensor for _, tensor in scene.tensors()]
        rgb, alpha, depth, median, blended = _Splatting.apply(
            *tensors, features, background, probe, trainable, degree, view
        )  # type: ignore[misc]
        return Render(rgb, alpha, depth, median, None if features is None else blended)

    def contributions(
        self,
        scene: Gaussians,
        camera: Camera,
        weights: Float[Tensor, "h w M"],
        *,
        mode: RenderMode = ANTIALIASED,
        crop: Rect | None = None,
    ) -> Float[Tensor, "N M"]:
        """Each Gaussian's summed blending weight, see `base.Rasterizer`."""
        tensors = [tensor for _, tensor in scene.tensors()]
        with _memory_as_device_error():
            inputs = _inputs(tensors, None, None, 0, pack_view(camera, crop or camera.rect, mode))
            return torch.from_numpy(passes.contributions(inputs, _array(weights)))


class _Splatting(torch.autograd.Function):
    """All of `render` as one node of the graph."""

    @staticmethod
    def forward(ctx, means, quats, log_scales, logits, sh0, shN, features, background, probe, trainable, degree, view):
        with _memory_as_device_error():
            inputs = _inputs((means, quats, log_scales, logits, sh0, shN), features, background, degree, view)
            listing, images = passes.forward(inputs, keep=any(ctx.needs_input_grad))
        outputs = [torch.from_numpy(image) for image in (images.rgb, images.alpha, images.depth, images.median)]
        outputs.append(torch.from_numpy(images.features))
        ctx.mark_non_differentiable(outputs[3])
        # Filling the missing ones is cheap, but torch's threads would spin on our cores for milliseconds afterwards.
        ctx.set_materialize_grads(False)
        if any(ctx.needs_input_grad):
            ctx.drawn = inputs, listing, images, trainable
            # The kernels read these through numpy; saving them lets torch notice a change in place.
            read = (means, quats, log_scales, logits, sh0, shN, features, background)
            ctx.save_for_backward(*outputs[1:3], *read)
        return tuple(outputs)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, v_rgb, v_alpha, v_depth, v_median, v_features):
        _ = ctx.saved_tensors
        inputs, listing, images, trainable = ctx.drawn
        needs = ctx.needs_input_grad
        wanted = np.ones(len(inputs.means), np.bool_) if trainable is None else trainable.numpy(force=True)
        asked = passes.Asked(np.ascontiguousarray(wanted), shN=needs[5] and inputs.shN.shape[1] > 0, probe=needs[8])
        with _memory_as_device_error():
            given = (v_rgb, v_alpha, v_depth, v_features)
            drawn = (images.rgb, images.alpha, images.depth, images.features)
            pairs = zip(given, drawn, strict=True)
            grads = passes.Gradients(*(np.zeros_like(d) if g is None else _array(g) for g, d in pairs))
            found = passes.backward(inputs, listing, images, grads, asked)
        if needs[5] and not asked.shN:
            found["shN"] = np.zeros_like(inputs.shN)
        names = ("means", "quats", "log_scales", "logit_opacities", "sh0", "shN", "features")
        result = [torch.from_numpy(found[name]) if needs[n] else None for n, name in enumerate(names)]
        left = 1 - images.alpha if needs[7] else np.zeros(0)
        result.append(torch.from_numpy((grads.rgb * left[..., None]).sum((0, 1))) if needs[7] else None)
        result.append(torch.from_numpy(found["probe"]) if needs[8] else None)
        return *result, None, None, None


def kernel_inputs(scene: Gaussians, camera: Camera, mode: RenderMode, crop: Rect | None = None) -> passes.Inputs:
    """What the kernels read for a plain picture of all SH bands; for measuring them one by one."""
    view = pack_view(camera, crop or camera.rect, mode)
    return _inputs([tensor for _, tensor in scene.tensors()], None, None, scene.sh_degree, view)


def _inputs(tensors, features: Tensor | None, background: Tensor | None, degree: int, view: np.ndarray):
    """What the kernels read: contiguous float32 without a copy where it already is."""
    arrays = [_array(tensor) for tensor in tensors]
    count = len(arrays[0])
    empty = np.empty((count, 0), np.float32)
    return passes.Inputs(
        *arrays,
        features=empty if features is None else _array(features),
        background=np.zeros(3, np.float32) if background is None else _array(background),
        degree=degree,
        view=view,
    )


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().to("cpu", torch.float32).contiguous().numpy()


@contextmanager
def _memory_as_device_error() -> Iterator[None]:
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not memory_ran_out(error):
            raise
        raise DeviceError(
            "There is not enough memory to draw this scene: close other programs, or render it smaller."
        ) from error
