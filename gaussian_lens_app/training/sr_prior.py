"""What the super-resolution prior trains on: crops of photos, textures and text, and small versions of them."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor, nn

from gaussian_lens_app.formats import load_capture
from gaussian_lens_app.networks.sr_prior import PriorConfig, SRPrior, enlarge
from gaussian_lens_app.training.textures import bricks, glyphs, noise, random_texture

Picture = UInt8[np.ndarray, "H W 3"]

SIZES = (1.0, 0.5, 1 / 3, 0.25)
SIZE_CHANCES = (0.15, 0.35, 0.3, 0.2)
"""Photos are soft at full size; the smaller, the denser their detail."""
FILTERS = (Image.Resampling.BICUBIC, Image.Resampling.BOX, Image.Resampling.LANCZOS)
FILTER_CHANCES = (0.45, 0.4, 0.15)


@dataclass(frozen=True)
class PriorSettings:
    """What an update looks at."""

    batch: int = 8
    side: int = 128
    """Pixels of a crop of the sharp picture."""
    first_step: float = 0.5
    """Part of the batch at the chain's first step, whose x0 is a plain regression."""
    photos: float = 0.65
    """Part of the batch from photos; the rest is procedural."""
    jpeg: float = 0.2
    """Part of the small pictures that went through JPEG of quality 75 to 95."""
    textures: int = 64
    """Procedural pictures kept at hand."""
    renew: int = 25
    """Updates after which one of them is made anew."""
    holdout: tuple[int, int] = (8, 4)
    """Photos with index % 8 == 4 never train: they are the test photos of every measurement."""
    bfloat16: bool = True
    """Run the network's convolutions in bfloat16: twice as fast on recent processors."""
    seed: int = 0


