"""Pictures of a scene, one a camera."""

from __future__ import annotations

from collections.abc import Sequence
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
    """The PNG files written, one for each (name, camera); a name's suffix and folders are replaced."""
    paths = []
    for index, (name, camera) in enumerate(cameras):
        report(f"Rendering {name}", index / len(cameras))
        with torch.no_grad():
            rgb = rasterizer.render(scene, camera.to(scene.device), mode=mode).rgb
        paths.append(write_png(Path(out_dir) / f"{Path(name).stem}.png", rgb))
    report("Done", 1.0)
    return paths


def write_png(path: Path, rgb: Float[Tensor, "h w 3"]) -> Path:
    """The path, once the whole picture stands there; a failure leaves what was there."""
    pixels = (rgb.detach().clamp(0, 1) * 255 + 0.5).to(torch.uint8).cpu().numpy()
    make_folder(path.parent)
    with write_atomically(path) as file:
        file.write(iio.imwrite("<bytes>", pixels, extension=".png"))
    return path
