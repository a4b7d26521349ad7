"""The rounds of 3DSR: the prior sharpens pictures, the scene is fitted to all, its renders go back to the prior."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from jaxtyping import Int
from torch import Tensor

from gaussian_lens_app.evaluation.consistency import disagreement, sighted
from gaussian_lens_app.jobs.report import Report, within
from gaussian_lens_app.methods.three_dsr_views import SmallView
from gaussian_lens_app.networks.shuffle_split import CHILDREN, SplitSettings, shuffle_split
from gaussian_lens_app.optimize.adam import LearningRates
from gaussian_lens_app.optimize.density import AdaptiveDensity, AdaptiveSettings
from gaussian_lens_app.optimize.joint import JointProblem, JointSettings, JointView, Stretch, baked, optimize_jointly
from gaussian_lens_app.optimize.mip_filter import STRENGTH, filter_sizes
from gaussian_lens_app.priors.base import AnyPrior, Picture, Prior, Upscaler, is_diffusion
from gaussian_lens_app.priors.resizing import agreeing, reduced
from gaussian_lens_app.raster import Rasterizer
from gaussian_lens_app.scene import Camera, Gaussians

APPROXIMATE_ROUNDS = 4
"""Of a prior without a chain."""
BLEND = 0.5
"""With such a prior, a later round's picture is this part upscaled from the render, the rest the render itself."""


LEAST_PIXELS = 0.5
"""Gaussians finer than this (their middle scale, in the large pictures) stay whole."""
SPLIT = SplitSettings(least_opacity=0.1)


FEW_STEPS = LearningRates(means_final=1.6e-5, settle_from=0.85).times(3)
"""Few steps want long ones: on banana three times the usual rates gained 0.14 dB. The last round's pictures are the
ones that count, so the rates fall late."""


@dataclass(frozen=True)
class RoundSettings:
    """How each round works."""

    steps: int = 250
    """Optimisation steps a round, on average."""
    last: float = 1.0
    """The last round takes so many times the steps of each other one. Three times as many made no difference."""
    joint: JointSettings = field(default_factory=lambda: JointSettings(rates=FEW_STEPS))
    split: bool = True
    """Begin with opaque Gaussians split in six, the largest in the pictures first: room for detail at once."""
    density: AdaptiveSettings | None = None
    """Let Gaussians clone and split in every round, as published; a few hundred steps do not mend what that breaks."""
    max_gaussians: int = 80_000
    coupled: bool = True
    """Renders replace each picture's x0. False: every picture is super-resolved alone first, then all are fitted."""
    compare: bool = True
    """Also run the prior on each picture alone, to tell how much less the pictures agree then."""
    seed: int = 0


@dataclass(eq=False)
class State:
    """All that the next round starts from; `to_disk` and back."""

    moving: Gaussians
    origins: Int[Tensor, "M"]
    """For each moving Gaussian the one that it descends from."""
    chains: list[Chain]
    alone: list[Chain]
    """The same pictures with nothing stepping in; empty where they are not compared."""
    done: int = 0
    figures: list[dict[str, float]] = field(default_factory=list)
    """Of each round that is done."""

    def to_disk(self) -> dict[str, Any]:
        """Tensors, lists and plain values."""
        return {
            "moving": dict(self.moving.tensors()),
            "origins": self.origins,
            "chains": [[chain.to_disk() for chain in chains] for chains in (self.chains, self.alone)],
            "done": self.done,
            "figures": self.figures,
        }

    @staticmethod
    def from_disk(saved: dict[str, Any]) -> State:
        chains, alone = ([Chain.from_disk(chain) for chain in chains] for chains in saved["chains"])
        moving, origins = Gaussians(**saved["moving"]), saved["origins"].cpu()
        return State(moving, origins, chains, alone, saved["done"], saved["figures"])


@dataclass(eq=False)
class Chain:
    """One picture's place in the prior's chain."""

    generator: torch.Generator
    x_t: Any = None
    picture: Picture | None = None
    """As it was decoded last."""

    def to_disk(self) -> dict[str, Any]:
        picture = self.picture if self.x_t is None else None  # else it is decoded again
        return {"generator": self.generator.get_state(), "x_t": self.x_t, "picture": picture}

    @staticmethod
    def from_disk(saved: dict[str, Any]) -> Chain:
        generator = torch.Generator()
        generator.set_state(saved["generator"].cpu())
        return Chain(generator, saved["x_t"], saved["picture"])


