"""A computation as a graph: what to show of it, what it costs, how it is drawn.

Reading order: `nodes.py`, what a Graph is; `look.py`, how one looks at it; `build.py`, how it is
put together. Its parts: `trace.py`, which tensors get a node (`ancestry.py`, `definition.py`,
`opening.py`, `gradients.py`), and `naming.py`, what they are called; `folding.py`, which of them
share one; `scalars.py`, which become single numbers (`elements.py`); `cards.py`, what the nodes say
(`words.py`); `cost.py`, what they cost; `assembly.py`, the last step.

Then `dot.py` writes it down, `render.py` has it laid out (`routes.py`), and `comparison.py` puts
two side by side. `steps.py` walks back through a computation, part by part.
"""
