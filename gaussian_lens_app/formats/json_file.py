"""JSON as anybody may have written it: nested without end, its numbers beyond every float."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from gaussian_lens_app.errors import BadFile, FileError


def read_json(path: Path) -> Any:
    """What a JSON file holds."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror or error}.") from error
    except ValueError as error:
        raise BadFile(f"{path} is not valid JSON ({error}): it is damaged or truncated.") from error
    except RecursionError as error:
        raise BadFile(f"{path} is nested too deeply to be understood: it is damaged.") from error


def is_number(value: Any) -> bool:
    """Whether a value is a number that a float can hold."""
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:
        return False
