"""The Python API: one list of names, each there when asked for, none imported before."""

import subprocess
import sys
from importlib.util import find_spec

import pytest

import gaussian_lens_app


def test_importing_the_package_imports_nothing_heavy():
    code = "import sys, gaussian_lens_app; sys.exit(len({'torch', 'numpy', 'viser', 'numba'} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr


def test_the_viewer_starts_without_what_only_evaluations_need():
    code = (
        "import sys, gaussian_lens_app.viewer\n"
        "unneeded = {'torchmetrics', 'scipy.signal', 'pandas', 'pycolmap'} & set(sys.modules)\n"
        "sys.exit(f'opening the viewer imported {unneeded}' if unneeded else 0)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("name", gaussian_lens_app.__all__)
def test_every_public_name_is_there_and_says_what_it_is(name):
    value = getattr(gaussian_lens_app, name)
    assert value.__doc__


def test_the_list_of_names_is_the_list_of_homes():
    assert sorted(gaussian_lens_app.__all__) == sorted(gaussian_lens_app._HOME_OF)


@pytest.mark.parametrize("name", gaussian_lens_app.__all__)
def test_no_public_name_is_also_a_module(name):
    # Importing the module would replace the name.
    assert find_spec(f"gaussian_lens_app.{name}") is None


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no_such_thing"):
        _ = gaussian_lens_app.no_such_thing
