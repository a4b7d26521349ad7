"""The CPU rasterizer's compiled parts, in the order they run: projection, tiles, composite, and their gradients."""
