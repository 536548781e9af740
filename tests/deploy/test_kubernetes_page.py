"""docs/kubernetes.md: the chart accepts its values, one file after the other, and its commands make
the objects that the values name.
"""

import math
import re
from functools import reduce
from itertools import pairwise

from tests.deploy.chart import CHART, ROOT, Object, merged, one, render
from tests.harness import yaml_text

PAGE = (ROOT / "docs/kubernetes.md").read_text()
HASH = "sha256:" + "0" * 64


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def files() -> dict[str, Object]:
    """Values by the file name that their block gives."""
    named = [
        (block.partition("\n")[0], yaml_text.read(block.replace("sha256:…", HASH)))
        for block in blocks("yaml")
    ]
    return {name.removeprefix("# "): given for name, given in named if name.startswith("# ")}


def values() -> list[Object]:
    """The values of each block: the first alone, the others merged over the first, which is the
    step before them.
    """
    first, *others = files().values()
    return [first, *(merged(first, other) for other in others)]


def test_its_values_are_taken_by_the_chart() -> None:
    kinds = {each["kind"] for given in values() for each in render(given)}
    assert {
        "Ingress",
        "HTTPRoute",
        "ServiceMonitor",
        "PrometheusRule",
        "HorizontalPodAutoscaler",
        "PersistentVolumeClaim",
    } <= kinds


def test_its_secrets_are_made_by_its_commands() -> None:
    made = dict(
        re.findall(r"create secret generic (\S+) --from-literal=(\w+)=", "".join(blocks("sh")))
    )
    for given in values():
        text = str(render(given))
        for name, key in re.findall(r"'secretKeyRef': {'name': '([^']*)', 'key': '([^']*)'", text):
            assert made[name] == key
        for name in re.findall(r"'secretName': '([^']*)'", text):
            assert name in made or name == "hub.example-tls"
        for name, key in re.findall(
            r"file: /run/secrets/eventhub/([^/]*)/(\S+)", text.replace("\\n", "\n")
        ):
            assert made[name] == key


def test_its_table_adds_up_to_the_grace_period_of_the_chart() -> None:
    rows = dict(
        re.findall(
            r"^\| (proxies learn of it|goodbyes|buffers|to spare|`termination\w+`) \| (\d+) \|",
            PAGE,
            re.MULTILINE,
        )
    )
    period = one(render(values()[0]), "Deployment")["spec"]["template"]["spec"][
        "terminationGracePeriodSeconds"
    ]
    assert (
        int(rows.pop("`terminationGracePeriodSeconds`"))
        == period
        == math.fsum(map(int, rows.values()))
    )


def test_its_image_is_that_of_the_chart() -> None:
    version = yaml_text.read((CHART / "Chart.yaml").read_text())["appVersion"]
    assert set(re.findall(r"ghcr.io/eventhub/eventhub:(\S+)", PAGE)) == {version}


def test_its_commands_install_and_upgrade_with_all_that_is_needed() -> None:
    commands = [
        line.split()
        for block in blocks("sh")
        for line in block.splitlines()
        if line.startswith(("helm install", "helm upgrade"))
    ]
    assert [command[1] for command in commands] == ["install", "upgrade", "upgrade", "upgrade"]
    for command in commands:
        given = [files()[name] for option, name in pairwise(command) if option == "--values"]
        assert render(reduce(merged, given, {}))


def test_an_upgrade_without_the_first_values_file_makes_the_chart_s_keys_valid_again() -> None:
    assert "EVENTHUB_AUTH__KEYS" in str(one(render(files()["nodes.yaml"]), "Deployment"))
    assert "EVENTHUB_AUTH__KEYS" not in str(
        one(render(merged(files()["values.yaml"], files()["nodes.yaml"])), "Deployment")
    )


def test_the_keys_that_are_made_are_those_that_the_page_names() -> None:
    made = one(render({}), "Secret")
    assert f"the Secret `{made['metadata']['name']}`" in PAGE
    assert {f"`{name}`'s" for name in made["data"] if name != "keys"} == set(
        re.findall(r"`(?:producer|operator)`'s", PAGE)
    )


def test_the_key_of_prometheus_neither_publishes_nor_subscribes() -> None:
    watching = files()["watching.yaml"]
    [key] = [key for key in watching["config"]["auth"]["keys"] if key["name"] == "prometheus"]
    assert key == {"name": "prometheus", "hash": HASH, "operator": True}
    assert watching["serviceMonitor"]["key"]["name"] == "eventhub-prometheus"
    [command] = re.findall(r"key new prometheus(.*)", PAGE)
    assert command == " --operator"
