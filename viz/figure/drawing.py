"""Drawing: what `draw_attention` and `draw_curve` return. It imports matplotlib at once."""

from __future__ import annotations

from io import BytesIO

from matplotlib.figure import Figure

from viz.figure.style import house_style


class Drawing(Figure):
    """A matplotlib Figure that a notebook shows, although no pyplot has made it."""

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        """The picture, and its size in CSS pixels: as large as on paper, whatever its dpi."""
        file = BytesIO()
        with house_style():
            self.savefig(file, format="png")
        width, height = (round(96 * inches) for inches in self.get_size_inches())
        return file.getvalue(), {"width": width, "height": height}
