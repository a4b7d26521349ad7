"""What a scene is: frozen values that every other folder speaks in. Depends on torch only."""

from gaussian_lens_app.scene.camera import Camera, Rect
from gaussian_lens_app.scene.capture import Capture, Photo, SparsePoints
from gaussian_lens_app.scene.gaussians import SH_C0, Gaussians
from gaussian_lens_app.scene.patch import Patch
from gaussian_lens_app.scene.provenance import Kind
from gaussian_lens_app.scene.region import Box, PhotoView, Region

__all__ = [
    "SH_C0",
    "Box",
    "Camera",
    "Capture",
    "Gaussians",
    "Kind",
    "Patch",
    "Photo",
    "PhotoView",
    "Rect",
    "Region",
    "SparsePoints",
]
