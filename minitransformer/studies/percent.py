"""Per cent: how studies write shares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def percent(share: Any) -> str:
    """A share in per cent: what is not all does not look like all, nor what is not nothing like it.

    >>> [percent(x) for x in (0, 0.0004, 0.001, 0.0456, 0.5, 0.999, 0.9996, 1, 1.2)]
    ['0', '<0.1', '0.1', '4.6', '50', '99.9', '99.9', '100', '120']
    """
    x = 100 * float(share)
    if x == 0 or 10 <= x <= 99 or x >= 100:
        return f"{x:.0f}"
    return f"{min(x, 99.9):.1f}" if x >= 0.05 else "<0.1"


def spread(shares: Sequence[float]) -> str:
    """The least and the largest of some shares, in per cent; the one that all read as.

    >>> spread([0.25, 0.75, 0.5]), spread([1, 1]), spread([0.999, 0.9996])
    ('25–75 %', '100 %', '99.9 %')
    """
    return "–".join(dict.fromkeys(map(percent, (min(shares), max(shares))))) + " %"


def mean_of(shares: Sequence[float]) -> str:
    """The mean of shares, in per cent, and the least and the largest where these read otherwise.

    >>> mean_of([0.25, 0.5, 0.75]), mean_of([1, 1])
    ('50 % (25–75 %)', '100 %')
    """
    mean, both = f"{percent(np.mean(shares))} %", spread(shares)
    return mean if mean == both else f"{mean} ({both})"
