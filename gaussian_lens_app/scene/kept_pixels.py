"""Decoded photos, kept for whoever asks again, as far as a number of bytes goes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable

from jaxtyping import UInt8
from torch import Tensor


class KeptPixels:
    """The pictures asked for last, of no more than `most` bytes together; the very last one whatever its size."""

    def __init__(self, most: int):
        self.most = most
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, UInt8[Tensor, "H W 3"]] = OrderedDict()

    @property
    def nbytes(self) -> int:
        """How much is kept."""
        return sum(pixels.nbytes for pixels in tuple(self._kept.values()))

    def get(self, key: Hashable, read: Callable[[], UInt8[Tensor, "H W 3"]]) -> UInt8[Tensor, "H W 3"]:
        """What is kept under that key, else what `read` gives; its errors are passed on."""
        with self._lock:
            pixels = self._kept.get(key)
            if pixels is not None:
                self._kept.move_to_end(key)
                return pixels
        pixels = read()  # not under the lock: others may read other files meanwhile
        with self._lock:
            self._kept[key] = pixels
            self._kept.move_to_end(key)
            while len(self._kept) > 1 and self.nbytes > self.most:
                self._kept.popitem(last=False)
        return pixels
