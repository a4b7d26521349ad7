"""`full`: the whole scene optimised against all high-resolution context photos, the ceiling for local upgrades."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from gaussian_lens_app.jobs.report import Report, silent
from gaussian_lens_app.optimize.density import AdaptiveDensity, AdaptiveSettings
from gaussian_lens_app.optimize.scene import OptimizeSettings, optimize_scene
from gaussian_lens_app.optimize.start import extent_of
from gaussian_lens_app.places import cache_folder
from gaussian_lens_app.raster import Rasterizer, RenderMode
from gaussian_lens_app.scene import Capture, Gaussians

RECIPE = 1
"""Raise it when the optimisation changes: cached scenes of another recipe are not used."""


@dataclass(frozen=True)
class FullSettings:
    """How the ceiling is optimised."""

    steps: int = 2000
    """Optimisation steps, one context photo each."""
    max_gaussians: int = 250_000
    """The scene stops growing here."""
    seed: int = 0


def full_scene(
    scene: Gaussians,
    context: Capture,
    mode: RenderMode,
    rasterizer: Rasterizer,
    settings: FullSettings,
    report: Report = silent,
    folder: Path | None = None,
) -> Gaussians:
    """The optimised scene, from the cache where it was made before."""
    path = (folder or cache_folder() / "full") / f"{_key(scene, context, mode, settings, rasterizer.name)}.safetensors"
    if path.exists():
        return Gaussians(**load_file(path))
    extent = extent_of([photo.camera for photo in context.photos])
    generator = torch.Generator().manual_seed(settings.seed)
    strategy = AdaptiveDensity(AdaptiveSettings(max_gaussians=settings.max_gaussians), extent, generator)
    optimize = OptimizeSettings(steps=settings.steps, mode=mode, seed=settings.seed)
    start = scene.to(rasterizer.device)
    done = optimize_scene(start, context, optimize, rasterizer, strategy, extent, report).to("cpu")
    _keep(path, dict(done.tensors()))
    return done


def _key(scene: Gaussians, context: Capture, mode: RenderMode, settings: FullSettings, rasterizer: str) -> str:
    """A name that changes with anything the result depends on."""
    digest = hashlib.sha256()
    facts = {"recipe": RECIPE, "mode": asdict(mode), "settings": asdict(settings), "rasterizer": rasterizer}
    digest.update(json.dumps(facts, sort_keys=True).encode())
    for _, tensor in scene.tensors():
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    for photo in context.photos:
        digest.update(photo.camera.viewmat.cpu().numpy().tobytes() + photo.camera.K.cpu().numpy().tobytes())
        digest.update(photo.load().numpy().tobytes())
    return digest.hexdigest()[:32]


def _keep(path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
