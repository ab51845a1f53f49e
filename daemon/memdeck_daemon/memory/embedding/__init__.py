"""Text to vectors, by embedding space. `local` is the space that every memory has from its first moment."""
