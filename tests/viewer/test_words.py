"""The panel's lines say what is so, in words a newcomer knows."""

import dataclasses
import re
from types import SimpleNamespace
from typing import cast

import pytest
import torch
from flat import dot, flat_session
from scenes import camera_at

from gaussian_lens_app.errors import DeviceError
from gaussian_lens_app.evaluation.judge import Verdict, _sentence
from gaussian_lens_app.jobs import JobState, JobStatus
from gaussian_lens_app.methods import Scope
from gaussian_lens_app.scene import Box, Region
from gaussian_lens_app.session import Outcome, Selection
from gaussian_lens_app.session.arrangement import Alternative
from gaussian_lens_app.session.choices import Choice, choices, for_boxes, for_whole_scenes
from gaussian_lens_app.session.estimate import Estimate
from gaussian_lens_app.session.history import Edit
from gaussian_lens_app.viewer import words
from gaussian_lens_app.viewer.panels.help import FIRST_RUN


def test_the_facts_name_the_scene_its_size_and_that_photos_are_missing():
    line = words.facts("my_scene.ply", dot((1, 0, 0)), None)
    assert "my\\_scene.ply" in line
    assert "1 Gaussian" in line
    assert "--capture" in line


def test_a_file_name_cannot_bring_markup_into_the_panel():
    line = words.facts("<img src=x>![a](b.png).ply", dot((1, 0, 0)), None)
    assert "\\<img src=x\\>\\!\\[a\\]\\(b.png\\)" in line


def test_the_selection_line_follows_the_selection():
    region = Region(torch.tensor([True, False, True]), torch.ones(3))
    assert "Shift" in words.selection_line(None, armed=False)
    assert "drag a box" in words.selection_line(None, armed=True)
    assert "Looking" in words.selection_line(Selection(None, pending=True), armed=False)
    assert "2 Gaussians selected" in words.selection_line(Selection(None, region), armed=False)
    empty = dataclasses.replace(region, selected=torch.zeros(3, dtype=torch.bool))
    assert "Nothing" in words.selection_line(Selection(None, empty), armed=False)
    failed = Selection(None, error=DeviceError("Out of memory."))
    assert "Out of memory." in words.selection_line(failed, armed=False)


def test_methods_that_cannot_run_are_listed_with_the_reason():
    table = (Choice("a", "Alpha", "Does a.", None), Choice("b", "Beta", "Does b.", "needs photos: --capture"))
    assert words.method_lines(table[0]) == "Does a."
    assert "About **3 s**, no new Gaussians." in words.method_lines(table[0], Estimate(3.0, 0))
    assert words.method_lines(table[0], Estimate(3.0, None)).endswith("About **3 s**.")
    assert words.missing_lines(table) == "Not here: *Beta* (needs photos: `--capture`)."
    assert words.missing_lines(table[:1]) == ""


def test_a_method_for_whole_scenes_alone_is_first_there_and_not_offered_for_boxes():
    table = (
        Choice("a", "Alpha", "Does a.", None),
        Choice("b", "Beta", "Does b.", "needs photos"),
        Choice("c", "Gamma", "Does c.", None, (Scope.SCENE,)),
    )
    assert [choice.name for choice in for_boxes(table)] == ["a"]
    assert [choice.name for choice in for_whole_scenes(table)] == ["c", "a"]


def test_without_photos_the_methods_that_need_them_are_missing_something():
    missing = {choice.name: choice.missing for choice in choices(None)}
    assert "photos" in missing["refine"]


def test_progress_tells_the_stage_and_the_time_left():
    status = JobStatus("refine 1", JobState.RUNNING, "Fitting", 0.4, 6.2)
    assert words.progress_line(status) == "Fitting · about 6 s left"
    assert words.progress_line(status, 2).endswith("2 more waiting")
    assert "left" not in words.progress_line(dataclasses.replace(status, eta_seconds=None))
    assert words.progress_line(dataclasses.replace(status, eta_seconds=600)).endswith("10 min left")


def test_the_outcome_gives_the_verdict_with_its_number_whatever_it_was():
    good = Verdict(True, True, 2.43, 0.2, "a.jpg", "Better than before.")
    bad = Verdict(False, True, -0.71, 0.2, "a.jpg", "Worse than before.")
    applied = words.outcome_line(Outcome("refine 1", good, True, None, 1200, 3, 0, 4.2))
    assert "+2.4 dB" in applied
    assert "Better than before." in applied
    assert "1,200 new, 3 changed · 4.2 s" in applied
    refused = words.outcome_line(Outcome("refine 1", bad, False, None, 1200, 3, 0, 4.2))
    assert "Not swapped in" in refused
    assert "-0.7 dB" in refused
    forced = words.outcome_line(Outcome("refine 1", bad, True, None, 1200, 3, 0, 4.2))
    assert "at your word" in forced


def test_agreement_with_photos_that_were_fitted_to_is_no_gain_to_announce():
    agrees = Verdict(True, False, 3.48, None, None, "The result agrees (+3.48 dB); detail not verified.")
    line = words.outcome_line(Outcome("sr3r 1", agrees, True, None, 12, 3, 0, 4.2))
    assert line.startswith("✔ Swapped in  \nThe result agrees")


