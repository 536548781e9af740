"""What the pages ship of others is what its package has, minified, with its licence."""

import subprocess
from pathlib import Path

TOOLS = Path(__file__).parent / "node_modules"
SHIPPED = Path(__file__).parents[2] / "web/vendor/uplot"


def test_the_charts_are_uplot_as_published() -> None:
    command = [
        str(TOOLS / ".bin/esbuild"), "--minify", "--format=esm", "--charset=utf8",
        "--log-level=error", str(TOOLS / "uplot/dist/uPlot.esm.js"),
    ]  # fmt: skip
    made = subprocess.run(command, capture_output=True, timeout=120, check=True).stdout
    assert made == (SHIPPED / "uPlot.js").read_bytes(), "make vendored"
    for name, shipped in (("dist/uPlot.min.css", "uPlot.css"), ("LICENSE", "LICENSE")):
        assert (TOOLS / "uplot" / name).read_bytes() == (SHIPPED / shipped).read_bytes(), shipped
