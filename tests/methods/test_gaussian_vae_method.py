"""`gaussian-vae`: a bare scene in, a patch out."""

import dataclasses
from pathlib import Path

import pytest
import torch
from scenes import camera_at

from gaussian_lens_app.errors import NothingSelected
from gaussian_lens_app.formats import load
from gaussian_lens_app.jobs.report import silent
from gaussian_lens_app.methods.base import Budget, Task
from gaussian_lens_app.methods.gaussian_vae import GaussianVAEMethod, VAEMethodSettings, likeness
from gaussian_lens_app.networks.gaussian_vae import GaussianVAE
from gaussian_lens_app.networks.weights import save_network
from gaussian_lens_app.raster import ANTIALIASED
from gaussian_lens_app.scene import Box, Gaussians
from gaussian_lens_app.select import select_region
from gaussian_lens_app.select.whole import whole_region

FOREIGN = Path(__file__).resolve().parents[3] / "shared" / "foreign_splats"
READABLE = (".ply", ".splat", ".spz", ".ksplat")


def weights(folder: Path, strength: float) -> Path:
    """An untrained network whose changes are random and so strong."""
    torch.manual_seed(0)
    network = GaussianVAE()
    for model in (network.geometry, network.appearance):
        torch.nn.init.normal_(model.shown.weight, std=strength)
    path = folder / "vae.safetensors"
    save_network(path, network.state_dict(), network.config, {})
    return path


@pytest.fixture(scope="module")
def still(tmp_path_factory) -> Path:
    return weights(tmp_path_factory.mktemp("still"), 0.0)


@pytest.fixture(scope="module")
def wild(tmp_path_factory) -> Path:
    return weights(tmp_path_factory.mktemp("wild"), 3.0)


def whole(scene: Gaussians, rasterizer, **more) -> Task:
    return Task(scene, whole_region(scene, None), rasterizer, budget=Budget.for_scene(scene), **more)


def run(task: Task, path: Path, **settings):
    settings = {"share": 0.25, "cameras": 4, "probes": 1, **settings}
    return GaussianVAEMethod(VAEMethodSettings(weights=path, **settings))(task, silent)


def test_without_learned_changes_the_picture_stays(textured_board, fast_rasterizer, still):
    scene = textured_board.scene
    patch = run(whole(scene, fast_rasterizer), still)
    after = patch.apply(scene)
    assert len(after) == len(scene) + -(-len(scene) // 4)
    camera = camera_at(0.1)
    assert likeness(scene, after, (camera,), fast_rasterizer, ANTIALIASED) > 38
    assert patch.provenance["kind"] == "derived"
    assert patch.provenance["photos"] == []


def test_without_pairs_the_scene_keeps_its_size_and_an_untrained_network_its_picture(
    textured_board, fast_rasterizer, still
):
    scene = textured_board.scene
    after = run(whole(scene, fast_rasterizer), still, share=0.0).apply(scene)
    assert len(after) == len(scene)
    assert likeness(scene, after, (camera_at(0.1),), fast_rasterizer, ANTIALIASED) > 80


def test_a_box_changes_only_what_is_in_it(textured_board, fast_rasterizer, wild):
    scene = textured_board.scene
    box = Box(camera_at(0.0), (90, 60, 150, 120))
    region = select_region(scene, box, None, fast_rasterizer)
    patch = run(Task(scene, region, fast_rasterizer, box=box), wild)
    selected = region.selected.nonzero()[:, 0]
    assert set(patch.removed.tolist()) == set(selected.tolist())
    assert set(patch.parents.tolist()) == set(selected.tolist())
    patch = run(Task(scene, region, fast_rasterizer, box=box), wild, variant="targeted")
    assert len(patch.removed) == -(-len(selected) // 4)
    assert len(patch.added) == 2 * len(patch.removed)


def test_children_are_never_larger_than_their_parents(textured_board, fast_rasterizer, wild):
    scene = textured_board.scene
    patch = run(whole(scene, fast_rasterizer), wild, least_db=0.0)
    longest = lambda some: some.log_scales.sort(-1).values  # noqa: E731
    assert bool((longest(patch.added) <= longest(scene.take(patch.parents)) + 1e-5).all())


def test_changes_that_would_spoil_the_picture_are_weakened(textured_board, fast_rasterizer, wild):
    scene = textured_board.scene
    free = run(whole(scene, fast_rasterizer), wild, strength=1.0, least_db=0.0)
    careful = run(whole(scene, fast_rasterizer), wild, strength=1.0, least_db=30.0)
    assert free.provenance["strengths"] == [1.0]
    assert careful.provenance["strengths"][0] < 1
    camera = (camera_at(0.1),)
    likes = [likeness(scene, patch.apply(scene), camera, fast_rasterizer, ANTIALIASED) for patch in (free, careful)]
    assert likes[1] > likes[0]


def test_steps_build_on_each_other_and_are_shown_as_they_come(textured_board, fast_rasterizer, still):
    scene, shown = textured_board.scene, []
    patch = run(whole(scene, fast_rasterizer, preview=shown.append), still, steps=3)
    counts = [len(partial.apply(scene)) for partial in shown]
    assert len(counts) == 3
    assert counts == sorted(counts)
    assert counts[0] < counts[1]
    assert len(patch.apply(scene)) == counts[-1]
    assert bool((patch.parents >= 0).all())


def test_no_more_gaussians_are_added_than_the_budget_allows(textured_board, fast_rasterizer, still):
    scene = textured_board.scene
    task = dataclasses.replace(whole(scene, fast_rasterizer), budget=Budget(gaussians=10))
    patch = run(task, still)
    assert len(patch.apply(scene)) == len(scene) + 10


def test_the_same_task_gives_the_same_patch(textured_board, fast_rasterizer, wild):
    patches = [run(whole(textured_board.scene, fast_rasterizer), wild) for _ in range(2)]
    assert torch.equal(patches[0].added.means, patches[1].added.means)


def test_nothing_selected_is_said(textured_board, fast_rasterizer, still):
    scene = textured_board.scene
    task = whole(scene, fast_rasterizer)
    nothing = dataclasses.replace(task.region, selected=torch.zeros(len(scene), dtype=torch.bool))
    with pytest.raises(NothingSelected, match="drag"):
        run(dataclasses.replace(task, region=nothing), still)


@pytest.mark.skipif(not FOREIGN.is_dir(), reason="needs ../shared/foreign_splats beside the checkout")
def test_files_of_other_programs_can_be_upgraded(fast_rasterizer, still):
    files = [path for path in sorted(FOREIGN.rglob("*")) if path.suffix in READABLE or path.name == "meta.json"]
    assert len(files) >= 12
    for path in files:
        scene = load(path).gaussians
        if len(scene) > 10_000:  # the large ones are measured, not tested
            continue
        patch = run(whole(scene, fast_rasterizer), still)
        after = patch.apply(scene)
        assert len(after) > len(scene)
        assert all(bool(torch.isfinite(values).all()) for _, values in after.tensors()), path
        assert after.sh_degree == scene.sh_degree
