"""The contents of the wheel, built with and without a compiler."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("compiler", "tag", "native"),
    [
        ("cc", "cp311-abi3-", True),
        pytest.param("/there/is/no/compiler", "py3-none-any", False, marks=pytest.mark.proof),
    ],
)
def test_a_wheel_is_built_with_or_without_a_compiler(
    tmp_path: Path,
    compiler: str,
    tag: str,
    native: bool,  # noqa: FBT001  # a case
) -> None:
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--wheel-dir",
        str(tmp_path),
        str(ROOT),
    ]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "CC": compiler})
    (wheel,) = tmp_path.iterdir()
    names = zipfile.ZipFile(wheel).namelist()
    assert tag in wheel.name
    assert ("eventhub/_native.abi3.so" in names) == native
    assert "eventhub_client/cli/tail.py" in names  # `eventhub tail`
    web = {f"eventhub/{file.relative_to(ROOT)}" for file in (ROOT / "web").rglob("*.*")}
    assert web | {"eventhub/delivery/fanout.py"} <= set(names)
    licenses = {name.partition(".dist-info/licenses/")[2] for name in names}
    assert {"LICENSE", "web/vendor/uplot/LICENSE"} <= licenses
