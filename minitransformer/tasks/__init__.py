"""Tasks, each a file and an entry in one table."""

from __future__ import annotations

# isort: off
# In the order in which `minigrad tasks` lists them.
from minitransformer.tasks import sequences
from minitransformer.tasks import pairs
from minitransformer.tasks import translation
from minitransformer.tasks import text
from minitransformer.tasks import masked

# isort: on
from minitransformer.tasks.task import TASKS, Data, Examples, Task, task

__all__ = ["TASKS", "Data", "Examples", "Task", "task"]
