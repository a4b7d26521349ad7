"""`gsr upgrade` counts what readying the scene for close views took out, and shows that it is at it."""

import json

import pytest
import torch

from gaussian_lens_app import cli
from gaussian_lens_app.evaluation.judge import Verdict
from gaussian_lens_app.formats import load, save
from gaussian_lens_app.scene import Gaussians, Patch, Region
from gaussian_lens_app.upgrade import UpgradeResult


def gaussians(count: int) -> Gaussians:
    generator = torch.Generator().manual_seed(count)
    shapes = [(count, 3), (count, 4), (count, 3), (count,), (count, 1, 3), (count, 0, 3)]
    means, quats, log_scales, *rest = (torch.randn(shape, generator=generator) for shape in shapes)
    return Gaussians(means, quats, log_scales * 0.1 - 4, *rest)


def without_three(edited, capture, rasterizer, report):
    """The patch of a scene whose last three splats are veils."""
    report("Comparing photos", 0.4)
    every = torch.arange(len(edited.scene))
    kept = every[:-3]
    return Patch(every, edited.scene.take(kept), kept, kinds=edited.rows.kinds[kept])


def five_for_one(better: bool):
    """An upgrade that puts five Gaussians in the place of the first."""

    def upgrade(request, report):
        report("Halving", 0.5)
        mask = torch.zeros(len(request.scene), dtype=torch.bool)
        mask[0] = True
        patch = Patch(torch.tensor([0]), gaussians(5), torch.tensor([0, -1, -1, -1, -1]))
        verdict = Verdict(better, True, 1.0 if better else -1.0, 0.1, "photo", "Judged.")
        return UpgradeResult(patch, Region(mask, mask.float()), verdict, {"select": 0.0, "method": 0.0, "judge": 0.0})

    return upgrade


@pytest.fixture
def upgraded(tmp_path, monkeypatch):
    """upgraded(better, *options) runs the command on twelve Gaussians -> (exit code, counts of the report)."""
    save(tmp_path / "scene.ply", gaussians(12))

    def run(better, *options):
        monkeypatch.setattr("gaussian_lens_app.session.steps.close_views_patch", without_three)
        monkeypatch.setattr("gaussian_lens_app.upgrade.upgrade", five_for_one(better))
        report = tmp_path / "report.json"
        files = [str(tmp_path / "scene.ply"), "-o", str(tmp_path / "out.ply"), "--report", str(report)]
        code = cli.main(["upgrade", *files, "--whole", "--method", "split", "--device", "cpu", *options])
        return code, json.loads(report.read_text())["gaussians"]

    return run


@pytest.mark.parametrize(("better", "options"), [(True, []), (False, ["--force"])])
def test_the_report_counts_the_file_that_was_written_and_the_veils_taken_out(
    upgraded, tmp_path, capsys, better, options
):
    code, counts = upgraded(better, *options)
    assert code == 0
    assert counts["veils"] == 3
    assert counts["before"] == 12
    assert counts["after"] == len(load(tmp_path / "out.ply").gaussians)
    assert counts["after"] == counts["before"] - counts["veils"] + counts["added"] - counts["removed"]
    assert "veils taken out before: 3" in capsys.readouterr().out


def test_without_close_views_no_veil_is_counted_and_none_told(upgraded, tmp_path, capsys):
    code, counts = upgraded(True, "--no-close-views")
    assert code == 0
    assert counts["veils"] == 0
    assert counts["after"] == len(load(tmp_path / "out.ply").gaussians) == 16
    assert "veils" not in capsys.readouterr().out


def test_a_refused_upgrade_counts_the_scene_as_it_stays(upgraded, tmp_path):
    code, counts = upgraded(False)
    assert code == 3
    assert counts["after"] == counts["before"] == 12
    assert not (tmp_path / "out.ply").exists()


def test_readying_the_scene_shows_its_progress_as_the_upgrade_does(upgraded, capsys, monkeypatch):
    monkeypatch.setattr("gaussian_lens_app.commands.progress.STAGE_SECONDS", 0.0)
    upgraded(True)
    shown = capsys.readouterr().err
    assert "Comparing photos" in shown
    assert "Halving" in shown
