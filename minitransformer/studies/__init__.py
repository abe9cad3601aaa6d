"""Studies: questions about models, each asked with its control, and answered by numbers."""

from minitransformer.studies.context import Context
from minitransformer.studies.few_labels import FewLabels
from minitransformer.studies.forget import Forget
from minitransformer.studies.glosses import Glosses
from minitransformer.studies.norms import Norms
from minitransformer.studies.positions import Positions
from minitransformer.studies.reach import Reach
from minitransformer.studies.refer import Refer
from minitransformer.studies.sense import Sense
from minitransformer.studies.study import STUDIES, Finding, Table

__all__ = [
    "STUDIES",
    "Context",
    "FewLabels",
    "Finding",
    "Forget",
    "Glosses",
    "Norms",
    "Positions",
    "Reach",
    "Refer",
    "Sense",
    "Table",
]
