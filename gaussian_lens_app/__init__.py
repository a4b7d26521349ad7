"""Box what you care about in a Gaussian splat scene and it becomes sharp, in place."""

__version__ = "0.1.0"
