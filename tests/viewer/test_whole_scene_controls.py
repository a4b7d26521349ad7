"""Whole scenes in the panel: what a method does there, and how long it took the last time."""

from flat import soon


def test_after_the_first_upgrade_of_the_whole_scene_the_panel_says_how_long_the_next_takes(opened):
    viewer, session, *_ = opened
    whole = viewer.panel.upgrade.whole
    assert "about" not in whole._hint.content.lower()
    session.upgrade(None, whole._chosen.name).result(5)
    assert soon(lambda: "About **1 s**." in whole._hint.content)
    whole._method.value = next(label for label in whole._method.options if label != whole._chosen.label)
    whole.refresh()
    assert "about" not in whole._hint.content.lower()
