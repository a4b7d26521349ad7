"""The benchmark's figures as markdown: one run, or several runs side by side and pooled."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from gaussian_lens_app.evaluation.rows import mean

COLUMNS = (
    "scene", "method", "boxes", "input dB", "gain dB", "± se", "of full", "SSIM", "MS-SSIM",
    "applied", "worst applied", "below -0.1", "candidate dB", "judge right", "s", "judge s",
)  # fmt: skip

Summary = dict[str, Any]
"""What a run's JSON holds: `scene_name`, `means`, ..."""


def table(runs: Sequence[Summary]) -> str:
    """A row for each scene and method; with several scenes, pooled rows below (means of scene means)."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + " --- |" * len(COLUMNS)]
    for run in runs:
        lines += [_line(run["scene_name"], method, values) for method, values in run["means"].items()]
    if len(runs) > 1:
        methods = list(dict.fromkeys(method for run in runs for method in run["means"]))
        lines += [_line("all", method, pooled([run["means"][method] for run in runs])) for method in methods
                  if all(method in run["means"] for run in runs)]  # fmt: skip
    return "\n".join(lines) + "\n"


def pooled(scenes: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One method's mean of scene means; standard errors are those over boxes, propagated."""
    values: dict[str, Any] = {"boxes": sum(scene["boxes"] for scene in scenes)}
    averaged = ("psnr_before", "psnr_after", "gain_db", "candidate_gain_db", "ssim_gain", "ms_ssim_gain",
                "applied_rate", "seconds", "judge_seconds", "share_of_full")  # fmt: skip
    for name in averaged:
        known = [scene[name] for scene in scenes if scene[name] is not None]
        values[name] = mean(known) if len(known) == len(scenes) else None
    errors = [scene["gain_se"] for scene in scenes]
    values["gain_se"] = None if None in errors else math.hypot(*errors) / len(errors)
    values["worst_applied_db"] = min(
        (scene["worst_applied_db"] for scene in scenes if scene["worst_applied_db"] is not None), default=None
    )
    values["applied_below_minus_0_1"] = sum(scene["applied_below_minus_0_1"] for scene in scenes)
    values["judge"] = {name: sum(scene["judge"][name] for scene in scenes) for name in scenes[0]["judge"]}
    return values


def _line(scene: str, method: str, values: dict[str, Any]) -> str:
    judge = values["judge"]
    right, judged = judge["accepted_better"] + judge["refused_worse"], sum(judge.values())
    cells = [
        scene,
        method,
        str(values["boxes"]),
        f"{values['psnr_before']:.2f}",
        f"{values['gain_db']:+.2f}",
        _optional(values["gain_se"], ".2f"),
        _optional(values["share_of_full"], ".0%"),
        f"{values['ssim_gain']:+.3f}",
        _optional(values["ms_ssim_gain"], "+.3f"),
        f"{values['applied_rate']:.0%}",
        _optional(values["worst_applied_db"], "+.2f"),
        str(values["applied_below_minus_0_1"]),
        f"{values['candidate_gain_db']:+.2f}",
        f"{right}/{judged}" if judged else "-",
        f"{values['seconds']:.1f}",
        f"{values['judge_seconds']:.1f}",
    ]
    return "| " + " | ".join(cells) + " |"


def _optional(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
