"""`gsr methods`: what there is to upgrade with."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import Annotated

from tyro.conf import Positional, arg


@dataclass(frozen=True)
class ListMethods:
    """List the upgrade methods, what each does, needs and works on; or the settings of one."""

    name: Annotated[Positional[str], arg(metavar="[NAME]")] = ""
    """List this method's settings, as they are; `--method NAME:KEY=VALUE,KEY=VALUE` changes them."""

    def run(self) -> None:
        from gaussian_lens_app.methods import METHODS, Scope, find_method
        from gaussian_lens_app.methods.tuned import listed, settings_of

        if self.name:
            for setting, meaning in listed(settings_of(find_method(self.name))):
                print(setting, *textwrap.wrap(meaning, 100), sep="\n    ")
            return
        print("Start with refine for a box and with fit-scene for a whole scene.\n")
        for name, method in METHODS.items():
            where = " or ".join(scope.value for scope in method.scopes)
            where += "" if Scope.SCENE in method.scopes else ", and the whole scene part by part"
            print(f"{name}\n    {method.summary}\n    Needs {method.needs.value}; works on {where}.")
