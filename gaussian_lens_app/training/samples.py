"""Training samples: a box in a scene, the photos a method may see, and photos it may not."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gaussian_lens_app.formats.atomic import write_atomically
from gaussian_lens_app.methods.gaussian_lens_inputs import LensInputs, pixel_layer
from gaussian_lens_app.methods.pixel_gaussians import PixelSettings
from gaussian_lens_app.methods.targets import Target, make_target, matched_exposures, surroundings
from gaussian_lens_app.optimize.band_limit import band_limited
from gaussian_lens_app.raster import ANTIALIASED, Rasterizer, Render, RenderMode
from gaussian_lens_app.scene import Box, Camera, Capture, Gaussians, PhotoView, Rect
from gaussian_lens_app.select import select_region
from gaussian_lens_app.select.misfits import misfits


@dataclass(frozen=True)
class SampleSettings:
    """How boxes are drawn from a scene."""

    boxes: int = 8
    """Boxes a scene."""
    sides: tuple[float, float] = (0.25, 0.42)
    """A box's sides as parts of the photo's."""
    longest: int = 190
    """A box's longer side in pixels, at most."""
    few: float = 0.35
    """Part of the samples with two to four context photos; the others have up to eight."""
    strides: tuple[int, ...] = (2, 3, 3, 3, 4)
    plain: float = 0.2
    """Part of the samples whose scene is drawn as it is, with the filter of the photos' own size."""
    scaled: float = 0.1
    """Part drawn with that filter scaled; the others start from the band-limited scene, as upgrades do."""
    targets: int = 3
    least_gaussians: int = 30
    most_points: int = 16_000


@dataclass(frozen=True, eq=False)
class Sample:
    """One box."""

    inputs: LensInputs
    targets: tuple[Target, ...]
    """Windows of photos that neither the low-resolution scene nor the method has seen."""
    stride: int
    """Photo pixels per pixel Gaussian."""

    def to(self, device: str) -> Sample:
        """The same with everything on one device."""
        inputs = self.inputs
        gaussians = {name: getattr(inputs, name).to(device) for name in ("frozen", "old", "new")}
        windows = tuple(_moved(window, device) for window in inputs.windows)
        return dataclasses.replace(
            self,
            inputs=dataclasses.replace(inputs, **gaussians, windows=windows),
            targets=tuple(_moved(target, device) for target in self.targets),
        )


def _moved(window: Target, device: str) -> Target:
    """A window on another device."""
    render = window.render
    values = {field.name: getattr(render, field.name) for field in dataclasses.fields(Render)}
    tensors = {name: value.to(device) for name, value in values.items() if value is not None}
    return dataclasses.replace(
        window,
        camera=window.camera.to(device),
        photo=window.photo.to(device),
        mask=window.mask.to(device),
        render=Render(**tensors),
    )


def random_samples(
    scene: Gaussians,
    capture: Capture,
    context: tuple[int, ...],
    factor: float,
    rng: np.random.Generator,
    rasterizer: Rasterizer,
    settings: SampleSettings,
) -> Iterator[Sample]:
    """Samples of one scene; boxes that show too little are passed over."""
    scene = scene.to(rasterizer.device)
    unseen = [i for i in range(len(capture)) if i not in context]
    cameras = [capture.photos[i].camera for i in context]
    limited = band_limited(scene, cameras, rasterizer, ANTIALIASED.scaled(factor))
    variants = [(scene, ANTIALIASED), (scene, ANTIALIASED.scaled(factor)), (limited, ANTIALIASED)]
    shares = [settings.plain, settings.scaled, 1 - settings.plain - settings.scaled]
    for _ in range(settings.boxes):
        viewer = int(rng.choice(unseen))
        start, mode = variants[int(rng.choice(3, p=shares))]
        box = Box(capture.photos[viewer].camera, _random_rect(capture.photos[viewer].camera, rng, settings))
        sample = _sample(start, capture, context, viewer, box, mode, rng, rasterizer, settings)
        if sample is not None:
            yield sample


def _random_rect(camera: Camera, rng: np.random.Generator, settings: SampleSettings) -> Rect:
    limit = settings.longest
    width, height = (min(limit, int(rng.uniform(*settings.sides) * side)) for side in (camera.width, camera.height))
    x, y = int(rng.integers(0, camera.width - width)), int(rng.integers(0, camera.height - height))
    return (x, y, x + width, y + height)


