"""Damaged and hostile captures: COLMAP, transforms.json and cameras.json are photos or a sentence, soon."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pycolmap
import pytest
from edits import ODD, edited, edits, fuzzing, places
from hypothesis import given
from hypothesis import strategies as st
from pictures import OPENCV, PINHOLE, colmap_text, inria_json, transforms_json, write_photos

from gaussian_lens_app.errors import GsrError
from gaussian_lens_app.formats import load_cameras, load_capture, save_cameras

LONGEST_SECONDS = 5.0


def survives(read, path: Path) -> None:
    started, sentence = time.monotonic(), ""
    try:
        read(path)
    except GsrError as error:
        sentence = str(error)
    assert time.monotonic() - started < LONGEST_SECONDS
    assert "\n" not in sentence
    assert len(sentence) < 1500


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("captures")


def restored(path: Path, test) -> None:
    """Runs a test that edits a file, and puts the file back."""
    before = path.read_bytes()
    try:
        test(before)
    finally:
        path.write_bytes(before)


@pytest.mark.parametrize(
    "name", ["cameras.txt", "images.txt", "points3D.txt", "cameras.bin", "images.bin", "points3D.bin"]
)
def test_an_edited_colmap_model_is_a_capture_or_a_sentence(root, name):
    base = root / Path(name).suffix[1:]
    if not base.exists():
        folder = colmap_text(base, PINHOLE, write_photos(base / "images", PINHOLE))
        if name.endswith(".bin"):
            pycolmap.Reconstruction(str(folder)).write_binary(str(folder))
            for text in folder.glob("*.txt"):
                text.unlink()
    path = base / "sparse/0" / name

    def test(data):
        @fuzzing
        @given(edits)
        def run(changes):
            path.write_bytes(edited(data, changes))
            survives(load_capture, base)

        run()

    restored(path, test)


@pytest.mark.parametrize("kind", ["transforms", "bent transforms", "inria"])
def test_a_json_of_cameras_with_any_value_anywhere_is_a_capture_or_a_sentence(root, kind):
    base, model = root / kind, OPENCV if kind.startswith("bent") else PINHOLE
    names = write_photos(base, model)
    path = (inria_json if kind == "inria" else transforms_json)(base, model, names)

    def test(data):
        @fuzzing
        @given(st.floats(0, 1), st.sampled_from([*ODD, 0.5, 7]), st.booleans())
        def run(where, value, remove):
            document = json.loads(data)
            found = list(places(document))
            holder, key = found[int(where * (len(found) - 1))]
            if remove:
                del holder[key]
            else:
                holder[key] = value
            path.write_text(json.dumps(document))
            survives(load_capture, base)
            survives(load_cameras, path)

        run()

    restored(path, test)


def test_our_own_cameras_with_any_value_anywhere_are_cameras_or_a_sentence(root):
    base = root / "own"
    transforms_json(base, PINHOLE, write_photos(base, PINHOLE))
    path = root / "own.json"
    save_cameras(path, load_cameras(base / "transforms.json"))

    def test(data):
        @fuzzing
        @given(st.floats(0, 1), st.sampled_from(ODD), st.booleans())
        def run(where, value, remove):
            document = json.loads(data)
            found = list(places(document))
            holder, key = found[int(where * (len(found) - 1))]
            if remove:
                del holder[key]
            else:
                holder[key] = value
            path.write_text(json.dumps(document))
            survives(load_cameras, path)

        run()

    restored(path, test)
