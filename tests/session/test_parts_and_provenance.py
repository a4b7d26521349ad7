"""Exports of a part, with provenance, for other viewers, as points."""

import dataclasses
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from fakes import BOX, Scripted, patch_of, random_scene, result_of, same_bits, session_of
from plyfile import PlyData

from gaussian_lens_app import formats
from gaussian_lens_app.errors import ExportError, UnknownFormat
from gaussian_lens_app.evaluation.judge import Verdict
from gaussian_lens_app.evaluation.metrics import psnr
from gaussian_lens_app.raster import ANTIALIASED, CLASSIC
from gaussian_lens_app.scene import Kind, Patch
from gaussian_lens_app.session import ExportSettings, Session
from gaussian_lens_app.session.close_views import CLOSE_VIEWS, CLOSE_VIEWS_NAME
from gaussian_lens_app.session.exporting import losses
from gaussian_lens_app.session.history import kinds_of

NAMES = CLOSE_VIEWS_NAME, CLOSE_VIEWS


def invented(request):
    """Row 0 replaced, one row made up."""
    return result_of(request.scene, patch_of([0], random_scene(2, seed=5), [0, -1]), selected=[0, 3])


@pytest.fixture
def session():
    made = session_of(random_scene(6), Scripted(invented))
    made.upgrade(BOX).result(5)
    yield made
    made.close()


def header(path):
    return path.read_bytes().split(b"end_header")[0].decode()


def test_provenance_is_two_properties_that_come_back(session, tmp_path):
    out = session.export(tmp_path / "out.ply", ExportSettings(provenance=True))
    vertex = PlyData.read(out)["vertex"].data
    assert vertex["provenance"].tolist() == [0] * 5 + [Kind.INVENTED] * 2
    assert vertex["region"].tolist() == [0] * 5 + [1] * 2
    file = formats.load(out)
    assert same_bits(file.gaussians, session.scene)
    again = session_of(file.gaussians, file=file)
    assert again.edited.rows.kinds.tolist() == vertex["provenance"].tolist()
    again.close()


@pytest.mark.parametrize(("verified", "expected"), [(True, Kind.LEARNED), (False, Kind.INVENTED)])
def test_of_what_says_kinds_itself_only_what_a_network_made_needs_a_photo_to_confirm_it(verified, expected):
    added, said = random_scene(2), torch.tensor([Kind.FITTED, Kind.LEARNED], dtype=torch.uint8)
    patch = Patch(torch.tensor([0]), added, torch.tensor([0, 0]), provenance={"kind": "learned"}, kinds=said)
    verdict = Verdict(True, verified, 1.0, None, None, "")
    there = torch.zeros(1, dtype=torch.uint8)
    assert kinds_of(patch, verdict, there).tolist() == [Kind.FITTED, expected]
    assert torch.equal(kinds_of(patch, None, there), said)


def test_without_asking_there_are_no_such_properties(session, tmp_path):
    assert "provenance" not in header(session.export(tmp_path / "out.ply"))


def test_invented_detail_is_said_in_the_header(session, tmp_path):
    assert "CONTAINS INVENTED DETAIL: no photo shows 2 of these 7" in header(session.export(tmp_path / "out.ply"))
    session.undo()
    assert "INVENTED" not in header(session.export(tmp_path / "out.ply"))


def test_a_scene_opened_with_provenance_can_leave_in_every_format(session, tmp_path):
    first = session.export(tmp_path / "first.ply", ExportSettings(provenance=True))
    file = formats.load(first)
    again = session_of(file.gaussians, file=file)
    for name in ("out.compressed.ply", "out.splat", "out.spz", "out.sog", "out.glb"):
        assert again.export(tmp_path / name).is_file()
    kept = again.export(tmp_path / "out.ply")
    again.close()
    assert PlyData.read(kept)["vertex"].data["provenance"].tolist() == [0] * 5 + [Kind.INVENTED] * 2


def test_region_numbers_come_back_and_new_regions_get_numbers_of_their_own(session, tmp_path):
    first = session.export(tmp_path / "first.ply", ExportSettings(provenance=True))
    file = formats.load(first)

    def another(request):
        """An original row and one of region 1 replaced, one row made up."""
        return result_of(request.scene, patch_of([0, 5], random_scene(3, seed=6), [0, 5, -1]), selected=[0, 5])

    again = session_of(file.gaussians, Scripted(another), file=file)
    kept = again.export(tmp_path / "kept.ply")
    assert PlyData.read(kept)["vertex"].data["region"].tolist() == [0] * 5 + [1] * 2
    again.upgrade(BOX).result(5)
    again.delete_splats(lambda _: torch.arange(8) == 1, "Removed")
    both = again.export(tmp_path / "both.ply")
    part = again.export(tmp_path / "part.ply", ExportSettings(part="region", region=1))
    again.close()
    assert PlyData.read(both)["vertex"].data["region"].tolist() == [0] * 3 + [1] + [2] * 3
    assert PlyData.read(part)["vertex"].data["region"].tolist() == [2] * 3
    assert "Region 1 (number 2 in this file), " in header(both)


def test_origins_without_regions_are_kept_too(session, tmp_path):
    first = session.export(tmp_path / "first.ply", ExportSettings(provenance=True))
    file = formats.load(first)
    del file.layout.columns["region"]
    again = session_of(file.gaussians, file=file)
    kept = again.export(tmp_path / "kept.ply")
    again.close()
    assert PlyData.read(kept)["vertex"].data["region"].tolist() == [0] * 7


