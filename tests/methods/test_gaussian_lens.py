import dataclasses

import pytest
import torch
from lens_samples import MIDDLE, lens_task
from scenes import Board, window_psnr_gain

from gaussian_lens_app.errors import JobCancelled, NeedsMissing, NothingSelected
from gaussian_lens_app.jobs.report import silent
from gaussian_lens_app.methods import METHODS, Budget, gaussian_lens
from gaussian_lens_app.methods.gaussian_lens import GaussianLens, GaussianLensRefine, LensSettings
from gaussian_lens_app.networks.gaussian_lens import CPU
from gaussian_lens_app.networks.gaussian_lens import GaussianLens as Network
from gaussian_lens_app.networks.heads import HeadConfig
from gaussian_lens_app.networks.weights import save_network
from gaussian_lens_app.optimize.local import LocalFitSettings
from gaussian_lens_app.scene import Gaussians

ONE_PASS = LensSettings(passes=1)


@pytest.fixture(scope="module")
def task(textured_board, fast_rasterizer):
    return lens_task(textured_board, fast_rasterizer)


def gain(board: Board, patched: Gaussians, rasterizer) -> float:
    return window_psnr_gain(board.scene, patched, board.capture.photos[2], MIDDLE, rasterizer)


def test_the_released_weights_sharpen_what_a_photo_they_did_not_see_shows(textured_board, task, fast_rasterizer):
    patch = GaussianLens()(task, silent)
    assert gain(textured_board, patch.apply(textured_board.scene), fast_rasterizer) > 0.5
    assert patch.provenance["passes"] >= 1
    assert patch.provenance["kind"] == "learned"
    assert len(patch.added) > len(patch.removed)


def test_two_photos_are_enough(textured_board, fast_rasterizer):
    task = lens_task(textured_board, fast_rasterizer, photos=(1, 3))
    patch = GaussianLens(ONE_PASS)(task, silent)
    assert gain(textured_board, patch.apply(textured_board.scene), fast_rasterizer) > 0.2


def test_what_is_not_selected_keeps_its_bits(textured_board, task):
    patch = GaussianLens(ONE_PASS)(task, silent)
    edited, sources = patch.apply(textured_board.scene), patch.sources(len(textured_board.scene))
    survivors = sources >= 0
    assert set((~task.region.selected).nonzero()[:, 0].tolist()) <= set(sources[survivors].tolist())
    for (_, new), (_, old) in zip(edited.tensors(), textured_board.scene.tensors(), strict=True):
        assert torch.equal(new[survivors], old[sources[survivors]])


def test_higher_bands_of_colour_pass_through(textured_board, task):
    scene = textured_board.scene.with_sh_degree(2)
    scene = dataclasses.replace(scene, shN=torch.full_like(scene.shN, 0.01))
    patch = GaussianLens(dataclasses.replace(ONE_PASS, confirm=False))(dataclasses.replace(task, scene=scene), silent)
    old = patch.parents >= 0
    assert torch.equal(patch.added.shN[old], scene.shN[patch.parents[old]])
    assert float(patch.added.shN[~old].abs().max()) == 0


def test_copies_of_one_gaussian_take_its_place_together_or_not_at_all(
    textured_board, fast_rasterizer, tmp_path, monkeypatch
):
    task = lens_task(textured_board, fast_rasterizer, photos=(0, 1, 2, 3, 4, 5))  # enough to keep one out
    config = dataclasses.replace(CPU, head=HeadConfig(factor=2))
    save_network(tmp_path / "double.safetensors", Network(config).state_dict(), config, {})
    scene = textured_board.scene.with_sh_degree(1)
    marked = dataclasses.replace(scene, shN=torch.rand(scene.shN.shape, generator=torch.Generator().manual_seed(1)))
    monkeypatch.setattr(gaussian_lens, "confirmed", lambda frozen, old, moving, *rest: torch.arange(len(moving)) != 3)
    settings = dataclasses.replace(ONE_PASS, weights=tmp_path / "double.safetensors")
    patch = GaussianLens(settings)(dataclasses.replace(task, scene=marked), silent)
    rows = task.region.selected.nonzero()[:, 0]
    assert patch.removed.tolist() == [row for row in rows.tolist() if row != rows[1]]
    heirs = patch.parents >= 0
    assert patch.parents[heirs].bincount()[patch.removed].tolist() == [2] * len(patch.removed)
    assert torch.equal(patch.added.shN[heirs], marked.shN[patch.parents[heirs]])


def test_refining_goes_on_from_the_forward_pass(textured_board, task, fast_rasterizer):
    settings = dataclasses.replace(ONE_PASS, local=LocalFitSettings(steps=10))
    forward, polished = (method(settings)(task, silent) for method in (GaussianLens, GaussianLensRefine))
    assert forward.provenance["steps"] == 0
    assert polished.provenance["steps"] > 0
    scene = textured_board.scene
    better = gain(textured_board, polished.apply(scene), fast_rasterizer)
    assert better > gain(textured_board, forward.apply(scene), fast_rasterizer) - 0.1


def test_the_budget_bounds_gaussians_and_passes(task):
    few = GaussianLens(ONE_PASS)(dataclasses.replace(task, budget=Budget(seconds=60, gaussians=200)), silent)
    assert few.provenance["new"] <= 200
    hurried = GaussianLens()(dataclasses.replace(task, budget=Budget(seconds=0.01)), silent)
    assert hurried.provenance["passes"] == 1


def test_passes_leave_time_to_refine(task):
    settings = LensSettings(passes=2, fit_seconds=600.0, drift=100.0, local=LocalFitSettings(steps=2))
    polished = GaussianLensRefine(settings)(dataclasses.replace(task, budget=Budget(seconds=600)), silent)
    assert polished.provenance["passes"] == 1
    forward = GaussianLens(settings)(dataclasses.replace(task, budget=Budget(seconds=600)), silent)
    assert forward.provenance["passes"] == 2


def test_the_same_task_gives_the_same_bits(task):
    first, second = (GaussianLens(ONE_PASS)(task, silent) for _ in range(2))
    assert torch.equal(first.added.means, second.added.means)


def test_cancelling_stops_the_work_and_progress_never_falls(task):
    fractions = []

    def cancelled(stage: str, fraction: float) -> None:
        fractions.append(fraction)
        if stage.startswith("Sharpening, pass 2"):
            raise JobCancelled("stopped")

    with pytest.raises(JobCancelled):
        GaussianLens()(task, cancelled)
    assert fractions == sorted(fractions)


def test_missing_photos_boxes_and_weights_get_a_sentence(task, tmp_path):
    with pytest.raises(NeedsMissing, match="--capture"):
        GaussianLens()(dataclasses.replace(task, capture=None), silent)
    nothing = dataclasses.replace(task.region, selected=torch.zeros_like(task.region.selected))
    with pytest.raises(NothingSelected):
        GaussianLens()(dataclasses.replace(task, region=nothing), silent)
    with pytest.raises(NeedsMissing, match="git checkout"):
        GaussianLens(LensSettings(weights=tmp_path / "none.safetensors"))(task, silent)


def test_both_are_in_the_menu():
    assert METHODS["gaussian-lens"].label == "GaussianLens"
    assert METHODS["gaussian-lens+refine"].needs is METHODS["refine"].needs
