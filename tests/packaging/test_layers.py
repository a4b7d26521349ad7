"""Imports point one way: cli -> viewer -> session -> upgrade -> methods ... -> raster ... -> scene -> errors."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import gaussian_lens_app

PACKAGE = Path(gaussian_lens_app.__file__).parent
NAME = PACKAGE.name

LAYERS = (
    {"errors", "places"},
    {"scene"},
    {"networks", "raster", "formats", "jobs"},
    {"backbones", "methods", "select", "optimize", "evaluation", "lineages", "priors", "training"},
    {"upgrade"},
    {"session", "benchmark"},
    {"viewer"},
    {"commands"},
    {"cli", "__init__", "__main__"},
)
"""Lowest first; a file may import from its own layer and from those below."""

HOMES = {
    "viser": ("viewer/",),
    "nerfview": ("viewer/",),
    "gsplat": ("raster/cuda.py",),
    "tyro": ("cli.py", "commands/"),
}
"""Libraries that only these files may import."""

FORBIDDEN = {"scene/": ("numba", "gsplat"), "jobs/": ("torch", "numpy", "viser")}


def layer_of(part: str) -> int:
    return next(level for level, parts in enumerate(LAYERS) if part in parts)


def part_of(relative: str) -> str:
    return relative.split("/")[0].removesuffix(".py")


def imports(source: str, package: tuple[str, ...]) -> Iterator[tuple[int, str]]:
    """(line, full dotted name) of every import, wherever in the file it stands; `package` resolves leading dots."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*base, *([node.module] if node.module else [])))
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)


def complaints(relative: str, source: str) -> list[str]:
    """One sentence for each import of a file of the package that it should not have."""
    part = part_of(relative)
    found = []
    for line, name in imports(source, (NAME, *Path(relative).parent.parts)):
        root, _, rest = name.partition(".")
        where = f"{NAME}/{relative}:{line} imports {name}"
        if root == NAME:
            target = rest.split(".")[0]
            known = any(target in parts for parts in LAYERS)
            if known and layer_of(target) > layer_of(part):
                found.append(f"{where}: {part} lies below {target}")
        if root in HOMES and not relative.startswith(HOMES[root]):
            found.append(f"{where}: only {' and '.join(HOMES[root])} may")
        found += [
            f"{where}: {folder} does without it"
            for folder, roots in FORBIDDEN.items()
            if relative.startswith(folder) and root in roots
        ]
    return found


def test_imports_point_down_and_libraries_stay_in_their_homes():
    files = sorted(PACKAGE.rglob("*.py"))
    assert files
    found = [
        complaint
        for file in files
        for complaint in complaints(file.relative_to(PACKAGE).as_posix(), file.read_text(encoding="utf-8"))
    ]
    assert not found, "\n" + "\n".join(found)


def test_every_folder_and_file_of_the_package_has_a_layer():
    parts = {part_of(file.relative_to(PACKAGE).as_posix()) for file in PACKAGE.rglob("*.py")}
    assert parts <= set().union(*LAYERS)


@pytest.mark.parametrize(
    ("relative", "source"),
    [
        ("raster/cpu.py", "from gaussian_lens_app.select.region import select"),
        ("raster/cpu.py", "def f():\n    from gaussian_lens_app import session"),
        ("scene/camera.py", "from ..raster import base"),
        ("methods/refine.py", "from .. import viewer"),
        ("session.py", "import viser.transforms"),
        ("raster/cpu.py", "import gsplat"),
        ("upgrade.py", "import tyro"),
        ("jobs/worker.py", "import torch"),
    ],
)
def test_an_import_that_points_up_is_named(relative, source):
    assert len(complaints(relative, source)) == 1


@pytest.mark.parametrize(
    ("relative", "source"),
    [
        ("viewer/app.py", "import viser\nfrom gaussian_lens_app.session import Session"),
        ("methods/refine.py", "from gaussian_lens_app.select import region"),
        ("methods/refine.py", "from . import base"),
        ("raster/cuda.py", "from gsplat import rasterization"),
    ],
)
def test_an_import_that_points_down_is_fine(relative, source):
    assert complaints(relative, source) == []
