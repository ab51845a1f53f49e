"""What can go wrong with a remote embedder, told apart by what has to be done about it.

An `EmbedderFailed` says something of the embedder: everybody waits and tries again. A `TextRefused` says something of the
texts that were sent: they are tried singly, and the one that is to blame is set aside. Messages hold no key, and of an
answer to a refused key not a word: services repeat parts of it.
"""

from typing import ClassVar

from memdeck_common.errors import MemdeckError, Unavailable


class EmbedderFailed(Unavailable):
    """The embedder does not answer."""

    code = "embedder_unavailable"
    part = "embedder"
    state: ClassVar[str] = "no answer"
    """A few words for the list of services."""
    at_once: ClassVar[bool] = False
    """Whether asking again can only be wrong: the breaker does not wait for more of these."""

    def __init__(self, message: str = "", retry_after: float = 0.0) -> None:
        """`retry_after`: seconds that the embedder asked to be left alone."""
        super().__init__(message, **({"retry_after": retry_after} if retry_after else {}))
        self.wait = retry_after


class KeyRefused(EmbedderFailed):
    """The embedder refuses the key; look at MEMDECK_EMBEDDING_API_KEY (or OPENAI_API_KEY)."""

    code = "embedder_key_refused"
    state = "key refused"
    at_once = True


class EmbedderBusy(EmbedderFailed):
    """The embedder asks to be left alone for a while."""

    code = "embedder_busy"
    state = "rate limited"
    at_once = True


class WrongDimensions(EmbedderFailed):
    """The embedder answers with vectors of other dimensions than its space has."""

    code = "embedder_dimensions"
    state = "wrong dimensions"
    at_once = True

    def __init__(self, model: str, found: int, wanted: int) -> None:
        """`found` is what it answered with."""
        super().__init__(
            f"The embedder answers with {found} dimensions for {model}, not {wanted}: set MEMDECK_EMBEDDING_DIMS={found}, "
            "or MEMDECK_EMBEDDING_MODEL to the model that was meant."
        )
        self.found = found


class BadAnswer(EmbedderFailed):
    """The embedder's answer cannot be read."""

    code = "embedder_answer"
    state = "bad answers"


class TextRefused(MemdeckError):
    """The embedder does not take this text."""

    code = "embedder_text_refused"


class BadVector(TextRefused):
    """The embedder answered with a vector that is zero or not finite."""

    code = "embedder_vector"
