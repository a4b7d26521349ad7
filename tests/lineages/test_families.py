"""Training examples from lineages."""

import dataclasses

import torch
from lineages.splats import random_scene

from gaussian_lens_app.lineages.families import families, slotted
from gaussian_lens_app.lineages.growing import Level
from gaussian_lens_app.lineages.nodes import Nodes
from gaussian_lens_app.lineages.predicting import ALONE, LOWER, UPPER
from gaussian_lens_app.scene import Gaussians


def litter(places: list[float], parents: list[int]) -> tuple[Nodes, Gaussians, torch.Tensor]:
    """Four parents whose longest axis is x, and children at these x."""
    scene = random_scene(4)
    quats = torch.zeros(4, 4)
    quats[:, 0] = 1
    log_scales = torch.tensor([[-1.0, -2, -3]]).repeat(4, 1)
    scene = dataclasses.replace(scene, quats=quats, log_scales=log_scales, means=torch.zeros(4, 3))
    children = random_scene(len(places), 9)
    means = torch.zeros(len(places), 3)
    means[:, 0] = torch.tensor(places)
    return Nodes.of(scene), dataclasses.replace(children, means=means), torch.tensor(parents)


def test_children_find_their_slots():
    parent, children, parents = litter([0.2, -0.1, 0.3, 0.5, 0.1, 0.4], [0, 1, 1, 3, 3, 3])
    slots, exists = slotted(parent, children, parents)
    assert exists.tolist() == [[True, False, False], [False, True, True], [False, False, False], [False, True, True]]
    assert slots[ALONE].means[0, 0].item() == children.means[0, 0].item()
    assert slots[LOWER].means[1, 0].item() == children.means[1, 0].item()
    assert slots[UPPER].means[1, 0].item() == children.means[2, 0].item()
    # Of three the lower two are merged.
    assert 0.1 < slots[LOWER].means[3, 0].item() < 0.4
    assert slots[UPPER].means[3, 0].item() == children.means[3, 0].item()


def test_clones_in_one_place_are_two_children():
    parent, children, parents = litter([0.1, 0.1], [2, 2])
    slots, exists = slotted(parent, children, parents)
    assert exists[2].tolist() == [False, True, True]
    assert slots[LOWER].logits[2].item() != slots[UPPER].logits[2].item()


def levels() -> tuple[Level, ...]:
    coarse, fine = random_scene(60, 1), random_scene(100, 2)
    parents = torch.arange(100) % 60
    none = torch.full((60,), -1)
    return Level(64, coarse, coarse, none), Level(96, fine, fine, parents)


def test_examples_of_all_kinds_have_what_the_losses_need():
    for kind in ("true", "mixed", "pseudo"):
        made = families(levels(), 0, kind, limited=False, rows=1000, seed=0)
        assert made.geometry.shape == (len(made), 3, 11)
        assert bool(torch.isfinite(made.appearance).all())
        assert bool((made.exists[:, LOWER] == made.exists[:, UPPER]).all())
        assert bool(made.judged.all()) == (kind != "pseudo")
    assert int(made.exists[~made.observed, ALONE].sum()) == int((~made.observed).sum()) > 0


def test_a_true_lineages_first_level_has_no_ancestors():
    made = families(levels(), 0, "true", limited=False, rows=1000, seed=0)
    assert float(made.known.geometry[:, :3].abs().max()) == 0
    assert bool((made.known.geometry[:, 3, -1] == 1).all())


def test_no_more_rows_are_taken_than_asked_for():
    assert len(families(levels(), 0, "mixed", limited=False, rows=7, seed=3)) == 7
