"""What a draft promises: any row can be drawn, a seed always draws the same, and much is drawn."""

from __future__ import annotations

import pytest

from minigrad import TABLE
from minigrad.check.drafts import Draft, draw
from minigrad.check.programs import (
    LAYERS,
    LAYOUTS,
    Step,
    script,
)


@pytest.mark.parametrize(
    "name", sorted({*TABLE, *LAYERS} - {"frexp"})
)  # which gives integers as well
def test_every_row_of_the_table_can_be_drawn(name: str) -> None:
    draft = Draft(seed=0)
    for _ in range(60):
        draft.attempt(name)
        if any(isinstance(line, Step) and line.op == name for line in draft.lines):
            return
    pytest.fail("no call of it was fit for a program")


def test_the_same_seed_gives_the_same_program() -> None:
    texts = {seed: script(draw(seed)) for seed in range(4)}
    assert len({*texts.values()}) == 4
    assert texts == {seed: script(draw(seed)) for seed in range(4)}


def test_programs_are_of_many_kinds() -> None:
    programs = [draw(seed) for seed in range(60)]
    inputs = [x for program in programs for x in program.inputs]
    assert {x.layout for x in inputs} == {*LAYOUTS}
    assert {program.dtype.name for program in programs} == {"float32", "float64"}
    assert any(len({x.values.dtype for x in program.inputs}) == 2 for program in programs)
    assert any(x.constant for x in inputs)
    assert {x.values.ndim for x in inputs} >= {0, 1, 2, 3, 4}
    assert len({len(program.outputs) for program in programs}) > 5
    assert max(len(program.steps) for program in programs) > 30
    uses = [[i for step in program.steps for i in step.operands] for program in programs]
    assert any(len(numbers) > len({*numbers}) for numbers in uses)
