"""The plane sweep as something to train: small procedural captures with exact depths, made as they are needed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from gaussian_lens_app.backbones.pixel_gaussians import as_gaussians
from gaussian_lens_app.networks.plane_sweep import STRIDE, Pinholes, PlaneSweep, Swept
from gaussian_lens_app.raster import ANTIALIASED, Rasterizer
from gaussian_lens_app.scene import Camera, Gaussians
from gaussian_lens_app.training.run import Trainee
from gaussian_lens_app.training.worlds import WorldSettings, random_capture

VALIDATION = 900_000
"""Seeds from here on never train."""
APART = 10_007
"""Between the seeds with which neighbouring processes begin; none makes so many captures."""


@dataclass(frozen=True)
class SweepSettings:
    """What an update looks at."""

    world: WorldSettings = WorldSettings(photos=12, width=192, height=144, textures=6)
    worlds: int = 32
    """Captures in memory."""
    uses: int = 30
    """Updates a capture is used for before another takes its place."""
    accumulate: int = 1
    picture_weight: float = 20.0
    """Of the mean squared error of a photo that was not looked at, beside the cross-entropy of the planes."""
    validation: int = 10
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Shots:
    """A capture as tensors."""

    photos: Float[Tensor, "V 3 H W"]
    small: Float[Tensor, "V 3 h w"]
    cameras: tuple[Camera, ...]
    """Of the depth maps."""
    depths: Float[Tensor, "V h w"]


class SweepTrainee(Trainee):
    """The network with its captures."""

    def __init__(self, network: PlaneSweep, settings: SweepSettings, rasterizer: Rasterizer):
        self.network, self.settings, self.rasterizer = network, settings, rasterizer
        self.captures: list[tuple[Shots, int]] = []
        self.seed = settings.seed + 1
        self.held_out: list[Shots] = []

    def losses(self, network: nn.Module, number: int, progress: float) -> dict[str, float]:
        assert isinstance(network, PlaneSweep)
        chance = random.Random(self.settings.seed + number)
        if not self.captures:
            self.seed += number * APART
        figures: dict[str, float] = {}
        for _ in range(self.settings.accumulate):
            loss, found = self._step(network, self._next(chance), chance)
            (loss / self.settings.accumulate).backward()
            figures = {key: figures.get(key, 0) + value / self.settings.accumulate for key, value in found.items()}
        return figures

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Share of pixels whose depth is right within 3%, and PSNR of photos not looked at; the score is their PSNR."""
        assert isinstance(network, PlaneSweep)
        count = self.settings.validation
        if not self.held_out:
            self.held_out = [shots_of(VALIDATION + seed, self.settings.world) for seed in range(count)]
        with torch.no_grad():
            found = [self._step(network, shots, random.Random(i))[1] for i, shots in enumerate(self.held_out)]
        figures = {key: sum(one[key] for one in found) / count for key in found[0]}
        return {"score": figures["psnr"], **figures}

    def _next(self, chance: random.Random) -> Shots:
        if len(self.captures) < self.settings.worlds:
            self.seed = (self.seed + 1) % VALIDATION
            self.captures.append((shots_of(self.seed, self.settings.world), self.settings.uses))
            return self.captures[-1][0]
        index = chance.randrange(len(self.captures))
        shots, left = self.captures[index]
        self.captures[index] = (shots, left - 1)
        if left <= 1:
            del self.captures[index]
        return shots

    def _step(self, network: PlaneSweep, shots: Shots, chance: random.Random) -> tuple[Tensor, dict[str, float]]:
        """Two photos swept, each against the others; their Gaussians drawn from another photo's place."""
        step = chance.choice([1, 2])
        first = chance.randrange(len(shots.photos) - 2 * step)
        looked = [first, first + step, first + 2 * step]
        around = range(max(0, first - 1), min(len(shots.photos), first + 2 * step + 2))
        target = chance.choice([i for i in around if i not in looked])
        looked = looked if chance.random() < 0.7 else looked[:2]
        features = network.describe(shots.photos[looked])
        near, far = _range(shots, looked[:2], chance)
        pinholes = Pinholes(
            torch.stack([shots.cameras[i].viewmat for i in looked]), torch.stack([shots.cameras[i].K for i in looked])
        )
        layers, losses, right = [], [], []
        for place in range(2):
            order = [place, *(i for i in range(len(looked)) if i != place)]
            rows = [looked[i] for i in order]
            cameras = Pinholes(pinholes.viewmats[order], pinholes.Ks[order])
            swept = network(shots.small[rows], features[order], cameras, (1 / far, 1 / near))
            truth = shots.depths[rows[0]]
            losses.append(plane_loss(swept, truth, network.planes((1 / far, 1 / near), truth)))
            right.append(float(((swept.depth.detach() / truth - 1).abs() < 0.03).float().mean()))
            layers.append(as_gaussians(swept, shots.cameras[rows[0]], shots.small[rows[0]]))
        camera = shots.cameras[target]
        rgb = self.rasterizer.render(Gaussians.concat(layers), camera, mode=ANTIALIASED).rgb
        error = (rgb - shots.small[target].permute(1, 2, 0)).square().mean()
        loss = torch.stack(losses).mean() + self.settings.picture_weight * error
        psnr = -10 * float(error.detach().clamp_min(1e-9).log10())
        return loss, {"planes": float(torch.stack(losses).mean().detach()), "right": sum(right) / 2, "psnr": psnr}


def plane_loss(swept: Swept, truth: Float[Tensor, "h w"], planes: Float[Tensor, "K"]) -> Tensor:
    """Cross-entropy of the two planes about the true depth, each by its nearness; pixels beyond them do not count."""
    step = planes[0] - planes[1]
    index = (planes[0] - 1 / truth.clamp_min(1e-6)) / step
    valid = (truth > 0) & (index >= 0) & (index <= len(planes) - 1)
    low = index.floor().long().clamp(0, len(planes) - 2)
    share = (index - low).clamp(0, 1)
    logs = swept.logits.log_softmax(0)
    chosen = torch.gather(logs, 0, torch.stack([low, low + 1]))
    entropy = -((1 - share) * chosen[0] + share * chosen[1])
    return (entropy * valid).sum() / valid.sum().clamp_min(1)


def shots_of(seed: int, settings: WorldSettings) -> Shots:
    """A procedural capture at two sizes."""
    taken = random_capture(seed, (), settings)
    photos = torch.stack([photo.load().permute(2, 0, 1).float() / 255 for photo in taken.capture.photos])
    size = photos.shape[-2] // STRIDE, photos.shape[-1] // STRIDE
    cameras = tuple(photo.camera.resized(size[1], size[0]) for photo in taken.capture.photos)
    depths = torch.stack(taken.depths)[:, None]
    return Shots(photos, F.avg_pool2d(photos, STRIDE), cameras, F.interpolate(depths, size, mode="nearest-exact")[:, 0])


def _range(shots: Shots, rows: Sequence[int], chance: random.Random) -> tuple[float, float]:
    """Nearest and farthest depth as sparse points would tell them."""
    depths = shots.depths[list(rows)]
    near, far = depths[depths > 0].quantile(torch.tensor([0.005, 0.995])).tolist()
    return near * chance.uniform(0.6, 0.95), far * chance.uniform(1.05, 1.8)
