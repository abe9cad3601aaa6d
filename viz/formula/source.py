"""The text of a function, found in the file that it was written in."""

from __future__ import annotations

import ast
import linecache
import textwrap
from functools import lru_cache
from types import CodeType


def source_of(code: CodeType) -> str:
    """The text of a function; of a docstring of several lines, the first. "" if not found."""
    text = "".join(linecache.getlines(code.co_filename))
    start = code.co_firstlineno
    for node in reversed(functions_in(text)):  # the innermost, where one lambda is inside another
        if isinstance(node, ast.Lambda):
            if node.lineno == start and code.co_name == "<lambda>" and holds(node.body, code):
                return ast.get_source_segment(text, node) or ""
        elif node.name == code.co_name and start == min(
            [node.lineno, *(decorator.lineno for decorator in node.decorator_list)]
        ):
            lines = text.splitlines()[start - 1 : node.end_lineno]
            if ast.get_docstring(node) and (about := node.body[0]).end_lineno != about.lineno:
                first, last = about.lineno - start, (about.end_lineno or 0) - start
                lines[first : last + 1] = [f'{lines[first]} …"""']
            return textwrap.dedent("\n".join(lines))
    return ""


@lru_cache(maxsize=32)
def functions_in(text: str) -> list[ast.Lambda | ast.FunctionDef]:
    """The functions in the text of a file, outer ones before those inside them."""
    try:
        nodes = ast.walk(ast.parse(text))
    except (SyntaxError, ValueError):
        return []
    return [node for node in nodes if isinstance(node, ast.Lambda | ast.FunctionDef)]


def holds(body: ast.expr, code: CodeType) -> bool:
    """Whether all that `code` does is written inside `body`: two lambdas may share a line."""
    low, high = (body.lineno, body.col_offset), (body.end_lineno, body.end_col_offset)
    for line, end_line, column, end_column in code.co_positions():
        if line is None or end_line is None or column is None or end_column is None:
            continue
        first, last = (line, column), (end_line, end_column)
        if first < last and not (low <= first and last <= high):
            return False
    return True
