"""What is more than drawing runs on a GPU as on a processor: every method, training, the optimiser, a session.

Without a GPU the same tests run on a device that is none, on which a tensor in the wrong place fails as on a GPU: in a
process of its own, since torch counts devices when it first goes backward. On the processor a few of them run.
"""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import gsplat_in_torch
import numpy as np
import pretend_device
import pytest
import torch
from lens_samples import MIDDLE
from scenes import write_capture

from gaussian_lens_app.evaluation.judge import judge_low_resolution
from gaussian_lens_app.formats import load, save
from gaussian_lens_app.jobs.report import silent
from gaussian_lens_app.methods import METHODS, Budget, Scope, find_method, three_dsr
from gaussian_lens_app.networks.gaussian_lens import GaussianLens as Lens
from gaussian_lens_app.networks.generative_densification import GenerativeDensification as Densification
from gaussian_lens_app.networks.sr3r import SR3R
from gaussian_lens_app.networks.sr_prior import PriorConfig, SRPrior
from gaussian_lens_app.optimize.reconstruct import ReconstructSettings, reconstruct
from gaussian_lens_app.priors.embedded import EmbeddedPrior
from gaussian_lens_app.raster import ANTIALIASED, Rasterizer, for_device
from gaussian_lens_app.raster.cuda import CudaRasterizer
from gaussian_lens_app.scene import Box, Kind, PhotoView
from gaussian_lens_app.select.worst import worst_boxes
from gaussian_lens_app.session import Session, open_session
from gaussian_lens_app.session.looks import Looks, Marks, Picture
from gaussian_lens_app.session.missing import AMOUNTS
from gaussian_lens_app.session.painting import Painter
from gaussian_lens_app.training.densification import DensificationSamples, DensificationTrainee
from gaussian_lens_app.training.lens import LensTrainee
from gaussian_lens_app.training.samples import SampleSettings, random_samples, save_samples
from gaussian_lens_app.training.settings import LensSettings
from gaussian_lens_app.training.sr3r import SR3RSettings, SR3RTrainee
from gaussian_lens_app.upgrade import UpgradeRequest, upgrade

QUICK = {"refine": "refine:local.steps=5", "gaussian-lens+refine": "gaussian-lens+refine:local.steps=5"}
EVERY = [name for name in METHODS if name != "3dsr-approx"]  # which refuses the prior that ships
NO_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device is visible to torch")
PRETENDING = os.environ.get("GSR_TEST_PRETEND") == "1"
if PRETENDING:
    pretend_device.install()
MARKS = {
    "cpu": (),
    "cuda": NO_GPU,
    "pretend": pytest.mark.skipif(not PRETENDING, reason="run by the last of these tests"),
}
DEVICES = [pytest.param(device, marks=marks) for device, marks in MARKS.items()]
CASES = [
    pytest.param(device, method, marks=MARKS[device])
    for device, methods in {"cpu": ["split", "refine"], "pretend": EVERY, "cuda": EVERY}.items()
    for method in methods
]


@pytest.fixture
def rasterizer(device: str, monkeypatch: pytest.MonkeyPatch) -> Rasterizer:
    """The device's; a session that is opened on it gets this one too."""
    if device != "pretend":
        return for_device(device)
    found = pretend_device.PretendRasterizer(for_device("cpu"))
    # Tensors of inference mode cannot be pretended.
    monkeypatch.setattr(torch, "inference_mode", lambda on=True: torch.set_grad_enabled(not on))
    monkeypatch.setattr("gaussian_lens_app.session.opening.for_device", lambda name: found)
    tiny = SRPrior(PriorConfig(width=8, blocks=1, coarse_width=8, coarse_blocks=1)).eval().to(device)
    monkeypatch.setattr(three_dsr, "load_prior", lambda *_: EmbeddedPrior(tiny))
    short = dataclasses.replace(three_dsr.CPU.rounds, steps=10)
    monkeypatch.setattr(three_dsr, "CPU", dataclasses.replace(three_dsr.CPU, long_side=24, rounds=short))
    return found


