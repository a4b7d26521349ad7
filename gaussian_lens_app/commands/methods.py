"""`gsr methods`: what there is to upgrade with."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ListMethods:
    """List the upgrade methods, what each does, needs and works on."""

    def run(self) -> None:
        from gaussian_lens_app.methods import METHODS

        for name, method in METHODS.items():
            where = " or ".join(scope.value for scope in method.scopes)
            print(f"{name}\n    {method.summary}\n    Needs {method.needs.value}; works on {where}.")
