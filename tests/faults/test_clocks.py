"""A clock that is set back moves no deadline: durations are measured by one that only goes forward."""

import ast
from pathlib import Path

import gaussian_lens_app

WALL = {"time.time", "time.time_ns", "datetime.now", "datetime.datetime.now", "datetime.utcnow"}


def test_nothing_in_the_product_measures_with_the_wall_clock():
    package = Path(gaussian_lens_app.__file__).parent
    calls = {
        f"{path.relative_to(package)}:{node.lineno}"
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in WALL
    }
    assert calls == set()
