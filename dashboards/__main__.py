"""Write the dashboards into the chart."""

from pathlib import Path

from dashboards.capacity import CAPACITY
from dashboards.operators import OPERATORS
from dashboards.panels import Page
from dashboards.producers import PRODUCERS

DIRECTORY = Path(__file__).parent.parent / "helm/eventhub/files/dashboards"
PAGES: tuple[Page, ...] = (OPERATORS, PRODUCERS, CAPACITY)


def main() -> None:
    """All of them."""
    for page in PAGES:
        (DIRECTORY / f"{page.name}.json").write_text(page.json())


if __name__ == "__main__":
    main()