class Rounds:
    """One run of 3DSR over views of a scene of which `frozen` stays."""

    def __init__(
        self,
        frozen: Gaussians,
        start: Gaussians,
        views: Sequence[SmallView],
        prior: AnyPrior,
        rasterizer: Rasterizer,
        extent: float,
        settings: RoundSettings,
    ):
        self.frozen, self.views, self.prior, self.rasterizer = frozen, views, prior, rasterizer
        self.extent, self.settings = extent, settings
        self.count = len(prior.timesteps) if is_diffusion(prior) else APPROXIMATE_ROUNDS
        alone = len(views) if settings.compare and settings.coupled and is_diffusion(prior) else 0
        begun, origins = start, torch.arange(len(start))
        if settings.split:
            begun, origins = roomier(start, [view.camera for view in views], settings.max_gaussians)
        self.state = State(begun, origins, self._chains(len(views)), self._chains(alone))

    def run(
        self, report: Report, seconds: float = math.inf, finished: Callable[[State], None] = lambda state: None
    ) -> Gaussians:
        """The moving Gaussians after the last round; `finished` hears of every round."""
        ends = time.monotonic() + seconds
        while self.state.done < self.count:
            index = self.state.done
            told = within(report, *self._part(index))
            self._round(index, told, self._share(index) * (ends - time.monotonic()))
            finished(self.state)
        return self.result()

    def result(self) -> Gaussians:
        """The moving Gaussians as they stand, for any viewer."""
        return baked(self.state.moving, [view.camera for view in self.views], self.settings.joint)

    def _round(self, index: int, report: Report, seconds: float) -> None:
        began = time.monotonic()
        ahead = f"Round {index + 1} of {self.count}"
        targets = self._pictures(index, within_named(report, ahead, 0.0, 0.2))
        left = max(0.1, seconds - 1.5 * (time.monotonic() - began))
        moving, origins = self._fitted(targets, index, left, within_named(report, ahead, 0.2, 0.85))
        self.state = dataclasses.replace(
            self.state, moving=moving, origins=self.state.origins[origins.cpu()], done=index + 1
        )
        told = within_named(report, ahead, 0.85, 1.0)
        figures = {"round": index + 1, "gaussians": len(moving), **self._compared(targets, told)}
        if self.settings.coupled and is_diffusion(self.prior):
            self._step_in(self.prior, index, told)
        self.state.figures.append({**figures, "seconds": time.monotonic() - began})

    def _part(self, index: int) -> tuple[float, float]:
        """Where in the whole a round begins and ends."""
        whole = self.count - 1 + self.settings.last
        return index / whole, (index + 1) / whole if index + 1 < self.count else 1.0

    def _share(self, index: int) -> float:
        """Of the time that is left."""
        begins, ends = self._part(index)
        return (ends - begins) / (1 - begins)

    def _pictures(self, index: int, report: Report) -> list[Picture]:
        """What every view is fitted to in this round."""
        pictures = []
        for number, (view, chain) in enumerate(zip(self.views, self.state.chains, strict=True)):
            report(f"sharpening picture {number + 1} of {len(self.views)}", number / len(self.views))
            chain.picture = self._picture(view, chain, index)
            pictures.append(chain.picture)
        for view, chain in zip(self.views, self.state.alone, strict=False):
            assert is_diffusion(self.prior)
            report("sharpening pictures alone, to compare", 1.0)
            chain.picture = _next(self.prior, view, chain, index)
        return pictures

    def _picture(self, view: SmallView, chain: Chain, index: int) -> Picture:
        prior = self.prior
        if not is_diffusion(prior):
            return self._upscaled(cast(Upscaler, prior), view, index)
        if self.settings.coupled:
            return _next(prior, view, chain, index, advance=False)
        if index == 0:
            for number in range(self.count):
                chain.picture = _next(prior, view, chain, number)
            chain.x_t = None
        assert chain.picture is not None
        return chain.picture

    def _upscaled(self, prior: Upscaler, view: SmallView, index: int) -> Picture:
        """First the small picture enlarged, later what the scene shows, enlarged again from its small version."""
        if index == 0 or not self.settings.coupled:
            return agreeing(prior.upscale(view.small), view.small)
        render = self._render(view)
        again = prior.upscale(reduced(render, prior.scale))
        return agreeing(BLEND * again + (1 - BLEND) * render, view.small)

    def _fitted(
        self, pictures: list[Picture], index: int, seconds: float, report: Report
    ) -> tuple[Gaussians, Int[Tensor, "M"]]:
        views = [
            JointView(view.camera, view.rect, picture, view.small, view.weight)
            for view, picture in zip(self.views, pictures, strict=True)
        ]
        settings, (begins, ends) = self.settings, self._part(index)
        return optimize_jointly(
            JointProblem(self.frozen, views, settings.joint, self.rasterizer, self._strategy(index), self.extent),
            self.state.moving,
            round((ends - begins) * settings.steps * self.count),
            report,
            stretch=Stretch(begins, ends),
            seconds=seconds,
            seed=settings.seed,
        )

    def _strategy(self, index: int) -> AdaptiveDensity | None:
        """What clones, splits and prunes in this round; None where nothing does."""
        if self.settings.density is None:
            return None
        density = dataclasses.replace(self.settings.density, max_gaussians=self.settings.max_gaussians)
        return AdaptiveDensity(density, self.extent, torch.Generator().manual_seed(self.settings.seed + index))

    def _step_in(self, prior: Prior, index: int, report: Report) -> None:
        """What the scene shows takes the place of each picture's x0."""
        for view, chain in zip(self.views, self.state.chains, strict=True):
            report("handing renders to the prior", 1.0)
            x0 = prior.encode(self._render(view))
            chain.x_t = prior.step(chain.x_t, x0, prior.timesteps[index], chain.generator)

    def _compared(self, pictures: list[Picture], report: Report) -> dict[str, float]:
        """How much the pictures disagree where the scene says that they show the same, and how well they fit."""
        report("comparing pictures", 0.0)
        scene, mode = self._scene(), self.settings.joint.mode
        sights = [sighted(scene, view.camera, view.rect, self.rasterizer, mode) for view in self.views]
        figures = {f"together_{k}": v for k, v in vars(disagreement(pictures, sights, self.prior.scale)).items()}
        lone = [chain.picture for chain in self.state.alone if chain.picture is not None]
        if lone:
            figures |= {f"alone_{k}": v for k, v in vars(disagreement(lone, sights, self.prior.scale)).items()}
        return {**figures, "small_psnr": self.small_psnr()}

    def small_psnr(self) -> float:
        """Mean PSNR of the renders made small against the small pictures, dB."""
        errors = [(reduced(self._render(v), self.prior.scale) - v.small).square().mean() for v in self.views]
        return -10 * float(torch.stack(errors).clamp_min(1e-10).log10().mean())

    @torch.no_grad()
    def _render(self, view: SmallView) -> Picture:
        mode = self.settings.joint.mode
        return self.rasterizer.render(self._scene(), view.camera, mode=mode, crop=view.rect).rgb.clamp(0, 1)

    def _scene(self) -> Gaussians:
        return Gaussians.concat([self.frozen, self.result()])

    def _chains(self, count: int) -> list[Chain]:
        return [Chain(torch.Generator().manual_seed(1000 * self.settings.seed + i)) for i in range(count)]


