import dataclasses

import pytest
import torch
from lens_samples import lens_inputs, lens_task

from gaussian_lens_app.jobs.report import silent
from gaussian_lens_app.methods.gaussian_lens_inputs import LensInputs
from gaussian_lens_app.methods.gaussian_lens_pass import look_again, prepare, run_network, run_tiles
from gaussian_lens_app.networks.gaussian_lens import CPU, GPU, GaussianLens, LensConfig
from gaussian_lens_app.networks.heads import HeadConfig
from gaussian_lens_app.networks.point_transformer import TransformerConfig
from gaussian_lens_app.scene import Gaussians


@pytest.fixture(scope="module")
def task(textured_board, fast_rasterizer):
    return lens_task(textured_board, fast_rasterizer)


@pytest.fixture(scope="module")
def inputs(task) -> LensInputs:
    return lens_inputs(task)


def lively(config: LensConfig = CPU, seed: int = 0) -> GaussianLens:
    """A network whose last layers are not zero, so that everything shows in its results."""
    torch.manual_seed(seed)
    network = GaussianLens(config).eval().requires_grad_(False)
    for head in network.heads:
        for part in (head.position, head.rest):
            torch.nn.init.normal_(part[-1].weight, std=0.05)
    return network


def one_pass(network: GaussianLens, inputs: LensInputs, rasterizer) -> Gaussians:
    prepared = prepare(inputs, 3, rasterizer)
    with torch.no_grad():
        return run_network(network, prepared, inputs.union, look_again(prepared, inputs.union, rasterizer), 0)[0]


def scaled_world(inputs: LensInputs, factor: float) -> LensInputs:
    """The same pictures of a world `factor` times larger."""

    def larger(scene: Gaussians) -> Gaussians:
        log = torch.log(torch.tensor(factor))
        return dataclasses.replace(scene, means=scene.means * factor, log_scales=scene.log_scales + log)

    def moved(window):
        viewmat = window.camera.viewmat.clone()
        viewmat[:3, 3] *= factor
        return dataclasses.replace(window, camera=dataclasses.replace(window.camera, viewmat=viewmat))

    windows = tuple(map(moved, inputs.windows))
    return dataclasses.replace(
        inputs, frozen=larger(inputs.frozen), old=larger(inputs.old), new=larger(inputs.new), windows=windows
    )


def test_an_untrained_network_without_gates_changes_nothing(inputs, fast_rasterizer):
    config = dataclasses.replace(CPU, head=HeadConfig(gates=False))
    moved = one_pass(GaussianLens(config).eval(), inputs, fast_rasterizer)
    for (_, new), (name, old) in zip(moved.tensors(), inputs.union.tensors(), strict=True):
        if name != "quats":
            torch.testing.assert_close(new, old)


def test_the_unit_of_the_world_does_not_matter(inputs, fast_rasterizer):
    network = lively()
    small = one_pass(network, inputs, fast_rasterizer)
    large = one_pass(network, scaled_world(inputs, 8.0), fast_rasterizer)
    torch.testing.assert_close(large.means / 8, small.means, atol=2e-3, rtol=1e-3)
    torch.testing.assert_close(large.sh0, small.sh0, atol=2e-3, rtol=1e-2)


