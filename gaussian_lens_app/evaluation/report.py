"""A finished benchmark as files: JSON, the table as markdown, and a plot of gain against seconds."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from gaussian_lens_app.errors import BadFile
from gaussian_lens_app.evaluation.rows import Row, summarised
from gaussian_lens_app.evaluation.table import Summary, table
from gaussian_lens_app.formats.atomic import make_folder, write_atomically


@dataclass(frozen=True, eq=False)
class Evaluation:
    """One run: where it was made, its rows and their means."""

    facts: dict[str, Any]
    """Capture, scene and its sha256, holdout, device, threads, versions, settings, render modes."""
    rows: tuple[Row, ...]
    means: dict[str, dict[str, Any]] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "means", summarised(self.rows))

    def to_json(self) -> Summary:
        return {**self.facts, "rows": [row.to_json() for row in self.rows], "means": self.means}

    def table(self) -> str:
        """The means as markdown."""
        return table([self.to_json()])


def write_report(evaluation: Evaluation, path: Path) -> list[Path]:
    """The files written: `path` (JSON), and beside it the table (.md) and the plot (.png)."""
    path = Path(path)
    make_folder(path.parent)
    with write_atomically(path, "w") as file:
        json.dump(evaluation.to_json(), file, indent=1)
    with write_atomically(path.with_suffix(".md"), "w") as file:
        file.write(evaluation.table())
    plot = path.with_suffix(".png")
    with write_atomically(plot) as file:
        _plot(evaluation.rows, str(evaluation.facts["scene_name"]), file)
    return [path, path.with_suffix(".md"), plot]


def read_report(path: Path) -> Summary:
    """What `write_report` wrote; BadFile with a sentence for anything else."""
    try:
        report = json.loads(Path(path).read_text())
    except (OSError, ValueError) as error:
        raise BadFile(f"{path} cannot be read as a benchmark's JSON ({error}): give what --json wrote.") from error
    if not isinstance(report, dict) or not {"rows", "means", "scene_name"} <= report.keys():
        raise BadFile(f"{path} is no benchmark's JSON: give what --json wrote.")
    return report


def versions() -> dict[str, str]:
    """Versions of whatever figures depend on."""
    found = {"python": platform.python_version()}
    for name in ("gaussian_lens_app", "torch", "numpy", "numba", "gsplat", "torchmetrics"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _plot(rows: Sequence[Row], title: str, file: Any) -> None:
    """Gain against seconds, a dot a box, a method a colour; refused results hollow, where they would have been."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.add_subplot()
    for index, method in enumerate(dict.fromkeys(row.method for row in rows)):
        mine = [row for row in rows if row.method == method]
        for applied in (True, False):
            dots = [row for row in mine if row.applied == applied]
            colour = f"C{index}"
            axes.scatter(
                [row.seconds for row in dots],
                [row.candidate_gain for row in dots],
                s=22,
                edgecolors=colour,
                facecolors=colour if applied else "none",
                label=method if applied == mine[0].applied else None,
            )
    axes.axhline(0, color="0.6", linewidth=0.8)
    axes.set(xlabel="seconds from request to result", ylabel="gain in the box, dB", title=f"{title} (hollow: refused)")
    axes.legend(frameon=False)
    figure.savefig(file, format="png", dpi=130)
