"""What a change touched: source files and lines that differ from an earlier commit.

Where git knows no earlier commit (a clone of depth one, no clone at all), one area is chosen by the
commit, so that the same commit tries the same.
"""

import re
import subprocess
from collections import defaultdict

from tests.mutation.settings import ROOT

COMMITS = 10
"""How far back a change goes, where nothing else is said."""


def earlier() -> str | None:
    """The commit some way back, as far as there are any."""
    for count in range(COMMITS, 0, -1):
        if _git("rev-parse", "--verify", "--quiet", f"HEAD~{count}^{{commit}}"):
            return f"HEAD~{count}"
    return None


def changed_lines(since: str) -> dict[str, set[int]]:
    """Lines of each source file that are new or changed."""
    lines: dict[str, set[int]] = defaultdict(set)
    file = ""
    difference = _git("diff", "--unified=0", "--no-color", since, "--", "src/*.py")
    for line in difference.splitlines():
        if line.startswith("+++ "):
            file = line.removeprefix("+++ b/")
        elif hunk := re.match(r"@@ -\S+ \+(\d+)(?:,(\d+))? @@", line):
            first, count = int(hunk[1]), int(hunk[2] or 1)
            lines[file] |= set(range(first, first + count))
    return {file: found for file, found in lines.items() if found and (ROOT / file).exists()}


def seed() -> int:
    """The same for the same commit."""
    return int(_git("rev-parse", "HEAD")[:8] or "1", 16)


def _git(*arguments: str) -> str:
    command = ["git", "-c", f"safe.directory={ROOT}", *arguments]
    try:
        run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return run.stdout.strip() if run.returncode == 0 else ""
