"""The learning curve of a training run."""

from __future__ import annotations

import json
from pathlib import Path

SPOKEN = ("kind", "updates", "hours", "rate", "score")
"""Entries of the log that are no curve of their own."""


def plot_log(path: Path) -> Path:
    """Draw the figures of a log.jsonl against hours into a picture beside it: validation as points, training faint."""
    import matplotlib.figure

    entries = [json.loads(line) for line in path.read_text().splitlines()]
    figure = matplotlib.figure.Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for kind, opacity, marker in (("train", 0.4, ""), ("validation", 1.0, "o")):
        chosen = [entry for entry in entries if entry["kind"] == kind]
        for key in sorted({key for entry in chosen for key in entry if key not in SPOKEN}):
            points = [(entry["hours"], entry[key]) for entry in chosen if key in entry]
            hours, values = zip(*points, strict=True)
            axes.plot(hours, values, marker=marker, alpha=opacity, label=f"{kind}: {key.replace('_', ' ')}")
    axes.set(xlabel="hours")
    axes.axhline(0, color="grey", linewidth=0.5)
    if axes.lines:
        axes.legend(fontsize=7)
    figure.savefig(path.with_suffix(".png"), dpi=110)
    return path.with_suffix(".png")
