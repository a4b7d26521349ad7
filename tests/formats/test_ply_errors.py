"""Bad PLY files get one clear sentence; bad rows are dropped and counted."""

import re
import resource

import numpy as np
import pytest
import torch
from splats import same_bits, some_gaussians, table_of, vertex_of, write_ply

from gaussian_lens_app.errors import BadFile, FileError, GsrError, UnknownFormat
from gaussian_lens_app.formats import load, save

KINDS = {"ascii": {"text": True}, "binary": {"order": "<"}}


@pytest.fixture(params=KINDS.values(), ids=KINDS.keys())
def kind(request):
    return request.param


@pytest.fixture
def path(tmp_path, kind):
    return write_ply(tmp_path / "a.ply", vertex_of(table_of(some_gaussians(9, 0))), **kind)


def error_of(path, kind: type[GsrError] = BadFile) -> str:
    with pytest.raises(kind) as caught:
        load(path)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert sentence.endswith(".")
    return sentence


def test_a_truncated_file_is_reported(path):
    data = path.read_bytes()
    path.write_bytes(data[:-300])
    assert "truncated" in error_of(path)


def test_every_cut_through_a_file_gives_a_sentence(path):
    data = path.read_bytes()
    last = len(data) - 30  # a text file that ends inside its very last number cannot be told from a whole one
    for size in {*range(0, last, 37), last}:
        path.write_bytes(data[:size])
        error_of(path)


def test_a_header_that_promises_too_much_is_found_before_allocating(path):
    text = path.read_bytes()
    path.write_bytes(re.sub(rb"element vertex 9", b"element vertex 900000000000", text))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert "promises 900000000000 x vertex" in error_of(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KiB


def test_an_extra_element_that_promises_too_much_is_found_too(path):
    path.write_bytes(path.read_bytes().replace(b"end_header", b"element face 99999999\nproperty float a\nend_header"))
    assert "99999999 x face" in error_of(path)


def test_missing_properties_are_named(tmp_path):
    table = table_of(some_gaussians(3, 0))
    one = {name: values for name, values in table.items() if name != "scale_1"}
    assert "lacks the property 'scale_1'" in error_of(write_ply(tmp_path / "one.ply", vertex_of(one)))
    cloud = {name: table[name] for name in "xyz"}
    sentence = error_of(write_ply(tmp_path / "cloud.ply", vertex_of(cloud)))
    assert all(name in sentence for name in ("f_dc_0", "opacity", "scale_0", "rot_3"))


def test_an_impossible_number_of_sh_coefficients_is_reported(tmp_path):
    table = table_of(some_gaussians(3, 1))
    del table["f_rest_8"]
    assert "8 properties f_rest_*" in error_of(write_ply(tmp_path / "a.ply", vertex_of(table)))


def test_misnumbered_sh_coefficients_are_reported(tmp_path):
    table = table_of(some_gaussians(3, 1))
    table["f_rest_9"] = table.pop("f_rest_8")
    assert "f_rest_0 onwards" in error_of(write_ply(tmp_path / "a.ply", vertex_of(table)))


def test_zero_gaussians_are_reported(tmp_path, kind):
    path = write_ply(tmp_path / "a.ply", vertex_of(table_of(some_gaussians(0, 0))), **kind)
    assert "zero Gaussians" in error_of(path)


def test_a_file_without_vertices_is_reported(path):
    path.write_bytes(path.read_bytes().replace(b"element vertex", b"element corner"))
    assert "no element 'vertex'" in error_of(path)


def test_a_file_that_is_no_ply_is_reported(tmp_path):
    (tmp_path / "a.ply").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(200))
    assert "not a PLY file" in error_of(tmp_path / "a.ply")


def test_an_unknown_format_lists_the_known_ones(tmp_path):
    (tmp_path / "a.xyz").write_bytes(b"1 2 3\n")
    assert "INRIA PLY (.ply)" in error_of(tmp_path / "a.xyz", UnknownFormat)


def test_a_damaged_compressed_ply_is_recognised(tmp_path):
    header = "element chunk 1\nproperty float min_x\nelement vertex 1\nproperty uint packed_position\nend_header\n"
    (tmp_path / "a.ply").write_bytes(f"ply\nformat binary_little_endian 1.0\n{header}".encode() + bytes(8))
    assert "is a compressed PLY that lacks min_y" in error_of(tmp_path / "a.ply")


def test_empty_missing_and_folder_are_told_apart(tmp_path):
    (tmp_path / "empty.ply").touch()
    assert "is empty" in error_of(tmp_path / "empty.ply")
    assert "does not exist" in error_of(tmp_path / "nowhere.ply", FileError)
    assert "is a folder" in error_of(tmp_path, FileError)


def test_a_training_run_given_as_a_folder_is_answered_with_its_newest_scene(tmp_path):
    for iteration in (7000, 30000):
        (tmp_path / f"point_cloud/iteration_{iteration}").mkdir(parents=True)
        (tmp_path / f"point_cloud/iteration_{iteration}/point_cloud.ply").touch()
    assert "iteration_30000/point_cloud.ply" in error_of(tmp_path, FileError)


