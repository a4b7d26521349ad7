"""The whole line without a screen, on a small capture: inspect, reconstruct, upgrade, render, evaluate."""

import json
from dataclasses import dataclass
from pathlib import Path

import imageio.v3 as iio
import pytest
import torch
from scenes import write_capture

from gaussian_lens_app import cli
from gaussian_lens_app.formats import load, load_capture, save

BOX = ["--photo", "photo_02", "--box", "90", "60", "150", "120"]


@dataclass(frozen=True)
class Files:
    scene: Path
    capture: Path


@pytest.fixture(scope="module")
def files(tmp_path_factory, textured_board) -> Files:
    folder = tmp_path_factory.mktemp("line")
    save(folder / "scene.ply", textured_board.scene)
    write_capture(textured_board.capture, folder / "photos")
    return Files(folder / "scene.ply", folder / "photos")


def gsr(*arguments: str | Path) -> int:
    return cli.main([str(argument) for argument in arguments])


def test_upgrade_writes_a_sharper_scene_and_says_what_it_did(files, tmp_path, capsys):
    out, report = tmp_path / "out.ply", tmp_path / "report.json"
    assert gsr("upgrade", files.scene, "--capture", files.capture, *BOX, "-o", out, "--report", report) == 0
    told = capsys.readouterr().out
    facts = json.loads(report.read_text())
    assert facts["verdict"]["sentence"] in told
    assert facts["applied"]
    assert facts["verdict"]["gain_db"] > 0
    assert facts["box"] == [90, 60, 150, 120]
    assert facts["method"] == "refine"
    assert {"select", "method", "judge", "total"} <= facts["seconds"].keys()
    assert 0 < len(facts["photos"]) < 6
    assert facts["verdict"]["photo"] not in facts["photos"]
    assert len(load(out).gaussians) == facts["gaussians"]["after"] > facts["gaussians"]["before"]


def test_upgrade_keeps_the_bits_of_what_it_leaves_alone(files, tmp_path):
    out, report = tmp_path / "out.ply", tmp_path / "report.json"
    gsr("upgrade", files.scene, "--capture", files.capture, *BOX, "-o", out, "--report", report)
    touched = json.loads(report.read_text())["gaussians"]
    rows = [
        torch.cat([t.reshape(len(t), -1) for _, t in load(path).gaussians.tensors()], 1) for path in (files.scene, out)
    ]
    before, after = ({row.numpy().tobytes() for row in table} for table in rows)
    assert len(before - after) <= touched["changed"] + touched["removed"]


def test_a_report_that_cannot_be_written_is_one_sentence_and_leaves_the_old_one(
    files, tmp_path, capsys, monkeypatch, small_files_only
):
    report = tmp_path / "report.json"
    report.write_text("{}")
    monkeypatch.setattr("gaussian_lens_app.session.Session.export", lambda *_: None)
    arguments = ["upgrade", files.scene, "--capture", files.capture, *BOX, "--method", "pixels", "--force"]
    with small_files_only(100):
        assert gsr(*arguments, "-o", tmp_path / "out.ply", "--report", report) == 1
    assert "report.json was not written" in capsys.readouterr().err
    assert report.read_text() == "{}"


@pytest.mark.parametrize("way", ["its name", "a link", "another way there", "the report"])
def test_an_upgrade_never_writes_over_the_scene_it_reads(files, tmp_path, capsys, way):
    scene, other = tmp_path / "scene.ply", tmp_path / "other.ply"
    scene.write_bytes(files.scene.read_bytes())
    target = {"a link": other, "another way there": tmp_path / ".." / tmp_path.name / "scene.ply"}.get(way, scene)
    if way == "a link":
        other.symlink_to(scene)
    out = ["-o", tmp_path / "out.ply", "--report", scene] if way == "the report" else ["-o", target]
    assert gsr("upgrade", scene, "--whole", "--method", "split", *out) == 1
    assert "give another name" in capsys.readouterr().err
    assert scene.read_bytes() == files.scene.read_bytes()
    assert not (tmp_path / "out.ply").exists()


@pytest.mark.parametrize(("parts", "method"), [(False, "fit-scene"), (True, "refine")])
def test_a_whole_scene_is_fitted_at_once_unless_it_is_to_be_done_in_parts(files, tmp_path, parts, method):
    report = tmp_path / "report.json"
    more = ["--work", tmp_path / "parts"] if parts else []
    out = ["-o", tmp_path / "out.ply", "--report", report, "--force", "--budget-seconds", "2", *more]
    assert gsr("upgrade", files.scene, "--capture", files.capture, "--whole", *out) == 0
    assert json.loads(report.read_text())["method"] == method


def test_a_refused_upgrade_writes_nothing_unless_forced(files, tmp_path, capsys, monkeypatch):
    from gaussian_lens_app.evaluation.judge import Verdict
    from gaussian_lens_app.upgrade import line

    refusal = Verdict(False, True, -1.0, 0.1, "photo_04.png", "Not sharper: -1.00 dB.")
    monkeypatch.setattr(line, "_judge", lambda *_: refusal)
    out = tmp_path / "out.ply"
    arguments = ["upgrade", files.scene, "--capture", files.capture, *BOX, "--method", "pixels", "-o", out]
    assert gsr(*arguments) == 3
    assert not out.exists()
    assert "--force" in capsys.readouterr().out
    assert gsr(*arguments, "--force") == 0
    assert out.exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (["--photo", "nobody"], "nobody"),
        (["--method", "magic"], "refine, fit-only, pixels"),
        (["--box", "500", "500", "600", "600"], "outside"),
        (["--capture", "nowhere"], "nowhere"),
    ],
)
def test_a_wrong_upgrade_is_one_sentence(files, tmp_path, capsys, changes, words):
    arguments = ["upgrade", files.scene, "--capture", files.capture, *BOX, "-o", tmp_path / "out.ply"]
    assert gsr(*arguments, *changes) == 1
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert words in last
    assert not (tmp_path / "out.ply").exists()


