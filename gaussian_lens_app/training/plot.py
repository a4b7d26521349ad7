"""The learning curve of a training run."""

from __future__ import annotations

import json
from pathlib import Path


def plot_log(path: Path) -> Path:
    """Draw gains against hours from a log.jsonl into a picture beside it."""
    import matplotlib.figure

    entries = [json.loads(line) for line in path.read_text().splitlines()]
    figure = matplotlib.figure.Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for kind, opacity, marker in (("train", 0.4, ""), ("validation", 1.0, "o")):
        chosen = [entry for entry in entries if entry["kind"] == kind]
        for key in sorted({key for entry in chosen for key in entry if "pass_" in key}):
            points = [(entry["hours"], entry[key]) for entry in chosen if key in entry]
            hours, gains = zip(*points, strict=True)
            axes.plot(hours, gains, marker=marker, alpha=opacity, label=f"{kind}: {key.replace('_', ' ')}")
    axes.set(xlabel="hours", ylabel="gain over the input, dB")
    axes.axhline(0, color="grey", linewidth=0.5)
    if axes.lines:
        axes.legend(fontsize=7)
    figure.savefig(path.with_suffix(".png"), dpi=110)
    return path.with_suffix(".png")