@pytest.mark.parametrize(("device", "method"), CASES)
def test_a_method_works_where_the_scene_is(textured_board, rasterizer, device, method):
    in_boxes = Scope.REGION in find_method(method).scopes
    box = Box(textured_board.capture.photos[2].camera, MIDDLE) if in_boxes else None
    scene, capture = textured_board.scene.to(device), textured_board.capture.only([0, 1, 3, 4, 5])
    request = UpgradeRequest(scene, box, capture, QUICK.get(method, method), rasterizer, Budget(seconds=4))
    patch = upgrade(request, silent).patch
    after = patch.apply(scene)
    assert len(patch.added) > 0
    for name, tensor in after.tensors():
        assert tensor.device.type == device, name
        assert bool(tensor.isfinite().all()), name


@pytest.mark.parametrize("device", DEVICES)
def test_the_judge_of_low_resolution_photos_works_where_the_scene_is(textured_board, rasterizer, device):
    scene, capture = textured_board.scene.to(device), textured_board.capture
    view = PhotoView(2, MIDDLE, torch.ones(60, 80, dtype=torch.bool), 1, 1, 1, 1)
    assert judge_low_resolution(scene, [(scene, view)], capture, rasterizer, ANTIALIASED).accepted


@pytest.mark.parametrize("device", DEVICES)
def test_a_scene_is_optimised_where_it_is_asked_for(textured_board, rasterizer, device):
    scene = reconstruct(textured_board.capture, ReconstructSettings(long_side=64, steps=20), rasterizer, silent)
    assert len(scene) > 0
    assert bool(scene.means.isfinite().all())


@pytest.fixture
def session(textured_board, rasterizer, tmp_path, device) -> Iterator[Session]:
    """The board and its photos, opened on the device."""
    save(tmp_path / "scene.ply", textured_board.scene)
    write_capture(textured_board.capture, tmp_path / "photos")
    opened = open_session(tmp_path / "scene.ply", capture=tmp_path / "photos", device=device)
    yield opened
    opened.close()


def selected(session: Session) -> torch.Tensor:
    """What a box selects, when that has been found out."""
    session.select(Box(session.capture.photos[2].camera, MIDDLE))
    end = time.monotonic() + 30
    while session.selection.pending:
        assert time.monotonic() < end
        time.sleep(0.01)
    assert session.selection.error is None
    return session.selection.region.selected


@pytest.mark.parametrize("device", DEVICES)
def test_a_session_upgrades_undoes_and_exports_wherever_its_scene_is(session, textured_board, tmp_path, device):
    box = Box(session.capture.photos[2].camera, MIDDLE)
    if not session.upgrade(box, "refine:local.steps=5", Budget(seconds=20)).result().applied:
        session.force()
    assert session.scene.means.device.type == device
    session.export(tmp_path / "after.ply")
    session.undo()
    assert torch.equal(session.scene.means.cpu(), textured_board.scene.means)
    assert len(load(tmp_path / "after.ply").gaussians) > len(textured_board.scene)


@pytest.mark.parametrize("device", DEVICES)
def test_a_session_readies_its_scene_and_works_part_by_part_wherever_that_is(session, device):
    session.ready_close_views().result()
    session.upgrade(None, "refine:local.steps=2", Budget(seconds=8)).result()
    assert bool(selected(session).any())
    assert session.scene.means.device.type == device


@pytest.mark.parametrize("device", DEVICES)
def test_every_picture_is_drawn_wherever_the_scene_is(session, device):
    selected(session)
    looks = [Looks(picture=picture) for picture in Picture]
    looks += [Looks(missing=True, marks=marks) for marks in Marks]
    looks += [Looks(split=0.5), Looks(photo=2), Looks(tint_kinds=True, background=(1.0, 1.0, 1.0))]
    looks += [Looks(hidden_kinds=frozenset({Kind.FITTED}))]
    camera, painter = session.capture.photos[2].camera, Painter(session)
    for one in looks:
        drawn = painter.paint(camera, one)
        assert drawn.device.type == device, one
        assert drawn.shape == (camera.height, camera.width, 3), one


@pytest.mark.parametrize("device", DEVICES)
def test_the_worst_places_are_found_wherever_the_scene_is(session, device):
    for amounts in AMOUNTS.values():
        scores = amounts(session.scene, session.capture, session.rasterizer, session.mode)
        assert scores.device.type == device
        assert worst_boxes(session.scene, scores, session.capture, session.rasterizer, session.mode)


