"""The selection's thread and the upgrades' worker ask the same selector, each about a scene of its own."""

import threading

import torch
from fakes import BOX, random_scene

from gaussian_lens_app.raster import ANTIALIASED
from gaussian_lens_app.scene import Box, Region
from gaussian_lens_app.session.events import Combine, Pick
from gaussian_lens_app.session.history import Edited
from gaussian_lens_app.session.selecting import Selector

FIRST, SECOND = Pick(BOX, Combine.NEW), Pick(Box(BOX.camera, (0, 0, 8, 8)), Combine.ADD)


def test_a_find_in_one_scene_takes_nothing_from_a_find_in_another_meanwhile():
    older, newer = (Edited.original(random_scene(count)) for count in (4, 5))
    inside, go_on = threading.Event(), threading.Event()
    found = {}

    def select(scene, box, capture, rasterizer, *, mode, through=False):
        if scene is older.scene and box is FIRST.box:
            inside.set()
            assert go_on.wait(10)
        return Region(torch.ones(len(scene), dtype=torch.bool), torch.ones(len(scene)))

    selector = Selector(select, None, None)

    def find(name, picks, base):
        found[name] = selector.find(picks, base, ANTIALIASED)

    chain = threading.Thread(target=find, args=("older", (FIRST, SECOND), older))
    chain.start()
    assert inside.wait(10)
    alone = threading.Thread(target=find, args=("newer", (SECOND,), newer))
    alone.start()
    alone.join(0.5)  # as long as it takes where nothing holds it back
    go_on.set()
    chain.join(10)
    alone.join(10)
    assert {name: len(region.selected) for name, region in found.items()} == {"older": 4, "newer": 5}


def test_a_box_found_in_another_scene_is_looked_into_anew():
    older, newer = (Edited.original(random_scene(count)) for count in (4, 5))
    looked = []

    def select(scene, box, capture, rasterizer, *, mode, through=False):
        looked.append(len(scene))
        return Region(torch.ones(len(scene), dtype=torch.bool), torch.ones(len(scene)))

    selector = Selector(select, None, None)
    selector.find((FIRST,), older, ANTIALIASED)
    assert len(selector._one(FIRST, newer, ANTIALIASED).selected) == 5
    selector.find((FIRST, SECOND), newer, ANTIALIASED)
    assert looked == [4, 5, 5]
