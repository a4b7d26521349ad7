"""Another method tried on a region works on all that the region was selected by, and on nothing else."""

import time

import pytest
import torch
from fakes import patch_of, random_scene, result_of, session_of
from scenes import camera_at

from gaussian_lens_app.scene import Box, Region
from gaussian_lens_app.session import Combine
from gaussian_lens_app.session.stored import region_json, region_of

LEFT = Box(camera_at(0.0), (0, 0, 40, 40))
RIGHT = Box(camera_at(0.0), (60, 0, 100, 40))


def by_its_box(scene, box, capture, rasterizer, *, mode, through=False, **limits):
    """The first four rows on the left, two on the right; two more hidden behind either."""
    rows = torch.zeros(len(scene), dtype=torch.bool)
    rows[slice(0, 4) if box is LEFT else slice(4, 6)] = True
    rows[6:8] |= through
    return Region(rows, rows.float())


class Noting:
    """An `upgrade` that notes which rows it was of."""

    def __init__(self):
        self.rows: list[list[int]] = []

    def __call__(self, request, report):
        region = request.region or by_its_box(
            request.scene, request.box, *[None] * 2, mode=None, through=request.through
        )
        rows = region.selected.nonzero()[:, 0].tolist()
        self.rows.append(rows)
        return result_of(request.scene, patch_of(rows, random_scene(len(rows), seed=len(self.rows)), rows))


@pytest.fixture
def tried():
    """(session, its upgrade) with nothing selected yet."""
    upgrade = Noting()
    session = session_of(random_scene(10), upgrade, select=by_its_box)
    yield session, upgrade
    session.close()


def select(session, box, **how):
    session.select(box, **how)
    while session.selection.pending:
        time.sleep(0.01)


def twice(session):
    session.upgrade(session.selection.box).result(5)
    session.upgrade_again(1, "fit-only").result(5)


def test_a_box_added_to_another_is_tried_again_with_it(tried):
    session, upgrade = tried
    select(session, LEFT)
    select(session, RIGHT, how=Combine.ADD)
    twice(session)
    assert upgrade.rows == [[0, 1, 2, 3, 4, 5]] * 2


def test_what_was_taken_through_the_surface_is_tried_again_through_it(tried):
    session, upgrade = tried
    select(session, LEFT, through=True)
    twice(session)
    assert upgrade.rows == [[0, 1, 2, 3, 6, 7]] * 2


def test_what_a_box_took_away_is_not_tried_instead_of_what_was_left(tried):
    session, upgrade = tried
    select(session, LEFT, through=True)
    select(session, RIGHT, how=Combine.REMOVE, through=True)
    twice(session)
    assert upgrade.rows == [[0, 1, 2, 3]] * 2


def test_a_saved_region_knows_what_it_was_selected_by(tried):
    session, _ = tried
    select(session, LEFT, through=True)
    select(session, RIGHT, how=Combine.REMOVE)
    session.upgrade(session.selection.box).result(5)
    region = session.regions[0]
    read = region_of(region_json(region), {region.key: region.current.edit})
    assert [(pick.how, pick.through, pick.depth) for pick in read.picks] == [
        (Combine.NEW, True, None), (Combine.REMOVE, False, None)
    ]  # fmt: skip
    assert read.picks[0].box.rect == LEFT.rect


def test_a_region_saved_before_selections_were_kept_has_its_box(tried):
    session, _ = tried
    select(session, LEFT)
    session.upgrade(session.selection.box).result(5)
    region = session.regions[0]
    data = region_json(region)
    del data["picks"]
    assert region_of(data, {region.key: region.current.edit}).box.rect == LEFT.rect
