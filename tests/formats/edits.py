"""Random edits of files for fuzzing, and how many examples a run takes."""

from __future__ import annotations

import math
import os
import struct

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

EXAMPLES = int(os.environ.get("GSR_FUZZ_EXAMPLES", "60"))
NUMBERS = [0, 1, 2, 3, 127, 128, 255, 256, 65535, 65536, 1 << 24, (1 << 31) - 1, 1 << 31, (1 << 32) - 1]
WORDS = [b"0", b"-1", b"1e999", b"nan", b"4294967295", b"99999999999999999999", b"null", b"[]", b"{}", b'""', b"true"]
ODD = [None, -1, 0, 1 << 40, 1e300, "", "x", "../a.webp", [], {}, [[]], True, [1] * 5, {"a": 1}, math.inf, 10**400]
"""Values of every type, to put where others were."""

fuzzing = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize="GSR_FUZZ_EXAMPLES" not in os.environ,
    suppress_health_check=list(HealthCheck),
    database=None,
)

edit = st.one_of(
    st.tuples(st.just("byte"), st.floats(0, 1), st.integers(0, 255)),
    st.tuples(st.just("number"), st.floats(0, 1), st.sampled_from(NUMBERS)),
    st.tuples(st.just("early"), st.integers(0, 63), st.sampled_from(NUMBERS)),
    st.tuples(st.just("cut"), st.floats(0, 1), st.just(0)),
    st.tuples(st.just("drop"), st.floats(0, 1), st.integers(1, 40)),
    st.tuples(st.just("repeat"), st.floats(0, 1), st.integers(1, 400)),
    st.tuples(st.just("word"), st.floats(0, 1), st.sampled_from(WORDS)),
    st.tuples(st.just("insert"), st.floats(0, 1), st.binary(min_size=1, max_size=30)),
)
edits = st.lists(edit, min_size=1, max_size=6)


def edited(data: bytes, changes) -> bytes:
    """The file after some edits, which know nothing of its format except where words of text end."""
    data = bytearray(data)
    for kind, where, what in changes:
        at = int(where * max(len(data) - 1, 0)) if kind != "early" else min(where, len(data))
        if kind == "byte" and data:
            data[at] = what
        elif kind in ("number", "early"):
            data[at : at + 4] = struct.pack("<I", what)
        elif kind == "cut":
            del data[at:]
        elif kind == "drop":
            del data[at : at + what]
        elif kind == "repeat":
            data[at:at] = data[at : at + what]
        elif kind == "insert":
            data[at:at] = what
        elif kind == "word":
            ends = [i for i in range(at, min(at + 60, len(data))) if data[i : i + 1] in b" ,:]}\n"]
            if len(ends) > 1:
                data[ends[0] + 1 : ends[1]] = what
    return bytes(data)


def places(value):
    """(holder, key) of every value; of long lists of numbers only the first."""
    items = value.items() if isinstance(value, dict) else list(enumerate(value))[:20]
    for key, inner in list(items):
        yield value, key
        if isinstance(inner, dict | list):
            yield from places(inner)
