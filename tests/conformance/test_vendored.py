"""What the pages ship of others is what its package has, with its licence."""

from pathlib import Path

PACKAGE = Path(__file__).parent / "node_modules/uplot"
SHIPPED = Path(__file__).parents[2] / "web/vendor/uplot"


def test_the_charts_are_uplot_as_published_and_an_export() -> None:
    published = (PACKAGE / "dist/uPlot.iife.min.js").read_bytes()
    assert (SHIPPED / "uPlot.js").read_bytes() == published + b"export default uPlot;\n"
    assert (SHIPPED / "LICENSE").read_bytes() == (PACKAGE / "LICENSE").read_bytes()
