"""Prints one markdown table of several benchmark runs: python -m gaussian_lens_app.evaluation R1.json R2.json ..."""

from __future__ import annotations

import sys
from pathlib import Path

from gaussian_lens_app.errors import GsrError
from gaussian_lens_app.evaluation.report import read_report
from gaussian_lens_app.evaluation.table import table


def main(paths: list[str]) -> int:
    if not paths:
        print("usage: scripts/evaluate_table R1.json [R2.json ...]   (what gsr evaluate --json wrote)", file=sys.stderr)
        return 2
    try:
        print(table([read_report(Path(path)) for path in paths]), end="")
    except GsrError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
