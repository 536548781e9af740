"""Write the dashboards into the chart."""

from pathlib import Path

from deploy.dashboards.capacity import CAPACITY
from deploy.dashboards.operators import OPERATORS
from deploy.dashboards.panels import Page
from deploy.dashboards.producers import PRODUCERS

DIRECTORY = Path(__file__).parents[2] / "helm/eventhub/files/dashboards"
PAGES: tuple[Page, ...] = (OPERATORS, PRODUCERS, CAPACITY)


def main() -> None:
    """All of them."""
    for page in PAGES:
        (DIRECTORY / f"{page.name}.json").write_text(page.json())


if __name__ == "__main__":
    main()
