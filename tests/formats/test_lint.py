"""The linter names what is wrong, nothing else, and mending it leaves nothing to name."""

import dataclasses

import numpy as np
import pytest
import torch
from splats import SHARED, same_bits, some_gaussians, table_of, vertex_of, write_ply

from gaussian_lens_app.cli import main
from gaussian_lens_app.formats import inspect, lint, load, load_capture, repair, save, transformed
from gaussian_lens_app.formats.frame_lint import candidates
from gaussian_lens_app.scene import Camera, Capture, Gaussians
from gaussian_lens_app.scene.capture import SparsePoints


def sound(count: int = 500) -> Gaussians:
    """A scene with nothing wrong."""
    g = some_gaussians(count, 1)
    return dataclasses.replace(g, log_scales=0.3 * g.log_scales - 4)


def with_linear_opacities(g):
    return dataclasses.replace(g, logit_opacities=g.opacities)


def with_opacities_out_of_range(g):
    values = g.opacities.clone()
    values[7] = 1.2
    return dataclasses.replace(g, logit_opacities=values)


def with_linear_scales(g):
    return dataclasses.replace(g, log_scales=g.scales)


def with_linear_colors(g):
    return dataclasses.replace(g, sh0=torch.rand(len(g), 1, 3, generator=torch.Generator().manual_seed(1)))


def with_byte_colors(g):
    return dataclasses.replace(g, sh0=(with_linear_colors(g).sh0 * 255).round())


def with_extreme_opacity(g):
    values = g.logit_opacities.clone()
    values[[3, 5]] = torch.tensor([60.0, -55.0])
    return dataclasses.replace(g, logit_opacities=values)


def with_a_giant(g):
    scales = g.log_scales.clone()
    scales[11] = 4.0
    return dataclasses.replace(g, log_scales=scales)


def with_a_far_one(g):
    means = g.means.clone()
    means[11] = 500.0
    return dataclasses.replace(g, means=means)


def with_a_needle(g):
    scales = g.log_scales.clone()
    scales[20] = torch.tensor([-8.0, -9.0, 0.0])
    return dataclasses.replace(g, log_scales=scales)


def with_duplicates(g):
    return Gaussians.concat([g, g.take(torch.tensor([4, 9, 9]))])


def with_nan(g):
    means = g.means.clone()
    means[2, 1] = float("nan")
    return dataclasses.replace(g, means=means)


def with_zero_quaternion(g):
    quats = g.quats.clone()
    quats[6] = 0
    return dataclasses.replace(g, quats=quats)


FAULTS = [
    (with_linear_opacities, "linear-opacities", 500, 500),
    (with_opacities_out_of_range, "linear-opacities", 500, 500),
    (with_linear_scales, "linear-scales", 500, 500),
    (with_linear_colors, "linear-colors", 500, 500),
    (with_byte_colors, "linear-colors", 500, 500),
    (with_extreme_opacity, "extreme-opacity", 2, 500),
    (with_a_giant, "giant", 1, 499),
    (with_a_far_one, "giant", 1, 499),
    (with_a_needle, "needle", 1, 500),
    (with_duplicates, "duplicate", 3, 500),
    (with_nan, "non-finite", 1, 499),
    (with_zero_quaternion, "zero-quaternion", 1, 499),
]


@pytest.mark.parametrize(("spoil", "kind", "count", "left"), FAULTS, ids=lambda v: getattr(v, "__name__", None))
def test_a_fault_is_named_counted_and_mended(spoil, kind, count, left):
    spoiled = spoil(sound())
    assert [(f.kind, f.count) for f in lint(spoiled)] == [(kind, count)]
    mended = repair(spoiled)
    assert lint(mended.gaussians) == ()
    assert len(mended.gaussians) == left
    torch.testing.assert_close(mended.gaussians.means, spoiled.means[mended.rows])


def test_nothing_is_said_of_a_sound_scene_and_mending_keeps_its_bits():
    assert lint(sound()) == ()
    assert same_bits(repair(sound()).gaussians, sound())


