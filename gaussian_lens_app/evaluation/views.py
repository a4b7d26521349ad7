"""Pictures of a scene, one a camera."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import imageio.v3 as iio
import torch
from jaxtyping import Float
from torch import Tensor

from gaussian_lens_app.formats.atomic import make_folder, write_atomically
from gaussian_lens_app.jobs.report import Report, silent
from gaussian_lens_app.raster import ANTIALIASED, Rasterizer, RenderMode
from gaussian_lens_app.scene import Camera, Gaussians


def render_views(
    scene: Gaussians,
    cameras: Sequence[tuple[str, Camera]],
    rasterizer: Rasterizer,
    out_dir: Path,
    mode: RenderMode = ANTIALIASED,
    report: Report = silent,
) -> list[Path]:
    """The PNG files written, one for each (name, camera), under the name's folders (`picture_places`)."""
    places, paths = picture_places([name for name, _ in cameras]), []
    for index, (name, camera) in enumerate(cameras):
        report(f"Rendering {name}", index / len(cameras))
        with torch.no_grad():
            rgb = rasterizer.render(scene, camera.to(scene.device), mode=mode).rgb
        paths.append(write_png(Path(out_dir) / places[index], rgb))
    report("Done", 1.0)
    return paths


def picture_places(names: Iterable[str]) -> list[Path]:
    """Relative paths ending in .png, no two the same on any system: what would lead out of the folder is left out."""
    taken: set[str] = set()
    places = []
    for name in names:
        folder, stem, number = *_within(name), 1
        place = folder / f"{stem}.png"
        while str(place).lower() in taken:  # for some systems A.png is a.png
            number += 1
            place = folder / f"{stem}_{number}.png"
        taken.add(str(place).lower())
        places.append(place)
    return places


def _within(name: str) -> tuple[Path, str]:
    """(folder, stem) of a photo's name in any system's spelling, without roots, drives and steps up."""
    parts = [
        part
        for part in name.replace("\0", "").replace("\\", "/").split("/")
        if part not in ("", ".", "..") and part[-1] != ":"
    ]
    return Path(*parts[:-1]), Path(parts[-1]).stem if parts else "picture"


def write_png(path: Path, rgb: Float[Tensor, "h w 3"]) -> Path:
    """The path, once the whole picture stands there; a failure leaves what was there."""
    pixels = (rgb.detach().clamp(0, 1) * 255 + 0.5).to(torch.uint8).cpu().numpy()
    make_folder(path.parent)
    with write_atomically(path) as file:
        file.write(iio.imwrite("<bytes>", pixels, extension=".png"))
    return path
