"""What an upgrade will cost, said before it starts."""

import dataclasses

import pytest
import torch
from fakes import random_scene

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
