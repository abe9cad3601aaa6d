"""Checks of derivatives against numbers that know nothing of the rules.

`gradcheck` moves each element of each input a little, both ways, and compares what the function
does with what the rules say. Where the function also takes complex numbers, and the complex step
agrees with these differences, its value is used instead: f(x + ih) = f(x) + ih·f'(x) subtracts
nothing, so it is exact to rounding (Squire and Trapp, "Using Complex Variables to Estimate
Derivatives of Real Functions", SIAM Review 40, 1998).

Each element takes a few calls of the function, so a check takes elements × size. Of large inputs
only some elements are tried, chosen at random, and the report says how many. All the others are
moved at once; if the rules do not fit that, halving what is moved leads to an element at which they
are wrong, and it is tried as well.
"""

from minigrad.check.diagnosis import diagnose as diagnose
from minigrad.check.diagnosis import gradcheck as gradcheck
from minigrad.check.report import GradientError as GradientError
from minigrad.check.report import Report as Report
from minigrad.check.rows import check_table as check_table
from minigrad.check.scalars import check_values as check_values
