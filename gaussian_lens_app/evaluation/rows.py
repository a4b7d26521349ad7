"""One line of the benchmark: a box of a test photo, a method, and what was measured."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gaussian_lens_app.evaluation.metrics import BoxFigures
from gaussian_lens_app.scene import Rect


@dataclass(frozen=True)
class Row:
    """Figures before are those of the input in its best mode; after, of what the user sees: a refused upgrade leaves
    what it started from."""

    photo: str
    box: Rect | None
    """In pixels of the test photo; None for a whole photo."""
    method: str
    mode: str
    """`box` or `whole`."""
    render_mode: str
    applied: bool
    psnr_before: float
    psnr_start: float
    """Of what the upgrade started from: the input, band-limited where it was."""
    psnr_after: float
    psnr_candidate: float
    """Of the method's result, whether it was applied or refused."""
    ssim_before: float
    ssim_after: float
    ssim_candidate: float
    ms_ssim_before: float | None
    ms_ssim_after: float | None
    outside_psnr_before: float | None
    outside_psnr_after: float | None
    gradient_energy_before: float
    gradient_energy_after: float
    gradient_energy_photo: float
    judge_gain_db: float | None
    judge_noise_db: float | None
    judge_photo: str | None
    seconds: float
    """From request to result, judging included."""
    judge_seconds: float
    stage_seconds: dict[str, float]
    budget_seconds: float
    gaussians_before: int
    gaussians_removed: int
    gaussians_added: int
    peak_memory_mb: float | None
    note: str | None = None
    """What the judge told the user, or why the method could not run."""

    @property
    def gain(self) -> float:
        """dB in the box, as the user sees it."""
        return self.psnr_after - self.psnr_before

    @property
    def candidate_gain(self) -> float:
        """dB in the box, had the result been applied whatever the judge said."""
        return self.psnr_candidate - self.psnr_before

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @staticmethod
    def from_json(values: dict[str, Any]) -> Row:
        box = values["box"]
        return Row(**{**values, "box": None if box is None else tuple(box)})


def measured(before: BoxFigures, after: BoxFigures, candidate: BoxFigures) -> dict[str, Any]:
    """The picture figures of a row: of the input, of what the user sees, of what the method made."""
    return {
        "psnr_before": before.psnr,
        "psnr_after": after.psnr,
        "psnr_candidate": candidate.psnr,
        "ssim_before": before.ssim,
        "ssim_after": after.ssim,
        "ssim_candidate": candidate.ssim,
        "ms_ssim_before": before.ms_ssim,
        "ms_ssim_after": after.ms_ssim,
        "outside_psnr_before": before.outside_psnr,
        "outside_psnr_after": after.outside_psnr,
        "gradient_energy_before": before.gradient_energy,
        "gradient_energy_after": after.gradient_energy,
    }


def summarised(rows: Sequence[Row]) -> dict[str, dict[str, Any]]:
    """Method -> the means over its boxes, in the order the methods first appear."""
    methods = list(dict.fromkeys(row.method for row in rows))
    means = {method: _means([row for row in rows if row.method == method]) for method in methods}
    ceiling = means.get("full", {}).get("gain_db")
    for values in means.values():
        values["share_of_full"] = values["gain_db"] / ceiling if ceiling and ceiling > 0 else None
    return means


def _means(rows: Sequence[Row]) -> dict[str, Any]:
    gains = [row.gain for row in rows]
    applied = [row.gain for row in rows if row.applied]
    return {
        "boxes": len(rows),
        "psnr_before": mean([row.psnr_before for row in rows]),
        "psnr_after": mean([row.psnr_after for row in rows]),
        "gain_db": mean(gains),
        "gain_se": standard_error(gains),
        "candidate_gain_db": mean([row.candidate_gain for row in rows]),
        "ssim_gain": mean([row.ssim_after - row.ssim_before for row in rows]),
        "ms_ssim_gain": _mean_or_none([_difference(row.ms_ssim_after, row.ms_ssim_before) for row in rows]),
        "outside_change_db": _mean_or_none(
            [_difference(row.outside_psnr_after, row.outside_psnr_before) for row in rows]
        ),
        "applied_rate": len(applied) / len(rows),
        "worst_applied_db": min(applied, default=None),
        "applied_below_minus_0_1": sum(gain < -0.1 for gain in applied),
        "judge": judge_record(rows),
        "seconds": mean([row.seconds for row in rows]),
        "seconds_max": max(row.seconds for row in rows),
        "judge_seconds": mean([row.judge_seconds for row in rows]),
        "gaussians_added": mean([float(row.gaussians_added) for row in rows]),
        "peak_memory_mb": max((row.peak_memory_mb for row in rows if row.peak_memory_mb is not None), default=None),
    }


def judge_record(rows: Sequence[Row]) -> dict[str, int]:
    """How often the judge was right about the test photo, among the rows it measured: both compare the result with what
    it started from."""
    judged = [row for row in rows if row.judge_gain_db is not None]
    better = [row.psnr_candidate > row.psnr_start for row in judged]
    pairs = list(zip([row.applied for row in judged], better, strict=True))
    return {
        "accepted_better": pairs.count((True, True)),
        "accepted_worse": pairs.count((True, False)),
        "refused_worse": pairs.count((False, False)),
        "refused_better": pairs.count((False, True)),
    }


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def standard_error(values: Sequence[float]) -> float | None:
    """Of the mean; None for fewer than two values."""
    if len(values) < 2:
        return None
    centre = mean(values)
    variance = sum((value - centre) ** 2 for value in values) / (len(values) - 1)
    return math.sqrt(variance / len(values))


def _difference(after: float | None, before: float | None) -> float | None:
    return None if after is None or before is None else after - before


def _mean_or_none(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return mean(known) if known else None
