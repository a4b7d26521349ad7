"""What a chain of boxes selects, on a board whose answer can be counted."""

import time

import pytest
import torch
from fakes import BOX, Scripted, patch_of, random_scene, result_of, session_of

from gaussian_lens_app.methods.base import Budget
from gaussian_lens_app.scene import Box
from gaussian_lens_app.session import Combine, Session


@pytest.fixture
def session(textured_board, fast_rasterizer):
    made = Session(textured_board.scene, rasterizer=fast_rasterizer, capture=textured_board.capture)
    yield made
    made.close()


@pytest.fixture
def view(textured_board):
    return textured_board.capture.photos[2].camera


def selected(session, box, **how):
    """The rows selected once the session has answered."""
    session.select(box, **how)
    return waited(session)


def waited(session):
    end = time.monotonic() + 10
    while session.selection.pending:
        assert time.monotonic() < end
        time.sleep(0.01)
    assert session.selection.error is None, session.selection.error
    return session.selection.region.selected


def test_boxes_add_take_away_and_cut_down(session, view):
    left, right = Box(view, (60, 60, 120, 120)), Box(view, (100, 60, 160, 120))
    a, b = selected(session, left), selected(session, right)
    selected(session, left)
    assert torch.equal(selected(session, right, how=Combine.ADD), a | b)
    selected(session, left)
    assert torch.equal(selected(session, right, how=Combine.REMOVE), a & ~b)
    selected(session, left)
    assert torch.equal(selected(session, right, how=Combine.INTERSECT), a & b)
    assert bool((a & b).any())
    assert bool((a & ~b).any())


def test_inverting_twice_gives_the_selection_back(session, view):
    first = selected(session, Box(view, (60, 60, 120, 120)))
    session.invert_selection()
    assert torch.equal(waited(session), ~first)
    session.invert_selection()
    assert torch.equal(waited(session), first)


def test_through_takes_what_is_hidden_and_a_depth_limit_leaves_it_out(session, view):
    """The board hides a wall that lies one unit behind it, 1.29 times as deep."""
    box = Box(view, (80, 60, 160, 120))
    wall = session.scene.means[:, 2] > 0.5
    assert not bool((selected(session, box) & wall).any())
    assert bool((selected(session, box, through=True) & wall).any())
    assert not bool((selected(session, box, through=True, depth=1.1) & wall).any())


def test_the_photos_of_a_combined_selection_are_ranked_anew(session, view):
    selected(session, Box(view, (60, 60, 100, 120)))
    selected(session, Box(view, (120, 60, 160, 120)), how=Combine.ADD)
    views = session.selection.region.views
    assert len(views) > 2
    assert [v.score for v in views] == sorted((v.score for v in views), reverse=True)


def test_an_upgrade_works_on_what_the_chain_selected(textured_board, fast_rasterizer, view):
    seen = []

    def upgrade(request, report):
        seen.append(request.region.selected)
        return result_of(request.scene, patch_of([], random_scene(1)))

    session = Session(textured_board.scene, rasterizer=fast_rasterizer, capture=textured_board.capture, upgrade=upgrade)
    selected(session, Box(view, (60, 60, 120, 120)))
    both = selected(session, Box(view, (120, 60, 160, 120)), how=Combine.ADD)
    session.upgrade(session.selection.box).result(10)
    assert torch.equal(seen[0], both)
    session.upgrade(session.selection.box).result(10)  # the scene is another one now; the boxes are the same
    assert int(seen[1].sum()) == int(both.sum())
    session.close()


def test_the_estimate_is_there_before_anything_runs_and_learns(session, view):
    assert session.estimate("refine") is None
    selected(session, Box(view, (60, 60, 120, 120)))
    budget = Budget(4.0, 60_000)
    first = session.estimate("refine", budget)
    assert 4.0 < first.seconds < 10
    pixels = sum(int(v.mask.sum()) for v in session.selection.region.views[:2])
    assert 0 < first.gaussians <= pixels
    assert session.estimate("fit-only", budget).gaussians == 0
    assert session.estimate("refine", Budget(4.0, 50)).gaussians <= 50


def test_an_upgrade_that_took_half_its_time_is_expected_to_do_so_again():
    session = session_of(random_scene(4), Scripted(lambda r: result_of(r.scene, patch_of([], random_scene(1)))))
    session.select(BOX)
    waited(session)
    session.upgrade(BOX, "refine", Budget(2.0, 100)).result(5)
    session.select(BOX)
    waited(session)
    assert session.estimate("refine", Budget(2.0, 100)).seconds == pytest.approx(0.2 + 0.2)
    session.close()
