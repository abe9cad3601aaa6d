"""What results were computed from, and the call around all of it."""

from __future__ import annotations

import numpy as np

from minigrad import Tensor, nn
from viz.graphs.ancestry import ancestors, common_scope, tensors_in


def test_ancestors_come_oldest_first_and_end_where_they_should() -> None:
    x = Tensor([1.0], requires_grad=True)
    y = x * x
    z = y.exp() + x
    assert ancestors([z], tensors_in) == [x, y, y_exp := tensors_in(z)[0], z]
    assert ancestors([z], tensors_in, stop=[y]) == [x, y_exp, z]


class Twice(nn.Module):
    """Two calls of one linear module."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(2, 2, rng=0)

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(self.inner(x))


def test_the_common_scope_is_the_innermost_call_around_all_ops() -> None:
    model = Twice()
    y = model(Tensor(np.ones((1, 2))))
    first, second = [x for x in ancestors([y], tensors_in) if x.op is not None]
    around = common_scope([first, second])
    assert around is not None and around.module is model
    assert common_scope([first]) is first.scope is not second.scope
    assert common_scope([first, y * 2]) is None
    assert common_scope([]) is None
