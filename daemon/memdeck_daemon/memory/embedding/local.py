"""The local embedding space: a static table of token vectors, mean-pooled.

Owns reading the table that the `wordllama` wheel carries (its code is not imported: that costs 30 MB and a second
copy of the table in single precision) and turning text into unit vectors. The table stays in half precision, mapped
from the file, so its pages are shared and can be dropped. A text gives the same vector wherever and whenever it is
embedded, which is why an undo may embed again.
"""

import asyncio
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Self

import msgspec
import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from memdeck_common.errors import ConfigurationError

Vectors = NDArray[np.float32]

SPACE_ID: Final = 1
"""The row of memory.spaces that this space has."""
DIMENSIONS: Final = 256
WEIGHTS: Final = "weights/l2_supercat_256.safetensors"
TOKENIZER: Final = "tokenizers/l2_supercat_tokenizer_config.json"
INLINE_CHARACTERS: Final = 20_000
"""More text than this is embedded in a thread: the loop must not stand still for more than a few ms."""


@dataclass(frozen=True, slots=True)
class LocalEmbedder:
    """Text to unit vectors of `DIMENSIONS`, about 0.1 ms a sentence."""

    table: NDArray[np.float16]
    tokenizer: Tokenizer

    @classmethod
    def load(cls) -> Self:
        """Map the table and read the tokenizer, about 50 ms.

        Raises:
            ConfigurationError: the wheel that carries them is not installed for this platform.
        """
        folder = _carrier()
        tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return cls(_mapped(folder / WEIGHTS), tokenizer)

    def embed_now(self, texts: Sequence[str]) -> Vectors:
        """One unit vector per text, shape (len(texts), DIMENSIONS); a text without tokens gives zeros."""
        if len(texts) == 1:  # a batch of one costs twice as much
            encodings = [self.tokenizer.encode(texts[0], add_special_tokens=False)]
        else:
            encodings = self.tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        vectors = np.zeros((len(encodings), DIMENSIONS), np.float32)
        for row, encoding in enumerate(encodings):
            ids = encoding.ids
            if ids:
                vectors[row] = self.table[ids].sum(axis=0, dtype=np.float32)
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        vectors /= np.maximum(norms, 1e-12)
        return vectors

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """As `embed_now`, without holding the loop up."""
        if sum(map(len, texts)) <= INLINE_CHARACTERS:
            return self.embed_now(texts)
        return await asyncio.to_thread(self.embed_now, texts)


def rounded(vectors: Vectors) -> Vectors:
    """The vectors as they will be read back from half precision, so that a memory scores the same before and after."""
    return vectors.astype(np.float16).astype(np.float32)


def _carrier() -> Path:
    spec = find_spec("wordllama")
    if spec is None or spec.origin is None:
        raise ConfigurationError(
            "The local embedding table is missing: the package `wordllama` has no wheel for this platform "
            "(Linux x86_64 and macOS 14+ on arm64 have one)."
        )
    return Path(spec.origin).parent


def _mapped(path: Path) -> NDArray[np.float16]:
    """The one tensor of a safetensors file: 8 bytes of length, a JSON header, then the rows."""
    with path.open("rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        header = msgspec.json.decode(file.read(size))
    tensor = header["embedding.weight"]
    rows, columns = tensor["shape"]
    if tensor["dtype"] != "F16" or columns != DIMENSIONS:
        raise ConfigurationError(f"{path.name} is not the table of the local embedding space.")
    offset = 8 + size + tensor["data_offsets"][0]
    # A plain view: memmap's own indexing is slower, and the pages stay mapped from the file either way.
    return np.memmap(path, np.float16, "r", offset=offset, shape=(rows, columns)).view(np.ndarray)
