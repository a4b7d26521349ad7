import math

import pytest
import torch
from scenes import camera_at

from gaussian_lens_app.networks.children import LEAST_SHARE, alike, children, halved
from gaussian_lens_app.networks.relocation import relocated
from gaussian_lens_app.networks.residuals import own_axes
from gaussian_lens_app.raster import ANTIALIASED, Rasterizer
from gaussian_lens_app.scene import Gaussians


def one(opacity: float, scales: tuple[float, float, float] = (0.3, 0.2, 0.02)) -> Gaussians:
    """A bright Gaussian at the origin, turned a little."""
    quats = torch.nn.functional.normalize(torch.tensor([[1.0, 0.2, -0.1, 0.3]]), dim=-1)
    logit = math.log(opacity / (1 - opacity))
    return Gaussians(
        torch.zeros(1, 3), quats, torch.tensor([scales]).log(), torch.tensor([logit]),
        torch.ones(1, 1, 3), torch.zeros(1, 0, 3),
    )  # fmt: skip


def divided(parent: Gaussians, places: list[list[float]]) -> Gaussians:
    """Children at places in standard deviations of the parent."""
    axes, order = own_axes(parent)
    sizes = torch.gather(parent.scales, 1, order)
    return children(parent, axes, order, torch.tensor([places]) * sizes[:, None])


def picture(scene: Gaussians, rasterizer: Rasterizer) -> torch.Tensor:
    return rasterizer.render(scene, camera_at(0.3, width=120), mode=ANTIALIASED).rgb


def mcmc_copies(parent: Gaussians, count: int) -> Gaussians:
    opacities, factors = relocated(parent.opacities, count)
    made = parent.map(lambda tensor: tensor.repeat_interleave(count, 0))
    return Gaussians(
        made.means, made.quats, made.log_scales + factors.log().repeat_interleave(count)[:, None],
        torch.logit(opacities).repeat_interleave(count), made.sh0, made.shN,
    )  # fmt: skip


@pytest.mark.parametrize("count", [2, 4])
@pytest.mark.parametrize("opacity", [0.3, 0.6, 0.9])
def test_children_in_one_place_look_more_like_their_parent_than_relocation_makes_them(count, opacity, fast_rasterizer):
    parent = one(opacity)
    wanted = picture(parent, fast_rasterizer)
    family = divided(parent, [[0.0, 0.0, 0.0]] * count)
    error = (picture(family, fast_rasterizer) - wanted).square().mean().sqrt()
    assert error < 0.08 * wanted.square().mean().sqrt()
    assert error <= (picture(mcmc_copies(parent, count), fast_rasterizer) - wanted).square().mean().sqrt()


def test_spread_children_look_like_their_parent(fast_rasterizer):
    parent = one(0.6)
    wanted = picture(parent, fast_rasterizer)
    family = divided(parent, [[-0.5, 0.0, 0.0], [0.5, 0.0, 0.0]])
    assert (picture(family, fast_rasterizer) - wanted).square().mean().sqrt() < 0.08 * wanted.square().mean().sqrt()


def test_a_family_keeps_its_parents_covariance_whatever_its_spread():
    parent = one(1e-3)  # So faint that copies need no smaller scales.
    for places in (
        [[-0.6, 0.1, 0.0], [0.6, -0.1, 0.0]],
        [[0.3, 0.3, 0.1], [0.3, -0.3, 0], [-0.3, 0, 0], [-0.3, 0, 0.2]],
    ):
        axes, order = own_axes(parent)
        family = divided(parent, places)
        local = (family.means @ axes[0]) / torch.gather(parent.scales, 1, order)
        within = torch.gather(family.scales / parent.scales, 1, order.expand(len(places), -1)).square()
        torch.testing.assert_close(local.var(0, correction=0) + within[0], torch.ones(3), atol=2e-3, rtol=0)


def test_children_are_smaller_and_fainter_and_never_needles():
    parent = one(0.9)
    family = divided(parent, [[-3.0, 0.0, 0.0], [3.0, 0.0, 0.0]])
    assert bool((family.scales <= parent.scales + 1e-6).all())
    assert bool((divided(parent, [[0.0, 0, 0]] * 2).opacities < parent.opacities).all())
    assert float((family.scales / parent.scales).min()) > 0.8 * LEAST_SHARE**0.5


def test_one_child_in_its_place_is_its_parent():
    parent = one(0.7)
    for (name, got), (_, wanted) in zip(divided(parent, [[0.0, 0.0, 0.0]]).tensors(), parent.tensors(), strict=True):
        torch.testing.assert_close(got, wanted, msg=name)


def test_gradients_of_opaque_parents_are_finite():
    opacities = torch.tensor([0.0001, 0.5, 0.995], requires_grad=True)
    each, factors = alike(opacities, 4)
    (each.sum() + factors.sum()).backward()
    assert opacities.grad is not None
    assert bool(opacities.grad.isfinite().all())


@pytest.mark.parametrize("opacity", [0.05, 0.5, 0.95])
def test_two_halves_together_look_like_their_parent(opacity, fast_rasterizer):
    parent = one(opacity)
    both = halved(parent)
    assert len(both) == 2
    torch.testing.assert_close(both.means.mean(0), parent.means[0])
    error = (picture(both, fast_rasterizer) - picture(parent, fast_rasterizer)).square().mean()
    assert float(-10 * error.log10()) > 38
