"""What is more than drawing runs on a GPU as on a processor: every method, training, the optimiser, a session.

The same tests run on the processor, a few methods of them, so that they are known to hold somewhere.
"""

import numpy as np
import pytest
import torch
from lens_samples import MIDDLE
from scenes import write_capture

from gaussian_lens_app.formats import load, save
from gaussian_lens_app.jobs.report import silent
from gaussian_lens_app.methods import METHODS, Budget
from gaussian_lens_app.optimize.reconstruct import ReconstructSettings, reconstruct
from gaussian_lens_app.raster import Rasterizer, for_device
from gaussian_lens_app.scene import Box
from gaussian_lens_app.session import open_session
from gaussian_lens_app.training.samples import SampleSettings, random_samples
from gaussian_lens_app.upgrade import UpgradeRequest, upgrade

HERE = {"cpu": ["split", "refine:local.steps=5"], "cuda": list(METHODS)}
NO_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device is visible to torch")
DEVICES = ["cpu", pytest.param("cuda", marks=NO_GPU)]
CASES = [
    pytest.param(device, method, marks=NO_GPU if device == "cuda" else ())
    for device, methods in HERE.items()
    for method in methods
]


@pytest.fixture(scope="module")
def rasterizers() -> dict[str, Rasterizer]:
    return {device: for_device(device) for device in HERE if device == "cpu" or torch.cuda.is_available()}


@pytest.mark.parametrize(("device", "method"), CASES)
def test_a_method_works_where_the_scene_is(textured_board, rasterizers, device, method):
    box = Box(textured_board.capture.photos[2].camera, MIDDLE)
    scene, capture = textured_board.scene.to(device), textured_board.capture.only([0, 1, 3, 4, 5])
    request = UpgradeRequest(scene, box, capture, method, rasterizers[device], Budget(seconds=20))
    patch = upgrade(request, silent).patch
    after = patch.apply(scene)
    assert len(patch.added) > 0
    for name, tensor in after.tensors():
        assert tensor.device.type == device, name
        assert bool(tensor.isfinite().all()), name


@pytest.mark.parametrize("device", DEVICES)
def test_a_scene_is_optimised_where_it_is_asked_for(textured_board, rasterizers, device):
    scene = reconstruct(
        textured_board.capture, ReconstructSettings(long_side=64, steps=20), rasterizers[device], silent
    )
    assert len(scene) > 0
    assert bool(scene.means.isfinite().all())


@pytest.mark.parametrize("device", DEVICES)
def test_a_session_upgrades_undoes_and_exports_wherever_its_scene_is(textured_board, tmp_path, device):
    save(tmp_path / "scene.ply", textured_board.scene)
    write_capture(textured_board.capture, tmp_path / "photos")
    session = open_session(tmp_path / "scene.ply", capture=tmp_path / "photos", device=device)
    assert session.capture is not None
    try:
        box = Box(session.capture.photos[2].camera, MIDDLE)
        if not session.upgrade(box, "refine:local.steps=5", Budget(seconds=20)).result().applied:
            session.force()
        assert session.scene.means.device.type == device
        session.export(tmp_path / "after.ply")
        session.undo()
        assert torch.equal(session.scene.means.cpu(), textured_board.scene.means)
    finally:
        session.close()
    assert len(load(tmp_path / "after.ply").gaussians) > len(textured_board.scene)


@pytest.mark.parametrize("device", DEVICES)
def test_training_samples_are_made_where_the_rasterizer_wants_them(textured_board, rasterizers, device):
    settings, rng = SampleSettings(boxes=2, sides=(0.4, 0.5)), np.random.default_rng(1)
    board, context = textured_board, (0, 1, 3, 4)
    made = list(random_samples(board.scene, board.capture, context, 2.0, rng, rasterizers[device], settings))
    assert made
    for sample in made:
        assert sample.inputs.old.device.type == device
