"""Optimising Gaussians against large pictures that were made up and the small ones they must agree with (3DSR)."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gaussian_lens_app.jobs.report import Report
from gaussian_lens_app.optimize.adam import Adam, LearningRates
from gaussian_lens_app.optimize.density import Strategy
from gaussian_lens_app.optimize.losses import l1_dssim
from gaussian_lens_app.optimize.mip_filter import filter_sizes, smoothed
from gaussian_lens_app.raster import ANTIALIASED, Rasterizer, RenderMode
from gaussian_lens_app.scene import Camera, Gaussians, Rect

TRIAL_STEPS = 10
"""After so many steps it is known how many more the seconds allow."""


@dataclass(frozen=True, eq=False)
class JointView:
    """One picture at two sizes, and the window of a camera that shows it."""

    camera: Camera
    """Of the large picture; `rect` is the window."""
    rect: Rect
    large: Float[Tensor, "H W 3"]
    small: Float[Tensor, "h w 3"]
    weight: Float[Tensor, "H W"] | None = None
    """Of the large picture's pixels; None: all count."""


@dataclass(frozen=True)
class JointSettings:
    """L_hr + lambda L_lr, each (1 - ssim) L1 + ssim (1 - SSIM)."""

    small_weight: float = 1.0
    """Lambda: weight of the agreement with the small pictures."""
    ssim_weight: float = 0.2
    rates: LearningRates = LearningRates()
    mode: RenderMode = ANTIALIASED
    """Mip-Splatting's 2D filter of 0.1 px^2 is RenderMode(eps2d=0.1)."""
    window: int = 384
    """A step looks at a random window of at most so many pixels a side: more steps for the same work."""
    filter_3d: bool = False
    """Mip-Splatting's 3D filter: no Gaussian finer than the large pictures' pixels."""
    filter_every: int = 100
    """Steps after which that filter is measured anew."""


@dataclass(frozen=True)
class Stretch:
    """Which part of a longer optimisation this is, in 0..1: its rates and its strategy go on from the part before."""

    begin: float = 0.0
    end: float = 1.0

    def progress(self, fraction: float) -> float:
        return self.begin + (self.end - self.begin) * fraction


@dataclass(frozen=True, eq=False)
class JointProblem:
    """What is optimised against, and with what means."""

    frozen: Gaussians
    """Drawn with what moves, and stands still."""
    views: Sequence[JointView]
    settings: JointSettings
    rasterizer: Rasterizer
    strategy: Strategy | None
    """Clones, splits and prunes; None: the Gaussians keep their number."""
    extent: float
    """Of the scene; the centres' rates are in units of it."""


def optimize_jointly(
    problem: JointProblem,
    start: Gaussians,
    steps: int,
    report: Report,
    *,
    stretch: Stretch = Stretch(),
    seconds: float = math.inf,
    seed: int = 0,
) -> tuple[Gaussians, Int[Tensor, "M"]]:
    """(`start` after so many steps, for each row the row of `start` it descends from).

    With less time than the steps take, there are fewer steps, and the rates fall all the same.
    """
    settings, strategy, views = problem.settings, problem.strategy, problem.views
    adam, began = Adam(start), time.monotonic()
    parts = _parts(views, settings.window, torch.Generator().manual_seed(1000 * seed + round(999 * stretch.begin)))
    sizes, step = None, 0
    while step < steps:
        if settings.filter_3d and (sizes is None or len(sizes) != len(adam.scene) or step % settings.filter_every == 0):
            sizes = filter_sizes(adam.scene, [view.camera for view in views])
        rates = settings.rates.at(stretch.progress(step / steps), problem.extent)
        loss = _step(problem, adam, next(parts), sizes, rates)
        step += 1
        if strategy is not None:
            whole = round(steps / (stretch.end - stretch.begin))
            strategy.update(round(stretch.begin * whole) + step, whole, adam, rates)
        if step == TRIAL_STEPS and math.isfinite(seconds):
            each = (time.monotonic() - began) / step
            steps = max(step, min(steps, int(seconds / each)))
        report(f"Optimising: loss {loss:.4f}, {len(adam.scene)} Gaussians", step / steps)
    return adam.scene.detach(), adam.origins


