import pytest
import torch
from scenes import board

from gaussian_lens_app.backbones.base import Backbone
from gaussian_lens_app.backbones.plane_sweep import PlaneSweepBackbone, SweepSettings
from gaussian_lens_app.errors import CaptureError
from gaussian_lens_app.jobs.report import silent
from gaussian_lens_app.networks.plane_sweep import PlaneSweep, PlaneSweepConfig
from gaussian_lens_app.networks.weights import save_network
from gaussian_lens_app.raster.cpu import CpuRasterizer


@pytest.fixture(scope="module")
def untrained(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "sweep.safetensors"
    config = PlaneSweepConfig(planes=32)
    save_network(path, PlaneSweep(config).state_dict(), config, {})
    return path


def test_photos_become_a_scene_without_optimisation(untrained):
    """Even before training the board stands where it is, each part of it once."""
    made = board(CpuRasterizer(), photos=4, width=160)
    backbone: Backbone = PlaneSweepBackbone(SweepSettings(weights=untrained, others=2))
    scene = backbone(made.capture.photos, silent)
    per_photo = 80 * 60
    assert per_photo < len(scene) < 3.5 * per_photo
    middle = scene.take((scene.means[:, 0].abs() < 1.2) & (scene.means[:, 1].abs() < 0.7))
    assert float((middle.means[:, 2].abs() < 0.3).float().mean()) > 0.7
    photo = made.capture.photos[1]
    shown = CpuRasterizer().render(scene, photo.camera).rgb
    nothing = (photo.load().float() / 255).square().mean()
    assert float((shown - photo.load().float() / 255).square().mean()) < 0.2 * float(nothing)


def test_one_photo_or_photos_of_different_things_are_refused(untrained):
    made = board(CpuRasterizer(), photos=2, width=80)
    backbone = PlaneSweepBackbone(SweepSettings(weights=untrained))
    with pytest.raises(CaptureError, match="at least two"):
        backbone(made.capture.photos[:1], silent)
    with pytest.raises(CaptureError, match="different places"):
        backbone([made.capture.photos[0]] * 2, silent)
