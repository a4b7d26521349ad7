"""Splats removed by where they come from, while others work on the same scene."""

import threading
import time

import pytest
import torch
from fakes_visitor import Visitor
from flat import Flat, dot

from gaussian_lens_app.evaluation.judge import Verdict
from gaussian_lens_app.scene import Gaussians, Kind, Patch, Region
from gaussian_lens_app.session import Session
from gaussian_lens_app.upgrade import UpgradeResult
from gaussian_lens_app.viewer import View

VERDICT = Verdict(True, True, 1.0, 0.1, "a.png", "It is another colour.")


@pytest.fixture
def viewer():
    """Of a scene whose last two rows are a fitted and an invented splat, each put there by an upgrade."""
    kinds = [Kind.FITTED, Kind.INVENTED]

    def upgrade(request, report):
        first = torch.arange(len(request.scene)) == 0
        said = torch.tensor([kinds.pop(0)], dtype=torch.uint8)
        patch = Patch(torch.tensor([0]), dot((0.5, 0.5, 0.5)), torch.tensor([0]), kinds=said)
        return UpgradeResult(patch, Region(first, first.float()), VERDICT, {"method": 0.1})

    scene = Gaussians.concat([dot((0.1 * i, 0.5, 0.5)) for i in range(3)])
    session = Session(scene, rasterizer=Flat(), upgrade=upgrade)
    made = View(session, port=0)
    for _ in range(2):
        session.upgrade(None).result(5)
    assert session.edited.rows.kinds.tolist() == [0, Kind.FITTED, Kind.INVENTED]
    yield made
    made.stop()
    session.close()


def test_only_splats_of_that_kind_go_though_the_scene_changed_as_the_button_was_pressed(viewer):
    session, visitor = viewer.session, Visitor()
    viewer.panel.provenance._kind.value = Kind.INVENTED.label
    pressed = threading.Thread(target=viewer.panel.provenance._remove_kind, args=(visitor,))
    with session._lock:  # somebody else's undo is at work
        pressed.start()
        time.sleep(0.2)
        session.undo()
    pressed.join(5)
    assert session.edited.rows.kinds.tolist() == [0, 0, Kind.FITTED]
    assert "nothing to remove" in visitor.told[0][1]
