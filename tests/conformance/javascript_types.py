"""Writes the types of the JavaScript client from its comments: `python -m tests.conformance…`."""

import shutil
import subprocess
import tempfile
from pathlib import Path

CLIENT = Path(__file__).parents[2] / "web" / "client"
TOOLS = Path(__file__).parent / "node_modules" / ".bin"
PUBLIC = ("eventhub.d.ts", "errors.d.ts")
"""What an application imports. The other modules are not for it."""
OPTIONS = (
    "--allowJs --declaration --emitDeclarationOnly --target es2022 --module esnext "
    "--moduleResolution bundler --lib es2022,dom"
)


def types() -> dict[str, str]:
    """The text of each file of types."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for source in (*CLIENT.glob("*.js"), CLIENT / "types.d.ts"):  # without what is generated
            shutil.copy(source, folder)
        command = [str(TOOLS / "tsc"), *OPTIONS.split(), "eventhub.js"]
        subprocess.run(command, cwd=folder, check=True, timeout=120)
        return {name: (folder / name).read_text() for name in PUBLIC}


if __name__ == "__main__":
    for name, text in types().items():
        (CLIENT / name).write_text(text)
