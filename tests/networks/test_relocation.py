import pytest
import torch

from gaussian_lens_app.networks.relocation import relocated


@pytest.mark.parametrize(
    ("alpha", "count", "each", "factor"),
    [(0.9, 4, 0.438, 0.809), (0.9, 16, 0.134, 0.767), (0.5, 4, 0.159, 0.929), (0.5, 16, 0.042, 0.913)],
)
def test_relocation_gives_the_published_values(alpha, count, each, factor):
    opacity, scale = relocated(torch.tensor([alpha]), count)
    assert opacity.item() == pytest.approx(each, abs=6e-4)
    assert scale.item() == pytest.approx(factor, abs=6e-4)


@pytest.mark.parametrize("count", range(1, 17))
def test_copies_together_are_as_opaque_as_the_one_they_replace(count):
    alpha = torch.linspace(0.01, 0.99, 20)
    each, factor = relocated(alpha, count)
    torch.testing.assert_close(1 - (1 - each) ** count, alpha)
    assert bool((factor <= 1 + 1e-6).all())
    assert bool((factor > 0.5).all())


def test_one_copy_is_the_same_and_too_many_are_refused():
    alpha = torch.tensor([0.3])
    assert relocated(alpha, 1)[0] is alpha
    with pytest.raises(ValueError, match="1 to 16"):
        relocated(alpha, 17)
