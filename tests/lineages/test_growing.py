"""True lineages."""

import torch
from lineages.splats import random_scene

from gaussian_lens_app.lineages.files import Grown, load_grown, save_grown
from gaussian_lens_app.lineages.growing import GrowSettings, grow
from gaussian_lens_app.optimize.adam import Adam
from gaussian_lens_app.optimize.mcmc import Mcmc, McmcSettings
from gaussian_lens_app.scene import Capture, SparsePoints


def test_every_gaussian_knows_its_parent_at_the_resolution_before(textured_board, fast_rasterizer, tmp_path):
    board = textured_board
    points = SparsePoints(board.truth.means[::7], torch.full((len(board.truth.means[::7]), 3), 127, dtype=torch.uint8))
    capture = Capture(board.capture.photos, points)
    settings = GrowSettings(resolutions=(32, 48), steps=(60, 100), per_pixel=0.4)
    first, second = grow(capture, settings, fast_rasterizer)
    assert bool((first.parents == -1).all())
    assert len(second.scene) > len(first.scene)
    assert int(second.parents.min()) >= 0
    assert int(second.parents.max()) < len(first.scene)
    # Children stay near their parents, much nearer than to whoever they might be mistaken for.
    strangers = second.parents[torch.randperm(len(second.parents), generator=torch.Generator().manual_seed(0))]
    near = (second.scene.means - first.scene.means[second.parents]).norm(dim=-1)
    far = (second.scene.means - first.scene.means[strangers]).norm(dim=-1)
    assert float(near.median()) < 0.2 * float(far.median())
    # The filter of its pixels makes a level's Gaussians larger, row by row.
    assert bool((second.limited.log_scales >= second.scene.log_scales - 1e-5).all())
    grown = Grown((first, second), "board", "7", (0, 1))
    save_grown(tmp_path / "board.pt", grown)
    again = load_grown(tmp_path / "board.pt")
    assert again.procedural
    assert torch.equal(again.levels[1].parents, second.parents)
    assert torch.equal(again.levels[1].scene.means, second.scene.means)


def test_relocated_gaussians_descend_from_whom_they_were_moved_to():
    scene = random_scene(50)
    scene.logit_opacities[:10] = -9
    adam = Adam(scene)
    settings = McmcSettings(start=1, every=1, until=1.0, growth=0.2, noise=0.0)
    Mcmc(settings, 1.0, torch.Generator().manual_seed(0)).update(1, 10, adam, {"means": 0.0})
    assert len(adam.scene) == 60
    torch.testing.assert_close(adam.scene.means.detach(), scene.means[adam.origins])
    assert int((adam.origins < 10).sum()) == 0
