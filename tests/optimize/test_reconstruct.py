"""Where an optimisation starts and what becomes of it, on a scene of our own making."""

import dataclasses

import pytest
import torch

from gaussian_lens_app.errors import CaptureError, GsrError, JobCancelled
from gaussian_lens_app.evaluation.modes import mean_psnr
from gaussian_lens_app.optimize.reconstruct import ReconstructSettings, fittable, reconstruct
from gaussian_lens_app.optimize.scene import OptimizeSettings, optimize_scene
from gaussian_lens_app.optimize.start import extent_of, from_points, starting_points
from gaussian_lens_app.raster import ANTIALIASED
from gaussian_lens_app.raster.reference import ReferenceRasterizer
from gaussian_lens_app.scene import Camera, Capture, SparsePoints
from tests.scenes import board

RASTERIZER = ReferenceRasterizer()


@pytest.fixture(scope="module")
def capture() -> Capture:
    """Five small photos of the board, with noisy sparse points on it."""
    made = board(RASTERIZER, fine=24, coarse=8, photos=5, width=48)
    random = torch.Generator().manual_seed(3)
    rows = torch.randperm(len(made.truth), generator=random)[:150]
    noise = 0.02 * torch.randn(150, 3, generator=random)
    points = SparsePoints(made.truth.means[rows] + noise, torch.full((150, 3), 128, dtype=torch.uint8))
    return dataclasses.replace(made.capture, points=points)


SHORT = ReconstructSettings(long_side=48, steps=60, max_gaussians=300)


def test_optimisation_brings_the_scene_nearer_to_its_photos(capture):
    assert capture.points is not None
    before = mean_psnr(from_points(capture.points, 0), capture, RASTERIZER, ANTIALIASED)
    after = mean_psnr(reconstruct(capture, SHORT, RASTERIZER), capture, RASTERIZER, ANTIALIASED)
    assert after > before + 3


def test_the_same_seed_gives_the_same_scene(capture):
    settings = dataclasses.replace(SHORT, steps=12)
    first, again = (reconstruct(capture, settings, RASTERIZER) for _ in range(2))
    other = reconstruct(capture, dataclasses.replace(settings, seed=1), RASTERIZER)
    assert torch.equal(first.means, again.means)
    assert torch.equal(first.sh0, again.sh0)
    assert first.means.shape != other.means.shape or not torch.equal(first.means, other.means)


def test_mcmc_runs_too_and_keeps_to_its_limit(capture):
    scene = reconstruct(capture, dataclasses.replace(SHORT, steps=20, strategy="mcmc"), RASTERIZER)
    assert 0 < len(scene) <= 300


@pytest.mark.parametrize("degree", [-1, 5])
def test_a_view_dependence_that_no_file_can_hold_is_refused_at_once(degree):
    with pytest.raises(GsrError, match=f"degree {degree} .* 0 to 4"):
        ReconstructSettings(sh_degree=degree)


def test_a_cancelled_reconstruction_stops_at_once(capture):
    steps = []

    def report(stage: str, fraction: float) -> None:
        steps.append(fraction)
        if len(steps) == 5:
            raise JobCancelled("stop")

    with pytest.raises(JobCancelled):
        reconstruct(capture, SHORT, RASTERIZER, report)
    assert len(steps) == 5


def test_progress_never_falls_and_tells_psnr_and_count(capture):
    seen: list[tuple[str, float]] = []
    reconstruct(
        capture, dataclasses.replace(SHORT, steps=12), RASTERIZER, lambda stage, part: seen.append((stage, part))
    )
    fractions = [fraction for _, fraction in seen]
    assert fractions == sorted(fractions)
    assert any("PSNR" in stage and "Gaussians" in stage for stage, _ in seen)


def test_higher_bands_join_in_later(capture):
    assert capture.points is not None
    start = from_points(capture.points, 2)
    settings = OptimizeSettings(steps=10, sh_every=0.5)
    done = optimize_scene(start, capture, settings, RASTERIZER, None, 1.0, lambda stage, fraction: None)
    assert done.shN[:, :3].abs().max() > 0
    assert done.shN[:, 3:].abs().max() == 0


def test_without_points_the_start_is_random_where_the_cameras_look_and_says_so(capture):
    bare = dataclasses.replace(capture, points=None)
    points, note = starting_points(bare, 500, torch.Generator().manual_seed(0))
    assert note is not None
    assert "random" in note
    assert len(points.positions) == 500
    seen = torch.zeros(500)
    for photo in bare.photos:
        pixels, depths = photo.camera.project(points.positions)
        size = torch.tensor([photo.camera.width, photo.camera.height])
        seen += ((pixels >= 0) & (pixels <= size)).all(-1) & (depths > 0)
    assert seen.min() >= len(bare.photos) / 2


def test_points_become_gaussians_as_large_as_their_neighbours_are_far():
    grid = torch.stack(torch.meshgrid(*[torch.arange(5.0)] * 3, indexing="ij"), -1).reshape(-1, 3)
    colors = torch.full(grid.shape, 255, dtype=torch.uint8)
    scene = from_points(SparsePoints(grid, colors), 1)
    torch.testing.assert_close(scene.log_scales.exp(), torch.ones(125, 3))
    torch.testing.assert_close(0.5 + 0.28209479 * scene.sh0, torch.ones(125, 1, 3))
    assert scene.sh_degree == 1


def test_a_far_lone_point_does_not_become_a_giant():
    cloud = torch.cat([torch.rand(200, 3, generator=torch.Generator().manual_seed(0)), torch.full((1, 3), 1e4)])
    scene = from_points(SparsePoints(cloud, torch.zeros(201, 3, dtype=torch.uint8)), 0)
    assert scene.log_scales.exp().max() < 1


def test_extent_reaches_the_farthest_camera():
    K = torch.eye(3)
    cameras = []
    for x in (-2.0, 2.0):
        viewmat = torch.eye(4)
        viewmat[0, 3] = x
        cameras.append(Camera(viewmat, K, 4, 4))
    assert extent_of(cameras) == pytest.approx(2.2)
    assert extent_of(cameras[:1]) == 1.0


def test_an_empty_capture_gets_a_sentence():
    with pytest.raises(CaptureError, match="no photos"):
        reconstruct(Capture(()), SHORT, RASTERIZER)


def test_opacities_stay_where_later_fitting_can_move_them():
    scene = from_points(SparsePoints(torch.rand(4, 3), torch.zeros(4, 3, dtype=torch.uint8)), 0)
    scene = dataclasses.replace(scene, logit_opacities=torch.tensor([-40.0, -3.0, 3.0, 40.0]))
    assert fittable(scene).logit_opacities.tolist() == [-20.0, -3.0, 3.0, 20.0]
