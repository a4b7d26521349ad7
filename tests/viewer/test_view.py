"""`view`: files in, one line out, a port that is free again afterwards."""

import os
import re
import signal
import socket
import subprocess
import sys

import pytest
from fakes_files import write_board
from flat import flat_session

from gaussian_lens_app.viewer import View

CODE = "from gaussian_lens_app.cli import gsr_view; gsr_view()"


def interruptible():
    """In the new process: Ctrl-C counts, even if the tests were started where it does not (in the background)."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def start(scene, port=0, *more):
    """A process that serves the scene as the installed command does, and its first line."""
    arguments = [str(scene), "--device", "cpu", "--port", str(port), "--no-open", *more]
    process = subprocess.Popen(
        [sys.executable, "-c", CODE, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
        preexec_fn=interruptible,
    )
    assert process.stdout is not None
    return process, process.stdout.readline()


def end(process):
    """Interrupt it, as Ctrl-C does; what it printed more, and its errors."""
    process.send_signal(signal.SIGINT)
    return process.communicate(timeout=20)


@pytest.fixture
def scene(tmp_path):
    return write_board(tmp_path / "board.ply")


def test_it_prints_its_address_in_one_line_and_frees_the_port_when_interrupted(scene):
    process, line = start(scene)
    match = re.fullmatch(r"Ready: http://127\.0\.0\.1:(\d+)\n", line)
    assert match, line
    out, _ = end(process)
    assert out == ""
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free.bind(("127.0.0.1", int(match[1])))


def test_a_taken_port_is_said_and_the_next_free_one_used(scene):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        process, line = start(scene, port)
        _, errors = end(process)
    assert "Ready: " in line
    assert f":{port}\n" not in line
    assert f"Port {port} is taken" in errors


def test_a_file_that_is_no_scene_is_a_sentence_before_anything_is_served(tmp_path):
    bad = tmp_path / "bad.ply"
    bad.write_bytes(b"not a scene")
    process, line = start(bad)
    _, errors = process.communicate(timeout=60)
    assert line == ""
    assert process.returncode == 1
    assert "bad.ply" in errors.splitlines()[-1]
    assert "Traceback" not in errors


def test_a_project_folder_is_made_and_opened_like_a_scene(scene, tmp_path):
    process, line = start(scene, 0, "--project", str(tmp_path / "work"))
    end(process)
    assert "Ready: " in line
    assert (tmp_path / "work" / "project.json").is_file()
    process, line = start(tmp_path / "work")
    _, errors = end(process)
    assert "Ready: " in line, errors


def test_beyond_loopback_the_address_has_a_token(scene):
    process, line = start(scene, 0, "--host", "0.0.0.0")
    end(process)
    assert re.fullmatch(r"Ready: http://127\.0\.0\.1:(\d+)/\?token=\S{20,}\n", line), line


def test_a_first_view_that_cannot_be_found_leaves_the_port_free(monkeypatch):
    session, _ = flat_session()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    def fails(*_):
        raise ArithmeticError("Nothing to look at.")

    monkeypatch.setattr("gaussian_lens_app.viewer.app.first_view", fails)
    with pytest.raises(ArithmeticError):
        View(session, port=port)
    with socket.socket() as free:
        free.bind(("127.0.0.1", port))
    session.close()
