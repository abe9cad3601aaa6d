"""The kinds of questions that tasks ask and models answer."""

from __future__ import annotations

from minitransformer.forms.form import Example, Form, Found
from minitransformer.forms.labels import Labels
from minitransformer.forms.masked import Masked
from minitransformer.forms.pairs import Pairs
from minitransformer.forms.text import Text

__all__ = ["FORMS", "Example", "Form", "Found", "Labels", "Masked", "Pairs", "Text"]

FORMS: dict[str, type[Form]] = {form.name: form for form in (Pairs, Labels, Text, Masked)}
"""Each kind of question by its name."""
