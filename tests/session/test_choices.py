"""Which methods can run here."""

import pytest

from gaussian_lens_app.methods import METHODS, use_prior
from gaussian_lens_app.priors import PriorSource
from gaussian_lens_app.session.choices import choices


def missing(capture=None) -> dict[str, str | None]:
    return {choice.name: choice.missing for choice in choices(capture)}


def test_without_photos_methods_that_need_none_can_run_and_the_others_say_what_they_need():
    said = missing()
    assert said["split"] is said["gaussian-vae"] is said["3dsr"] is None
    assert said["refine"] == "needs photos with cameras; open the scene with --capture"


def test_with_photos_every_method_but_one_can_run(textured_board):
    said = missing(textured_board.capture)
    assert [name for name, needs in said.items() if needs is not None] == ["3dsr-approx"]


@pytest.fixture
def methods_restored(monkeypatch):
    for name, method in list(METHODS.items()):
        monkeypatch.setitem(METHODS, name, method)


def test_the_approximation_of_3dsr_is_offered_where_an_upscaler_was_given(methods_restored):
    assert missing()["3dsr-approx"] == "needs an upscaler, given with --prior FILE"
    use_prior(PriorSource("bicubic"))
    assert missing()["3dsr-approx"] is None
