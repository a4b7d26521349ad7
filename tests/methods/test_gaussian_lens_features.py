import dataclasses

import pytest
import torch
from lens_samples import lens_inputs, lens_task

from gaussian_lens_app.methods.gaussian_lens_features import RING_WEIGHT, look, own_axes
from gaussian_lens_app.methods.gaussian_lens_inputs import LensInputs, footprints
from gaussian_lens_app.networks.residuals import Residuals, applied
from gaussian_lens_app.scene import SH_C0, Gaussians


@pytest.fixture(scope="module")
def inputs(textured_board, fast_rasterizer) -> LensInputs:
    return lens_inputs(lens_task(textured_board, fast_rasterizer))


def loss(inputs: LensInputs, moving: Gaussians, rasterizer) -> float:
    window = inputs.windows[0]
    render = rasterizer.render(
        Gaussians.concat([inputs.frozen, moving]), window.camera, mode=inputs.mode, crop=window.rect
    )
    weight = torch.where(window.mask, 1.0, RING_WEIGHT)[..., None].double()
    return 0.5 * float((weight * (render.rgb.double() - window.photo) ** 2).sum())


def test_colour_steps_are_the_mean_residual_a_gaussian_covers(inputs, fast_rasterizer):
    window, union = inputs.windows[0], inputs.union
    found = look(inputs.frozen, union, window, fast_rasterizer, inputs.mode)
    weight = torch.where(window.mask, 1.0, RING_WEIGHT)[..., None]
    residual = torch.cat([weight * (window.photo - found.render.rgb), weight], -1)
    scene = Gaussians.concat([inputs.frozen, union])
    sums = fast_rasterizer.contributions(scene, window.camera, residual, mode=inputs.mode, crop=window.rect)
    sums = sums[len(inputs.frozen) :]
    torch.testing.assert_close(found.weights, sums[:, 3], rtol=1e-3, atol=1e-3)
    # Colours are clamped at black, where they have no gradient.
    seen = (found.weights > 0.5) & (0.5 + SH_C0 * union.sh0[:, 0] > 0).all(-1)
    expected = sums[seen, :3] / sums[seen, 3:]
    torch.testing.assert_close(found.gradients[seen, 10:13], expected, rtol=1e-2, atol=1e-4)


@pytest.mark.parametrize(("name", "part"), [("mean", 0), ("log_scale", 3), ("turn", 6), ("logit", 9), ("colour", 10)])
def test_steps_predict_how_the_loss_changes(inputs, fast_rasterizer, name, part):
    union = inputs.union
    # Round Gaussians do not feel a turn; make them oval.
    union = dataclasses.replace(union, log_scales=union.log_scales + torch.tensor([0.4, 0.0, -0.4]))
    # Nor are Gaussians in one plane drawn in an order that a small move would keep.
    jitter = 0.05 * torch.randn(union.means.shape, generator=torch.Generator().manual_seed(0))
    union = dataclasses.replace(union, means=union.means + jitter)
    found = look(inputs.frozen, union, inputs.windows[0], fast_rasterizer, inputs.mode)
    width = 1 if name == "logit" else 3
    direction = (found.gradients * found.weights[:, None])[:, part : part + width]
    step = 1e-2 / float(direction.abs().max())
    shapes = {"mean": 3, "log_scale": 3, "turn": 3, "colour": 3}
    changes = []
    for sign in (-1, 1):
        residuals = {key: torch.zeros(len(union), 1, size) for key, size in shapes.items()}
        residuals["logit"] = torch.zeros(len(union), 1)
        residuals[name] = (sign * step * direction)[:, None] if name != "logit" else sign * step * direction
        moved = applied(union, *own_axes(union), Residuals(**residuals))
        changes.append(loss(inputs, moved, fast_rasterizer))
    expected = -float((direction**2).sum()) * step
    assert (changes[1] - changes[0]) / 2 == pytest.approx(expected, rel=0.1)


def test_what_a_window_does_not_show_has_no_gradient(inputs, fast_rasterizer):
    far = dataclasses.replace(inputs.new, means=inputs.new.means + 100)
    found = look(inputs.frozen, far, inputs.windows[0], fast_rasterizer, inputs.mode)
    assert float(found.gradients.abs().max()) == 0
    assert float(found.weights.max()) == 0


def test_footprints_are_the_world_length_of_a_pixel_in_the_nearest_photo(inputs):
    camera = inputs.windows[0].camera
    point = camera.unproject(camera.K[:2, 2], torch.tensor(1.5))[None]
    alone = footprints(point, inputs.windows[:1])
    aside = camera.unproject(camera.K[:2, 2] + torch.tensor([1.0, 0.0]), torch.tensor(1.5))
    torch.testing.assert_close(alone[0], (aside - point[0]).norm(), rtol=1e-4, atol=1e-6)
    assert float(footprints(point, inputs.windows)[0]) <= float(alone[0])
