import dataclasses

import pytest
import torch
from lens_samples import lens_inputs, lens_task

from gaussian_lens_app.methods.densification_pass import STRIDE, regrown
from gaussian_lens_app.methods.gaussian_lens_features import look
from gaussian_lens_app.methods.gaussian_lens_pass import as_points, network_views, prepare
from gaussian_lens_app.methods.generative_densification import children_of_each
from gaussian_lens_app.networks.gaussian_lens import CPU as LENS_CPU
from gaussian_lens_app.networks.generative_densification import CPU, GPU, GRID, GenerativeDensification, Maps
from gaussian_lens_app.networks.heads import HeadConfig
from gaussian_lens_app.networks.weights import load_network, parameter_count, save_network
from gaussian_lens_app.scene import Gaussians


@pytest.fixture(scope="module")
def ground(textured_board, fast_rasterizer):
    """A box of the board, prepared and looked at."""
    inputs = lens_inputs(lens_task(textured_board, fast_rasterizer))
    inputs = dataclasses.replace(inputs, new=Gaussians.empty())
    looks = [look(inputs.frozen, inputs.old, window, fast_rasterizer, inputs.mode) for window in inputs.windows]
    return prepare(inputs, STRIDE, fast_rasterizer, looks), looks


def still() -> GenerativeDensification:
    """Untrained, with a trunk that proposes nothing."""
    torch.manual_seed(0)
    trunk = dataclasses.replace(LENS_CPU, head=HeadConfig(gates=False))
    return GenerativeDensification(dataclasses.replace(CPU, trunk=trunk)).eval().requires_grad_(False)


def lively() -> GenerativeDensification:
    """A network whose last layers are not zero."""
    network = still()
    for layer in network.layers:
        torch.nn.init.normal_(layer.up.offset[-1].weight, std=0.5)
        torch.nn.init.normal_(layer.head.out[-1].weight, std=0.1)
    return network


def grown(network, ground, share=0.8):
    prepared, looks = ground
    maps = network.maps(network_views(network.trunk, prepared, looks))
    return network(prepared.inputs.old, as_points(prepared, prepared.inputs.old, looks), maps, share)


def test_before_training_the_fine_gaussians_look_like_the_coarse_ones(ground, fast_rasterizer):
    prepared, _ = ground
    network = still()
    for layer in network.layers:  # The one thing that moves before training: colours towards the photos.
        layer.head.out[-1].bias[-6:] = -10
    fine = grown(network, ground)
    inputs, window = prepared.inputs, prepared.inputs.windows[0]
    pictures = [
        fast_rasterizer.render(Gaussians.concat([inputs.frozen, scene]), window.camera, crop=window.rect).rgb
        for scene in (inputs.old, fine.coarse, fine.fine)
    ]
    assert float((pictures[1] - pictures[0]).square().mean()) < 1e-8
    # The board's Gaussians hardly overlap, which makes this the hardest case: 29 dB; scenes made from photos get 35.
    assert float((pictures[2] - pictures[0])[window.mask].square().mean()) < 10**-2.6


@pytest.mark.parametrize("share", [0.0, 0.4, 0.8, 1.0])
def test_the_share_decides_how_many_there_are(ground, share):
    fine = grown(still(), ground, share)
    count = len(fine.coarse)
    assert abs(len(fine.fine) - count * children_of_each(share)) <= 4
    assert bool((torch.bincount(fine.ancestors, minlength=count) >= 2).all())
    assert set(fine.layers.tolist()) == ({0} if share == 0 else {1} if share == 1 else {0, 1})


def test_children_stay_within_their_grids(ground):
    fine = grown(lively(), ground, 1.0)
    ancestors = fine.coarse.take(fine.ancestors)
    apart = (fine.fine.means - ancestors.means).norm(dim=1)
    # Half a cell in the first layer, half of that in the second, along axes as long as the coarse Gaussian's.
    reach = GRID * (1 + 0.5) * ancestors.scales.norm(dim=1)
    assert bool((apart <= reach * 1.001).all())
    assert float(apart.median()) > 0


def test_fine_gaussians_are_smaller_and_fainter(ground):
    fine = grown(lively(), ground)
    ancestors = fine.coarse.take(fine.ancestors)
    assert float(fine.fine.log_scales.mean()) < float(ancestors.log_scales.mean())
    assert float(fine.fine.opacities.median()) < float(ancestors.opacities.median())


def test_maps_of_a_few_photos_at_a_time_are_those_of_all(ground):
    prepared, looks = ground
    network = still()
    every = network.maps(network_views(network.trunk, prepared, looks))
    parts = [network.maps(network_views(network.trunk, prepared, looks, [row])) for row in range(len(looks))]
    together = Maps.concat(parts)
    for one, other in zip(every.pyramid, together.pyramid, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(every.take([1]).squared, together.squared[1:2])
    assert every.views.images.numel() == 0


def test_settling_changes_what_the_fine_gaussians_show(ground, fast_rasterizer):
    prepared, _ = ground
    network = GenerativeDensification().eval().requires_grad_(False)
    fine = grown(network, ground)
    again, looks = regrown(prepared, fine.fine, fine.ancestors, fast_rasterizer)
    maps = network.maps(network_views(network.trunk, again, looks))
    moved = network.settle(fine.fine, as_points(again, fine.fine, looks), maps)
    assert len(moved) == len(fine.fine)
    assert float((moved.sh0 - fine.fine.sh0).abs().mean()) > 1e-3


def test_weights_come_back_with_their_sizes(tmp_path):
    small = dataclasses.replace(CPU, widths=(32, 48), patch=16)
    network = GenerativeDensification(small)
    digest = save_network(tmp_path / "w.safetensors", network.state_dict(), small, {})
    loaded = load_network(tmp_path / "w.safetensors", "generative-densification", sha256=digest)
    assert isinstance(loaded, GenerativeDensification)
    assert loaded.config == small


def test_the_presets_keep_to_their_sizes():
    assert parameter_count(GenerativeDensification(CPU)) < 1_000_000
    assert parameter_count(GenerativeDensification(GPU)) < 12_000_000
