import dataclasses
from pathlib import Path

import pytest
import torch

from gaussian_lens_app.networks.sr3r import CPU, SR3R
from gaussian_lens_app.networks.weights import load_network
from gaussian_lens_app.training.data import DataSettings, make_procedural
from gaussian_lens_app.training.perceptual import gradient_l1, ms_dssim
from gaussian_lens_app.training.release import release
from gaussian_lens_app.training.run import Run, RunSettings
from gaussian_lens_app.training.samples import SampleSettings, load_samples
from gaussian_lens_app.training.scaffolds import ScaffoldSettings
from gaussian_lens_app.training.sr3r import SR3RSettings, SR3RTrainee, everything, make_low_sample
from gaussian_lens_app.training.worlds import WorldSettings

QUICK = DataSettings(
    world=WorldSettings(photos=7, width=192, height=144, textures=3),
    scaffold=ScaffoldSettings(pixel_aligned=1.0),
    samples=SampleSettings(boxes=3, sides=(0.35, 0.5), least_gaussians=5),
)
TINY = dataclasses.replace(CPU, width=32, encoder=1, decoder=1, fine=4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, fast_rasterizer) -> Path:
    """Sample files of two scenes, one for training and one for validation."""
    folder = tmp_path_factory.mktemp("samples")
    for number in (1, 10):
        make_procedural(folder, number, [], fast_rasterizer, QUICK)
    return folder


def settings_for(folder: Path) -> SR3RSettings:
    return SR3RSettings(folder, accumulate=2, least_side=6, validation_samples=4)


def test_training_goes_on_where_it_stopped_and_its_weights_can_be_shipped(folder, fast_rasterizer, tmp_path):
    torch.manual_seed(0)
    run = Run(SR3RTrainee(SR3R(TINY), settings_for(folder), tmp_path, fast_rasterizer), RunSettings(tmp_path))
    before = [parameter.clone() for parameter in run.network.parameters()]
    run.run(updates=2)
    assert any(not torch.equal(a, b) for a, b in zip(before, run.network.parameters(), strict=True))
    again = Run(SR3RTrainee(SR3R(TINY), settings_for(folder), tmp_path, fast_rasterizer), RunSettings(tmp_path))
    assert again.updates == 2
    release(tmp_path, "sr3r", TINY, tmp_path / "sr3r.safetensors")
    shipped = load_network(tmp_path / "sr3r.safetensors", "sr3r")
    assert isinstance(shipped, SR3R)
    assert shipped.config == TINY


def test_an_update_lowers_the_loss_of_the_sample_it_looked_at(folder, fast_rasterizer, tmp_path):
    torch.manual_seed(0)
    settings = settings_for(folder)
    samples = load_samples(folder / "train-procedural-000001.pt")
    low = next(one for s in samples if (one := make_low_sample(s, True, settings, fast_rasterizer)) is not None)
    network = SR3R(TINY)
    trainee = SR3RTrainee(network, settings, tmp_path, fast_rasterizer)
    adam = torch.optim.Adam(network.parameters(), 2e-3)
    gains = []
    for _ in range(8):
        gains.append(trainee.run(network, low, 1.0))
        adam.step()
        adam.zero_grad()
    assert gains[-1] > gains[0] + 0.05


def test_targets_are_high_resolution_and_what_the_network_sees_is_not(folder, fast_rasterizer):
    samples = load_samples(folder / "train-procedural-000001.pt")
    low = next(
        one for s in samples if (one := make_low_sample(s, True, settings_for(folder), fast_rasterizer)) is not None
    )
    assert all(target.camera.width == 192 for target in low.targets)
    assert all(view.low.camera.width == 48 for view in low.views)
    assert not {view.low.name for view in low.views} & {target.name for target in low.targets}


def test_everything_in_the_windows_may_be_super_resolved(folder):
    sample = load_samples(folder / "train-procedural-000001.pt")[0]
    wide = everything(sample)
    assert len(wide.inputs.old) > len(sample.inputs.old)
    assert len(wide.inputs.old) + len(wide.inputs.frozen) == len(sample.inputs.old) + len(sample.inputs.frozen)
    assert all(bool(window.mask.all()) for window in wide.inputs.windows)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (3, 40), (8, 8), (17, 9)])
def test_perceptual_terms_are_finite_on_windows_of_any_size(size):
    rendered = torch.rand(*size, 3, requires_grad=True)
    loss = ms_dssim(rendered, torch.rand(*size, 3)) + gradient_l1(rendered, torch.zeros(*size, 3))
    assert bool(loss.isfinite())


def test_perceptual_terms_are_zero_for_equal_pictures_and_see_blur():
    photo = torch.rand(48, 48, 3, generator=torch.Generator().manual_seed(0))
    blurred = torch.nn.functional.avg_pool2d(photo.permute(2, 0, 1)[None], 3, 1, 1)[0].permute(1, 2, 0)
    shifted = photo + 0.05  # brighter all over: an error of the same kind everywhere, no edge moves
    assert float(ms_dssim(photo, photo)) == pytest.approx(0, abs=1e-5)
    assert float(gradient_l1(photo, photo)) == 0
    assert float(gradient_l1(shifted, photo)) < 1e-6
    assert float(ms_dssim(blurred, photo)) > 10 * float(ms_dssim(shifted, photo))
    assert float(gradient_l1(blurred, photo)) > 0.1


def test_direct_regression_starts_from_pixels_at_the_scenes_depth(folder, fast_rasterizer):
    """The comparison of the paper's tables: more Gaussians than the split scene, standing where the scene stands."""
    settings = dataclasses.replace(settings_for(folder), direct=True)
    sample = next(
        s
        for s in load_samples(folder / "train-procedural-000001.pt")
        if make_low_sample(s, True, settings, fast_rasterizer) is not None
    )
    direct = make_low_sample(sample, True, settings, fast_rasterizer)
    split = make_low_sample(sample, True, settings_for(folder), fast_rasterizer)
    assert direct is not None
    assert split is not None
    assert len(split.scaffold) < 0.4 * len(direct.scaffold)
    low, high = (sample.inputs.old.means.quantile(q, 0) for q in (0.02, 0.98))
    inside = ((direct.scaffold.means > low - 0.3) & (direct.scaffold.means < high + 0.3)).all(-1)
    assert float(inside.float().mean()) > 0.8
