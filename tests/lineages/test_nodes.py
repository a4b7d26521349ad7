"""Nodes of lineages: frames, differences, and what the networks see."""

import torch
from lineages.splats import covariances, random_scene, turned_scene

from gaussian_lens_app.lineages.context import CONTEXT, context, neighbours
from gaussian_lens_app.lineages.nodes import Nodes, appearance_between, child, geometry_between, split_base
from gaussian_lens_app.lineages.predicting import pseudo_ancestors, sequences
from gaussian_lens_app.networks.gaussian_vae import CONTEXT as EXPECTED

QUAT = torch.nn.functional.normalize(torch.tensor([0.3, -0.8, 0.2, 0.5]), dim=0)


def shape(nodes: Nodes) -> torch.Tensor:
    axes = nodes.axes * nodes.log_scales.exp()[:, None, :]
    return axes @ axes.mT


def test_nodes_are_the_same_ellipsoids_with_the_longest_axis_first():
    scene = random_scene(100)
    nodes = Nodes.of(scene)
    torch.testing.assert_close(shape(nodes), covariances(scene), rtol=1e-4, atol=1e-7)
    assert bool((nodes.log_scales[:, 0] >= nodes.log_scales[:, 1]).all())
    assert bool((torch.linalg.det(nodes.axes) > 0).all())


def test_renaming_axes_changes_no_ellipsoid_and_brings_them_near():
    first, second = Nodes.of(random_scene(200, 1)), Nodes.of(random_scene(200, 2))
    turned = second.turned_to(first.axes)
    torch.testing.assert_close(shape(turned), shape(second), rtol=1e-4, atol=1e-7)
    near = (first.axes.mT @ turned.axes).diagonal(dim1=1, dim2=2).sum(-1)
    # No rotation is further than 63 degrees from the nearest of a cube's.
    assert float(near.min()) > 1 + 2 * 0.45


def test_a_child_is_found_again_from_its_difference():
    """Whatever the networks are asked for can be put into effect."""
    parent = Nodes.of(random_scene(100, 3, sh_degree=3))
    after = random_scene(100, 4, sh_degree=3)
    small = Nodes.of(after)
    small = Nodes(
        parent.means + 0.02 * (small.means - 0.5),
        small.axes,
        small.log_scales.clamp_max(-6),
        small.logits,
        small.colours,
        small.sh,
    )
    small = small.turned_to(parent.axes)
    for base in (parent, split_base(parent)):
        geometry, appearance = geometry_between(base, small, parent.units), appearance_between(base, small)
        inside = torch.cat([geometry, appearance], 1).abs().amax(-1) < 3.9
        assert int(inside.sum()) > 50
        again = child(base, parent, geometry, appearance)
        torch.testing.assert_close(shape(again)[inside], shape(small)[inside], rtol=1e-2, atol=1e-8)
        for name in ("means", "logits", "colours", "sh"):
            torch.testing.assert_close(getattr(again, name)[inside], getattr(small, name)[inside], rtol=1e-3, atol=1e-4)


def test_a_child_is_never_larger_than_its_parent():
    parent = Nodes.of(random_scene(50))
    geometry = torch.zeros(50, 11)
    geometry[:, 3], geometry[:, 7:10] = 1.0, 1.5
    for base in (parent, split_base(parent)):
        assert bool((child(base, parent, geometry, torch.zeros(50, 50)).log_scales <= parent.log_scales).all())


def test_what_the_networks_see_does_not_depend_on_the_worlds_axes_or_units():
    scene = random_scene(400, 5)
    other = turned_scene(scene, QUAT, 7.0, torch.tensor([3.0, -20.0, 11.0]))
    # Merging goes along the world's axes, so ancestors are handed over.
    ancestors = pseudo_ancestors(scene)
    turned = tuple(turned_scene(level, QUAT, 7.0, torch.tensor([3.0, -20.0, 11.0])) for level in ancestors)
    first, second = sequences(scene, ancestors).known, sequences(other, turned).known
    torch.testing.assert_close(first.appearance, second.appearance, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(first.geometry[:, -1].abs(), second.geometry[:, -1].abs(), rtol=1e-2, atol=2e-2)
    torch.testing.assert_close(first.context.abs(), second.context.abs(), rtol=1e-2, atol=2e-2)


def test_context_tells_the_slope_of_colour_along_an_axis():
    scene = random_scene(800, 6)
    nodes = Nodes.of(scene)
    colours = (nodes.means - 0.5) @ torch.tensor([[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0]])
    nodes = Nodes(nodes.means, nodes.axes, nodes.log_scales, nodes.logits, colours, nodes.sh)
    around = neighbours(nodes.means)
    seen = context(nodes, around)
    assert seen.shape == (800, CONTEXT)
    assert CONTEXT == EXPECTED
    # Colour is position, so its slope along the axes is the axes themselves, per neighbour's distance, shrunk by ridge.
    slope = seen[:, 14:23].unflatten(-1, (3, 3))
    inner = ((nodes.means - 0.5).abs() < 0.35).all(-1)
    similar = torch.nn.functional.cosine_similarity(slope[inner].flatten(1), nodes.axes.mT[inner].flatten(1))
    assert float(similar.mean()) > 0.9


def test_few_gaussians_have_neighbours_too():
    for count in (1, 2, 5):
        around = neighbours(random_scene(count).means)
        assert around.shape == (count, 16)
        assert bool(torch.isfinite(context(Nodes.of(random_scene(count)), around)).all())
