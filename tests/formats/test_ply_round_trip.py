"""INRIA PLY: what is read and written unchanged has the same bits, whatever the file looked like."""

import struct

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from plyfile import PlyData, PlyElement
from splats import same_bits, some_gaussians, table_of, vertex_of, write_ply

from gaussian_lens_app.errors import ExportError, UnknownFormat
from gaussian_lens_app.formats import load, save
from gaussian_lens_app.scene import Gaussians

FORMATS = {"ascii": {"text": True}, "little endian": {"order": "<"}, "big endian": {"order": ">"}}


@pytest.fixture(params=FORMATS.values(), ids=FORMATS.keys())
def kind(request):
    return request.param


def shuffled(table, seed):
    names = list(table)
    np.random.default_rng(seed).shuffle(names)
    return {name: table[name] for name in names}


@pytest.mark.parametrize("degree", range(5))
def test_every_sh_degree_is_read_as_another_program_wrote_it(tmp_path, kind, degree):
    scene = some_gaussians(5, degree)
    path = write_ply(tmp_path / "a.ply", vertex_of(shuffled(table_of(scene), degree)), **kind)
    read = load(path)
    assert read.gaussians.sh_degree == degree
    assert read.findings == ()
    assert same_bits(read.gaussians, scene)


@pytest.mark.parametrize("degree", range(5))
def test_another_program_reads_what_we_write(tmp_path, degree):
    scene = some_gaussians(5, degree)
    save(tmp_path / "a.ply", scene, comments=["two\nlines"])
    ply = PlyData.read(tmp_path / "a.ply")
    for name, values in table_of(scene).items():
        np.testing.assert_array_equal(ply["vertex"][name], values)
    assert list(ply["vertex"].data.dtype.names[:6]) == ["x", "y", "z", "nx", "ny", "nz"]
    assert ply.comments == ["two", "lines"]


@pytest.mark.parametrize("options", [{"order": "<"}, {"order": ">"}])
def test_a_binary_file_saved_unchanged_is_the_same_file(tmp_path, options):
    table = shuffled(table_of(some_gaussians()), 3) | {"label": np.arange(7, dtype="u1")}
    path = write_ply(tmp_path / "a.ply", vertex_of(table), comments=["made by hand", "twice"], **options)
    read = load(path)
    save(tmp_path / "b.ply", read.gaussians, read)
    assert (tmp_path / "b.ply").read_bytes() == path.read_bytes()


numbers = st.floats(width=32, allow_nan=False, allow_infinity=False, min_value=-50, max_value=50)


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(st.lists(numbers, min_size=14, max_size=14), min_size=1, max_size=6),
    kind=st.sampled_from(list(FORMATS.values())),
    seed=st.integers(0, 99),
)
def test_any_numbers_survive_a_round_trip(tmp_path_factory, values, kind, seed):
    folder = tmp_path_factory.mktemp("trip")
    columns = torch.tensor(values)
    quats = columns[:, :4].clone()
    quats[quats.norm(dim=1) < 1e-6] = 1.0
    scene = Gaussians(
        columns[:, 4:7].contiguous(),
        quats,
        # Within one factor of e of each other and of any scene's extent, or they would be taken for accidents.
        torch.full((len(columns), 3), -80.0) + columns[:, 7:10].abs() / 50,
        columns[:, 10].contiguous(),
        columns[:, None, 11:14].contiguous(),
        torch.zeros(len(columns), 0, 3),
    )
    path = write_ply(folder / "a.ply", vertex_of(shuffled(table_of(scene), seed)), **kind)
    read = load(path)
    assert same_bits(read.gaussians, scene)
    save(folder / "b.ply", read.gaussians, read)
    assert same_bits(load(folder / "b.ply").gaussians, scene)
    assert load(folder / "b.ply").layout.header == read.layout.header


