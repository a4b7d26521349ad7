"""The scene in a browser. viser and nerfview live only here."""

from gaussian_lens_app.viewer.app import View, view

__all__ = ["View", "view"]
