"""Arrays of Gaussians as feed-forward programs keep them (pixelSplat, MVSplat, DepthSplat, NoPoSplat): .npz, .pt,
.safetensors.

They name alike and mean differently: quaternions xyzw, scales and rotations of DepthSplat and MVSplat in each view's
camera, harmonics (3, bands), opacities not as logits. What can be told from the arrays is told from them: covariances,
which these programs keep in the world, decide what rotations mean. What cannot must be stated, by a `convention` array
in the file or by a name like scene.depthsplat.npz; nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from gaussian_lens_app.errors import BadFile
from gaussian_lens_app.formats.checks import usable
from gaussian_lens_app.formats.frames import quaternions
from gaussian_lens_app.formats.limits import BLOCK, refuse_bombs
from gaussian_lens_app.formats.named_arrays import Contents, Named, open_arrays
from gaussian_lens_app.formats.packing import SMALLEST_LOG_SCALE
from gaussian_lens_app.formats.values import Finding, SceneFile
from gaussian_lens_app.scene import Gaussians
from gaussian_lens_app.scene.gaussians import rotations

NAME = "feed-forward arrays"
SUFFIXES = (".npz", ".pt", ".pth", ".safetensors")


@dataclass(frozen=True)
class Convention:
    """What rotations and scales mean."""

    order: Literal["xyzw", "wxyz"]
    space: Literal["camera", "world"]
    """Axes that the rotations start from: those of the view each Gaussian was made from, or the world's."""


CONVENTIONS = {
    "pixelsplat": Convention("xyzw", "camera"),
    "mvsplat": Convention("xyzw", "camera"),
    "depthsplat": Convention("xyzw", "camera"),
    "noposplat": Convention("xyzw", "world"),
    "gsplat": Convention("wxyz", "world"),
}
"""By the program that wrote the file. NoPoSplat's world is its first camera."""
ALIASES = {
    "means": ("means", "xyz", "positions"),
    "scales": ("scales",),
    "rotations": ("rotations", "quats", "quaternions"),
    "harmonics": ("harmonics", "sh", "shs"),
    "opacities": ("opacities", "opacity"),
    "covariances": ("covariances",),
    "extrinsics": ("extrinsics", "camtoworlds"),
}
WIDEST = {
    "means": 3, "scales": 3, "rotations": 4, "harmonics": 75, "opacities": 1, "covariances": 9, "extrinsics": 16,
}  # fmt: skip
"""Numbers a Gaussian has at most; there are no more views than Gaussians."""
AGREES = 1e-3
"""Relative difference of covariances that is rounding."""
ROUNDED = (-0.01, 1.01)
"""Opacities that rounding may have taken beyond 0..1; logits go farther."""


def load_feed_forward(path: Path, convention: Convention | None = None) -> SceneFile:
    """The Gaussians of such a file, in our terms; findings say what was detected and what was stated."""
    with open_arrays(path) as contents:
        stated = convention or _stated(path, contents.words)
        found = _read(contents, path)
    means = _flat(found["means"], 3, path)
    assert means is not None
    count, findings = len(means), []
    covariances = _flat(found["covariances"], 9, path)
    rotation, notes = _rotations_and_scales(found, covariances, stated, count, path)
    findings += notes
    opacities, note = _logits(found["opacities"], count, path)
    findings += note
    harmonics = _harmonics(found["harmonics"], count, path)
    quats, log_scales = rotation
    scene = Gaussians(means, quats, log_scales, opacities, harmonics[:, :1], harmonics[:, 1:])
    keep, dropped = usable(scene)
    if not bool(keep.any()):
        raise BadFile(f"{path.name} holds no usable Gaussian: {' '.join(one.sentence for one in dropped)}")
    return SceneFile(scene.take(keep), None, (*findings, *dropped), path, NAME)


def _read(contents: Contents, path: Path) -> dict[str, Tensor | None]:
    """The arrays that matter, float32; none is unpacked before all their sizes fit a scene that the file can hold."""
    named = {what: _first(contents, names) for what, names in ALIASES.items()}
    for what in ("means", "harmonics", "opacities"):
        if named[what] is None:
            raise BadFile(f"{path.name} has no array named {' or '.join(ALIASES[what])}: it holds {_names(contents)}.")
    assert named["means"] is not None
    count = named["means"].size // 3
    refuse_bombs(path.name, path.stat().st_size, count, 0)
    for what, array in named.items():
        if array is not None and array.size > WIDEST[what] * count:
            shape = str(array.shape)[:60]
            raise BadFile(f"{path.name} has {count} means, too few for an array {what} of shape {shape}: refused.")
    return {what: None if array is None else array.read() for what, array in named.items()}


