"""bulk_write.py without the C module: the pipe in Python, and when it is used."""

import importlib.util
import sys
from types import ModuleType

import pytest

import eventhub
from eventhub.delivery import bulk_write
from eventhub.delivery.bulk_write import PlainPipe


def imported_again() -> ModuleType:
    """The module as it is after a further import, beside the one that is used."""
    spec = importlib.util.spec_from_file_location("bulk_write_again", bulk_write.__file__)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_closed_pipe_takes_everything_and_writes_nothing() -> None:
    written: list[bytes] = []
    pipe = PlainPipe(written.append)
    pipe(b"1")
    pipe.close()
    pipe(b"2")
    assert written == [b"1"]


def test_where_the_module_was_not_built_python_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(eventhub, "_native", raising=False)
    monkeypatch.setitem(sys.modules, "eventhub._native", None)
    module = imported_again()
    assert module.Pipe is None
    assert module.write_all is module.write_all_plainly


@pytest.mark.parametrize("fault", [ZeroDivisionError, OSError])
def test_a_module_that_cannot_be_loaded_for_another_reason_is_a_fault(
    fault: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(ModuleType):
        def __getattr__(self, name: str) -> object:
            if name.startswith("__"):
                raise AttributeError(name)
            raise fault

    monkeypatch.setattr(eventhub, "_native", Broken("eventhub._native"), raising=False)
    with pytest.raises(fault):
        imported_again()
