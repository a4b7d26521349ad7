"""GaussianVAE's losses: what came next in lineages, and pictures of predicted children beside photos."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from gaussian_lens_app.lineages.families import Families
from gaussian_lens_app.lineages.predicting import ALONE, LOWER, UPPER, only, slot_gaussians
from gaussian_lens_app.networks.gaussian_vae import GaussianVAE, Known, Next
from gaussian_lens_app.raster import Rasterizer
from gaussian_lens_app.scene import Gaussians, Rect
from gaussian_lens_app.training.lineages import Windows

COMMON = 3e-3
"""Mean squared error (25 dB) below which a window's errors count for less than their share."""


@dataclass(frozen=True)
class VAESettings:
    """Weights of the losses and sizes of an update."""

    batch: int = 1024
    """Families an update."""
    masked: float = 0.15
    """Chance that an ancestor is hidden too."""
    kl: float = 1e-6
    cycle: int = 400
    """Updates in which the weight of the KL divergence rises to 1 once and stays there for as long."""
    appearance: float = 10.0
    """Of the mean squared error of colour and opacity."""
    sh: float = 1.0
    chamfer: float = 0.15
    """Of the squared distances between a family's centres, in units of the parent; the paper's 0.01 has other units."""
    scale: float = 0.5
    turn: float = 0.1
    exist: float = 0.1
    picture: float = 2.0
    """Of the relative change of squared error in windows of photos; 0 trains on lineages alone, as the paper does."""
    windows: int = 5
    """Looked at in an update."""
    side: int = 80
    """Pixels a side of a window."""
    most: int = 400
    """Gaussians in a window, at most."""
    shares: tuple[float, ...] = (0.0, 0.25, 0.25, 1.0)
    """Parts of a window's Gaussians, most sensitive first, that become two; one of them a window."""
    seed: int = 0


