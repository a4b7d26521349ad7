"""Methods with other settings, by name."""

from pathlib import Path

import pytest

from gaussian_lens_app.errors import MethodError
from gaussian_lens_app.jobs.report import silent
from gaussian_lens_app.methods import METHODS, Budget, find_method
from gaussian_lens_app.methods.tuned import listed, settings_of
from gaussian_lens_app.scene import Box
from gaussian_lens_app.upgrade import UpgradeRequest, upgrade


def test_settings_follow_the_name_and_leave_the_method_itself_alone():
    method = find_method("gaussian-vae:steps=3,variant=whole,strength=.5,weights=other.safetensors")
    settings = settings_of(method)
    assert (settings.steps, settings.variant, settings.strength) == (3, "whole", 0.5)
    assert settings.weights == Path("other.safetensors")
    assert method.name == "gaussian-vae"
    assert settings_of(METHODS["gaussian-vae"]).steps == 1


def test_settings_within_settings_are_reached_by_a_dot():
    settings = settings_of(find_method("refine:local.steps=7,exposure=false"))
    assert settings.local.steps == 7
    assert settings.exposure is False


def test_every_setting_that_is_listed_can_be_given_as_it_is_listed():
    for name, method in METHODS.items():
        if getattr(method, "settings", None) is None:
            continue
        for line, _ in listed(settings_of(method)):
            assert settings_of(find_method(f"{name}:{line}")) == settings_of(method), line


def test_settings_are_listed_with_what_they_are_for():
    said = dict(listed(settings_of(METHODS["refine"])))
    assert said["photos=8"] == "Fit to so many of the best photos."
    assert said["local.check_every=10"] == "Steps between looks at the photos kept out of the fit."
    assert said["local.sh0=0.02"] == ""


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nonsense:steps=2", "There is no method 'nonsense'"),
        ("gaussian-vae:stepps=2", "gaussian-vae has no setting 'stepps': `gsr methods gaussian-vae` lists them."),
        ("gaussian-vae:steps=two", "'two' cannot be steps of gaussian-vae: it takes int."),
        ("gaussian-vae:variant=odd", "'odd' cannot be variant of gaussian-vae: it takes targeted, guided, whole."),
        ("sr3r:upsampler=nearest", "'nearest' cannot be upsampler of sr3r: it takes bicubic, bilinear, prior."),
        ("refine:insert=maybe", "'maybe' cannot be insert of refine: it takes true or false."),
        ("refine:photos", "'photos' is no setting: write refine:KEY=VALUE,KEY=VALUE."),
        ("gaussian-lens:passes=-1", "'-1' cannot be passes of gaussian-lens: it takes no number below 0."),
        ("refine:local.means=nan", "'nan' cannot be means of refine: it takes no number below 0."),
        ("refine:local=3", "refine has no setting 'local'"),
        ("3dsr:steps=3", "3dsr takes its settings from the machine"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_in_a_sentence(name, says):
    with pytest.raises(MethodError) as refused:
        find_method(name)
    assert says in str(refused.value)


def test_a_setting_that_a_method_cannot_run_with_ends_in_a_sentence_that_names_it(textured_board, fast_rasterizer):
    box = Box(textured_board.capture.photos[2].camera, (80, 60, 160, 120))
    request = UpgradeRequest(
        textured_board.scene, box, textured_board.capture, "refine:pixel_photos=0", fast_rasterizer, Budget(1.0)
    )
    with pytest.raises(MethodError, match="refine:pixel_photos=0 cannot run with these settings"):
        upgrade(request, silent)
