"""Cameras that a PLY of Gaussians states itself, in elements beside `vertex`.

Layout: as feed-forward programs such as Apple's ml-sharp write them: `extrinsic` (16 values a camera, world to camera,
OpenCV axes, row by row), `intrinsic` (9 values, K in pixels, or fx fy cx cy), `image_size` (width, height).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from gaussian_lens_app.formats.ply_header import Element, Header
from gaussian_lens_app.formats.values import Finding
from gaussian_lens_app.scene import Camera

_NAMES = {
    "extrinsic": ("extrinsic", "extrinsics"),
    "intrinsic": ("intrinsic", "intrinsics"),
    "size": ("image_size", "image_sizes"),
}
_MOST = 10_000
_LARGEST_SIDE = 1 << 20

Named = tuple[tuple[str, Camera], ...]


def stated_cameras(header: Header, raw: Sequence[bytes]) -> tuple[Named, tuple[Finding, ...]]:
    """(name, camera) pairs, and what is wrong with cameras that cannot be used; `raw`: each element's bytes."""
    found = {what: _values(header, raw, names) for what, names in _NAMES.items()}
    if found["extrinsic"] is None and found["intrinsic"] is None:
        return (), ()
    try:
        cameras = tuple(_cameras(found))
    except ValueError as error:
        return (), (Finding("damaged-cameras", 1, f"The cameras stated in the file are not used: {error}."),)
    kept = tuple((f"camera {i + 1}", camera) for i, camera in enumerate(cameras))
    return kept, (Finding("cameras", len(kept), f"The file states {len(kept)} of the cameras it was made from."),)


def _values(header: Header, raw: Sequence[bytes], names: tuple[str, ...]) -> np.ndarray | None:
    """All numbers of an element, row by row, as float64."""
    found = (pair for pair in zip(header.elements, raw, strict=True) if pair[0].name in names)
    element, data = next(found, (None, b""))
    if element is None or element is header.vertex or element.lists or not element.scalars:
        return None
    if header.ascii:
        try:
            return np.array(data.split(), np.float64)
        except ValueError:
            return np.full(1, np.nan)
    return _columns(np.frombuffer(data, element.dtype(header.order)), element)


def _columns(rows: np.ndarray, element: Element) -> np.ndarray:
    return np.stack([rows[p.name].astype(np.float64) for p in element.scalars], 1).reshape(-1)


def _cameras(found: dict[str, np.ndarray | None]):
    extrinsic, intrinsic, size = found["extrinsic"], found["intrinsic"], found["size"]
    if extrinsic is None or intrinsic is None or size is None:
        lacking = ", ".join(what for what, values in found.items() if values is None)
        raise ValueError(f"there is no {lacking} to them")
    count = len(extrinsic) // 16
    if not 0 < count <= _MOST or len(extrinsic) != 16 * count:
        raise ValueError(f"{len(extrinsic)} extrinsic values make no 4x4 matrices")
    if not all(np.isfinite(values).all() for values in (extrinsic, intrinsic, size)):
        raise ValueError("they are no numbers")
    Ks = _intrinsics(intrinsic, count)
    sizes = np.broadcast_to(size.reshape(-1, 2) if len(size) % 2 == 0 else _wrong("image_size"), (count, 2))
    for viewmat, K, (width, height) in zip(extrinsic.reshape(-1, 4, 4), Ks, sizes, strict=True):
        turn = viewmat[:3, :3]
        if not np.allclose(turn @ turn.T, np.eye(3), atol=1e-3) or np.abs(viewmat).max() > 1e6:
            raise ValueError("an extrinsic matrix is no rotation and translation")
        if np.linalg.det(turn) < 0:
            raise ValueError("an extrinsic matrix is mirrored")
        if not (K[0, 0] > 0 and K[1, 1] > 0 and 0 < width <= _LARGEST_SIDE and 0 < height <= _LARGEST_SIDE):
            raise ValueError("a focal length or an image size is not positive")
        yield Camera(torch.from_numpy(viewmat).float(), torch.from_numpy(K).float(), int(width), int(height))


def _intrinsics(values: np.ndarray, count: int) -> np.ndarray:
    """(count, 3, 3), one for all cameras or one for each."""
    if len(values) in (9, 9 * count):
        return np.broadcast_to(values.reshape(-1, 3, 3), (count, 3, 3)).copy()
    if len(values) not in (4, 4 * count):
        return _wrong("intrinsic")
    K = np.zeros((count, 3, 3))
    K[:, [0, 1, 0, 1], [0, 1, 2, 2]] = values.reshape(-1, 4)
    K[:, 2, 2] = 1
    return K


def _wrong(what: str) -> np.ndarray:
    raise ValueError(f"the number of {what} values fits no camera")
