"""No call made from the description is answered with what is not in it: the short form of `make faults`."""

from bench.faults import schema


async def test_no_undeclared_answers() -> None:
    found = await schema.run(phases=("fuzzing", "stateful"), seed=7, seconds=25)
    assert found.clean, found.output
    assert found.calls > 500


async def test_without_declarations_undeclared_answers_are_found() -> None:
    """The control."""
    found = await schema.run(phases=("coverage",), seed=7, seconds=10, without=("declarations",))
    assert not found.clean
    assert "failures" in found.output
