"""What an upgrade will cost, said before it starts."""

import pytest
import torch

from gaussian_lens_app.errors import MethodError
from gaussian_lens_app.methods import Budget
from gaussian_lens_app.scene import PhotoView, Region
from gaussian_lens_app.session.estimate import most_gaussians

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
