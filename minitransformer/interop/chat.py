"""What stands around a message, for a model that was made to answer messages."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

TEMPLATE = re.compile(
    re.escape(
        "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
        "{{ 'SYSTEM' }}{% endif %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + "
        "'<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}"
        "{{ '<|im_start|>assistant\n' }}{% endif %}"
    ).replace("SYSTEM", r"([^'{}]*)")
)
"""The one form of template that is understood; templates are programs, and none is run."""


class Chat(NamedTuple):
    """The texts around a message, in which the names of special tokens stand for these."""

    before: str
    after: str


def chat_of(template: Any) -> Chat | None:
    """What a published template puts around a first message; None for a template of another form.

    >>> chat_of("{{ messages }}") is None
    True
    """
    if not isinstance(template, str):
        return None
    found = TEMPLATE.fullmatch(template.replace("\\n", "\n"))
    if found is None:
        return None
    return Chat(f"{found[1]}<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n")
