"""The commands as a user meets them: help at once, one sentence for an error, the right exit code."""

import dataclasses
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gaussian_lens_app import cli
from gaussian_lens_app.errors import BadFile, GsrError, JobCancelled

PROGRAMS = {"gsr": "gsr", "gsr-view": "gsr_view"}


def run(program: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The finished process of a command; tests run it as the installed script does."""
    code = f"from gaussian_lens_app.cli import {PROGRAMS[program]}; {PROGRAMS[program]}()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "COLUMNS": "120", **environment},
    )


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_names_the_program_and_needs_no_torch(program):
    code = (
        "import sys; from gaussian_lens_app import cli\n"
        f"sys.argv[1:] = ['--help']\ntry: cli.{PROGRAMS[program]}()\n"
        "except SystemExit as stop: assert stop.code == 0\n"
        "slow = {'torch', 'numba', 'viser', 'gsplat', 'numpy'} & set(sys.modules)\n"
        "sys.exit(f'help imported {slow}' if slow else 0)"
    )
    started = time.monotonic()
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    assert f"usage: {program}" in result.stdout
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("name", cli.SUBCOMMANDS)
def test_every_subcommand_explains_each_of_its_arguments(name, capsys):
    with pytest.raises(SystemExit):
        cli.main([name, "--help"])
    text = capsys.readouterr().out
    for field in dataclasses.fields(cli.SUBCOMMANDS[name]):
        positional = field.name in ("scene", "capture", "file", "network", "name") and f"--{field.name}" not in text
        assert positional or f"--{field.name.replace('_', '-')}" in text
    assert cli.SUBCOMMANDS[name].__doc__.split("\n")[0].split(",")[0] in text


def test_a_missing_file_is_one_sentence_and_exit_code_1(tmp_path):
    result = run("gsr", "render", str(tmp_path / "none.ply"), "--capture", str(tmp_path), "-o", str(tmp_path / "out"))
    assert result.returncode == 1
    assert result.stdout == ""
    assert len(result.stderr.strip().splitlines()) == 1
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(("arguments", "environment"), [(["--traceback"], {}), ([], {"GSR_TRACEBACK": "1"})])
def test_the_traceback_is_there_for_who_asks(tmp_path, arguments, environment):
    result = run("gsr", "evaluate", str(tmp_path), "--scene", "a.ply", "--holdout", "no", *arguments, **environment)
    assert result.returncode == 1
    assert "Traceback" in result.stderr
    assert "EVERY:OFFSET" in result.stderr


def test_wrong_arguments_are_exit_code_2():
    result = run("gsr", "upgrade", "--box", "1", "2")
    assert result.returncode == 2
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("problem", "code"),
    [
        (KeyboardInterrupt(), 130),
        (JobCancelled("stopped"), 130),
        (BadFile("It is broken."), 1),
        (PermissionError(13, "Permission denied", "photos"), 1),
        (OSError("no such server"), 1),
    ],
)
def test_what_ends_a_command_decides_its_exit_code(monkeypatch, capsys, problem, code):
    @dataclasses.dataclass
    class Fails:
        def run(self):
            raise problem

    monkeypatch.setattr(cli, "SUBCOMMANDS", {"fails": Fails, "also-fails": Fails})
    assert cli.main(["fails"]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.strip().splitlines()) == 1


def test_a_path_that_cannot_be_looked_at_is_named(capsys):
    for name in ("x" * 300, "x" * 300 + ".json"):
        assert cli.main(["inspect", name]) == 1
        assert capsys.readouterr().err.endswith(f"{name}: File name too long.\n")


def test_a_thread_at_work_does_not_spoil_the_exit_code():
    # Without care this aborts: the thread frees a tensor while the interpreter shuts down.
    code = (
        "import threading, time, torch\n"
        "from gaussian_lens_app import cli\n"
        "def work():\n"
        "    while True: torch.zeros(100_000) + 1\n"
        "def command():\n"
        "    for _ in range(3): threading.Thread(target=work, daemon=True).start()\n"
        "    time.sleep(0.2)\n"
        "    return 130\n"
        "cli.main = command\n"
        "cli.gsr()"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stderr) == (130, "")


def test_errors_that_are_no_message_for_the_user_keep_their_traceback(monkeypatch):
    @dataclasses.dataclass
    class Broken:
        def run(self):
            raise ZeroDivisionError

    monkeypatch.setattr(cli, "SUBCOMMANDS", {"broken": Broken, "also-broken": Broken})
    with pytest.raises(ZeroDivisionError):
        cli.main(["broken"])


@pytest.mark.parametrize("text", ["8", "8:8", "8:9", ":", "a:b", "-8:4", "8:4:1"])
def test_a_holdout_that_keeps_nothing_out_is_refused(text):
    from gaussian_lens_app.commands.arguments import parse_holdout

    with pytest.raises(GsrError, match="8:4"):
        parse_holdout(text)


def test_defaults_on_the_command_line_are_those_of_the_python_api(capsys):
    import gaussian_lens_app as lens
    from gaussian_lens_app.commands.arguments import parse_holdout
    from gaussian_lens_app.commands.evaluate import Evaluate
    from gaussian_lens_app.commands.reconstruct import Reconstruct
    from gaussian_lens_app.commands.upgrade import Upgrade

    def defaults(kind: type) -> dict:
        return {
            field.name: field.default for field in dataclasses.fields(kind) if field.default is not dataclasses.MISSING
        }

    def common(command: type, settings: type) -> tuple[dict, dict]:
        ours, theirs = defaults(command), defaults(settings)
        names = ours.keys() & theirs.keys()
        assert names == theirs.keys()
        return {name: ours[name] for name in names}, theirs

    reconstruct, settings = common(Reconstruct, lens.ReconstructSettings)
    assert reconstruct == settings
    evaluate, settings = common(Evaluate, lens.EvaluateSettings)
    assert {**evaluate, "holdout": parse_holdout(evaluate["holdout"])} == settings
    usual, unset = lens.Budget(), defaults(Upgrade)
    assert unset["budget_seconds"] is None
    assert unset["budget_gaussians"] is None
    with pytest.raises(SystemExit):
        cli.main(["upgrade", "--help"])
    said = capsys.readouterr().out
    assert f"{usual.seconds:g} for a box" in " ".join(said.replace("│", " ").split())
    assert f"{usual.gaussians} for a box" in " ".join(said.replace("│", " ").split())


def test_a_target_that_cannot_be_written_is_found_before_the_work(tmp_path):
    from gaussian_lens_app.commands.reading import check_target
    from gaussian_lens_app.errors import ExportError

    (tmp_path / "folder.ply").mkdir()
    for target in (tmp_path / "no" / "out.ply", tmp_path / "out.txt", tmp_path / "folder.ply"):
        with pytest.raises(ExportError):
            check_target(target, ".ply")
    assert check_target(tmp_path / "out.ply", ".ply") == tmp_path / "out.ply"


def test_a_target_in_the_home_folder_is_that_file_and_no_other(tmp_path, monkeypatch):
    from gaussian_lens_app.commands.reading import check_target
    from gaussian_lens_app.errors import ExportError

    monkeypatch.setenv("HOME", str(tmp_path))
    assert check_target(Path("~/out.ply"), ".ply") == tmp_path / "out.ply"
    (tmp_path / "scene.ply").write_text("read")
    with pytest.raises(ExportError, match="stays as it is"):
        check_target(Path("~/scene.ply"), ".ply", own=tmp_path / "scene.ply")
    with pytest.raises(ExportError, match="There is no folder"):
        check_target(Path("~nobody-of-this-name/out.ply"), ".ply")


def test_the_home_folder_is_meant_wherever_an_argument_is_a_path(tmp_path, monkeypatch):
    @dataclasses.dataclass(frozen=True)
    class Inner:
        start: Path | None = None

    @dataclasses.dataclass(frozen=True)
    class Outer:
        captures: tuple[Path, ...]
        inner: Inner
        name: str = "~/stays"

        def run(self):
            ran.append(self)

    ran = []
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(cli, "SUBCOMMANDS", {"outer": Outer, "other": Outer})
    assert cli.main(["outer", "--captures", "~/a", "b", "--start=~/c", "--name=~/stays"]) == 0
    assert ran == [Outer((tmp_path / "a", Path("b")), Inner(tmp_path / "c"))]


def test_the_viewer_finds_scene_photos_project_and_exports_in_the_home_folder(tmp_path, monkeypatch):
    def view(scene, capture, **how):
        seen.extend([scene, capture, how["project"], how["exports"]])

    seen = []
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("gaussian_lens_app.viewer.view", view)
    options = ["--capture=~/photos", "--project=~/work", "--exports=~/out"]
    assert cli.view_main(["~/scene.ply", *options]) == 0
    assert seen == [tmp_path / name for name in ("scene.ply", "photos", "work", "out")]


def test_a_reader_that_has_enough_ends_a_command_quietly():
    command = f"{sys.executable} -m gaussian_lens_app methods"
    result = subprocess.run(
        ["bash", "-c", f"{command} | true; echo ${{PIPESTATUS[0]}}"], capture_output=True, text=True, timeout=120
    )
    assert result.stdout.strip() in ("0", "141")
    assert result.stderr == ""
