"""Distorted photos are straightened once; a known point lands where its painted dot is."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from pictures import BENT, OPENCV, SIMPLE_RADIAL, STRAIGHT, colmap_text, dot_errors, transforms_json, write_photos
from PIL import Image

from gaussian_lens_app.errors import CaptureError, JobCancelled
from gaussian_lens_app.formats import load_capture


@pytest.mark.parametrize("model", [*STRAIGHT, *BENT], ids=lambda model: model.name)
def test_a_known_point_lands_on_its_dot_in_a_colmap_capture(tmp_path, model):
    colmap_text(tmp_path, model, write_photos(tmp_path / "images", model))
    capture = load_capture(tmp_path)
    assert max(dot_errors(photo).max() for photo in capture.photos) < 0.2
    assert bool(capture.notes) == (model in BENT)


@pytest.mark.parametrize("model", BENT[:-1], ids=lambda model: model.name)
def test_a_known_point_lands_on_its_dot_in_a_transforms_json(tmp_path, model):
    fisheye = {"camera_model": "OPENCV_FISHEYE"} if "FISHEYE" in model.name else {}
    transforms_json(tmp_path, model, write_photos(tmp_path, model), **fisheye)
    assert max(dot_errors(photo).max() for photo in load_capture(tmp_path).photos) < 0.2


@pytest.mark.parametrize("model", BENT, ids=lambda model: model.name)
def test_ignoring_the_distortion_would_be_noticed(tmp_path, model):
    """The dots are far enough out for the two tests above to mean something."""
    straight = dict(model.keys) | dict.fromkeys(("k1", "k2", "k3", "k4", "p1", "p2"), 0.0)
    names = write_photos(tmp_path, model)
    transforms_json(tmp_path, type(model)("PINHOLE", (), straight), names)
    assert max(dot_errors(photo).max() for photo in load_capture(tmp_path).photos) > 0.5


def bent_capture(root: Path) -> Path:
    colmap_text(root, OPENCV, write_photos(root / "images", OPENCV))
    return root


def sources(root: Path) -> list[Path]:
    return [photo.source for photo in load_capture(root).photos if isinstance(photo.source, Path)]


def test_photos_are_undistorted_once_into_the_cache(tmp_path, cache):
    first = sources(bent_capture(tmp_path))
    assert len(first) == 3
    assert all(path.is_relative_to(cache) for path in first)
    stamps = [path.stat().st_mtime_ns for path in first]
    assert sources(tmp_path) == first
    assert [path.stat().st_mtime_ns for path in first] == stamps
    assert sorted(path for path in cache.rglob("*") if path.is_file()) == sorted(first)


def test_a_changed_photo_or_lens_is_undistorted_anew(tmp_path):
    first = sources(bent_capture(tmp_path))
    os.utime(tmp_path / "images/view_1.png", ns=(1, 1))
    second = sources(tmp_path)
    assert [a == b for a, b in zip(first, second, strict=True)] == [True, False, True]
    text = (tmp_path / "sparse/0/cameras.txt").read_text()
    (tmp_path / "sparse/0/cameras.txt").write_text(text.replace("0.05", "0.06"))
    assert not set(second) & set(sources(tmp_path))


def test_progress_is_told_and_a_cancelled_load_stops(tmp_path):
    told = []
    load_capture(bent_capture(tmp_path), report=lambda stage, fraction: told.append((stage, fraction)))
    assert told[0] == ("undistorting photo 1 of 3", 0.0)
    assert [fraction for _, fraction in told] == sorted(fraction for _, fraction in told)

    def cancel(stage, fraction):
        raise JobCancelled

    os.utime(tmp_path / "images/view_1.png", ns=(1, 1))
    with pytest.raises(JobCancelled):
        load_capture(tmp_path, report=cancel)


def test_a_cache_that_cannot_be_written_says_what_to_do(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(CaptureError, match="Set XDG_CACHE_HOME"):
        load_capture(bent_capture(tmp_path))


def test_photos_of_sixteen_bits_keep_their_shades(tmp_path):
    expected = [photo.load() for photo in load_capture(bent_capture(tmp_path)).photos]
    for path in (tmp_path / "images").iterdir():
        Image.fromarray(np.array(Image.open(path).convert("L")).astype(np.uint16) * 257).save(path)
    found = [photo.load() for photo in load_capture(tmp_path).photos]
    assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))


def test_nonsense_distortion_is_refused(tmp_path):
    wild = type(SIMPLE_RADIAL)("SIMPLE_RADIAL", (300.0, 163.0, 118.5, 400.0), SIMPLE_RADIAL.keys)
    colmap_text(tmp_path, wild, write_photos(tmp_path / "images", SIMPLE_RADIAL))
    with pytest.raises(CaptureError, match="SIMPLE_RADIAL"):
        load_capture(tmp_path)