def _sample(
    scene: Gaussians,
    capture: Capture,
    context: tuple[int, ...],
    viewer: int,
    box: Box,
    mode: RenderMode,
    rng: np.random.Generator,
    rasterizer: Rasterizer,
    settings: SampleSettings,
) -> Sample | None:
    region = select_region(scene, box, capture, rasterizer, mode=mode)
    wrong = {view.photo for view in misfits(scene, region.views, capture, rasterizer, mode)}
    views = [view for view in region.views if view.photo not in wrong]
    seen = [view for view in views if view.photo in context]
    if region.count < settings.least_gaussians or len(seen) < 2 or viewer in wrong:
        return None
    windows = [make_target(scene, capture, view, rasterizer, mode) for view in seen[: _photos(rng, settings)]]
    windows = matched_exposures(windows, scene, capture, rasterizer, mode)
    others = [view for view in views if view.photo not in context and view.photo != viewer]
    targets = [_whole(scene, capture, viewer, box.rect, rasterizer, mode)]
    targets += [make_target(scene, capture, view, rasterizer, mode) for view in others[: settings.targets - 1]]
    stride = int(rng.choice(settings.strides))
    old, frozen = scene.take(region.selected), surroundings(scene, region.selected, [*windows, *targets])
    new, stride = pixel_layer(windows, 2, stride, settings.most_points - len(old), PixelSettings())
    return Sample(LensInputs(frozen, old, new, tuple(windows), mode), tuple(targets), stride)


def _photos(rng: np.random.Generator, settings: SampleSettings) -> int:
    return int(rng.integers(2, 5)) if rng.random() < settings.few else int(rng.integers(4, 9))


def _whole(
    scene: Gaussians, capture: Capture, photo: int, rect: Rect, rasterizer: Rasterizer, mode: RenderMode
) -> Target:
    """The box itself as a window: that is what the benchmark measures."""
    mask = torch.ones(rect[3] - rect[1], rect[2] - rect[0], dtype=torch.bool)
    view = PhotoView(photo, rect, mask, overlap=1, resolution=1, cosine=1, score=1)
    return make_target(scene, capture, view, rasterizer, mode)


def save_samples(path: Path, samples: list[Sample], facts: dict[str, Any]) -> None:
    """Keep the samples of one scene in a file of plain tensors."""
    packed = {"facts": facts, "samples": [_packed(sample.to("cpu")) for sample in samples]}
    path.parent.mkdir(parents=True, exist_ok=True)
    with write_atomically(path) as file:
        torch.save(packed, file)


def load_samples(path: Path) -> list[Sample]:
    """The samples kept in a file."""
    return [_unpacked(sample) for sample in torch.load(path, weights_only=True)["samples"]]


def _packed(sample: Sample) -> dict[str, Any]:
    inputs = sample.inputs
    return {
        "gaussians": {name: dict(getattr(inputs, name).tensors()) for name in ("frozen", "old", "new")},
        "windows": [_packed_window(window) for window in inputs.windows],
        "targets": [_packed_window(window) for window in sample.targets],
        "mode": [inputs.mode.antialiased, inputs.mode.eps2d],
        "stride": sample.stride,
    }


def _packed_window(window: Target) -> dict[str, Any]:
    camera = window.camera
    return {
        "name": window.name,
        "camera": [camera.viewmat, camera.K, camera.width, camera.height],
        "rect": list(window.rect),
        "photo": window.photo.half(),
        "mask": window.mask,
    }


def _unpacked(packed: dict[str, Any]) -> Sample:
    gaussians = {name: Gaussians(**fields) for name, fields in packed["gaussians"].items()}
    windows, targets = ([_unpacked_window(one) for one in packed[name]] for name in ("windows", "targets"))
    inputs = LensInputs(**gaussians, windows=tuple(windows), mode=RenderMode(*packed["mode"]))
    return Sample(inputs, tuple(targets), packed["stride"])


def _unpacked_window(packed: dict[str, Any]) -> Target:
    nothing = torch.zeros(0, 0)
    render = Render(nothing[..., None], nothing, nothing, nothing)  # Drawn anew where it is wanted.
    rect = packed["rect"]
    return Target(
        packed["name"], Camera(*packed["camera"]), (rect[0], rect[1], rect[2], rect[3]),
        packed["photo"].float(), packed["mask"], render,
    )  # fmt: skip
