"""Saves from several threads leave the newest state on disk."""

import json
import threading
from types import SimpleNamespace

import pytest
from fakes import BOX, random_scene, session_of
from test_project import replacing, session_on

from gaussian_lens_app import formats
from gaussian_lens_app.session import project as module
from gaussian_lens_app.session.project import new_project, open_project


@pytest.fixture
def work(tmp_path):
    """(session, project) with one upgrade."""
    path = tmp_path / "scene.ply"
    formats.save(path, random_scene(10))
    session = session_on(path, replacing([0, 1], 1), replacing([2], 2))
    project = new_project(tmp_path / "work", path, None, session)
    session.upgrade(BOX).result(5)
    yield session, project
    session.close()


def test_a_slow_save_does_not_write_over_a_later_one(work, monkeypatch):
    session, project = work
    taken, go_on = threading.Event(), threading.Event()

    def dump_slowly_once(data, file, **how):
        if not taken.is_set():
            taken.set()
            assert go_on.wait(10)
        json.dump(data, file, **how)

    monkeypatch.setattr(module, "json", SimpleNamespace(dump=dump_slowly_once, loads=json.loads))
    slow = threading.Thread(target=project.set_up, args=((0.0, 0.0, 1.0),))
    slow.start()
    assert taken.wait(10)
    job = session.upgrade(BOX)
    later = threading.Thread(target=job.result, args=(10,))
    later.start()
    later.join(0.5)  # as long as it takes where nothing holds it back
    go_on.set()
    later.join(10)
    slow.join(10)
    assert project.told is None
    again, reopened = open_project(project.folder, "cpu")
    assert [region.number for region in again.regions] == [1, 2]
    assert reopened.up == (0.0, 0.0, 1.0)
    again.close()


def test_names_read_earlier_stay_as_they_were():
    session = session_of(random_scene(4))
    session.rename_region(1, "Leaf")
    names = session.work.names
    session.rename_region(2, "Stem")
    session.rename_region(1, "")
    assert names == {1: "Leaf"}
    assert session.work.names == {2: "Stem"}
    session.close()


def test_an_upgrade_seen_while_it_lands_has_its_key_used_up(work):
    session, _ = work
    seen = []

    class Seen(type(session.work)):
        def __setattr__(self, name, value):
            object.__setattr__(self, name, value)
            if name == "arrangement":
                seen.append((max(edit.key for edit in self.arrangement.edits), self.next_key))

    session.work.__class__ = Seen
    session.upgrade(BOX).result(5)
    assert seen == [(2, 3)]