def test_any_scalar_type_is_read_and_its_exact_values_return(tmp_path, kind):
    table = table_of(some_gaussians(4, 0))
    exact = np.array([0.1, 1 / 3, -2.5e-9, 1e5])
    table |= {"x": exact, "opacity": np.array([-3, 0, 2, 9], "i1"), "f_dc_0": np.array([0, 1, 2, 3], "u2")}
    path = write_ply(tmp_path / "a.ply", vertex_of(table), **kind)
    read = load(path)
    torch.testing.assert_close(read.gaussians.means[:, 0], torch.from_numpy(exact).float(), rtol=0, atol=0)
    assert read.gaussians.logit_opacities.tolist() == [-3, 0, 2, 9]
    assert "other-type" in [finding.kind for finding in read.findings]
    read.gaussians.means[1, 0] += 1  # one edited value; every other keeps the double it was
    save(tmp_path / "b.ply", read.gaussians, read)
    again = PlyData.read(tmp_path / "b.ply")["vertex"]
    np.testing.assert_array_equal(again["x"][[0, 2, 3]], exact[[0, 2, 3]])
    assert again["x"][1] == np.float64(np.float32(1 / 3) + np.float32(1))
    assert again["x"].dtype.itemsize == 8
    assert again["opacity"].tolist() == [-3, 0, 2, 9]


def test_extra_properties_follow_their_rows_and_are_zero_for_new_ones(tmp_path, kind):
    table = table_of(some_gaussians(5, 1)) | {"label": np.array([9, 8, 7, 6, 5], "i4"), "weight": np.linspace(0, 1, 5)}
    read = load(write_ply(tmp_path / "a.ply", vertex_of(table), **kind))
    assert [finding.sentence for finding in read.findings] == ["Extra properties are kept on export: label, weight."]
    added = some_gaussians(2, 1, seed=9)
    edited = Gaussians.concat([read.gaussians.take(torch.tensor([4, 1])), added])
    save(tmp_path / "b.ply", edited, read, sources=torch.tensor([4, 1, -1, 2]))
    again = PlyData.read(tmp_path / "b.ply")["vertex"]
    assert again["label"].tolist() == [5, 8, 0, 7]
    assert again["weight"].tolist() == [1.0, 0.25, 0.0, 0.5]
    assert same_bits(load(tmp_path / "b.ply").gaussians, edited)


def test_dropped_rows_take_their_extra_properties_with_them(tmp_path):
    table = table_of(some_gaussians(4, 0)) | {"label": np.arange(4, dtype="i4")}
    table["y"] = np.array([0, np.nan, 0, 0], np.float32)
    read = load(write_ply(tmp_path / "a.ply", vertex_of(table)))
    save(tmp_path / "b.ply", read.gaussians, read)
    assert PlyData.read(tmp_path / "b.ply")["vertex"]["label"].tolist() == [0, 2, 3]


def faces() -> PlyElement:
    rows = np.zeros(3, [("vertex_indices", "O"), ("area", "f4")])
    rows["vertex_indices"] = [np.array([0, 1], "i4"), np.array([], "i4"), np.array([2, 1, 0], "i4")]
    return PlyElement.describe(rows, "face", val_types={"vertex_indices": "i4"}, len_types={"vertex_indices": "u1"})


@pytest.mark.parametrize("before", [True, False])
def test_extra_elements_with_lists_are_kept_on_either_side(tmp_path, kind, before):
    scene = some_gaussians(4, 0)
    camera = PlyElement.describe(np.array([(1.5, 2)], [("focal", "f8"), ("id", "i4")]), "camera")
    elements = (
        [faces(), vertex_of(table_of(scene)), camera] if before else [vertex_of(table_of(scene)), camera, faces()]
    )
    read = load(write_ply(tmp_path / "a.ply", *elements, **kind))
    assert same_bits(read.gaussians, scene)
    assert [finding.kind for finding in read.findings] == ["extra-element", "extra-element"]
    save(tmp_path / "b.ply", read.gaussians.take(torch.tensor([0, 1])), read, sources=torch.tensor([0, 1]))
    again = PlyData.read(tmp_path / "b.ply")
    assert [element.name for element in again.elements] == [element.name for element in elements]
    assert again["vertex"].count == 2
    assert again["camera"]["focal"][0] == 1.5
    assert [list(row) for row in again["face"]["vertex_indices"]] == [[0, 1], [], [2, 1, 0]]


