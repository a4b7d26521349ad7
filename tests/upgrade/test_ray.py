"""Blocks on a Ray cluster of this machine: the same result, and a worker that dies costs only its block."""

import dataclasses
import os
import signal
from pathlib import Path

import pytest
import torch
from PIL import Image
from scenes import board

from gaussian_lens_app.errors import DeviceError
from gaussian_lens_app.methods import Budget
from gaussian_lens_app.scene import Capture
from gaussian_lens_app.upgrade import UpgradeRequest, engines
from gaussian_lens_app.upgrade.engines import Ray
from gaussian_lens_app.upgrade.whole import upgrade_by_blocks

ray = pytest.importorskip("ray", reason="the extra `cluster` is not installed")


@pytest.fixture(scope="module")
def cluster():
    ray.init(num_cpus=2, log_to_driver=False, include_dashboard=False, ignore_reinit_error=True)
    yield Ray(device="cpu")
    ray.shutdown()


@pytest.fixture(scope="module")
def request_(fast_rasterizer) -> UpgradeRequest:
    made = board(fast_rasterizer, fine=32, coarse=16, photos=6, width=160)
    return UpgradeRequest(made.scene, None, made.capture, "pixels", fast_rasterizer, Budget(1e6, 100_000))


def test_the_cluster_gives_what_one_process_gives(cluster, request_):
    here = upgrade_by_blocks(request_, most=150)
    there = upgrade_by_blocks(request_, engine=cluster, most=150)
    assert torch.equal(here.patch.removed, there.patch.removed)
    for (name, one), (_, other) in zip(here.patch.added.tensors(), there.patch.added.tensors(), strict=True):
        assert torch.allclose(one, other, atol=1e-4), name
    assert there.verdict.sentence == here.verdict.sentence


def test_a_lost_worker_costs_only_its_block(cluster, request_, tmp_path, monkeypatch):
    whole = upgrade_by_blocks(request_, most=150)
    plain, marks = engines._on_worker, tmp_path

    def dies_once(block, device, threads):
        mark = Path(marks) / f"{block.number}"
        if block.number == 1 and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        (Path(marks) / f"ran-{block.number}-{os.getpid()}").touch()
        return plain(block, device, threads)

    monkeypatch.setattr(engines, "_on_worker", dies_once)
    result = upgrade_by_blocks(request_, engine=cluster, most=150)
    assert (tmp_path / "1").exists()
    assert torch.equal(result.patch.removed, whole.patch.removed)
    ran = [path.name.split("-")[1] for path in tmp_path.glob("ran-*")]
    assert sorted(ran) == sorted(set(ran))


def test_a_photo_that_vanished_is_told_as_in_one_process(cluster, request_, tmp_path):
    photos = []
    for photo in request_.capture.photos:
        path = tmp_path / photo.name
        Image.fromarray(photo.load().numpy()).save(path)
        photos.append(dataclasses.replace(photo, source=path))
    request = dataclasses.replace(request_, capture=Capture(tuple(photos)))
    photos[2].source.unlink()
    here = upgrade_by_blocks(request, most=300)
    there = upgrade_by_blocks(request, engine=cluster, most=300)
    assert "could not be made: Photo" in here.verdict.sentence
    assert there.verdict.sentence == here.verdict.sentence


def test_a_block_that_kills_every_worker_costs_that_block_alone(cluster, request_, monkeypatch):
    plain = engines._on_worker

    def dies(block, device, threads):
        if block.number == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return plain(block, device, threads)

    monkeypatch.setattr(engines, "_on_worker", dies)
    monkeypatch.setattr(cluster, "retries", 0)
    whole = upgrade_by_blocks(request_, most=150)
    result = upgrade_by_blocks(request_, engine=cluster, most=150)
    assert "1 could not be made: WorkerCrashedError" in result.verdict.sentence
    assert result.patch.provenance["accepted"] >= whole.patch.provenance["accepted"] - 1


def test_an_answer_that_cannot_be_read_costs_its_block_alone(cluster, request_, monkeypatch):
    plain = engines._on_worker

    def babbles(block, device, threads):
        if block.number == 1:
            raise ArithmeticError("Out of tune.")
        return plain(block, device, threads)

    monkeypatch.setattr(engines, "_on_worker", babbles)
    result = upgrade_by_blocks(request_, engine=cluster, most=150)
    assert "1 could not be made: ArithmeticError: Out of tune." in result.verdict.sentence


def test_a_cluster_that_does_not_answer_is_a_sentence(monkeypatch):
    def fails(**_):
        raise ConnectionError("Could not find any running Ray instance.")

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", fails)
    with pytest.raises(DeviceError, match=r"10\.0\.0\.9:6379: start it with"):
        Ray("10.0.0.9:6379")
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.7:1")
    with pytest.raises(DeviceError, match=r"10\.0\.0\.7:1"):
        Ray()
