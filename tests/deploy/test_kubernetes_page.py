"""docs/kubernetes.md: its values are taken by the chart, one after the other, and its commands make what they refer to."""

import math
import re

import yaml

from tests.deploy.chart import CHART, ROOT, Object, merged, one, render

PAGE = (ROOT / "docs/kubernetes.md").read_text()
HASH = "sha256:" + "0" * 64


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def values() -> list[Object]:
    """Those of each block: of the first alone, of the others over the first, as that is the step before them."""
    first, *others = [yaml.safe_load(block.replace("sha256:…", HASH)) for block in blocks("yaml") if block.startswith("# values.yaml")]
    return [first, *(merged(first, other) for other in others)]


def test_its_values_are_taken_by_the_chart() -> None:
    kinds = {each["kind"] for given in values() for each in render(given)}
    assert {"Ingress", "HTTPRoute", "ServiceMonitor", "PrometheusRule", "HorizontalPodAutoscaler", "PersistentVolumeClaim"} <= kinds


def test_its_secrets_are_made_by_its_commands() -> None:
    made = dict(re.findall(r"create secret generic (\S+) --from-literal=(\w+)=", "".join(blocks("sh"))))
    for given in values():
        text = str(render(given))
        for name, key in re.findall(r"'secretKeyRef': {'name': '([^']*)', 'key': '([^']*)'", text):
            assert made[name] == key
        for name in re.findall(r"'secretName': '([^']*)'", text):
            assert name in made or name == "hub.example-tls"
        for name, key in re.findall(r"file: /run/secrets/eventhub/([^/]*)/(\S+)", text.replace("\\n", "\n")):
            assert made[name] == key


def test_its_table_adds_up_to_the_grace_period_of_the_chart() -> None:
    rows = dict(re.findall(r"^\| (proxies learn of it|goodbyes|buffers|to spare|`termination\w+`) \| (\d+) \|", PAGE, re.MULTILINE))
    period = one(render(values()[0]), "Deployment")["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    assert int(rows.pop("`terminationGracePeriodSeconds`")) == period == math.fsum(map(int, rows.values()))


def test_its_image_is_that_of_the_chart() -> None:
    version = yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"]
    assert set(re.findall(r"ghcr.io/eventhub/eventhub:(\S+)", PAGE)) == {version}