def _next(prior: Prior, view: SmallView, chain: Chain, index: int, advance: bool = True) -> Picture:
    """The picture that this step of the chain promises; `advance`: with its own x0."""
    t = prior.timesteps[index]
    if chain.x_t is None:
        chain.x_t = prior.init_latent(view.small, chain.generator)
    x0 = prior.predict_x0(chain.x_t, t, view.small)
    if advance:
        chain.x_t = prior.step(chain.x_t, x0, t, chain.generator)
    return prior.decode(x0, view.small)


def roomier(scene: Gaussians, cameras: Sequence[Camera], most: int) -> tuple[Gaussians, Int[Tensor, "M"]]:
    """(at most `most` Gaussians: those largest in the pictures split in six that look the same, whom each is from)."""
    pixels = filter_sizes(scene, cameras)[:, 0] / STRENGTH
    sizes = torch.where(pixels > 0, scene.log_scales.median(-1).values.exp() / pixels.clamp_min(1e-12), 0.0)
    room = max(0, most - len(scene)) // (CHILDREN - 1)
    chosen = sizes.argsort(descending=True)[:room]
    chosen = chosen[sizes[chosen] > LEAST_PIXELS].sort().values
    rest = torch.ones_like(sizes, dtype=torch.bool)
    rest[chosen] = False
    kept = rest.nonzero()[:, 0]
    split = shuffle_split(scene.take(chosen), SPLIT)
    return Gaussians.concat([scene.take(kept), split.gaussians]), torch.cat([kept, chosen[split.parents]]).cpu()


def within_named(report: Report, name: str, start: float, end: float) -> Report:
    """A Report for a part of the whole, its stage named."""
    return lambda stage, fraction: report(f"{name}: {stage[0].lower()}{stage[1:]}", start + (end - start) * fraction)
