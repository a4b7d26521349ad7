"""The scene in a browser. viser and nerfview live only here."""

from gaussian_lens_app.viewer.app import View
from gaussian_lens_app.viewer.serving import view

__all__ = ["View", "view"]