def _parts(views: Sequence[JointView], longest: int, generator: torch.Generator) -> Iterator[JointView]:
    """Without end: a part of each view, in random order, then of each again in another."""
    order: list[int] = []
    while True:
        order = order or torch.randperm(len(views), generator=generator).tolist()
        yield part_of(views[order.pop()], longest, generator)


def part_of(view: JointView, longest: int, generator: torch.Generator) -> JointView:
    """A random window of the view with sides of at most `longest`, whole pixels of the small picture."""
    height, width = view.small.shape[:2]
    scale = view.large.shape[0] // height
    h, w = min(height, longest // scale), min(width, longest // scale)
    if (h, w) == (height, width):
        return view
    y, x = (int(torch.randint(most + 1, (), generator=generator)) for most in (height - h, width - w))
    inside = (slice(y * scale, (y + h) * scale), slice(x * scale, (x + w) * scale))
    left, top = view.rect[0] + x * scale, view.rect[1] + y * scale
    return JointView(
        view.camera,
        (left, top, left + w * scale, top + h * scale),
        view.large[inside],
        view.small[y : y + h, x : x + w],
        None if view.weight is None else view.weight[inside],
    )


def baked(scene: Gaussians, cameras: Sequence[Camera], settings: JointSettings) -> Gaussians:
    """The optimised Gaussians as any viewer should draw them: with the 3D filter in them, where there was one."""
    return smoothed(scene, filter_sizes(scene, cameras)) if settings.filter_3d else scene


def _step(
    problem: JointProblem, adam: Adam, view: JointView, sizes: Float[Tensor, "N 1"] | None, rates: dict[str, float]
) -> float:
    """Moves what `adam` holds; the loss before. `sizes`: of the 3D filter, where there is one.

    The strategy hears of each pull as of a loss over the whole picture, whatever part of it was looked at: its
    threshold means what it does in 3DGS. Where the window is the picture, that is the pull itself.
    """
    frozen, settings, strategy = problem.frozen, problem.settings, problem.strategy
    moving = adam.scene if sizes is None else smoothed(adam.scene, sizes)
    scene, trainable = moving, None
    if len(frozen):
        scene = Gaussians.concat([frozen, moving])
        trainable = torch.arange(len(scene), device=scene.device) >= len(frozen)
    probe = None
    if strategy is not None and strategy.wants_probe:
        probe = torch.zeros(len(scene), 4, device=scene.device, requires_grad=True)
    rgb = problem.rasterizer.render(
        scene, view.camera, mode=settings.mode, crop=view.rect, probe=probe, trainable=trainable
    ).rgb
    loss = joint_loss(rgb, view, settings)
    penalty = None if strategy is None else strategy.penalty(adam.scene)
    (loss if penalty is None else loss + penalty).backward()
    if strategy is not None and probe is not None and probe.grad is not None:
        strategy.observe(probe.grad[len(frozen) :] * _share(view), view.camera)
    adam.step(rates)
    return float(loss.detach())


def _share(view: JointView) -> float:
    """Over how many pixels the loss is a mean, as a part of the whole camera's."""
    x0, y0, x1, y1 = view.rect
    counting = (x1 - x0) * (y1 - y0) if view.weight is None else float(view.weight.sum())
    return counting / (view.camera.width * view.camera.height)


def joint_loss(rendered: Float[Tensor, "H W 3"], view: JointView, settings: JointSettings) -> Tensor:
    """L_hr + lambda L_lr of one view; the render is averaged down to the small picture, as cameras average."""
    loss = l1_dssim(rendered, view.large, settings.ssim_weight, view.weight)
    if settings.small_weight == 0:
        return loss
    small = averaged(rendered, rendered.shape[0] // view.small.shape[0])
    weight = None
    if view.weight is not None:
        weight = averaged(view.weight[..., None], rendered.shape[0] // view.small.shape[0])[..., 0]
    return loss + settings.small_weight * l1_dssim(small, view.small, settings.ssim_weight, weight)


def averaged(image: Float[Tensor, "H W C"], factor: int) -> Float[Tensor, "h w C"]:
    """Means of blocks of factor x factor pixels; differentiable."""
    height, width = image.shape[0] // factor, image.shape[1] // factor
    return image.reshape(height, factor, width, factor, -1).mean((1, 3))