def test_a_version_that_waits_beside_a_better_one_is_not_said_to_be_swapped_in():
    good = Verdict(True, True, 1.2, 0.2, "a.jpg", "Sharper: +1.20 dB (noise 0.20) on a.jpg.")
    line = words.outcome_line(Outcome("fit-only 2", good, True, None, 12, 3, 0, 4.2, beaten_by="refine"))
    assert "Swapped in" not in line
    assert "Refine, which is better, stays shown" in line


@pytest.mark.parametrize(
    ("typed", "given", "told"),
    [
        ("Leaf", "Leaf (2)", "Called *Leaf \\(2\\)*: that name is taken."),
        (" Leaf ", "Leaf", ""),
        ("", "Region 1", ""),
        ("A" * 70, "A" * 60, f"Called *{'A' * 60}*: longer names are cut."),
    ],
)
def test_a_name_that_is_not_as_typed_is_said_below_the_field(typed, given, told):
    assert words.name_line(typed, given) == told


def test_one_gaussian_is_one():
    assert words.gaussians(1) == "1 Gaussian"
    assert words.gaussians(1200) == "1,200 Gaussians"


def test_a_refusal_is_said_once_and_not_of_what_was_forced():
    bad = Verdict(False, True, -0.05, 0.06, "a.jpg", "Not swapped in: -0.05 dB (noise 0.06) on a.jpg.")
    refused = words.outcome_line(Outcome("refine 1", bad, False, None, 12, 3, 0, 4.2))
    assert refused.count("Not swapped in") == 1
    forced = words.outcome_line(Outcome("refine 1", bad, True, None, 12, 3, 0, 4.2))
    assert "Not swapped in" not in forced
    assert "-0.05 dB" in forced


def test_the_list_of_regions_says_by_what_how_much_better_on_which_photo_and_at_what_cost():
    session, _ = flat_session()
    session.upgrade(Box(camera_at(0.0), (0, 0, 8, 8)), "refine").result(5)
    session.rename_region(1, "The *stem*")
    line = words.region_list(session)
    assert "The \\*stem\\*" in line
    assert "Refine" in line
    assert "+1.0 dB on a.png" in line
    details = words.region_details(session, session.regions[0])
    assert "0 Gaussians added, 1 changed, 0.1 s" in details
    session.hide_region(1)
    assert "hidden" in words.region_list(session)
    session.close()


def test_the_judges_noise_is_said_where_it_decided_and_a_gain_promises_no_more_than_it_is():
    made = Verdict(True, True, 1.36, 0.1, "a.jpg", _sentence(True, 1.36, 0.1, "a.jpg"))
    told = words.outcome_line(Outcome("refine 1", made, True, None, 12, 3, 0, 4.2))
    assert "Sharper: +1.36 dB on a.jpg, which it had not seen; expect less from elsewhere." in told
    said = {-2.37: "Worse: -2.37", 0.05: "Not clearly sharper: +0.05", -0.02: "Not clearly sharper: -0.02"}
    for gain, word in said.items():
        refused = Verdict(False, True, gain, 0.1, "a.jpg", _sentence(False, gain, 0.1, "a.jpg"))
        line = words.outcome_line(Outcome("refine 1", refused, False, None, 12, 3, 0, 4.2))
        assert f"{word} dB \\(± 0.10\\) on a.jpg" in line
        assert "-0.0 dB" not in line


def test_the_first_hint_is_four_sentences():
    assert len(re.findall(r"[.](?:\s|$)", FIRST_RUN)) == 4
    for taught in ("**Box**", "**Upgrade**", "**Compare**", "**Export**"):
        assert taught in FIRST_RUN


def test_a_failure_is_told_in_its_own_sentence_and_a_bug_by_its_name():
    told = JobStatus("x", JobState.FAILED, error=DeviceError("Memory ran out."))
    assert "Memory ran out." in words.failure_line(told)
    bug = JobStatus("x", JobState.FAILED, error=KeyError("row"))
    assert "KeyError" in words.failure_line(bug)
    assert "Cancelled" in words.failure_line(JobStatus("x", JobState.CANCELLED))


def test_a_photo_that_was_left_out_says_so_in_the_list_of_those_that_see_the_box():
    capture = SimpleNamespace(photos=[SimpleNamespace(name="a.jpg"), SimpleNamespace(name="b.jpg")])
    view = SimpleNamespace(photo=1, overlap=0.8)
    assert words.view_label(2, view, capture) == "2. b.jpg · sees 80%"
    assert words.view_label(2, view, capture, {"b.jpg"}) == "2. b.jpg · sees 80% · did not fit"


def test_methods_are_called_as_in_the_menu():
    worse = Verdict(False, True, -0.1, 0.05, "a.jpg", "Not swapped in: -0.10 dB (noise 0.05) on a.jpg.")
    good = Verdict(True, True, 1.2, 0.2, "a.jpg", "Sharper: +1.20 dB (noise 0.20) on a.jpg.")
    shown = Alternative("refine", Outcome("refine 1", good, True, None, 12, 3, 0, 4.2), cast(Edit, None))
    line = words.tried_line("gaussian-lens+refine", Outcome("x 2", worse, False, None, 0, 0, 0, 1.0), shown)
    assert line.startswith("GaussianLens + refine was not swapped in")
    assert words.version_label(0, shown).startswith("1 · Refine")