@pytest.mark.parametrize("device", DEVICES)
def test_training_samples_are_made_where_the_rasterizer_wants_them(textured_board, rasterizer, device):
    settings, rng = SampleSettings(boxes=2, sides=(0.4, 0.5)), np.random.default_rng(1)
    board, context = textured_board, (0, 1, 3, 4)
    made = list(random_samples(board.scene, board.capture, context, 2.0, rng, rasterizer, settings))
    assert made
    for sample in made:
        assert sample.inputs.old.device.type == device


@pytest.mark.parametrize("device", DEVICES[1:])
@pytest.mark.parametrize("method", ["gaussian-lens", "generative-densification", "sr3r"])
def test_a_network_trains_wherever_the_rasterizer_is(textured_board, rasterizer, tmp_path, device, method):
    settings, rng = SampleSettings(boxes=2, sides=(0.4, 0.5)), np.random.default_rng(1)
    board, context = textured_board, (0, 1, 3, 4)
    samples = list(random_samples(board.scene, board.capture, context, 2.0, rng, rasterizer, settings))
    save_samples(tmp_path / "train-procedural-000001.pt", [sample.to("cpu") for sample in samples], {})
    trainee = {
        "gaussian-lens": lambda: LensTrainee(Lens(), LensSettings(tmp_path, accumulate=1), tmp_path, rasterizer),
        "generative-densification": lambda: DensificationTrainee(
            Densification(), DensificationSamples(tmp_path, accumulate=1), tmp_path, rasterizer
        ),
        "sr3r": lambda: SR3RTrainee(SR3R(), SR3RSettings(tmp_path, accumulate=1, least_side=4), tmp_path, rasterizer),
    }[method]()
    network = trainee.network.to(device)
    trainee.losses(network, 0, 0.5)
    learning = [parameter for parameter in network.parameters() if parameter.grad is not None]
    assert learning
    assert all(bool(parameter.grad.isfinite().all()) for parameter in learning)


@pytest.mark.parametrize("device", DEVICES[-1:])
def test_the_device_that_is_none_minds_what_a_gpu_minds(device):
    there, here = torch.rand(4, 3).to(device), torch.rand(4, 3)
    with pytest.raises(pretend_device.Mixed):
        there + here
    with pytest.raises(pretend_device.Mixed):
        here[there[:, 0] > 0.5]
    with pytest.raises(pretend_device.Mixed):
        here[0, 0] += there.sum()
    with pytest.raises(pretend_device.Mixed):
        torch.add(there.sum(), 1, out=torch.zeros(()))
    with pytest.raises(TypeError):
        there.numpy()
    torch.testing.assert_close((there * 2 + here.max()).cpu(), there.cpu() * 2 + here.max())
    leaf = there.clone().requires_grad_()
    leaf.exp().sum().backward()
    torch.testing.assert_close(leaf.grad.cpu(), there.cpu().exp())


@pytest.mark.parametrize("device", DEVICES[-1:])
def test_the_cuda_rasterizers_code_fits_a_box_where_the_scene_is(textured_board, rasterizer, monkeypatch, device):
    gsplat_in_torch.stand_in(monkeypatch)
    cuda = CudaRasterizer()
    cuda.device = device
    scene, capture = textured_board.scene.to(device), textured_board.capture.only([0, 1, 3, 4, 5])
    box = Box(textured_board.capture.photos[2].camera, (100, 75, 124, 96))
    request = UpgradeRequest(scene, box, capture, "refine:local.steps=2", cuda, Budget(seconds=20))
    assert len(upgrade(request, silent).patch.added) > 0


@pytest.mark.skipif(PRETENDING, reason="this is that process")
@pytest.mark.skipif(not pretend_device.available(), reason="this torch cannot pretend to have a device")
def test_all_of_it_runs_on_a_device_that_is_none():
    here = Path(__file__)
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "pretend", str(here)],
        cwd=here.parents[2],
        env={**os.environ, "GSR_TEST_PRETEND": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert run.returncode == 0, run.stdout[-8000:]
    assert f"{len(EVERY) + 12} passed" in run.stdout