@pytest.mark.parametrize(
    "damage",
    [
        (b"property float x", b"property floot x"),
        (b"property float y", b"property float x"),
        (b"format ", b"formal "),
        (b"element vertex 9", b"element vertex -9"),
        (b"element vertex 9", b"element vertex nine"),
        (b"end_header", b"end_heater"),
    ],
)
def test_a_damaged_header_is_reported(path, damage):
    path.write_bytes(path.read_bytes().replace(*damage, 1))
    error_of(path)


def test_words_among_the_numbers_are_reported(tmp_path):
    path = write_ply(tmp_path / "a.ply", vertex_of(table_of(some_gaussians(3, 0))), text=True)
    head, body = path.read_text().split("end_header\n")
    path.write_text(head + "end_header\n" + body.replace(" ", " oops ", 1))
    assert "damaged" in error_of(path)


def test_a_negative_list_length_is_reported(tmp_path):
    path = write_ply(tmp_path / "a.ply", vertex_of(table_of(some_gaussians(3, 0))))
    lists = b"element face 1\nproperty list char int vertex_indices\nend_header"
    path.write_bytes(path.read_bytes().replace(b"end_header", lists) + b"\xff")
    assert "negative length" in error_of(path)


def test_bytes_behind_the_end_are_reported(tmp_path):
    path = write_ply(tmp_path / "a.ply", vertex_of(table_of(some_gaussians(3, 0))))
    path.write_bytes(path.read_bytes() + b"12345")
    assert [(finding.kind, finding.count) for finding in load(path).findings] == [("trailing-bytes", 5)]


def damaged(changes) -> tuple:
    """(file's table, mask of the rows that should survive) of 60 Gaussians with some values replaced."""
    scene, good = some_gaussians(60, 1), torch.ones(60, dtype=torch.bool)
    for row, field, value in changes:
        getattr(scene, field)[row] = value
        good[row] = False
    return scene, good


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("field", ["means", "quats", "log_scales", "logit_opacities", "sh0", "shN"])
def test_rows_with_nan_or_infinity_are_dropped_and_counted(tmp_path, kind, field, value):
    scene, good = damaged([(3, field, value), (59, field, value)])
    read = load(write_ply(tmp_path / "a.ply", vertex_of(table_of(scene)), **kind))
    assert same_bits(read.gaussians, scene.take(good))
    assert [(f.kind, f.count) for f in read.findings] == [("non-finite", 2)]
    assert str(read.findings[0]) == "2 Gaussians with NaN or infinite values were dropped."


def test_zero_quaternions_are_dropped_and_counted(tmp_path):
    scene, good = damaged([(0, "quats", 0.0)])
    read = load(write_ply(tmp_path / "a.ply", vertex_of(table_of(scene))))
    assert same_bits(read.gaussians, scene.take(good))
    assert str(read.findings[0]) == "1 Gaussian with a zero quaternion was dropped."


@pytest.mark.parametrize("log_scale", [89.0, -200.0, 12.0])
def test_absurd_scales_are_dropped_and_counted(tmp_path, log_scale):
    scene, good = damaged([(7, "log_scales", log_scale)])  # the scene is about 8 units large; e^12 is 160000
    read = load(write_ply(tmp_path / "a.ply", vertex_of(table_of(scene))))
    assert same_bits(read.gaussians, scene.take(good))
    assert [(f.kind, f.count) for f in read.findings] == [("absurd-scale", 1)]


def test_a_large_but_sensible_sky_stays(tmp_path):
    scene = some_gaussians(60, 0)
    scene.log_scales[7] = 8.0  # e^8 is 3000 units, less than 10000 times the scene
    assert len(load(write_ply(tmp_path / "a.ply", vertex_of(table_of(scene)))).gaussians) == 60


def test_each_reason_is_counted_apart(tmp_path):
    changes = [(0, "means", float("nan")), (1, "quats", 0.0), (2, "quats", 0.0), (3, "log_scales", 100.0)]
    scene, good = damaged(changes)
    read = load(write_ply(tmp_path / "a.ply", vertex_of(table_of(scene))))
    assert same_bits(read.gaussians, scene.take(good))
    counts = [(f.kind, f.count) for f in read.findings]
    assert counts == [("non-finite", 1), ("zero-quaternion", 2), ("absurd-scale", 1)]


def test_a_double_beyond_float32_is_dropped_as_infinite(tmp_path):
    table = table_of(some_gaussians(4, 0))
    table["x"] = np.array([0.0, 1e300, 1.0, 2.0])
    read = load(write_ply(tmp_path / "a.ply", vertex_of(table)))
    assert read.gaussians.means[:, 0].tolist() == [0, 1, 2]


def test_a_file_of_nothing_but_bad_rows_is_an_error(tmp_path):
    scene = some_gaussians(2, 0)
    scene.quats[:] = 0
    assert "no usable Gaussian" in error_of(write_ply(tmp_path / "a.ply", vertex_of(table_of(scene))))


def test_a_single_gaussian_has_no_extent_to_be_absurd_against(tmp_path):
    save(tmp_path / "a.ply", some_gaussians(1, 0))
    assert len(load(tmp_path / "a.ply").gaussians) == 1
