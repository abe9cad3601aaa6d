"""Models, each a file and an entry in one table."""

from __future__ import annotations

# isort: off
# In the order in which `minigrad models` lists them.
from minitransformer.models import transformer
from minitransformer.models import recurrent
from minitransformer.models import language
from minitransformer.models import bert
from minitransformer.models import classifier

# isort: on
from minitransformer.models.model import MODELS, Model, model

__all__ = ["MODELS", "Model", "model"]
