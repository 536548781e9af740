"""reference.py: documents made from the code are up to date."""

from pathlib import Path

import jsonschema_rs
import yaml

from eventhub.config.settings_page import settings_page, settings_schema

ROOT = Path(__file__).resolve().parents[3]


def test_the_settings_page_is_that_of_the_code() -> None:
    assert (ROOT / "docs/settings.md").read_text() == settings_page(), "run `make docs`"


def test_every_setting_has_a_description() -> None:
    assert "| None |" not in settings_page()


def test_the_example_on_the_page_fits_the_schema_and_a_typo_does_not() -> None:
    example = settings_page().partition("```yaml\n")[2].partition("```")[0]
    validator = jsonschema_rs.Draft202012Validator(settings_schema())
    assert validator.is_valid(yaml.safe_load(example))
    assert not validator.is_valid(yaml.safe_load(example.replace("slow:", "slwo:")))