def test_a_photo_that_sees_nothing_changes_nothing(inputs, fast_rasterizer):
    network = lively()
    window = inputs.windows[-1]
    away = window.camera.viewmat.clone()
    away[:3] = torch.diag(torch.tensor([-1.0, 1.0, -1.0])) @ away[:3]
    blind = dataclasses.replace(
        window, camera=dataclasses.replace(window.camera, viewmat=away), mask=torch.zeros_like(window.mask)
    )
    few = prepare(dataclasses.replace(inputs, windows=inputs.windows[:2]), 3, fast_rasterizer)
    more = prepare(dataclasses.replace(inputs, windows=(*inputs.windows[:2], blind)), 3, fast_rasterizer)
    from gaussian_lens_app.methods.gaussian_lens_pass import as_points, network_views

    results = []
    for prepared in (few, more):
        looks = look_again(prepared, inputs.union, fast_rasterizer)
        points, views = as_points(prepared, inputs.union, looks), network_views(network, prepared, looks)
        # Of the parameters, the directions and how many photos see it may change; compare the network alone.
        points = dataclasses.replace(points, parameters=torch.zeros_like(points.parameters))
        results.append(network(points, views, 0))
    torch.testing.assert_close(results[0].mean, results[1].mean, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(results[0].colour, results[1].colour, atol=1e-4, rtol=1e-3)


def test_one_tile_gives_what_the_whole_gives_and_more_tiles_give_every_point(inputs, fast_rasterizer):
    network, prepared = lively(), prepare(inputs, 3, fast_rasterizer)
    looks = look_again(prepared, inputs.union, fast_rasterizer)
    with torch.no_grad():
        whole = run_network(network, prepared, inputs.union, looks, 0)[0]
        same = run_tiles(network, prepared, inputs.union, looks, 0, 100_000, silent)
        cut = run_tiles(network, prepared, inputs.union, looks, 0, len(inputs.union) // 3, silent)
    torch.testing.assert_close(same.means, whole.means)
    assert len(cut) == len(whole)
    change, off = (whole.sh0 - inputs.union.sh0).abs().median(), (whole.sh0 - cut.sh0).abs().median()
    assert float(off) < 0.75 * float(change)  # The tiles here are smaller than what the network looks at.


@pytest.mark.parametrize("factor", [2, 4])
def test_a_factor_gives_so_many_gaussians_in_rows(inputs, fast_rasterizer, factor):
    network = lively(dataclasses.replace(CPU, head=HeadConfig(factor=factor)))
    moved = one_pass(network, inputs, fast_rasterizer)
    assert len(moved) == factor * len(inputs.union)
    prepared = prepare(inputs, 3, fast_rasterizer)
    looks = look_again(prepared, inputs.union, fast_rasterizer)
    with torch.no_grad():
        cut = run_tiles(network, prepared, inputs.union, looks, 0, 100_000, silent)
    torch.testing.assert_close(cut.means, moved.means)


SMALL = TransformerConfig(widths=(16, 24), depths=(1, 1), decoder_depths=(1,), patches=(32, 32), cells=(1.0, 4.0))


@pytest.mark.parametrize(
    "change",
    [
        {"attention": "none"},
        {"attention": "last"},
        {"attention": "global"},
        {"gradients": False},
        {"residual_images": False},
        {"head": HeadConfig(existence=True)},
    ],
)
def test_every_variant_runs_and_every_weight_it_uses_gets_a_gradient(inputs, fast_rasterizer, change):
    torch.manual_seed(0)
    network = GaussianLens(dataclasses.replace(LensConfig(transformer=SMALL, image_width=8), **change))
    prepared = prepare(inputs, 3, fast_rasterizer)
    looks = look_again(prepared, inputs.union, fast_rasterizer)
    moved = run_network(network, prepared, inputs.union, looks, 1, temperature=1.0)[0]
    assert all(bool(tensor.isfinite().all()) for _, tensor in moved.tensors())
    (moved.means.sum() + moved.sh0.sum() + moved.logit_opacities.sum()).backward()
    ends = [head.rest[-1].weight.grad for head in network.heads]  # pyright: ignore
    assert all(grad is not None and bool(grad.isfinite().all()) and float(grad.abs().max()) > 0 for grad in ends)


def test_without_the_selected_ones_only_pixel_gaussians_change(inputs, fast_rasterizer):
    moved = one_pass(lively(dataclasses.replace(CPU, selected=False)), inputs, fast_rasterizer)
    count = len(inputs.old)
    assert torch.equal(moved.sh0[:count], inputs.old.sh0)
    assert not torch.equal(moved.sh0[count:], inputs.new.sh0)


def test_the_large_preset_has_the_same_parts(inputs, fast_rasterizer):
    moved = one_pass(lively(GPU), inputs, fast_rasterizer)
    assert len(moved) == len(inputs.union)
