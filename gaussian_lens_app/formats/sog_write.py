"""Writing SOG version 2; the layout is described in `sog.py`."""

from __future__ import annotations

import contextlib
import io
import json
import secrets
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from gaussian_lens_app.errors import ExportError
from gaussian_lens_app.formats.atomic import export_error, write_atomically
from gaussian_lens_app.formats.packing import Arrays, arrays_of, morton_order, sigmoid, smallest_three, to_byte
from gaussian_lens_app.formats.sog import FIRST_TAG, META, PALETTE_COLUMNS, part_names
from gaussian_lens_app.formats.values import Finding, Layout
from gaussian_lens_app.scene import Gaussians

_SAMPLE = 1 << 17
_ROUNDS, _FINE_ROUNDS = 10, 4
_LARGEST_PALETTE = 1 << 14
_PER_CENTER = 64
"""Rows of the sample for each centre."""


def save_sog(
    path: Path, gaussians: Gaussians, layout: Layout | None, sources: np.ndarray, comments: Sequence[str]
) -> None:
    """Write a bundle, or for a path that ends in meta.json the files beside it; in Morton order, degree at most 3."""
    if not len(gaussians):
        raise ExportError(f"{path} was not written: the scene holds no Gaussian.")
    degree = min(gaussians.sh_degree, 3)
    arrays = arrays_of(gaussians if degree == gaussians.sh_degree else gaussians.with_sh_degree(degree))
    order = morton_order(arrays.means)
    meta, pictures = _encode(Arrays(*(a[order] for a in arrays)), degree)
    if path.name == META:
        _write_folder(path, meta, pictures)
        return
    with write_atomically(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, data in {META: json.dumps(meta).encode(), **pictures}.items():
            archive.writestr(zipfile.ZipInfo(name), data)


def loss(g: Gaussians) -> Iterator[Finding]:
    """What the format cannot carry of a scene."""
    yield Finding("rounded", len(g), "Positions are rounded to 16 bits, scales and colours to 256 values of the scene")
    if g.sh_degree:
        sentence = (
            f"Higher spherical harmonics are replaced by the nearest of at most {_LARGEST_PALETTE} palette entries"
        )
        yield Finding("palette", len(g), sentence)


def _encode(g: Arrays, degree: int) -> tuple[dict, dict[str, bytes]]:
    """(meta.json, pictures by name)"""
    low, high, whole = _positions(g.means)
    scale_book, scales = _codebook(g.log_scales)
    color_book, colors = _codebook(g.sh0[:, 0])
    opacities = to_byte(sigmoid(g.logit_opacities) * 255)[:, None]
    pictures = {
        "means_l.webp": _webp(whole & 255),
        "means_u.webp": _webp(whole >> 8),
        "quats.webp": _webp(_rotations(g.quats)),
        "scales.webp": _webp(scales),
        "sh0.webp": _webp(np.concatenate([colors, opacities], 1)),
    }
    meta = {
        "version": 2,
        "asset": {"generator": "gaussian_lens_app"},
        "count": len(g.means),
        "means": {"mins": low, "maxs": high, "files": ["means_l.webp", "means_u.webp"]},
        "scales": {"codebook": scale_book, "files": ["scales.webp"]},
        "quats": {"files": ["quats.webp"]},
        "sh0": {"codebook": color_book, "files": ["sh0.webp"]},
    }
    if degree:
        meta["shN"], more = _higher_bands(g.shN, degree)
        pictures |= more
    return meta, pictures


def _positions(means: np.ndarray) -> tuple[list[float], list[float], np.ndarray]:
    """(lowest, highest, (N, 3) uint16 between them), of logarithms that keep the sign."""
    logs = np.sign(means) * np.log1p(np.abs(means.astype(np.float64)))
    low, high = logs.min(0), logs.max(0)
    whole = np.rint((logs - low) / np.where(high > low, high - low, 1.0) * 65535).astype(np.uint16)
    return low.tolist(), high.tolist(), whole


def _rotations(quats: np.ndarray) -> np.ndarray:
    """(N, 4) bytes: the three smallest components, then which one is left out."""
    which, rest = smallest_three(quats)
    return np.concatenate([to_byte((rest / np.sqrt(0.5) + 1) * 127.5), (which + FIRST_TAG)[:, None]], 1)


def _higher_bands(shN: np.ndarray, degree: int) -> tuple[dict, dict[str, bytes]]:
    """(section of meta.json, pictures by name): a palette of all bands together, and each Gaussian's entry."""
    count, coefficients = shN.shape[:2]
    palette, labels = _palette(shN.reshape(count, -1))
    book, entries = _codebook(palette)
    rows = -(-len(palette) // PALETTE_COLUMNS)
    padded = np.zeros((rows * PALETTE_COLUMNS, palette.shape[1]), np.uint8)
    padded[: len(palette)] = entries
    pictures = {
        "shN_centroids.webp": _webp(padded.reshape(-1, 3), PALETTE_COLUMNS * coefficients),
        "shN_labels.webp": _webp(np.stack([labels & 255, labels >> 8, 0 * labels], 1)),
    }
    return {"count": len(palette), "bands": degree, "codebook": book, "files": list(pictures)}, pictures


def _codebook(values: np.ndarray) -> tuple[list[float], np.ndarray]:
    """(256 values, the index of the nearest for each entry): Lloyd's algorithm on a line, from quantiles."""
    flat = values.reshape(-1)
    sample = np.sort(flat[:: max(1, flat.size // _SAMPLE)].astype(np.float64))
    distinct = np.unique(flat) if flat.size <= _SAMPLE else sample
    if len(distinct) <= 256:
        book = np.concatenate([distinct, np.full(256 - len(distinct), distinct[-1])]).astype(np.float64)
    else:
        # Half by rank, half evenly: ranks alone would leave the few large values far from any entry.
        book = np.sort(np.r_[np.quantile(sample, np.linspace(0, 1, 128)), np.linspace(flat.min(), flat.max(), 128)])
        for _ in range(_ROUNDS):
            edges = np.searchsorted(sample, (book[1:] + book[:-1]) / 2)
            sums, ends = np.r_[0, np.cumsum(sample)], np.r_[0, edges, len(sample)]
            sizes = np.diff(ends)
            book = np.sort(np.where(sizes > 0, np.diff(sums[ends]) / np.maximum(sizes, 1), book))
        book[[0, -1]] = flat.min(), flat.max()
    index = np.searchsorted((book[1:] + book[:-1]) / 2, values)
    return book.tolist(), index.astype(np.uint8)


def _palette(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """((P, D) entries, (N,) labels): all rows where few, else k-means of k-means, which costs N * 2 sqrt(P)."""
    distinct, labels = np.unique(rows, axis=0, return_inverse=True)
    if len(distinct) <= _LARGEST_PALETTE:
        return distinct, labels.reshape(-1).astype(np.int64)
    data = torch.from_numpy(np.ascontiguousarray(rows))
    side = int(_LARGEST_PALETTE**0.5)
    coarse, first = _kmeans(data, side, _ROUNDS)
    entries, labels = [], np.zeros(len(rows), np.int64)
    for cluster in range(len(coarse)):
        members = (first == cluster).nonzero()[:, 0]
        if not len(members):
            continue
        fine, inner = _kmeans(data[members], min(side, len(members)), _FINE_ROUNDS)
        labels[members.numpy()] = inner.numpy() + sum(map(len, entries))
        entries.append(fine.numpy())
    return np.concatenate(entries), labels


def _kmeans(data: torch.Tensor, count: int, rounds: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(centres, label of each row); the centres are found on a sample, which tells as much in a tenth of the time."""
    chosen = torch.randperm(len(data), generator=torch.Generator().manual_seed(0))[: _PER_CENTER * count]
    sample = data[chosen]
    centers = sample[:count].clone()
    for _ in range(rounds):
        labels = _nearest(sample, centers)
        sizes = torch.bincount(labels, minlength=count)
        sums = torch.zeros_like(centers).index_add_(0, labels, sample)
        centers = torch.where((sizes > 0)[:, None], sums / sizes.clamp_min(1)[:, None], centers)
    return centers, _nearest(data, centers)


def _nearest(data: torch.Tensor, centers: torch.Tensor) -> torch.Tensor:
    return torch.cat([torch.cdist(part, centers).argmin(1) for part in data.split(1 << 16)])


def _webp(rows: np.ndarray, width: int | None = None) -> bytes:
    """A lossless picture of (N, 3 or 4) bytes, about square; `exact` keeps colours under a transparent alpha."""
    count, channels = rows.shape
    width = width or max(4, 4 * round(count**0.5 / 4))
    height = -(-count // width)
    pixels = np.zeros((width * height, 4), np.uint8)
    pixels[:, 3] = 255
    pixels[:count, :channels] = rows
    buffer = io.BytesIO()
    image = Image.fromarray(pixels.reshape(height, width, 4))
    image.save(buffer, "WEBP", lossless=True, exact=True, quality=75, method=4)
    return buffer.getvalue()


def _write_folder(path: Path, meta: dict, pictures: dict[str, bytes]) -> None:
    """Pictures under new names, then meta.json in one step: until then the old scene stands, after it the new one."""
    mark, old = secrets.token_hex(4), _parts_of(path)
    renamed = {name: f"{Path(name).stem}_{mark}.webp" for name in pictures}
    for section in meta.values():
        if isinstance(section, dict) and "files" in section:
            section["files"] = [renamed[name] for name in section["files"]]
    written: list[Path] = []
    try:
        path.parent.mkdir(exist_ok=True)
        for name, data in pictures.items():
            target = path.with_name(renamed[name])
            written.append(target)
            with write_atomically(target) as file:
                file.write(data)
        with write_atomically(path, "w") as file:
            json.dump(meta, file)
    except BaseException as error:
        for leftover in written:
            leftover.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise export_error(path, error) from error
        raise
    for name in old:
        with contextlib.suppress(OSError):
            path.with_name(name).unlink()


def _parts_of(path: Path) -> list[str]:
    """Pictures of a scene that stands there already; only ones beside it."""
    try:
        meta = json.loads(path.read_bytes())
        names = part_names(meta) if isinstance(meta, dict) and meta.get("version") == 2 else []
    except (OSError, ValueError, RecursionError):
        return []
    return [name for name in names if name == Path(name).name and name.endswith(".webp")]