class VAETrainee:
    """Updates and validation of GaussianVAE, as `training.run.Run` asks for them."""

    def __init__(
        self,
        network: nn.Module,
        settings: VAESettings,
        train: Sequence[Families],
        windows: Sequence[Windows],
        validation: Sequence[Families],
        validation_windows: Sequence[Windows],
        rasterizer: Rasterizer,
    ):
        self.network: nn.Module = network
        self.settings, self.rasterizer = settings, rasterizer
        self.train, self.windows = train, windows
        self.validation, self.validation_windows = validation, validation_windows

    def losses(self, network: nn.Module, number: int, progress: float) -> Mapping[str, float]:
        """One batch of families and some windows of photos."""
        assert isinstance(network, GaussianVAE)
        generator = torch.Generator().manual_seed(self.settings.seed * 1_000_003 + number)
        batch = self._batch(number, generator)
        found = network(batch.known, sampled=True)
        parts = family_losses(found.nodes, batch)
        weighted = sum(getattr(self.settings, name) * value for name, value in parts.items())
        loss = weighted + self.settings.kl * cyclic(number, self.settings.cycle) * found.kl.mean()
        loss.backward()
        figures = {"loss": float(loss.detach()), "kl": float(found.kl.detach().mean())}
        figures |= {name: float(value.detach()) for name, value in parts.items()}
        if self.settings.picture and self.windows:
            figures["gain_db"] = self._picture(network, number)
        return figures

    @staticmethod
    def only_nodes(network: GaussianVAE) -> GaussianVAE:
        """The network with all but the heads of next nodes frozen, so that pictures stay what they are."""
        network.requires_grad_(False)
        network.geometry.nodes.requires_grad_(True)
        network.appearance.nodes.requires_grad_(True)
        return network

    def _batch(self, number: int, generator: torch.Generator) -> Families:
        """Rows of a few files, some ancestors hidden."""
        chance = random.Random(number)
        chosen = [chance.choice(self.train) for _ in range(4)]
        parts = [_rows(part, self.settings.batch // 4, generator) for part in chosen]
        known = parts[0].known
        known = Known(
            *(torch.cat([getattr(part.known, name) for part in parts]) for name in known.__dataclass_fields__)
        )
        rest = ("geometry", "appearance", "base_logits", "exists", "observed", "judged")
        batch = Families(known, *(torch.cat([getattr(part, name) for part in parts]) for name in rest))
        hidden = torch.rand(batch.known.geometry.shape[:2], generator=generator) < self.settings.masked
        hidden[:, -1] = False
        for tokens in (batch.known.geometry, batch.known.appearance):
            tokens[hidden] = 0
        return batch

    def _picture(self, network: GaussianVAE, number: int) -> float:
        """Mean gain in dB of some windows; their mean's gradient is added."""
        chance = random.Random(self.settings.seed * 1_000_003 + number)
        count, gain = self.settings.windows, 0.0
        for _ in range(count):
            windows, share = chance.choice(self.windows), chance.choice(self.settings.shares)
            photo, rect = random_window(windows, self.settings.side, self.settings.most, chance)
            others = share == 0 or chance.random() < 0.7
            before, after = window_errors(network, windows, photo, rect, share, others, self.rasterizer)
            if after.requires_grad and bool(after.isfinite()):
                (self.settings.picture / count * (after - before) / (before + COMMON)).backward()
            gain += 10 * math.log10((float(before) + 1e-5) / (float(after.detach()) + 1e-5)) / count
        return gain

    def between(self, number: int) -> None:
        pass

    @torch.no_grad()
    def validate(self, network: nn.Module) -> Mapping[str, float]:
        """Gain in pictures of the validation scenes, and errors of predicted nodes over those of a plain split."""
        assert isinstance(network, GaussianVAE)
        figures = family_figures(network, self.validation)
        for share in (0.0, 0.25, 1.0):
            gains = self._gains(network, share)
            figures[f"gain_db_{share:g}"] = sum(gains) / max(1, len(gains))
        gain = figures["gain_db_0.25"] + figures["gain_db_1"]
        return {**figures, "score": 2 * gain - figures["appearance_ratio"] - figures["chamfer_ratio"]}

    def _gains(self, network: GaussianVAE, share: float) -> list[float]:
        chance, gains = random.Random(1), []
        for windows in self.validation_windows:
            for _ in range(12):
                photo, rect = random_window(windows, self.settings.side, self.settings.most, chance)
                before, after = window_errors(network, windows, photo, rect, share, True, self.rasterizer)
                gains.append(10 * math.log10((float(before) + 1e-5) / (float(after) + 1e-5)))
        return gains


def cyclic(number: int, cycle: int) -> float:
    """Weight that climbs from 0 to 1 over half of each cycle and stays there for the other half (Fu et al. 2019)."""
    return min(2 * (number % cycle) / cycle, 1.0)


def _rows(part: Families, count: int, generator: torch.Generator) -> Families:
    rows = torch.randint(len(part), (count,), generator=generator)
    return part.map(lambda tensor: tensor[rows].float() if tensor.is_floating_point() else tensor[rows])


def family_losses(found: Next, batch: Families) -> dict[str, Tensor]:
    """Mean losses over the slots that there are, unweighted, by the name of their weight."""
    there = batch.exists & batch.observed[:, None]
    opacity = (batch.base_logits + found.appearance[..., 48]).sigmoid()
    wanted = (batch.base_logits + batch.appearance[..., 48]).sigmoid()
    colour = (found.appearance[..., 45:48] - batch.appearance[..., 45:48]).square().sum(-1)
    exist = (found.geometry[..., -1], found.appearance[..., -1])
    target = batch.exists.float()
    known = batch.judged[:, None].float()
    bce = [nn.functional.binary_cross_entropy_with_logits(logits, target, known.expand_as(target)) for logits in exist]
    turn = 1 - (found.geometry[..., 3:7] * batch.geometry[..., 3:7]).sum(-1).abs()
    scale = (found.geometry[..., 7:10] - batch.geometry[..., 7:10]).square().mean(-1)
    sh = (found.appearance[..., :45] - batch.appearance[..., :45]).square().mean(-1)
    mean = lambda values: values[there].mean() if bool(there.any()) else values.sum() * 0  # noqa: E731
    return {
        "appearance": mean((colour + (opacity - wanted).square()) / 4),
        "sh": mean(sh),
        "chamfer": family_chamfer(found.geometry[..., :3], batch.geometry[..., :3], there).mean(),
        "scale": mean(scale),
        "turn": mean(turn),
        "exist": bce[0] + bce[1],
    }


def family_chamfer(found: Float[Tensor, "N 3 3"], wanted: Float[Tensor, "N 3 3"], exists: Tensor) -> Float[Tensor, "N"]:
    """Squared distances between each family's predicted and true centres, nearest ones, both ways, mean."""
    alone = (found[:, ALONE] - wanted[:, ALONE]).square().sum(-1) * 2
    pair = (found[:, LOWER:, None] - wanted[:, None, LOWER:]).square().sum(-1)
    both = pair.amin(1).mean(1) + pair.amin(2).mean(1)
    return torch.where(exists[:, ALONE], alone, torch.where(exists[:, UPPER], both, 0.0))


@torch.no_grad()
def family_figures(network: GaussianVAE, parts: Sequence[Families]) -> dict[str, float]:
    """Errors of predicted nodes as parts of those of a plain split (or copy, where there is one child)."""
    sums = {"appearance": 0.0, "chamfer": 0.0, "exist": 0.0}
    plain = dict(sums)
    for part in parts:
        part = part.map(lambda tensor: tensor[:2000].float() if tensor.is_floating_point() else tensor[:2000])
        found = network(part.known).nodes
        still = Next(torch.zeros_like(found.geometry), torch.zeros_like(found.appearance))
        for total, values in ((sums, found), (plain, still)):
            losses = family_losses(values, part)
            for name in total:
                total[name] += float(losses[name])
    return {f"{name}_ratio": sums[name] / max(plain[name], 1e-9) for name in sums}


def random_window(windows: Windows, side: int, most: int, chance: random.Random) -> tuple[int, Rect]:
    """(photo, a window of it), smaller where it would hold more than `most` Gaussians."""
    photo = chance.randrange(len(windows.cameras))
    camera = windows.cameras[photo]
    while True:
        wide, high = min(side, camera.width), min(side, camera.height)
        x, y = chance.randrange(camera.width - wide + 1), chance.randrange(camera.height - high + 1)
        rect = (x, y, x + wide, y + high)
        rows, _ = windows.window(photo, rect)
        if len(rows) <= most or side < 48:
            return photo, rect
        side = side * 3 // 4


def window_errors(
    network: GaussianVAE, windows: Windows, photo: int, rect: Rect, share: float, others: bool, rasterizer: Rasterizer
) -> tuple[Tensor, Tensor]:
    """Mean squared error in a window before, and with children for its Gaussians: two for the most sensitive share,
    one for the others, or those as they are. The second is differentiable.
    """
    rows, pixels = windows.window(photo, rect)
    scene = windows.scene.take(rows)
    camera = windows.cameras[photo]
    with torch.no_grad():
        before = (rasterizer.render(scene, camera, crop=rect).rgb - pixels).square().mean()
    if len(rows) == 0:
        return before, before
    after = rasterizer.render(_children(network, windows, rows, share, others), camera, crop=rect).rgb
    return before, (after - pixels).square().mean()


def _children(network: GaussianVAE, windows: Windows, rows: Int[Tensor, "M"], share: float, others: bool) -> Gaussians:
    found, nodes = network(windows.known(rows)).shown, windows.seen.nodes.take(rows)
    scene = windows.scene.take(rows)
    pair = windows.rank[rows] < share
    two, one = (nodes.take(pair), only(found, pair)), (nodes.take(~pair), only(found, ~pair))
    parts = [slot_gaussians(*two, slot, scene.take(pair)) for slot in (LOWER, UPPER)]
    rest = slot_gaussians(*one, ALONE, scene.take(~pair)) if others else scene.take(~pair)
    return Gaussians.concat([*parts, rest])