@pytest.mark.parametrize("order", ["<", ">", "ascii"])
def test_list_properties_of_vertices_are_dropped_and_said_so(tmp_path, order):
    """Written by hand: plyfile 1.1 forgets the byte order of scalars in rows with lists."""
    scene = some_gaussians(3, 0)
    table = table_of(scene)
    rows = list(zip(*(values.tolist() for values in table.values()), strict=True))
    names = list(table)
    format = {"<": "binary_little_endian", ">": "binary_big_endian"}.get(order, "ascii")
    lines = ["ply", f"format {format} 1.0", "element vertex 3", *(f"property float {name}" for name in names[:5])]
    lines += ["property list ushort int near", *(f"property float {name}" for name in names[5:]), "end_header", ""]
    body = b""
    for row, near in zip(rows, [[1, 2], [], [7]], strict=True):
        if order == "ascii":
            body += " ".join(map(repr, (*row[:5], len(near), *near, *row[5:]))).encode() + b"\n"
        else:
            body += struct.pack(f"{order}5fH{len(near)}i9f", *row[:5], len(near), *near, *row[5:])
    (tmp_path / "a.ply").write_bytes("\n".join(lines).encode() + body)
    read = load(tmp_path / "a.ply")
    assert same_bits(read.gaussians, scene)
    assert [f.sentence for f in read.findings] == ["List properties of the vertices are dropped: near."]
    save(tmp_path / "b.ply", read.gaussians, read)
    assert same_bits(load(tmp_path / "b.ply").gaussians, scene)


def test_a_higher_sh_degree_widens_the_file_and_a_lower_one_is_filled(tmp_path):
    read = load(write_ply(tmp_path / "a.ply", vertex_of(shuffled(table_of(some_gaussians(3, 1)), 1)), order=">"))
    save(tmp_path / "b.ply", read.gaussians.with_sh_degree(2), read)
    wider = load(tmp_path / "b.ply")
    assert same_bits(wider.gaussians, read.gaussians.with_sh_degree(2))
    assert wider.layout.header.format == "binary_big_endian"
    save(tmp_path / "c.ply", read.gaussians.with_sh_degree(0), read)
    assert same_bits(load(tmp_path / "c.ply").gaussians, read.gaussians.with_sh_degree(0).with_sh_degree(1))


def test_more_rows_than_one_block_keep_their_order(tmp_path, kind):
    scene = some_gaussians(20_000, 0)
    if kind.get("text"):
        scene = scene.take(torch.arange(16_500))
    read = load(write_ply(tmp_path / "a.ply", vertex_of(table_of(scene)), **kind))
    assert same_bits(read.gaussians, scene)
    save(tmp_path / "b.ply", read.gaussians, read)
    assert same_bits(load(tmp_path / "b.ply").gaussians, scene)


def test_windows_line_ends_in_the_header_are_understood_and_kept(tmp_path):
    save(tmp_path / "a.ply", some_gaussians())
    head, body = (tmp_path / "a.ply").read_bytes().split(b"end_header\n", 1)
    (tmp_path / "b.ply").write_bytes(head.replace(b"\n", b"\r\n") + b"end_header\r\n" + body)
    read = load(tmp_path / "b.ply")
    assert same_bits(read.gaussians, some_gaussians())
    save(tmp_path / "c.ply", read.gaussians, read)
    assert (tmp_path / "c.ply").read_bytes() == (tmp_path / "b.ply").read_bytes()


def test_a_file_is_known_by_its_first_bytes_when_its_suffix_says_nothing(tmp_path):
    save(tmp_path / "a.ply", some_gaussians())
    (tmp_path / "a.ply").rename(tmp_path / "scene.bin")
    assert same_bits(load(tmp_path / "scene.bin").gaussians, some_gaussians())


def test_scenes_with_gradients_are_saved_too(tmp_path):
    scene = some_gaussians().map(lambda tensor: tensor.requires_grad_())
    save(tmp_path / "a.ply", scene)
    assert same_bits(load(tmp_path / "a.ply").gaussians, some_gaussians())


def test_saving_under_an_unknown_suffix_names_the_known_ones(tmp_path):
    with pytest.raises(UnknownFormat, match=r"scene\.xyz.*\.ply"):
        save(tmp_path / "scene.xyz", some_gaussians())


def test_an_empty_scene_is_not_saved(tmp_path):
    with pytest.raises(ExportError, match="no Gaussian"):
        save(tmp_path / "a.ply", Gaussians.empty())
    assert list(tmp_path.iterdir()) == []


def test_sources_that_point_beyond_the_file_are_refused(tmp_path):
    save(tmp_path / "a.ply", some_gaussians(3))
    read = load(tmp_path / "a.ply")
    with pytest.raises(ValueError, match="3 Gaussians"):
        save(tmp_path / "b.ply", read.gaussians, read, sources=torch.tensor([0, 1, 3]))
