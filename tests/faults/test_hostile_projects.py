"""Project folders nobody vouches for: a session or one sentence, and no file outside the folder is touched."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from exports import scene_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gaussian_lens_app import formats
from gaussian_lens_app.errors import BadFile, FileError, GsrError
from gaussian_lens_app.evaluation.judge import Verdict
from gaussian_lens_app.scene import Box, Camera, Patch, Region
from gaussian_lens_app.session import Session
from gaussian_lens_app.session.project import new_project, open_project
from gaussian_lens_app.upgrade import UpgradeResult

EXAMPLES = int(os.environ.get("GSR_FUZZ_EXAMPLES", "60"))
ODD = [None, -1, 0, 7, 1 << 40, 1e300, float("nan"), "", "x", "../../x", "/etc/passwd", [], {}, [[]], True, {"a": 1}]


def replaced(request, report):
    """An upgrade that replaces row 0 and adds one."""
    mask = torch.zeros(len(request.scene), dtype=torch.bool)
    mask[0] = True
    patch = Patch(torch.tensor([0]), scene_of(2), torch.tensor([0, -1]))
    verdict = Verdict(True, True, 1.0, 0.1, "photo", "Better.")
    return UpgradeResult(patch, Region(mask, mask.float()), verdict, {"select": 0.0, "method": 0.0, "judge": 0.0})


def everything(scene, box, capture, rasterizer, *, mode, through=False) -> Region:
    return Region(torch.ones(len(scene), dtype=torch.bool), torch.ones(len(scene)))


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A project of two upgrades, one of them hidden."""
    root = tmp_path_factory.mktemp("projects")
    formats.save(root / "scene.ply", scene_of(12))
    file = formats.load(root / "scene.ply")
    session = Session(file.gaussians, rasterizer=None, file=file, upgrade=replaced, select=everything)
    new_project(root / "work", root / "scene.ply", None, session)
    box = Box(Camera(torch.eye(4), torch.eye(3), 8, 8), (0, 0, 8, 8))
    for _ in range(2):
        session.upgrade(box).result(10)
    session.hide_region(2)
    session.close()
    return root / "work"


def opens_or_says_why(folder: Path) -> str:
    """The sentence; empty when it opened."""
    outside = {p: p.stat().st_mtime_ns for p in folder.parent.iterdir() if p.is_file()}
    sentence = ""
    try:
        session, _ = open_project(folder, "cpu")
        session.close()
    except GsrError as error:
        sentence = str(error)
    assert "\n" not in sentence
    assert len(sentence) < 1000
    assert {p: p.stat().st_mtime_ns for p in folder.parent.iterdir() if p.is_file()} == outside
    return sentence


def test_the_project_these_tests_damage_opens_with_both_its_upgrades(project, tmp_path):
    copy = copied(project, tmp_path)
    session, _ = open_project(copy, "cpu")
    session.close()
    assert [region.shown for region in session.regions] == [True, False]
    assert len(session.history) == 1
    assert sorted(path.name for path in (copy / "patches").iterdir()) == ["0001.safetensors", "0002.safetensors"]


def copied(project: Path, folder: Path) -> Path:
    """A copy of the project, and of its scene beside it."""
    shutil.copytree(project, folder / "work")
    shutil.copy(project.parent / "scene.ply", folder)
    return folder / "work"


def test_a_project_json_with_any_value_anywhere_opens_or_says_why(project, tmp_path):
    project = copied(project, tmp_path)
    outcomes = []
    text = (project / "project.json").read_text()
    patches = {p.name: p.read_bytes() for p in (project / "patches").iterdir()}

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize="GSR_FUZZ_EXAMPLES" not in os.environ,
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    @given(st.floats(0, 1), st.sampled_from(ODD), st.booleans())
    def run(where, value, remove):
        document = json.loads(text)
        places = list(_places(document))
        holder, key = places[int(where * (len(places) - 1))]
        if remove:
            del holder[key]
        else:
            holder[key] = value
        shutil.rmtree(project / "patches")
        (project / "patches").mkdir()
        for name, data in patches.items():
            (project / "patches" / name).write_bytes(data)
        (project / "project.json").write_text(json.dumps(document))
        outcomes.append(opens_or_says_why(project))

    run()
    assert any(outcomes), "nothing was damaged: the test shows nothing"
    assert not all(outcomes), "nothing was opened: the test shows nothing"


def _places(value):
    items = value.items() if isinstance(value, dict) else list(enumerate(value))
    for key, inner in list(items):
        yield value, key
        if isinstance(inner, dict | list):
            yield from _places(inner)


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"\xff" * 40, b"\x08\0\0\0\0\0\0\0{}      ", b"\xff\xff\xff\xff\xff\xff\xff\x7f{}"]
)
def test_a_damaged_patch_says_which(project, tmp_path, data):
    copy = copied(project, tmp_path)
    (copy / "patches" / "0001.safetensors").write_bytes(data)
    with pytest.raises(BadFile, match="0001"):
        open_project(copy, "cpu")


def test_a_missing_patch_says_which(project, tmp_path):
    copy = copied(project, tmp_path)
    (copy / "patches" / "0001.safetensors").unlink()
    with pytest.raises(FileError, match="0001"):
        open_project(copy, "cpu")
