"""Upgrade methods, one a file, all behind the protocol in base.py and registered in METHODS."""

from gaussian_lens_app.errors import MethodError
from gaussian_lens_app.methods.base import Budget, Glimpse, Method, Needs, Scope, Task
from gaussian_lens_app.methods.fit_scene import FitScene
from gaussian_lens_app.methods.gaussian_lens import GaussianLens, GaussianLensRefine
from gaussian_lens_app.methods.gaussian_vae import GaussianVAEMethod
from gaussian_lens_app.methods.generative_densification import GenerativeDensification
from gaussian_lens_app.methods.refine import FitOnly, Pixels, Refine
from gaussian_lens_app.methods.split import ShuffleSplit
from gaussian_lens_app.methods.sr3r import SR3R
from gaussian_lens_app.methods.three_dsr import ThreeDSR, ThreeDSRApprox
from gaussian_lens_app.methods.tuned import tuned
from gaussian_lens_app.priors import PriorSource

METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Refine(),
        FitOnly(),
        Pixels(),
        GaussianLens(),
        GaussianLensRefine(),
        FitScene(),
        GenerativeDensification(),
        GaussianVAEMethod(),
        SR3R(),
        ShuffleSplit(),
        ThreeDSR(),
        ThreeDSRApprox(),
    )
}
"""In the order the menu shows them."""

__all__ = ["METHODS", "Budget", "Glimpse", "Method", "Needs", "Scope", "Task", "find_method", "use_prior"]


def find_method(name: str) -> Method:
    """The method of that name, with other settings where they follow it: `refine:photos=2,least_stride=3`.

    MethodError lists the names there are.
    """
    plain, colon, settings = name.partition(":")
    if plain not in METHODS:
        raise MethodError(f"There is no method {plain!r}: choose one of {', '.join(METHODS)}.")
    return tuned(METHODS[plain], settings) if colon else METHODS[plain]


def use_prior(source: PriorSource) -> None:
    """The methods that take a 2D prior take this one from now on."""
    for method in (ThreeDSR, ThreeDSRApprox):
        METHODS[method.name] = method(source=source)
