"""Keys and states in the configuration: what is wrong is said before the server starts."""

from pathlib import Path

import pytest

from eventhub.config.loader import channel_types, load
from eventhub.errors import ConfigurationError
from eventhub.events.channel_types import Retention, StateRetention


def configured(tmp_path: Path, channels: str) -> Path:
    file = tmp_path / "eventhub.yaml"
    file.write_text(f"channels: {channels}")
    return file


@pytest.mark.parametrize(
    ("channels", "said"),
    [
        ("{a: {key: a/b}}", "channels.a.key: key is 'a/b'; expected a JSON pointer such as '/id'"),
        ("{a: {key: ''}}", "expected a JSON pointer"),
        ("{a: {key: 7}}", "channels.a.key"),
        ("{a: {payload: reading, key: senser}}", "did you mean 'sensor'?"),
        ("{a: {payload: chat, key: /id}}", "the payload has no field 'id'; it has sender, text"),
        ("{a: {payload: log, key: fields}}", "channels.a.key is 'fields'"),
        ("{a: {history: {latest: true}}}", "history.latest is true and there is no key"),
        ("{a: {key: /id, history: {keys: 5}}}", "keys is given and latest is false"),
        ("{a: {key: /id, history: {key_age: 1h}}}", "key_age is given and latest is false"),
        ("{a: {key: /id, history: {latest: true, keys: 0}}}", "channels.a.history.keys"),
        ("{a: {key: /id, history: {latest: true, key_age: 7}}}", "an age needs a unit"),
    ],
)
def test_what_is_wrong_with_a_key_is_said(tmp_path: Path, channels: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        channel_types(load(configured(tmp_path, channels)), tmp_path)
    assert said in str(caught.value)


def test_a_type_has_what_is_configured(tmp_path: Path) -> None:
    history = "{events: 5, age: 1h, latest: true, keys: 7, key_age: 2h}"
    channels = f"{{a: {{key: /id, history: {history}}}, b: {{key: subject}}, c: {{}}}}"
    types = channel_types(load(configured(tmp_path, channels)), tmp_path)
    kept = StateRetention(latest=True, keys=7, age=7_200_000)
    assert types.named("a").retention == Retention(5, 3_600_000, kept)
    assert types.named("b").retention.state == StateRetention()
    assert types.named("c").retention.state is None
    keys = [None if each.key is None else each.key.text for each in types]
    assert keys == ["/id", "subject", None]
