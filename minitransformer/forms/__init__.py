"""The kinds of questions that tasks ask and models answer."""

from __future__ import annotations

from minitransformer.forms.form import Example, Form
from minitransformer.forms.labels import Labels
from minitransformer.forms.pairs import Pairs

__all__ = ["FORMS", "Example", "Form", "Labels", "Pairs"]

FORMS: dict[str, type[Form]] = {form.name: form for form in (Pairs, Labels)}
"""Each kind of question by its name."""
