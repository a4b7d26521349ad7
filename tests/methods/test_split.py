import dataclasses

import pytest
import torch
from scenes import board, camera_at

from gaussian_lens_app.errors import MethodError
from gaussian_lens_app.jobs.report import silent
from gaussian_lens_app.methods import Needs, Scope, Task, find_method
from gaussian_lens_app.raster.cpu import CpuRasterizer
from gaussian_lens_app.scene import Region


def task(selected=None):
    scene = board(CpuRasterizer(), photos=2, width=80).scene
    chosen = torch.zeros(len(scene), dtype=torch.bool)
    chosen[:40] = True
    chosen = chosen if selected is None else selected(scene)
    return Task(scene, Region(chosen, torch.ones(len(scene))), CpuRasterizer())


def test_split_works_on_boxes_and_scenes_without_photos_or_weights():
    method = find_method("split")
    assert method.needs is Needs.NOTHING
    assert set(method.scopes) == {Scope.REGION, Scope.SCENE}


def test_only_selected_gaussians_are_split_and_undo_brings_them_back():
    asked = task()
    patch = find_method("split")(asked, silent)
    after = patch.apply(asked.scene)
    assert len(after) == len(asked.scene) + 5 * 40
    assert torch.equal(patch.removed, torch.arange(40))
    assert torch.equal(after.means[: len(asked.scene) - 40], asked.scene.means[40:])
    back = patch.inverse(asked.scene).apply(after)
    assert all(torch.equal(values, getattr(asked.scene, name)) for name, values in back.tensors())


def test_the_picture_hardly_changes():
    asked = task(lambda scene: torch.ones(len(scene), dtype=torch.bool))
    after = find_method("split")(asked, silent).apply(asked.scene)
    before, now = (CpuRasterizer().render(scene, camera_at(0.1, width=160)).rgb for scene in (asked.scene, after))
    assert float((now - before).square().mean()) < 10**-3.0


def test_nothing_to_split_says_so():
    asked = task()
    faint = dataclasses.replace(asked.scene, logit_opacities=torch.full((len(asked.scene),), -3.0))
    with pytest.raises(MethodError, match="more opaque"):
        find_method("split")(dataclasses.replace(asked, scene=faint), silent)