def looks(head: bytes) -> bool:
    """Whether a file's first bytes are a zip's, as those of .npz and .pt are; a .sog is one too."""
    return head.startswith(b"PK\x03\x04")


def _stated(path: Path, said: Mapping[str, str]) -> Convention | None:
    """What the file or its name says of the program that wrote it."""
    words = [said["convention"]] if "convention" in said else []
    words += path.name.lower().split(".")[1:-1]
    return next((CONVENTIONS[word.lower()] for word in words if word.lower() in CONVENTIONS), None)


def _first(contents: Contents, names: tuple[str, ...]) -> Named | None:
    return next((contents.arrays[name] for name in names if name in contents.arrays), None)


def _flat(values: Tensor | None, width: int, path: Path) -> Tensor | None:
    """(N, width): batches of one and views before pixels are flattened."""
    if values is None:
        return None
    if values.numel() % width or values.numel() == 0:
        raise BadFile(f"{path.name}: an array of shape {tuple(values.shape)} does not come in rows of {width}.")
    return values.reshape(-1, width)


def _rotations_and_scales(
    found: Mapping[str, Tensor | None],
    covariances: Float[Tensor, "N 9"] | None,
    stated: Convention | None,
    count: int,
    path: Path,
) -> tuple[tuple[Float[Tensor, "N 4"], Float[Tensor, "N 3"]], list[Finding]]:
    """((quats wxyz in the world, log scales), how they were understood)."""
    scales, quats = _flat(found["scales"], 3, path), _flat(found["rotations"], 4, path)
    extrinsics = _flat(found["extrinsics"], 16, path)
    if scales is not None and quats is not None:
        _check_rows(path, count, scales=scales, rotations=quats)
        log_scales, notes = _logarithms(scales)
        views = None if extrinsics is None else extrinsics.view(-1, 4, 4)[:, :3, :3]
        if covariances is not None:
            _check_rows(path, count, covariances=covariances)
            told, finding = _told_by_covariances(covariances.view(-1, 3, 3), quats, log_scales, views, path)
            return told, [finding, *notes]
        if stated is None:
            raise BadFile(
                f"{path.name} does not tell whether its rotations are xyzw or wxyz, of the camera or of the world: "
                f"keep its covariances in it, or name it like {path.stem}.depthsplat{path.suffix} "
                f"(one of {', '.join(CONVENTIONS)})."
            )
        return (_world(quats, stated, views, path), log_scales), [_how("as stated", stated), *notes]
    if covariances is None:
        raise BadFile(f"{path.name} has neither covariances nor scales and rotations.")
    _check_rows(path, count, covariances=covariances)
    sentence = "Scales and rotations were taken from the covariances."
    return _decomposed(covariances.view(-1, 3, 3)), [Finding("convention", count, sentence)]


def _logarithms(scales: Float[Tensor, "N 3"]) -> tuple[Float[Tensor, "N 3"], list[Finding]]:
    """Scales as logarithms, which those are already that are below zero in some row of numbers; zeros become flat."""
    if bool((scales[torch.isfinite(scales).all(1)] < 0).any()):
        return scales, []
    logs = torch.where(scales == 0, SMALLEST_LOG_SCALE, scales.log())
    flat = int((scales == 0).any(1).sum())
    sentence = f"Gaussians with a scale of zero are read as flat: {flat}."
    return logs, [Finding("zero-scale", flat, sentence)] if flat else []


