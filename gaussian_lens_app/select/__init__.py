"""From a box on the screen to the Gaussians behind it and the photos that see them."""

from gaussian_lens_app.select.region import SelectSettings, box_contributions, box_depth, region_of, select_region
from gaussian_lens_app.select.whole import whole_region

__all__ = ["SelectSettings", "box_contributions", "box_depth", "region_of", "select_region", "whole_region"]
