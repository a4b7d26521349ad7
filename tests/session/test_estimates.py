"""What an upgrade will cost, said before it starts."""

import dataclasses

import pytest
import torch
from fakes import BOX, patch_of, random_scene, result_of, session_of

from gaussian_lens_app.errors import MethodError
from gaussian_lens_app.evaluation.judge import Verdict
from gaussian_lens_app.methods import Budget
from gaussian_lens_app.scene import Patch, PhotoView, Region
from gaussian_lens_app.session.estimate import ASIDE_SECONDS, Experience, most_gaussians
from gaussian_lens_app.upgrade import UpgradeResult

SEEN = torch.ones(100, 100, dtype=torch.bool)
VIEWS = tuple(PhotoView(i, (0, 0, 100, 100), SEEN, 1.0, 100.0, 1.0, 1.0) for i in range(3))
REGION = Region(torch.ones(5, dtype=torch.bool), torch.ones(5), VIEWS)


def test_settings_after_a_methods_name_count_in_its_estimate():
    plain, coarse = (most_gaussians(name, REGION, Budget()) for name in ("refine", "refine:least_stride=5"))
    assert (plain, coarse) == (20_000, 800)
    assert most_gaussians("fit-only:photos=2", REGION, Budget()) == 0
    assert most_gaussians("gaussian-lens:passes=1", REGION, Budget()) == most_gaussians(
        "gaussian-lens", REGION, Budget()
    )


def test_a_method_that_is_not_in_the_menu_is_estimated_by_the_budget():
    assert 0 < most_gaussians("brought along", REGION, Budget(gaussians=700)) <= 700


def test_no_time_at_all_is_refused_in_a_sentence():
    with pytest.raises(MethodError, match="cannot be made in 0 s: give it more"):
        Budget(seconds=0)


def test_a_method_that_does_not_go_by_the_budget_has_no_time_before_it_ran():
    known = Experience()
    assert known.estimate("refine", REGION, Budget(10)).seconds == 10 + ASIDE_SECONDS
    assert known.estimate("3dsr", REGION, Budget(10)).seconds is None
    some = dataclasses.replace(REGION, selected=torch.tensor([True, False, True, True, True]))
    patch = Patch(torch.tensor([0]), random_scene(1), torch.tensor([0]))
    verdict = Verdict(True, False, None, None, None, "Made up.")
    known.learn("3dsr", UpgradeResult(patch, some, verdict, {"select": 1.0, "method": 55.0}), Budget(10))
    assert known.estimate("3dsr", REGION, Budget(10)).seconds == pytest.approx(56)


def took(seconds: float) -> UpgradeResult:
    """An upgrade of all five Gaussians that took so long, and another to be selected and judged."""
    verdict = Verdict(True, False, None, None, None, "Made up.")
    patch = Patch(torch.tensor([0]), random_scene(1), torch.tensor([0]))
    return UpgradeResult(patch, REGION, verdict, {"select": 0.5, "method": seconds, "judge": 0.5})


def test_only_methods_that_go_by_the_budget_take_longer_with_a_larger_one():
    known = Experience()
    for method in ("split", "refine"):
        known.learn(method, took(20.0), Budget(10))
    assert known.estimate("split", REGION, Budget(30)).seconds == pytest.approx(21)
    assert known.estimate("refine", REGION, Budget(30)).seconds == pytest.approx(61)


def test_the_next_upgrade_of_a_whole_scene_takes_what_the_last_by_that_method_took():
    known = Experience()
    assert known.estimate_whole("fit-scene", 5).seconds is None
    assert known.estimate_whole("refine", 5).seconds is None  # its budget is all that it might take
    known.learn("fit-scene", took(60.0), Budget(1200), whole=True)
    assert known.estimate_whole("fit-scene", 5).seconds == pytest.approx(61)
    assert known.estimate_whole("fit-scene", 6).seconds == pytest.approx(61)
    assert known.estimate_whole("split", 5).seconds is None
    assert known.estimate("refine", REGION, Budget(10)).seconds == 10 + ASIDE_SECONDS  # boxes are another matter


@pytest.mark.parametrize("now", [2, 15])
def test_nothing_is_said_of_a_whole_scene_that_has_become_far_larger_or_smaller(now):
    known = Experience()
    known.learn("split", took(60.0), Budget(1200), whole=True)
    assert known.estimate_whole("split", now).seconds is None


def test_a_session_learns_from_boxes_and_from_whole_scenes_apart():
    def upgrade(request, report):
        result = result_of(request.scene, patch_of([0], random_scene(1)), selected=list(range(5)))
        return dataclasses.replace(result, seconds={"select": 0.0, "method": 7.0 if request.box else 70.0})

    session = session_of(random_scene(5), upgrade)
    session.upgrade(None, "split").result(5)
    assert session.estimate_whole("split").seconds == pytest.approx(70)
    session.upgrade(BOX, "split").result(5)
    assert session.estimate_whole("split").seconds == pytest.approx(70)
    assert session.experience.estimate("split", None, Budget()).seconds == pytest.approx(7)
    session.close()
