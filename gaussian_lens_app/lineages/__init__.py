"""Lineages: how Gaussians become finer Gaussians, observed in scenes of growing resolution or made up by merging."""
