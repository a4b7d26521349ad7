import pytest
import torch

from gaussian_lens_app.methods.gaussian_lens_features import own_axes
from gaussian_lens_app.networks.heads import existence
from gaussian_lens_app.networks.residuals import Residuals, applied, copies, turned
from gaussian_lens_app.scene import Gaussians
from gaussian_lens_app.scene.gaussians import rotations


@pytest.fixture
def scene() -> Gaussians:
    generator = torch.Generator().manual_seed(0)
    n = 50
    draw = lambda *shape: torch.randn(*shape, generator=generator)  # noqa: E731
    return Gaussians(draw(n, 3), draw(n, 4), draw(n, 3), draw(n), draw(n, 1, 3), draw(n, 8, 3))


def nothing(count: int, factor: int = 1) -> dict[str, torch.Tensor]:
    shapes = {"mean": (3,), "log_scale": (3,), "turn": (3,), "logit": (), "colour": (3,)}
    return {name: torch.zeros(count, factor, *shape) for name, shape in shapes.items()}


def test_zero_residuals_change_nothing(scene):
    moved = applied(scene, *own_axes(scene), Residuals(**nothing(50)))
    for name in ("means", "log_scales", "logit_opacities", "sh0", "shN"):
        assert torch.equal(getattr(moved, name), getattr(scene, name))
    torch.testing.assert_close(rotations(moved.quats), rotations(scene.quats))


def test_moves_are_in_scales_along_the_longest_axis_first(scene):
    residuals = nothing(50)
    residuals["mean"][:, 0, 0] = 2.0
    axes, order = own_axes(scene)
    moved = applied(scene, axes, order, Residuals(**residuals))
    steps = (moved.means - scene.means).norm(dim=-1)
    torch.testing.assert_close(steps, 2 * scene.scales.amax(-1), rtol=1e-4, atol=1e-4)


def test_scale_changes_reach_the_axis_they_are_meant_for(scene):
    residuals = nothing(50)
    residuals["log_scale"][:, 0, 2] = -0.5
    moved = applied(scene, *own_axes(scene), Residuals(**residuals))
    shortest = scene.log_scales.argmin(-1, keepdim=True)
    change = moved.log_scales - scene.log_scales
    torch.testing.assert_close(change.gather(1, shortest), torch.full((50, 1), -0.5))
    assert torch.count_nonzero(change.abs() > 1e-6) == 50


def test_turning_about_an_own_axis_leaves_that_axis(scene):
    turns = torch.zeros(50, 3)
    turns[:, 1] = 0.3
    before, after = rotations(scene.quats), rotations(turned(scene.quats, turns))
    torch.testing.assert_close(after[:, :, 1], before[:, :, 1], atol=1e-5, rtol=1e-5)
    angle = torch.arccos((before[:, :, 0] * after[:, :, 0]).sum(-1).clamp(-1, 1))
    torch.testing.assert_close(angle, torch.full((50,), 2 * torch.arctan(torch.tensor(0.15)).item()), atol=1e-3, rtol=0)


def test_what_does_not_exist_is_faded_out_with_a_gradient(scene):
    residuals = nothing(50)
    keep = torch.ones(50, 1)
    keep[:10] = 0
    keep.requires_grad_()
    moved = applied(scene, *own_axes(scene), Residuals(**residuals, keep=keep))
    assert bool((moved.opacities[:10] < 1e-5).all())
    torch.testing.assert_close(moved.opacities[10:], scene.opacities[10:])
    moved.opacities.sum().backward()
    assert keep.grad is not None
    assert bool((keep.grad[10:] > 0).all())


def test_what_goes_may_come_back_while_the_network_learns(scene):
    torch.manual_seed(0)
    logits = torch.tensor([0.0, 12.0]).repeat(50, 1, 1).requires_grad_()
    keep = existence(logits, temperature=1.0)
    assert bool((keep < 0.5).all())
    applied(scene, *own_axes(scene), Residuals(**nothing(50), keep=keep)).opacities.sum().backward()
    assert logits.grad is not None
    assert bool((logits.grad[..., 0] > 0).all())
    assert bool((existence(logits, temperature=0.0) == 0).all())


def test_copies_come_in_rows_and_keep_colours(scene):
    doubled = copies(scene, 2)
    assert torch.equal(doubled.means[::2], scene.means)
    assert torch.equal(doubled.shN[1::2], scene.shN)
    torch.testing.assert_close(1 - (1 - doubled.opacities[::2]) ** 2, scene.opacities, atol=1e-5, rtol=1e-4)
