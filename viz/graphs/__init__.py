"""A computation as a graph: what to show of it, what it costs, how it is drawn.

Reading order: `nodes.py`, what a Graph is; `look.py`, how one looks at it; `build.py`, how a
graph is put together; `trace.py`, which tensors get a node and what they are called; `folding.py`,
which of them share one; `scalars.py`, which become single numbers; `cards.py`, what the nodes say;
`cost.py`, what they cost; `assembly.py`, the last step. Then `dot.py` draws it, with `routes.py`,
and `comparison.py` draws two side by side; `steps.py` walks back through it.
"""
