"""Arrays that grow, of which blocks are made."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


class Column:
    """An array that grows by doubling."""

    __slots__ = ("array", "size")

    def __init__(self, kind: Any, width: tuple[int, ...] = (), capacity: int = 16) -> None:
        self.array = np.zeros((capacity, *width), kind)
        self.size = 0

    def extend(self, values: Any) -> None:
        """Append values."""
        end = self.size + len(values)
        if end > len(self.array):
            grown = np.zeros((max(end, 2 * len(self.array)), *self.array.shape[1:]), self.array.dtype)
            grown[: self.size] = self.array[: self.size]
            self.array = grown
        self.array[self.size : end] = values
        self.size = end

    @property
    def values(self) -> NDArray[Any]:
        """What was appended."""
        return self.array[: self.size]

    def adopt(self, values: NDArray[Any]) -> None:
        """Take an array as it is for what was appended."""
        self.array, self.size = values, len(values)