class PriorTrainee:
    """The network, its samples and its validation; for `training.run.Run`."""

    def __init__(self, config: PriorConfig, captures: Sequence[Path], settings: PriorSettings | None = None):
        self.settings = settings or PriorSettings()
        torch.manual_seed(self.settings.seed)
        self.network: nn.Module = SRPrior(config)
        self.config = config
        train, kept = read_photos(captures, self.settings.holdout)
        self.photos = [pyramid(photo) for photo in train]
        self.validation = [validation_pair(photo, config.scale) for photo in kept]
        rng = np.random.default_rng([self.settings.seed, 1])
        self.sheets = [random_sheet(rng) for _ in range(self.settings.textures)]

    def losses(self, network: nn.Module, number: int, progress: float) -> Mapping[str, float]:
        settings, config = self.settings, self.config
        rng = np.random.default_rng([settings.seed, 2, number])
        device = next(network.parameters()).device
        large, small = (_signed(values).to(device) for values in self._pairs(rng))
        generator = torch.Generator().manual_seed(number)
        first = round(settings.first_step * settings.batch)
        others = torch.randint(0, config.steps - 1, (settings.batch - first,), generator=generator)
        t = torch.cat([torch.full((first,), config.steps - 1), others]).to(device)
        normal = torch.randn(large.shape, generator=generator).to(device)
        errors = self._errors(network, large, small, normal, t)
        weights = torch.where(t == config.steps - 1, 1.0, 0.5 * config.residual / network.scalings[t, 2])  # type: ignore[index]
        (errors * weights).mean().backward()
        errors = errors.detach()
        return {"first": float(errors[:first].mean()), "others": float(errors[first:].mean())}

    def validate(self, network: nn.Module) -> Mapping[str, float]:
        """Gain of the one-step x0 over bicubic on photos that never trained, dB of luma."""
        gains = []
        device = next(network.parameters()).device
        for large, small in self.validation:
            y = _signed(small[None]).to(device)
            enlarged = enlarge(y, self.config.scale)
            generator = torch.Generator().manual_seed(0)
            x_T = enlarged + self.config.kappa * torch.randn(enlarged.shape, generator=generator).to(device)
            t = torch.tensor([self.config.steps - 1], device=device)
            with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=self.settings.bfloat16):
                x0 = network(x_T, y, t)
            true = _signed(large[None]).to(device)
            gains.append(luma_psnr(x0, true, self.config.scale) - luma_psnr(enlarged, true, self.config.scale))
        mean = float(np.mean(gains)) if gains else 0.0
        return {"score": mean, "gain": mean, "worst": float(min(gains, default=0.0))}

    def between(self, number: int) -> None:
        """A new procedural picture now and then."""
        if number % self.settings.renew == 0:
            rng = np.random.default_rng([self.settings.seed, 3, number])
            self.sheets[number // self.settings.renew % len(self.sheets)] = random_sheet(rng)

    def _errors(
        self, network: nn.Module, large: Tensor, small: Tensor, normal: Tensor, t: Tensor
    ) -> Float[Tensor, "B"]:
        """Mean absolute error of x0 of each sample."""
        schedule = network.schedule
        enlarged = enlarge(small, self.config.scale)
        steps = zip(large, enlarged, normal, t.tolist(), strict=True)
        x_t = torch.stack([schedule.shifted(*values) for values in steps])  # type: ignore[operator, union-attr]
        with torch.autocast(large.device.type, torch.bfloat16, enabled=self.settings.bfloat16):
            x0 = network(x_t, small, t)
        return (x0 - large).abs().mean((1, 2, 3))

    def _pairs(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        pairs = [self._pair(rng) for _ in range(self.settings.batch)]
        return np.stack([large for large, _ in pairs]), np.stack([small for _, small in pairs])

    def _pair(self, rng: np.random.Generator) -> tuple[Picture, Picture]:
        if self.photos and rng.random() < self.settings.photos:
            levels = self.photos[int(rng.integers(len(self.photos)))]
            source = levels[int(rng.choice(len(levels), p=SIZE_CHANCES))]
        else:
            source = self.sheets[int(rng.integers(len(self.sheets)))]
        large = varied(detailed_crop(source, self.settings.side, rng), rng)
        return large, made_small(large, self.config.scale, rng, self.settings.jpeg)


def read_photos(captures: Sequence[Path], holdout: tuple[int, int]) -> tuple[list[Picture], list[Picture]]:
    """(photos that train, photos kept out) of all captures, at full size."""
    train: list[Picture] = []
    kept: list[Picture] = []
    for folder in captures:
        capture = load_capture(folder)
        for part, photos in zip((train, kept), capture.split(holdout), strict=True):
            part += [photo.load().numpy() for photo in photos.photos]
    return train, kept


def pyramid(photo: Picture) -> list[Picture]:
    """The photo at the sizes that train."""
    image = Image.fromarray(photo)
    sizes = [(round(image.width * size), round(image.height * size)) for size in SIZES]
    return [photo, *(np.asarray(image.resize(size, Image.Resampling.LANCZOS)) for size in sizes[1:])]


def random_sheet(rng: np.random.Generator) -> Picture:
    """A procedural picture; hard edges are softened by drawing it larger, as a lens would."""
    kind = rng.random()
    texture = (
        glyphs(rng) if kind < 0.4 else bricks(rng) if kind < 0.5 else noise(rng) if kind < 0.7 else random_texture(rng)
    )
    side = int(texture.shape[0] / rng.uniform(1.0, 2.2))
    return np.asarray(Image.fromarray(texture).resize((side, side), Image.Resampling.LANCZOS))


def detailed_crop(picture: Picture, side: int, rng: np.random.Generator) -> Picture:
    """The one of two random crops with more detail."""
    crops = []
    for _ in range(2):
        y, x = (int(rng.integers(extent - side + 1)) for extent in picture.shape[:2])
        crops.append(picture[y : y + side, x : x + side])
    return max(crops, key=_detail)


def _detail(crop: Picture) -> float:
    green = crop[..., 1].astype(np.float32)
    return float(np.abs(np.diff(green, axis=0)).mean() + np.abs(np.diff(green, axis=1)).mean())


def varied(picture: Picture, rng: np.random.Generator) -> Picture:
    """Turned, mirrored, its channels in another order, its tones moved: few scenes must stand for many."""
    picture = np.rot90(picture, int(rng.integers(4)))
    if rng.random() < 0.5:
        picture = picture[:, ::-1]
    picture = picture[..., rng.permutation(3)]
    if rng.random() < 0.5:
        tones = (np.arange(256) / 255) ** rng.uniform(0.6, 1.6)
        low, high = rng.uniform(0, 0.15), rng.uniform(0.8, 1.0)
        picture = ((low + tones * (high - low)) * 255 + 0.5).astype(np.uint8)[picture]
    return np.ascontiguousarray(picture)


def made_small(picture: Picture, scale: int, rng: np.random.Generator, jpeg: float) -> Picture:
    """The picture as a camera or a program makes it small."""
    image = Image.fromarray(picture)
    size = (image.width // scale, image.height // scale)
    small = image.resize(size, FILTERS[int(rng.choice(len(FILTERS), p=FILTER_CHANCES))])
    if rng.random() < jpeg:
        buffer = io.BytesIO()
        small.save(buffer, "JPEG", quality=int(rng.integers(75, 96)))
        small = Image.open(buffer)
    return np.asarray(small)


def validation_pair(photo: Picture, scale: int, side: int = 256) -> tuple[Picture, Picture]:
    """The middle of the photo at half size, and the same made small by bicubic averaging."""
    image = Image.fromarray(photo).resize((photo.shape[1] // 2, photo.shape[0] // 2), Image.Resampling.LANCZOS)
    x, y = (image.width - side) // 2, (image.height - side) // 2
    large = image.crop((x, y, x + side, y + side))
    return np.asarray(large), np.asarray(large.resize((side // scale, side // scale), Image.Resampling.BICUBIC))


def luma_psnr(picture: Tensor, true: Tensor, border: int) -> float:
    """PSNR in dB of the luma (ITU-R BT.601) of pictures in -1..1, a border left out."""
    weights = picture.new_tensor([65.481, 128.553, 24.966]).view(1, 3, 1, 1) / 255
    difference = ((picture.clamp(-1, 1) - true) / 2 * weights).sum(1)[..., border:-border, border:-border]
    return -10 * float(difference.square().mean().clamp_min(1e-10).log10())


def _signed(pictures: np.ndarray) -> Float[Tensor, "B 3 H W"]:
    return torch.tensor(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1
