"""gsr inspect's figures: right, JSON-able, and readable."""

import json

import numpy as np
import pytest
import torch
from pictures import PINHOLE, colmap_text, write_photos
from splats import some_gaussians, table_of, vertex_of, write_ply

from gaussian_lens_app.errors import FileError
from gaussian_lens_app.formats import describe, inspect


@pytest.fixture
def facts(tmp_path) -> dict:
    scene = some_gaussians(50, 2)
    scene.means[9] = float("nan")
    table = table_of(scene) | {"label": np.zeros(50, "u1")}
    return inspect(write_ply(tmp_path / "a.ply", vertex_of(table), order=">"))


def test_a_scenes_figures_are_its_own(facts):
    scene = some_gaussians(50, 2).take(torch.arange(50) != 9)
    assert (facts["kind"], facts["format"], facts["encoding"]) == ("scene", "INRIA PLY", "binary_big_endian")
    assert (facts["count"], facts["sh_degree"], facts["extra_properties"]) == (49, 2, ["label"])
    assert facts["bounds"]["full"] == [scene.means.amin(0).tolist(), scene.means.amax(0).tolist()]
    assert (np.array(facts["bounds"]["robust"][0]) > facts["bounds"]["full"][0]).all()
    assert [(f["kind"], f["count"]) for f in facts["findings"]] == [
        *[("non-finite", 1), ("extra-property", 1)],
        ("giant", 3),  # random scales go far beyond the scene
    ]


def test_histograms_count_every_gaussian_where_it_belongs(facts):
    scene = some_gaussians(50, 2).take(torch.arange(50) != 9)
    scales = scene.scales.double()
    expected = {
        "opacity": scene.opacities.double(),
        "scale": scales.amax(1),
        "anisotropy": scales.amax(1) / scales.amin(1),
    }
    for name, values in expected.items():
        histogram = facts["histograms"][name]
        edges = torch.tensor(histogram["edges"], dtype=torch.float64)
        inner = torch.bucketize(values, edges[1:-1], right=True)
        assert torch.bincount(inner, minlength=len(edges) - 1).tolist() == histogram["counts"]
        assert histogram["median"] == pytest.approx(float(values.median()), rel=1e-5)


def test_scenes_that_are_all_alike_have_histograms_too(tmp_path):
    scene = some_gaussians(4, 0)
    scene.log_scales[:] = -2.0
    facts = inspect(write_ply(tmp_path / "a.ply", vertex_of(table_of(scene))))
    assert sum(facts["histograms"]["scale"]["counts"]) == 4
    assert sum(facts["histograms"]["anisotropy"]["counts"]) == 4


def test_the_figures_are_json(facts):
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts


def test_people_read_the_same(facts):
    text = describe(facts)
    assert "49 Gaussians, SH degree 2" in text
    assert "1 Gaussian with NaN or infinite values was dropped." in text
    assert "extra properties: label" in text
    assert "anisotropy" not in text
    assert "longest over shortest axis" in text


def test_a_scene_without_findings_is_said_to_have_none_and_what_was_not_looked_at(tmp_path):
    text = describe(inspect(write_ply(tmp_path / "a.ply", vertex_of(table_of(some_gaussians(4, 0))))))
    assert text.endswith(
        "Nothing wrong was found.\nWith --capture DIR it also says whether the scene is mirrored or turned."
    )


def test_a_captures_figures_are_its_own(tmp_path):
    colmap_text(tmp_path, PINHOLE, write_photos(tmp_path / "images", PINHOLE))
    (tmp_path / "images/view_1.png").unlink()
    facts = inspect(tmp_path)
    assert (facts["kind"], facts["photos"], facts["points"]) == ("capture", 2, 5)
    assert facts["sizes"] == [{"width": 320, "height": 240, "photos": 2}]
    assert facts["names"] == ["view_0.png", "view_2.png"]
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts
    assert "2 photos, 5 points" in describe(facts)
    assert "missing" in describe(facts)


def test_a_folder_of_neither_kind_is_an_error(tmp_path):
    with pytest.raises(FileError, match="is a folder"):
        inspect(tmp_path)