@pytest.mark.parametrize("name", ["out.compressed.ply", "out.spz", "out.glb"])
def test_origins_asked_for_where_they_cannot_be_said_are_refused(session, tmp_path, name):
    with pytest.raises(ExportError, match="only a plain PLY"):
        session.export(tmp_path / name, ExportSettings(provenance=True))
    assert not (tmp_path / name).exists()


def test_what_a_format_loses_and_does_not_say_is_known_before_it_is_written(session, tmp_path):
    def said(name):
        return " ".join(losses(Path(name), session.edited, ExportSettings(), None))

    assert said("out.ply") == ""
    assert "Positions are rounded" in said("out.spz")
    assert "point" in said("out.glb")
    for name in ("out.splat", "out.spz", "out.sog", "out.glb"):
        assert "invented" in said(name)
    assert "invented" not in said("out.compressed.ply")
    assert "INVENTED" in header(session.export(tmp_path / "out.compressed.ply"))
    session.undo()
    assert "invented" not in said("out.spz")
    with pytest.raises(UnknownFormat):
        said("out.docx")


def test_an_edit_without_a_verdict_says_how_it_was_made(tmp_path):
    session = session_of(random_scene(6))
    session.work.by_hand(
        dataclasses.replace(patch_of([0], random_scene(1)), provenance={"method": "band-limit"}), *NAMES
    )
    session.delete_splats(lambda _: torch.arange(6) == 2, "Removed fitted splats")
    said = header(session.export(tmp_path / "out.ply"))
    session.close()
    assert "Close views: band-limit" in said
    assert "Removed fitted splats: by hand" in said


def test_a_region_or_the_selection_alone(session, tmp_path):
    out = session.export(tmp_path / "region.ply", ExportSettings(part="region", region=1))
    assert same_bits(formats.load(out).gaussians, session.scene.take(torch.tensor([5, 6])))
    with pytest.raises(ExportError, match="Nothing is selected"):
        session.export(tmp_path / "x.ply", ExportSettings(part="selection"))
    session.select(BOX)
    end = time.monotonic() + 5
    while session.selection.region is None and time.monotonic() < end:
        time.sleep(0.01)
    session.selection.region.selected[1:4] = False
    out = session.export(tmp_path / "selection.ply", ExportSettings(part="selection"))
    assert same_bits(formats.load(out).gaussians, session.scene.take(torch.tensor([0, 4, 5, 6])))
    for number in (7, 0, -1):
        with pytest.raises(ExportError, match="no Gaussian of its own"):
            session.export(tmp_path / "x.ply", ExportSettings(part="region", region=number))


def test_a_glb_holds_a_coloured_point_for_each_splat_that_shows(textured_board, fast_rasterizer, tmp_path):
    session = Session(textured_board.scene, rasterizer=fast_rasterizer)
    out = session.export(tmp_path / "points.glb")
    session.close()
    loaded = trimesh.load(out)
    cloud = next(iter(loaded.geometry.values()))
    assert len(cloud.vertices) == len(textured_board.scene)
    assert np.allclose(np.sort(cloud.vertices[:, 0]), np.sort(textured_board.scene.means[:, 0].numpy()), atol=1e-5)
    assert len(np.unique(np.asarray(cloud.colors), axis=0)) > 10


def fine_board(board):
    """The truth with splats half as large: smaller than a pixel of the photos."""
    return dataclasses.replace(board.truth, log_scales=board.truth.log_scales - 1.2)


def test_made_for_classic_viewers_the_file_looks_there_as_it_does_here(textured_board, fast_rasterizer, tmp_path):
    scene = fine_board(textured_board)
    session = Session(scene, rasterizer=fast_rasterizer, capture=textured_board.capture)
    plain = formats.load(session.export(tmp_path / "plain.ply")).gaussians
    made = formats.load(session.export(tmp_path / "classic.ply", ExportSettings(classic=True))).gaussians
    session.close()

    def gap(other, photo):
        """dB between our picture's PSNR against the photo and the classic picture's."""
        figures = []
        for shown, mode in ((scene, ANTIALIASED), (other, CLASSIC)):
            picture = fast_rasterizer.render(shown, photo.camera, mode=mode).rgb
            figures.append(psnr(picture, photo.load().float() / 255))
        return abs(figures[0] - figures[1])

    for photo in textured_board.capture.photos[::2]:
        assert gap(made, photo) < 0.1
    assert max(gap(plain, photo) for photo in textured_board.capture.photos) > 0.5  # else the test shows nothing
    assert torch.equal(made.means, scene.means)


def test_from_four_times_the_distance_finer_splats_lose_nothing(textured_board, fast_rasterizer):
    """The same window of the same photos at a quarter of their size, before and after finer splats took over."""
    for photo in textured_board.capture.photos[1:5]:
        small = photo.with_long_side(photo.camera.width // 4)
        target = small.load().float() / 255
        before, after = (
            psnr(fast_rasterizer.render(scene, small.camera, mode=ANTIALIASED).rgb, target)
            for scene in (textured_board.scene, textured_board.truth)
        )
        assert after > before - 0.1