def _told_by_covariances(
    covariances: Float[Tensor, "N 3 3"],
    quats: Float[Tensor, "N 4"],
    log_scales: Float[Tensor, "N 3"],
    views: Float[Tensor, "V 3 3"] | None,
    path: Path,
) -> tuple[tuple[Tensor, Tensor], Finding]:
    """The convention under which scales and rotations give the covariances; these alone where none does."""
    some = torch.arange(0, len(quats), max(1, len(quats) // BLOCK))
    given = covariances[some].flatten(1)
    for convention in dict.fromkeys(CONVENTIONS.values()):
        if convention.space == "camera" and (views is None or len(quats) % len(views)):
            continue
        world = _world(quats, convention, views, path)
        R = rotations(world[some]) * log_scales[some].exp()[:, None]
        difference = ((R @ R.mT).flatten(1) - given).norm(dim=-1) / given.norm(dim=-1).clamp_min(1e-20)
        if float(difference.nanmedian()) < AGREES:  # rows that are no Gaussians tell nothing
            return (world, log_scales), _how("as the covariances tell", convention)
    sentence = "Scales and rotations contradict the covariances; the covariances count."
    return _decomposed(covariances), Finding("convention", len(quats), sentence)


def _how(why: str, convention: Convention) -> Finding:
    where = "each view's camera" if convention.space == "camera" else "the world"
    return Finding("convention", 1, f"Rotations are read as {convention.order}, in the axes of {where}, {why}.")


def _world(
    quats: Float[Tensor, "N 4"], convention: Convention, views: Float[Tensor, "V 3 3"] | None, path: Path
) -> Float[Tensor, "N 4"]:
    """Quaternions wxyz that turn into the world; camera axes need the file's camera-to-world matrices."""
    own = quats[:, [3, 0, 1, 2]] if convention.order == "xyzw" else quats
    if convention.space == "world":
        return own
    if views is None or len(quats) % len(views):
        raise BadFile(
            f"{path.name} keeps rotations in camera axes but not the cameras that they belong to: add its extrinsics "
            "(camera to world, one a view; Gaussians view by view) or its covariances."
        )
    cameras = quaternions(views.double()).float().repeat_interleave(len(quats) // len(views), 0)
    return _product(cameras, torch.nn.functional.normalize(own, dim=-1))


def _decomposed(covariances: Float[Tensor, "N 3 3"]) -> tuple[Float[Tensor, "N 4"], Float[Tensor, "N 3"]]:
    """(quats, log scales) of symmetric matrices; not a number where the matrix is none."""
    parts = [_decomposed_block(block) for block in covariances.split(BLOCK)]  # the work is in float64
    return torch.cat([quats for quats, _ in parts]), torch.cat([scales for _, scales in parts])


def _decomposed_block(covariances: Float[Tensor, "N 3 3"]) -> tuple[Float[Tensor, "N 4"], Float[Tensor, "N 3"]]:
    finite = torch.isfinite(covariances).flatten(1).all(1)
    whole = torch.where(finite[:, None, None], covariances, torch.eye(3))
    values, vectors = torch.linalg.eigh(whole.double())
    log_scales = 0.5 * values.clamp_min(1e-20).log().float()
    return quaternions(vectors).float(), log_scales.masked_fill(~finite[:, None], torch.nan)


def _product(p: Float[Tensor, "N 4"], q: Float[Tensor, "N 4"]) -> Float[Tensor, "N 4"]:
    """Quaternion products: first q turns, then p."""
    a, b, c, d = p.unbind(-1)
    w, x, y, z = q.unbind(-1)
    return torch.stack(
        [
            a * w - b * x - c * y - d * z,
            a * x + b * w + c * z - d * y,
            a * y - b * z + c * w + d * x,
            a * z + b * y - c * x + d * w,
        ],
        -1,
    )


def _logits(values: Tensor | None, count: int, path: Path) -> tuple[Float[Tensor, "N"], list[Finding]]:
    """Opacities as logits, which they are already where a number lies clearly beyond 0..1."""
    assert values is not None
    values = values.reshape(-1)
    _check_rows(path, count, opacities=values)
    finite = torch.isfinite(values)
    low, high = ROUNDED
    if not bool((finite & ((values < low) | (values > high))).any()):
        return torch.logit(values, eps=1e-6).masked_fill(~finite, torch.nan), []
    return values, [Finding("logit-opacities", count, "Opacities beyond 0..1 are read as logits.")]


def _harmonics(values: Tensor | None, count: int, path: Path) -> Float[Tensor, "N K 3"]:
    """Bands before colours; the axis of length 3 is the colours' (there are 1, 4, 9, 16 or 25 bands)."""
    assert values is not None
    if values.numel() % count == 0 and values.ndim >= 2:
        first, last = values.shape[-2:] if values.ndim > 2 else (1, values.shape[-1])
        bands = {1, 4, 9, 16, 25}
        if last == 3 and first in bands:
            return values.reshape(count, first, 3)
        if first == 3 and last in bands:
            return values.reshape(count, 3, last).mT.contiguous()
    raise BadFile(f"{path.name}: harmonics of shape {tuple(values.shape)} are no 3 colours of 1, 4, 9, 16 or 25 bands.")


def _check_rows(path: Path, count: int, **arrays: Tensor) -> None:
    for name, values in arrays.items():
        if len(values) != count:
            raise BadFile(f"{path.name} has {count} means but {len(values)} {name}.")


def _names(contents: Contents) -> str:
    return ", ".join(name[:30] for name in list(contents.arrays)[:8]) or "none"
