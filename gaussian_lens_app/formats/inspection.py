"""What is in a scene file or a capture: figures for programs, and the same for people."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gaussian_lens_app.formats import sog
from gaussian_lens_app.formats.capture import is_capture, load_capture
from gaussian_lens_app.formats.checks import robust_bounds
from gaussian_lens_app.formats.lint import lint
from gaussian_lens_app.formats.table import load, reader_for
from gaussian_lens_app.formats.values import SceneFile
from gaussian_lens_app.jobs.report import Report, silent
from gaussian_lens_app.scene import Capture, Gaussians

_BINS = 10
_BAR = 40


def inspect(path: str | Path, report: Report = silent, capture: str | Path | None = None) -> dict[str, Any]:
    """Figures of a scene file or a capture's folder, JSON values only; `kind` says which of both it is.

    With the capture that a scene belongs to, also whether the scene is mirrored or turned.
    """
    path = Path(path)
    scene = path.name == sog.META or sog.is_sog_folder(path)
    if path.is_dir() and not scene and not is_capture(path):
        reader_for(path)  # raises the sentence for a folder that was given instead of a file
    if not scene and (path.is_dir() or path.suffix.lower() == ".json"):
        return _of_capture(load_capture(path, report=report), path)
    file = load(path)
    return _of_scene(file, None if capture is None else load_capture(capture, report=report, stated=file.cameras))


def describe(facts: dict[str, Any]) -> str:
    """The figures of `inspect` as lines for people."""
    lines = _describe_capture(facts) if facts["kind"] == "capture" else _describe_scene(facts)
    return "\n".join(lines)


def _of_scene(file: SceneFile, capture: Capture | None) -> dict[str, Any]:
    g, layout = file.gaussians, file.layout
    return {
        "kind": "scene",
        "path": str(file.path),
        "format": file.format,
        "encoding": layout.header.format if layout else "packed",
        "bytes": _size(file.path),
        "count": len(g),
        "sh_degree": g.sh_degree,
        "bounds": {
            "full": _corners(g.means.amin(0), g.means.amax(0)),
            "robust": _corners(*robust_bounds(g.means)),
        },
        "histograms": _histograms(g),
        "extra_properties": [name for name in layout.extra if name not in ("nx", "ny", "nz")] if layout else [],
        "extra_elements": [e.name for e in layout.header.elements if e is not layout.header.vertex] if layout else [],
        "comments": list(layout.header.comments) if layout else [],
        "cameras": len(file.cameras),
        "axes_checked": capture is not None or bool(file.cameras),
        "findings": [
            {"kind": finding.kind, "count": finding.count, "sentence": finding.sentence}
            for finding in (*file.findings, *lint(g, capture, file.cameras))
        ],
    }


def _size(path: Path) -> int:
    """Bytes of a file, or of the files of a folder."""
    folder = path if path.is_dir() else path.parent if path.name == sog.META else None
    return sum(p.stat().st_size for p in folder.iterdir() if p.is_file()) if folder else path.stat().st_size


def _histograms(g: Gaussians) -> dict[str, Any]:
    """Opacity in equal steps; longest axis (world units) and longest over shortest axis in equal factors."""
    scales = g.log_scales.double()
    longest, shortest = scales.amax(1), scales.amin(1)
    decade = torch.log(torch.tensor(10.0, dtype=torch.float64))
    return {
        "opacity": _histogram(g.opacities.double(), 0.0, 1.0),
        "scale": _logarithmic(longest / decade),
        "anisotropy": _logarithmic((longest - shortest) / decade),
    }


def _histogram(values: Tensor, low: float, high: float) -> dict[str, Any]:
    counts = torch.histc(values, _BINS, low, high)
    return {
        "edges": torch.linspace(low, high, _BINS + 1, dtype=torch.float64).tolist(),
        "counts": counts.long().tolist(),
        "median": float(values.median()),
    }


def _logarithmic(exponents: Tensor) -> dict[str, Any]:
    """A histogram over powers of ten, its edges and median as plain values."""
    low, high = float(exponents.min()), float(exponents.max())
    found = _histogram(exponents, low, high if high > low else low + 1e-6)
    return {
        "edges": [10**edge for edge in found["edges"]],
        "counts": found["counts"],
        "median": 10 ** found["median"],
    }


def _corners(low: Tensor, high: Tensor) -> list[list[float]]:
    return [low.double().tolist(), high.double().tolist()]


def _of_capture(capture: Capture, path: Path) -> dict[str, Any]:
    cameras = [photo.camera for photo in capture.photos]
    positions = torch.stack([camera.position for camera in cameras])
    sizes = Counter((camera.width, camera.height) for camera in cameras)
    focals = [float(camera.K[0, 0]) for camera in cameras]
    return {
        "kind": "capture",
        "path": str(path),
        "photos": len(capture),
        "names": [photo.name for photo in capture.photos],
        "sizes": [{"width": w, "height": h, "photos": count} for (w, h), count in sorted(sizes.items())],
        "focal_lengths": [min(focals), max(focals)],
        "camera_bounds": _corners(positions.amin(0), positions.amax(0)),
        "points": 0 if capture.points is None else len(capture.points.positions),
        "findings": [{"kind": "note", "count": 1, "sentence": note} for note in capture.notes],
    }


def _describe_scene(facts: dict[str, Any]) -> list[str]:
    lines = [
        f"{facts['path']}: {facts['count']:,} Gaussians, SH degree {facts['sh_degree']}",
        f"{facts['format']}, {facts['encoding']}, {facts['bytes'] / 1e6:.1f} MB",
    ]
    for name, (low, high) in facts["bounds"].items():
        lines.append(f"{name + ' bounds':>14}  {_vector(low)} to {_vector(high)}")
    titles = {"opacity": "opacity", "scale": "longest axis, world units", "anisotropy": "longest over shortest axis"}
    for name, title in titles.items():
        lines += ["", *_bars(title, facts["histograms"][name])]
    if facts["extra_properties"]:
        lines += ["", f"extra properties: {', '.join(facts['extra_properties'])}"]
    return [*lines, *_findings(facts)]


def _describe_capture(facts: dict[str, Any]) -> list[str]:
    sizes = ", ".join(f"{s['width']}x{s['height']} ({s['photos']})" for s in facts["sizes"])
    low, high = facts["focal_lengths"]
    focal = f"{low:.1f} px" if high - low < 0.05 else f"{low:.1f} to {high:.1f} px"
    near, far = facts["camera_bounds"]
    return [
        f"{facts['path']}: {facts['photos']} photos, {facts['points']:,} points",
        f"sizes          {sizes}",
        f"focal length   {focal}",
        f"cameras        {_vector(near)} to {_vector(far)}",
        *_findings(facts),
    ]


def _bars(title: str, histogram: dict[str, Any]) -> list[str]:
    edges, counts = histogram["edges"], histogram["counts"]
    most = max(counts) or 1
    rows = [
        f"{low:>10.3g} .. {high:<10.3g} {count:>9,}  {'#' * round(_BAR * count / most)}"
        for low, high, count in zip(edges, edges[1:], counts, strict=False)
    ]
    return [f"{title} (median {histogram['median']:.3g})", *rows]


def _findings(facts: dict[str, Any]) -> list[str]:
    told = [finding["sentence"] for finding in facts["findings"]] or ["Nothing wrong was found."]
    unsure = not facts.get("axes_checked", True)
    return ["", *told, *["With --capture DIR it also says whether the scene is mirrored or turned."] * unsure]


def _vector(values: list[float]) -> str:
    return "(" + ", ".join(f"{value:.3g}" for value in values) + ")"
