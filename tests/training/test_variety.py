"""A varied sample is the same sample: what is drawn of it changes as its photos do."""

import dataclasses
import random

import pytest
import torch

from gaussian_lens_app.methods.gaussian_lens_inputs import LensInputs
from gaussian_lens_app.methods.targets import Target
from gaussian_lens_app.raster import ANTIALIASED, Render
from gaussian_lens_app.scene import Camera, Gaussians
from gaussian_lens_app.training.samples import Sample
from gaussian_lens_app.training.variety import glimpsing, mirrored, recoloured, rolled, varied

RECT = (3, 5, 27, 20)


def random_gaussians(count: int, seed: int) -> Gaussians:
    generator = torch.Generator().manual_seed(seed)
    draw = lambda *shape: torch.randn(*shape, generator=generator)  # noqa: E731
    means = draw(count, 3) * 0.4 + torch.tensor([0.0, 0.0, 3.0])
    return Gaussians(
        means, draw(count, 4), draw(count, 3) * 0.5 - 2, draw(count), draw(count, 1, 3), draw(count, 15, 3) * 0.2
    )


@pytest.fixture
def sample(fast_rasterizer) -> Sample:
    """A sample whose photo is what the scene shows, with a camera that stands askew."""
    angle = torch.tensor(0.2)
    viewmat = torch.eye(4)
    viewmat[:2, :2] = torch.stack([torch.stack([angle.cos(), -angle.sin()]), torch.stack([angle.sin(), angle.cos()])])
    viewmat[:3, 3] = torch.tensor([0.1, -0.05, 0.3])
    K = torch.tensor([[33.0, 0, 17.5], [0, 37.0, 13.0], [0, 0, 1]])
    camera, scene = Camera(viewmat, K, 36, 24), random_gaussians(60, 0)
    photo = fast_rasterizer.render(scene, camera, mode=ANTIALIASED, crop=RECT).rgb
    mask = torch.rand(photo.shape[:2], generator=torch.Generator().manual_seed(1)) > 0.5
    nothing = torch.zeros(0, 0)
    window = Target("a", camera, RECT, photo, mask, Render(nothing[..., None], nothing, nothing, nothing))
    parts = [scene.take(torch.arange(start, start + 20)) for start in (0, 20, 40)]
    return Sample(LensInputs(*parts, (window,), ANTIALIASED), (window,), 1)


def drawn(sample: Sample, rasterizer) -> torch.Tensor:
    inputs, (window,) = sample.inputs, sample.inputs.windows
    scene = Gaussians.concat([inputs.frozen, inputs.old, inputs.new])
    return rasterizer.render(scene, window.camera, mode=inputs.mode, crop=window.rect).rgb


@pytest.mark.parametrize("change", [mirrored, rolled, lambda one: recoloured(one, [2, 0, 1], [0.7, 1.0, 0.9])])
def test_what_is_drawn_changes_as_the_photos_do(sample, fast_rasterizer, change):
    changed = change(sample)
    (window,) = changed.inputs.windows
    assert not torch.equal(window.photo, sample.inputs.windows[0].photo)
    assert torch.allclose(drawn(changed, fast_rasterizer), window.photo, atol=2e-4)
    assert window.mask.shape == window.photo.shape[:2]
    assert torch.equal(changed.targets[0].photo, window.photo)


def test_mirroring_twice_and_rolling_four_times_changes_nothing(sample):
    for again in (mirrored(mirrored(sample)), rolled(rolled(rolled(rolled(sample))))):
        (before,), (after,) = sample.inputs.windows, again.inputs.windows
        assert torch.equal(after.photo, before.photo)
        assert after.rect == before.rect
        assert torch.allclose(after.camera.viewmat, before.camera.viewmat)
        assert torch.allclose(after.camera.K, before.camera.K)
        assert torch.equal(again.inputs.old.shN, sample.inputs.old.shN)


def test_a_varied_sample_still_shows_its_photo(sample, fast_rasterizer):
    chance = random.Random(0)
    for _ in range(12):
        one = varied(sample, chance)
        assert torch.allclose(drawn(one, fast_rasterizer), one.inputs.windows[0].photo, atol=2e-4)


def test_glimpses_are_smaller_photos_of_the_same_and_never_those_of_pixel_gaussians(sample):
    (window,) = sample.inputs.windows
    full = dataclasses.replace(sample, inputs=dataclasses.replace(sample.inputs, windows=(window,) * 6))
    chance, sizes = random.Random(0), set()
    for _ in range(20):
        first, second, *others = glimpsing(full, chance).inputs.windows
        assert first is second is window
        for other in others:
            factor = window.camera.width / other.camera.width
            sizes.add(round(factor))
            assert other.photo.shape[0] <= window.photo.shape[0] / factor
            assert float(other.photo.mean()) == pytest.approx(float(window.photo.mean()), abs=0.1)
    assert sizes == {1, 2, 3, 4}
