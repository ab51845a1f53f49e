"""Messages arrive whole and in order, however the socket cuts them."""

import asyncio
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from memdeck_daemon.memory.searcher.wire import Answered, Channel, Look, Reply, Request


class Pipe(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def is_closing(self) -> bool:
        return False


def nothing() -> None:
    """Nobody is told."""


@given(st.lists(st.integers(0, 2**40), max_size=8), st.lists(st.integers(1, 40), min_size=1, max_size=20))
def test_messages_arrive_whole_and_in_order(numbers: list[int], cuts: list[int]) -> None:
    pipe, sender = Pipe(), Channel(Reply, lambda _: None, nothing)
    sender.connection_made(pipe)
    sent = [Answered(number, ids=bytes(number % 50), totals=[0.5]) for number in numbers]
    assert all(sender.send(message) for message in sent)
    got: list[Any] = []
    receiver, rest = Channel(Reply, got.append, nothing), pipe.written
    while rest:
        for cut in cuts:
            receiver.data_received(rest[:cut])
            rest = rest[cut:]
    assert sent == got


def test_nothing_is_sent_to_nobody() -> None:
    channel = Channel(Request, lambda _: None, nothing)
    assert not channel.send(Look(1))
    channel.connection_made(Pipe())
    assert channel.send(Look(1))
    channel.connection_lost(None)
    assert not channel.send(Look(1))
