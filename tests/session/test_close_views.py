"""Scenes made from small photos are readied for close views by one edit that can be undone."""

import dataclasses

import pytest
import torch

from gaussian_lens_app.raster.cpu import CpuRasterizer
from gaussian_lens_app.session import Session
from tests.scenes import board

RASTERIZER = CpuRasterizer()


@pytest.fixture(scope="module")
def needles():
    """A board of needles, which its photos contradict, in a session."""
    made = board(RASTERIZER)
    thin = torch.tensor([1.0, 0.02, 1.0]).log()
    scene = dataclasses.replace(made.scene, log_scales=made.scene.log_scales + thin)
    session = Session(scene, rasterizer=RASTERIZER, capture=made.capture)
    yield session
    session.close()


def test_undo_takes_the_widening_back_bit_for_bit(needles):
    before = needles.scene
    edit = needles.ready_close_views().result(60)
    assert edit is not None
    assert len(needles.scene) == len(before)
    assert (needles.scene.log_scales >= before.log_scales).all()
    assert needles.sources.tolist() == list(range(len(before)))
    needles.undo()
    for (_, now), (_, then) in zip(needles.scene.tensors(), before.tensors(), strict=True):
        assert torch.equal(now, then)


def test_a_scene_as_sharp_as_its_photos_is_left_alone():
    made = board(RASTERIZER)
    session = Session(made.truth, rasterizer=RASTERIZER, capture=made.capture)
    try:
        assert session.ready_close_views().result(60) is None
        assert session.scene is made.truth
    finally:
        session.close()


def test_without_photos_nothing_happens():
    made = board(RASTERIZER)
    session = Session(made.scene, rasterizer=RASTERIZER)
    try:
        assert session.ready_close_views().result(60) is None
    finally:
        session.close()
