"""After band-limiting, opacities and sizes are fitted to the pictures that the scene had before."""

import dataclasses

import pytest
import torch

from gaussian_lens_app.errors import JobCancelled
from gaussian_lens_app.optimize.band_limit import band_limited
from gaussian_lens_app.optimize.band_match import STAGE, BandMatchSettings, band_matched
from gaussian_lens_app.raster import ANTIALIASED
from gaussian_lens_app.raster.cpu import CpuRasterizer
from gaussian_lens_app.scene import Gaussians
from tests.scenes import board, camera_at

RASTERIZER = CpuRasterizer()
WIDE = ANTIALIASED.scaled(4)
CAMERAS = [camera_at(angle) for angle in (-0.6, -0.3, 0.0, 0.3, 0.6)]
BETWEEN = camera_at(0.45)


@pytest.fixture(scope="module")
def discs():
    """A board of discs far thinner than a pixel, on edge to some cameras and nearly flat to others."""
    scene = board(RASTERIZER).scene
    scales = scene.log_scales + torch.tensor([1.0, 1.0, 0.02]).log()
    angle = 0.5 * torch.linspace(0.9, 1.8, len(scene))
    turned = torch.stack([angle.cos(), 0 * angle, angle.sin(), 0 * angle], -1)
    return dataclasses.replace(scene, log_scales=scales, quats=turned, logit_opacities=scene.logit_opacities - 1.0)


@pytest.fixture(scope="module")
def limited(discs):
    return band_limited(discs, CAMERAS, RASTERIZER, WIDE)


@pytest.fixture(scope="module")
def matched(discs, limited):
    return band_matched(limited, discs, CAMERAS, RASTERIZER, WIDE)


def error(scene: Gaussians, discs: Gaussians, camera=BETWEEN) -> float:
    """Of its plain picture against the filtered one of the scene as it was."""
    with torch.no_grad():
        wanted = RASTERIZER.render(discs, camera, mode=WIDE).rgb
        return float((RASTERIZER.render(scene, camera, mode=ANTIALIASED).rgb - wanted).norm() / wanted.norm())


def test_a_view_between_the_cameras_comes_nearer_to_the_picture_it_had(discs, limited, matched):
    assert error(matched, discs) < 0.8 * error(limited, discs)


def test_places_turns_and_colours_stay_and_nothing_gets_thinner_than_it_was(discs, limited, matched):
    for name in ("means", "quats", "sh0", "shN"):
        assert torch.equal(getattr(matched, name), getattr(limited, name))
    assert bool((matched.log_scales >= discs.log_scales).all())


def test_what_no_camera_sees_keeps_its_bits(discs, limited):
    away = dataclasses.replace(discs, means=discs.means - 100 * CAMERAS[0].forward)
    both, before = Gaussians.concat([limited, away]), Gaussians.concat([discs, away])
    few = BandMatchSettings(local=dataclasses.replace(BandMatchSettings().local, steps=3))
    after = band_matched(both, before, CAMERAS, RASTERIZER, WIDE, settings=few).take(
        torch.arange(len(discs), 2 * len(discs))
    )
    for (_, new), (_, old) in zip(after.tensors(), away.tensors(), strict=True):
        assert torch.equal(new, old)


def test_higher_harmonics_are_kept(discs, limited):
    rich = dataclasses.replace(limited, shN=torch.full((len(limited), 3, 3), 0.01))
    few = BandMatchSettings(local=dataclasses.replace(BandMatchSettings().local, steps=3))
    before = dataclasses.replace(discs, shN=rich.shN)
    assert torch.equal(band_matched(rich, before, CAMERAS, RASTERIZER, WIDE, settings=few).shN, rich.shN)


def test_a_scene_that_was_not_widened_is_left_alone(discs):
    assert band_matched(discs, discs, CAMERAS, RASTERIZER, WIDE) is discs


def test_it_is_told_as_widening_and_can_be_cancelled(discs, limited):
    said = []

    def report(stage: str, fraction: float) -> None:
        said.append((stage, fraction))
        if fraction > 0.5:
            raise JobCancelled

    with pytest.raises(JobCancelled):
        band_matched(limited, discs, CAMERAS, RASTERIZER, WIDE, report)
    assert {stage for stage, _ in said} == {STAGE}
    assert [fraction for _, fraction in said] == sorted(fraction for _, fraction in said)
