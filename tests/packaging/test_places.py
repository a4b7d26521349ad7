"""What can be made again is kept where each system keeps such things."""

import sys
from pathlib import Path

import pytest

from gaussian_lens_app.places import cache_folder


@pytest.mark.parametrize(
    ("platform", "place"),
    [
        ("linux", "home/.cache/gaussian_lens_app"),
        ("darwin", "home/Library/Caches/gaussian_lens_app"),
        ("win32", "local/gaussian_lens_app/cache"),
    ],
)
def test_each_system_has_its_own_place_unless_the_user_names_one(monkeypatch, tmp_path, platform, place):
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_folder() == tmp_path / place
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "named"))
    assert cache_folder() == tmp_path / "named" / "gaussian_lens_app"
