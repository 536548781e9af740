"""service_links.py: which variables are Kubernetes' for a Service, and which somebody's own."""

import pytest

from eventhub.config.service_links import looks_like_link, service_links
from tests.unit.service_links import LINKS


def found(**variables: str) -> list[str]:
    return service_links(
        {"PATH": "/bin", "KUBERNETES_SERVICE_HOST": "10.0.0.1", **variables}, "EVENTHUB_"
    )


def test_all_of_a_service_are_found() -> None:
    assert found(**LINKS) == sorted(LINKS)


def test_those_of_a_service_on_ipv6_are_found() -> None:
    links = {
        name: value.replace("tcp://10.0.0.1", "tcp://[fd00::1]").replace("10.0.0.1", "fd00::1")
        for name, value in LINKS.items()
    }
    assert found(**links) == sorted(LINKS)


@pytest.mark.parametrize("service", ["EVENTHUB_WEB", "EVENTHUB_BROKER", "EVENTHUB_LIMITS"])
def test_those_of_a_service_whose_name_goes_on_are_found(service: str) -> None:
    links = {name.replace("EVENTHUB", service, 1): value for name, value in LINKS.items()}
    assert found(**links) == sorted(links)
    assert found(**LINKS, **links) == sorted([*LINKS, *links])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("EVENTHUB_PORT", "9000"),
        ("EVENTHUB_PORT", "tcp://10.0.0.1"),
        ("EVENTHUB_PORT", "http://10.0.0.1:80"),
        ("EVENTHUB_PORT_80_TCP_PORT", "tcp"),
        ("EVENTHUB_SERVICE_PORT", "http"),
        ("EVENTHUB_SERVICE_HOSTNAME", "10.0.0.1"),
        ("EVENTHUB_HOST", "10.0.0.1"),
        ("EVENTHUB_BROKER", "tcp://10.0.0.1:80"),
        ("EVENTHUB_PORTT", "tcp://10.0.0.1:80"),
        ("EVENTHUBX_PORT", "tcp://10.0.0.1:80"),
    ],
)
def test_a_variable_of_another_shape_is_somebodys_own(name: str, value: str) -> None:
    assert found(**LINKS | {name: value}) == sorted(LINKS.keys() - {name})


@pytest.mark.parametrize("missing", ["EVENTHUB_SERVICE_HOST", "EVENTHUB_SERVICE_PORT"])
def test_what_is_no_whole_family_is_nobodys(missing: str) -> None:
    assert found(**{name: value for name, value in LINKS.items() if name != missing}) == []


def test_a_host_that_is_no_address_makes_no_family() -> None:
    assert found(**LINKS | {"EVENTHUB_SERVICE_HOST": "hub.example"}) == []


@pytest.mark.parametrize(
    ("value", "link"),
    [("tcp://10.0.0.1:80", True), ("udp://[fd00::1]:80", True), ("80", False), (80, False)],
)
def test_a_link_is_known_by_its_value(value: object, link: bool) -> None:  # noqa: FBT001  # a case
    assert looks_like_link(value) is link