def test_undoing_activations_gives_back_the_values():
    g = sound()
    both = repair(with_linear_scales(with_linear_opacities(g)))
    assert {f.kind for f in both.findings} == {"linear-opacities", "linear-scales"}
    torch.testing.assert_close(both.gaussians.logit_opacities, g.logit_opacities, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(both.gaussians.log_scales, g.log_scales, atol=1e-4, rtol=0)


def test_only_what_is_asked_for_is_mended():
    spoiled = with_a_giant(with_duplicates(sound()))
    mended = repair(spoiled, kinds={"duplicate"})
    assert [f.kind for f in mended.findings] == ["duplicate"]
    assert [f.kind for f in lint(mended.gaussians)] == ["giant"]


def test_lengths_that_would_be_dropped_as_absurd_scales_are_read_as_lengths(tmp_path):
    g = sound()
    large = dataclasses.replace(g, means=g.means * 1000, log_scales=(g.log_scales + 7).exp() + 10)
    read = load(write_ply(tmp_path / "a.ply", vertex_of(table_of(large))))
    assert [f.kind for f in read.findings] == ["linear-scales"]
    torch.testing.assert_close(read.gaussians.scales, large.log_scales)


@pytest.mark.parametrize("name", ["banana", "fox", "fountain_p11", "monstree"])
def test_trained_scenes_have_no_fault_but_a_few_needles_and_giants(name):
    path = SHARED / "lr" / f"{name}.ply"
    if not path.exists():
        pytest.skip("the project's data beside the checkout is not there")
    g = load(path).gaussians
    found = {f.kind: f.count for f in lint(g)}
    assert set(found) <= {"needle", "giant"}
    assert found.get("needle", 0) < 0.002 * len(g)
    assert found.get("giant", 0) < 0.001 * len(g)


def test_a_scene_in_other_axes_than_its_capture_is_named_and_turned_back():
    path, root = SHARED / "lr/fox.ply", SHARED / "scenes/fox"
    if not (path.exists() and root.exists()):
        pytest.skip("the project's data beside the checkout is not there")
    g, capture = load(path).gaussians, load_capture(root)
    assert not {f.kind for f in lint(g, capture)} - {"needle"}
    for matrix, kind in (
        (np.diag([1.0, -1, -1]), "upside-down"),
        (np.diag([1.0, 1, -1]), "mirrored"),
        (np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]]), "turned"),
    ):
        moved = transformed(g, matrix)
        mended = repair(moved, capture, kinds={kind})
        assert [f.kind for f in mended.findings] == [kind]
        torch.testing.assert_close(mended.gaussians.means, g.means, atol=1e-4, rtol=1e-4)


def test_the_linter_needs_no_photos_when_the_file_states_its_cameras():
    g = sound()
    ahead = dataclasses.replace(g, means=g.means * 0.2 + torch.tensor([0.0, 0, 5]))
    K = torch.tensor([[500.0, 0, 250], [0, 500, 250], [0, 0, 1]])
    cameras = (("camera 1", Camera(torch.eye(4), K, 500, 500)),)
    assert lint(ahead, cameras=cameras) == ()
    assert [f.kind for f in lint(transformed(ahead, np.diag([1.0, -1, -1])), cameras=cameras)] == ["upside-down"]


def test_a_foreign_capture_is_no_reason_to_turn_a_scene():
    g = sound()
    points = SparsePoints(torch.randn(500, 3) * 5 + 40, torch.zeros(500, 3, dtype=torch.uint8))
    assert lint(g, Capture((), points)) == ()


def test_the_candidates_are_all_other_choices_of_axes():
    found = candidates()
    assert len({tuple(m.ravel()) for m in found}) == 47
    assert not any(np.array_equal(m, np.eye(3)) for m in found)
    assert sum(np.linalg.det(m) > 0 for m in found) == 23


def test_inspect_names_and_convert_mends(tmp_path, capsys):
    table = table_of(with_duplicates(with_linear_opacities(sound()))) | {"label": np.arange(503, dtype="u2")}
    write_ply(tmp_path / "a.ply", vertex_of(table))
    assert {f["kind"] for f in inspect(tmp_path / "a.ply")["findings"]} >= {"linear-opacities"}
    assert main(["convert", str(tmp_path / "a.ply"), str(tmp_path / "b.ply"), "--repair"]) == 0
    assert "Mended: Opacities are stored linearly" in capsys.readouterr().err
    again = load(tmp_path / "b.ply")
    assert len(again.gaussians) >= 500
    assert again.layout is not None
    assert "label" in again.layout.columns
    assert lint(again.gaussians) == ()


def test_convert_says_what_it_does_not_mend_and_what_is_lost(tmp_path, capsys):
    save(tmp_path / "a.ply", with_linear_opacities(sound()))
    assert main(["convert", str(tmp_path / "a.ply"), str(tmp_path / "b.splat")]) == 0
    said = capsys.readouterr().err
    assert "--repair mends that" in said
    assert "cut to degree 0" in said


def test_half_turns_and_mirrors_are_done_on_request(tmp_path):
    save(tmp_path / "a.ply", sound())
    for flags, signs in ((["--half-turn"], [1, -1, -1]), (["--mirror"], [-1, 1, 1])):
        assert main(["convert", str(tmp_path / "a.ply"), str(tmp_path / "b.ply"), *flags]) == 0
        torch.testing.assert_close(load(tmp_path / "b.ply").gaussians.means, sound().means * torch.tensor(signs))
