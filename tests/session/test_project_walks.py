"""Whatever is done in whatever order, the project opens again as it was left."""

import tempfile
from contextlib import suppress
from pathlib import Path

import torch
from fakes import BOX, patch_of, random_scene, result_of, same_bits
from hypothesis import given, settings
from hypothesis import strategies as st
from test_project_ground import readied, reopened

from gaussian_lens_app import formats
from gaussian_lens_app.errors import MethodError
from gaussian_lens_app.session import Session
from gaussian_lens_app.session.project import new_project

ACTIONS = [*["upgrade"] * 3, "again", "hide", "show", "remove", "flip", "undo", "redo", "delete", "ready", "reopen"]
STEPS = st.lists(st.tuples(st.sampled_from(ACTIONS), st.integers(0, 2**16), st.booleans()), min_size=3, max_size=12)


def anything(seed):
    """An upgrade that takes out two rows of the scene, later ones rather than the file's, and puts two in."""

    def make(request, report):
        count = len(request.scene)
        rows = sorted({count - 1 - seed % min(count, 4), seed % count})
        return result_of(request.scene, patch_of(rows, random_scene(2, seed=seed), [rows[0], -1]))

    return make


def act(session, action, seed, flag):
    """Do it where it can be done; refused is fine too."""
    number = session.regions[seed % len(session.regions)].number if session.regions else 1
    session._upgrade = anything(seed)
    with suppress(MethodError):
        if action == "upgrade":
            session.upgrade(BOX).result(5)
        elif action == "again":
            session.upgrade_again(number, "fit-only").result(5)
        elif action in ("hide", "remove"):
            getattr(session, f"{action}_region")(number, with_dependents=flag)
        elif action == "show":
            session.show_region(number)
        elif action == "flip":
            session.flip_region(number, seed % len(session.work.arrangement.region(number).alternatives))
        elif action in ("undo", "redo"):
            getattr(session, action)()
        elif action == "delete":
            session.delete_splats(lambda now: torch.arange(len(now.ids)) == seed % len(now.ids), "One removed")
        elif action == "ready":
            readied(session)


def listed(session):
    return [(r.number, r.shown, r.chosen, [one.edit.key for one in r.alternatives]) for r in session.regions]


def in_one_range(edit):
    """Whether the rows it put in have names without a gap, in order: `builds_on` goes by that."""
    ids = edit.after.ids
    return len(ids) == 0 or torch.equal(ids, torch.arange(int(ids[0]), int(ids[0]) + len(ids)))


@settings(max_examples=30, deadline=None)
@given(STEPS)
def test_a_project_opens_as_it_was_left_after_any_walk(steps):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scene.ply"
        formats.save(path, random_scene(10))
        file = formats.load(path)
        session = Session(file.gaussians, rasterizer=None, file=file)
        work = new_project(Path(folder) / "work", path, None, session).folder
        for action, seed, flag in (*steps, ("reopen", 0, False)):
            if action != "reopen":
                act(session, action, seed, flag)
                continue
            again = reopened(work)
            assert same_bits(again.scene, session.scene)
            assert listed(again) == listed(session)
            assert again.notes == ()
            assert all(in_one_range(edit) for edit in (*again.history, *again.work.arrangement.alternatives()))
            session.close()
            session = again
        while session.undo() is not None:
            reopened(work).close()
        assert same_bits(session.scene, session.original.scene)
        session.close()