def test_inspect_prints_json_for_programs(files, capsys):
    assert gsr("inspect", files.scene, "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["count"] == len(load(files.scene).gaussians)
    assert gsr("inspect", files.capture) == 0
    assert "6 photos" in capsys.readouterr().out


def test_render_writes_the_photos_views(files, tmp_path):
    assert gsr("render", files.scene, "--capture", files.capture, "--long-side", "60", "-o", tmp_path / "pictures") == 0
    pictures = sorted((tmp_path / "pictures").iterdir())
    assert [picture.name for picture in pictures] == [f"photo_{i:02d}.png" for i in range(6)]
    assert iio.imread(pictures[0]).shape == (45, 60, 3)
    photo = load_capture(files.capture).photos[0].with_long_side(60).load().numpy()
    assert abs(iio.imread(pictures[0]).astype(float) - photo).mean() < 30


def test_render_takes_the_cameras_of_a_file(files, tmp_path):
    assert gsr("render", files.scene, "--cameras", files.capture / "transforms.json", "-o", tmp_path / "pictures") == 0
    assert len(list((tmp_path / "pictures").iterdir())) == 6


@pytest.mark.parametrize("cameras", [[], ["--capture", "a", "--cameras", "b"]])
def test_render_wants_one_source_of_cameras(files, tmp_path, capsys, cameras):
    assert gsr("render", files.scene, *cameras, "-o", tmp_path / "pictures") == 1
    assert "either --capture DIR or --cameras JSON" in capsys.readouterr().err


def test_reconstruct_learns_the_photos_and_measures_those_kept_out(files, tmp_path, capsys):
    out = tmp_path / "made.ply"
    small = ["--long-side", "60", "--random-points", "500", "--holdout", "6:3"]
    assert gsr("reconstruct", files.capture, *small, "--steps", "150", "-o", out) == 0
    told = capsys.readouterr().out
    assert f"{len(load(out).gaussians)} Gaussians from 5 photos" in told
    psnr = float(told.split("60 px: ")[1].split()[0])
    assert psnr > 14


def test_what_is_made_is_written_into_the_home_folder_where_a_command_is_told_so(files, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    small = ["--long-side", "40", "--random-points", "200", "--steps", "2"]
    assert gsr("reconstruct", files.capture, *small, "--output=~/made.ply") == 0
    assert gsr("convert", files.scene, "~/scene.splat") == 0
    assert gsr("convert", files.scene, "~/folder/meta.json") == 0
    box = ["--capture", files.capture, *BOX, "--method", "pixels", "--force"]
    assert gsr("upgrade", files.scene, *box, "--output=~/sharp.ply", "--report=~/report.json") == 0
    for name in ("made.ply", "scene.splat", "folder/meta.json", "sharp.ply", "report.json"):
        assert (tmp_path / name).is_file()
    assert json.loads((tmp_path / "report.json").read_text())["output"] == str(tmp_path / "sharp.ply")


def test_what_is_read_and_every_folder_is_found_in_the_home_folder_where_a_command_is_told_so(
    files, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("HOME", str(files.scene.parent))
    monkeypatch.chdir(tmp_path)
    named = ["~/scene.ply", "--capture=~/photos"]
    assert gsr("inspect", *named, "--json") == 0
    assert gsr("render", *named, "--long-side", "16", "--output=~/pictures") == 0
    assert gsr("upgrade", *named, *BOX, "--method", "pixels", "--force", "--output=~/sharp.ply") == 0
    whole = ["--whole", "--method", "pixels", "--no-close-views", "--force"]
    assert gsr("upgrade", *named, *whole, "--work=~/work", "--output=~/finer.ply") == 0
    small = ["--holdout", "6:3", "--boxes", "1", "--low-long-side", "60", "--methods", "input", "pixels"]
    assert gsr("evaluate", "~/photos", "--scene=~/scene.ply", *small, "--rows=~/rows.jsonl", "--save=~/kept") == 0
    home = files.scene.parent
    assert all((home / name).exists() for name in ("pictures", "sharp.ply", "work", "finer.ply", "rows.jsonl", "kept"))
    assert list(tmp_path.iterdir()) == []


def test_a_view_dependence_that_no_file_can_hold_is_refused_before_the_work(files, tmp_path, capsys):
    with pytest.raises(SystemExit):
        gsr("reconstruct", files.capture, "--sh-degree", "5", "-o", tmp_path / "made.ply")
    assert "invalid choice '5' for argument '--sh-degree'" in capsys.readouterr().err


def test_reconstruct_makes_a_scene_without_optimisation_too(files, tmp_path, capsys):
    out = tmp_path / "swept.ply"
    assert gsr("reconstruct", files.capture, "--feed-forward", "--long-side", "80", "-o", out) == 0
    assert f"{len(load(out).gaussians)} Gaussians from 6 photos" in capsys.readouterr().out


def test_evaluate_prints_the_table_and_writes_the_figures(files, tmp_path, capsys):
    json_file = tmp_path / "figures.json"
    small = ["--holdout", "6:3", "--boxes", "1", "--low-long-side", "60", "--methods", "input", "pixels"]
    assert gsr("evaluate", files.capture, "--scene", files.scene, *small, "--json", json_file) == 0
    assert "| pixels |" in capsys.readouterr().out
    assert {row["method"] for row in json.loads(json_file.read_text())["rows"]} == {"input", "pixels"}
    assert json_file.with_suffix(".md").exists()
