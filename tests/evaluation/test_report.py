"""Means, tables and the files of a finished run."""

import json
import math

import pytest

from gaussian_lens_app.errors import BadFile
from gaussian_lens_app.evaluation.__main__ import main
from gaussian_lens_app.evaluation.report import Evaluation, read_report, write_report
from gaussian_lens_app.evaluation.rows import Row, standard_error, summarised
from gaussian_lens_app.evaluation.table import pooled, table


def row(method: str = "refine", gain: float = 1.0, applied: bool = True, judge: float | None = 1.0, **changes) -> Row:
    values = {
        "photo": "a.jpg", "box": (0, 0, 4, 4), "method": method, "mode": "box", "render_mode": "classic",
        "applied": applied, "psnr_before": 20.0, "psnr_start": 20.0,
        "psnr_after": 20.0 + gain * applied, "psnr_candidate": 20.0 + gain,
        "ssim_before": 0.5, "ssim_after": 0.6, "ssim_candidate": 0.6, "ms_ssim_before": None, "ms_ssim_after": None,
        "outside_psnr_before": 21.0, "outside_psnr_after": 21.1, "gradient_energy_before": 0.1,
        "gradient_energy_after": 0.1, "gradient_energy_photo": 0.2, "judge_gain_db": judge, "judge_noise_db": 0.1,
        "judge_photo": "b.jpg", "seconds": 2.0, "judge_seconds": 0.5, "stage_seconds": {}, "budget_seconds": 4.0,
        "gaussians_before": 10, "gaussians_removed": 1, "gaussians_added": 2, "peak_memory_mb": 100.0,
    }  # fmt: skip
    return Row(**{**values, **changes})


def test_means_are_over_boxes_and_refused_boxes_count_as_no_gain():
    means = summarised([row(gain=2.0), row(gain=4.0), row(gain=-3.0, applied=False, judge=-1.0)])["refine"]
    assert means["gain_db"] == pytest.approx(2.0)
    assert means["candidate_gain_db"] == pytest.approx(1.0)
    assert means["gain_se"] == pytest.approx(math.sqrt(4 / 3))
    assert means["applied_rate"] == pytest.approx(2 / 3)
    assert means["worst_applied_db"] == pytest.approx(2.0)


def test_the_judges_record_has_four_cells():
    rows = [row(gain=1), row(gain=-1), row(gain=-2, applied=False), row(gain=3, applied=False), row(judge=None)]
    judge = summarised(rows)["refine"]["judge"]
    assert judge == {"accepted_better": 1, "accepted_worse": 1, "refused_worse": 1, "refused_better": 1}


def test_applied_boxes_that_got_worse_are_counted():
    means = summarised([row(gain=-0.05), row(gain=-0.2), row(gain=-5, applied=False)])["refine"]
    assert means["applied_below_minus_0_1"] == 1
    assert means["worst_applied_db"] == pytest.approx(-0.2)


def test_the_share_of_full_is_what_is_reached_of_the_ceiling():
    means = summarised([row(gain=1.0), row("full", gain=4.0, judge=None)])
    assert means["refine"]["share_of_full"] == pytest.approx(0.25)
    assert summarised([row(gain=1.0)])["refine"]["share_of_full"] is None


def test_one_value_has_no_standard_error():
    assert standard_error([1.0]) is None
    assert standard_error([1.0, 3.0]) == pytest.approx(1.0)


def test_pooled_scenes_weigh_the_same_however_many_boxes_they_have():
    one = summarised([row(gain=1.0), row(gain=1.0), row(gain=1.0)])["refine"]
    two = summarised([row(gain=4.0), row(gain=2.0)])["refine"]
    both = pooled([one, two])
    assert both["gain_db"] == pytest.approx(2.0)
    assert both["boxes"] == 5
    assert both["gain_se"] == pytest.approx(0.5)
    assert both["worst_applied_db"] == pytest.approx(1.0)


def evaluation(name: str = "fox", gain: float = 1.5) -> Evaluation:
    rows = (row("input", 0.0, False, None), row(gain=gain), row(gain=-1.0, applied=False, judge=-0.5))
    return Evaluation({"scene_name": name, "capture": "photos", "holdout": [8, 4]}, rows)


def test_a_report_reads_back_as_it_was_written(tmp_path):
    written = write_report(evaluation(), tmp_path / "new" / "fox.json")
    assert [path.name for path in written] == ["fox.json", "fox.md", "fox.png"]
    assert written[2].read_bytes().startswith(b"\x89PNG")
    report = read_report(written[0])
    assert report["means"] == json.loads(json.dumps(evaluation().means))
    assert [Row.from_json(values) for values in report["rows"]] == list(evaluation().rows)
    assert "| fox | refine | 2 | 20.00 | +0.75 |" in written[1].read_text()


def test_a_table_of_several_runs_ends_with_the_pool(tmp_path, capsys):
    paths = [tmp_path / f"{name}.json" for name in ("fox", "tree")]
    for path, gain in zip(paths, (1.0, 3.0), strict=True):
        write_report(evaluation(path.stem, gain), path)
    assert main([str(path) for path in paths]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert lines[-1].startswith("| all | refine | 4 | 20.00 | +1.00 |")


def test_a_file_that_is_no_report_gets_a_sentence(tmp_path, capsys):
    other = tmp_path / "other.json"
    other.write_text("[1, 2]")
    with pytest.raises(BadFile, match="give what --json wrote"):
        read_report(other)
    assert main([str(other)]) == 1
    assert "other.json" in capsys.readouterr().err


def test_a_single_run_has_no_pool():
    assert "all" not in [line.split("|")[1].strip() for line in table([evaluation().to_json()]).splitlines()]
