"""Files to a session."""

from __future__ import annotations

from pathlib import Path

from gaussian_lens_app import formats
from gaussian_lens_app.raster import ANTIALIASED, RenderMode, for_device
from gaussian_lens_app.session.session import Session


def open_session(
    scene: Path | str, capture: Path | str | None = None, device: str = "auto", mode: RenderMode = ANTIALIASED
) -> Session:
    """A session on the scene of a file, with the photos it was made from where there are any."""
    rasterizer = for_device(device)
    file = formats.load(Path(scene))
    photos = None if capture is None else formats.load_capture(Path(capture), file.gaussians, stated=file.cameras)
    return Session(
        file.gaussians.to(rasterizer.device),
        rasterizer=rasterizer,
        capture=photos,
        file=file,
        name=Path(scene).name,
        mode=mode,
    )
