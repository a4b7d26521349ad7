"""Trained networks and their parts: tensors in, tensors out; methods translate."""
