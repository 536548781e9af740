"""The text of a web page: the parts that pages share, addresses, and what to load at once.

In the sources, a line `<!-- head -->` stands for the part of that name, and addresses begin with a
slash. In the text they are relative, as a proxy may add a prefix. A page's style sheets are joined.
"""

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass

_PART = re.compile(r"^ *<!-- (\w+) -->\n", re.MULTILINE)
_ADDRESS = re.compile(r'(?<=\s)(href|src|action)="/(?!/)([^"]*)"')
_STYLE = re.compile(r' *<link rel="stylesheet" href="/static/([^"]+)">\n')
_SCRIPT = re.compile(r' *<script type="module" src="/static/([^"]+)"></script>\n')
_IMPORT = re.compile(
    r'^(?:import|export)\s+(?:[\w$*, ]*(?:\{[^{}"]*\})?\s*from\s*)?"(\.[^"]+)"', re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class PageTemplate:
    """What all pages share: parts of HTML by name, the sources of `/static` by name, its version.

    Below `/static/{version}` nothing ever changes.
    """

    parts: Mapping[str, str]
    sources: Mapping[str, str]
    version: str

    def render(self, text: str, path: str) -> str:
        """The page at this path, such as `/logs/{pattern}`."""
        sheet = iter([f'  <link rel="stylesheet" href="/static/{style_name(path)}">\n'])
        text = _STYLE.sub(lambda _: next(sheet, ""), self._filled(text, path))
        text = _SCRIPT.sub(self._with_imports, text)
        root = "../" * (path.count("/") - 1)

        def relative(match: re.Match[str]) -> str:
            attribute, address = match.groups()
            if address.startswith("static/"):
                address = f"static/{self.version}/{address.removeprefix('static/')}"
            return f'{attribute}="{root}{address}"' if root + address else f'{attribute}="./"'

        return _ADDRESS.sub(relative, text)

    def styles(self, text: str, path: str) -> str:
        """The style sheets that a page names, one after another: a file of this name."""
        names = _STYLE.findall(self._filled(text, path))
        return "\n".join(self.sources[name] for name in names)

    def _filled(self, text: str, path: str) -> str:
        """The text with its parts. The link to this page itself is marked."""
        page = path.split("/")[1]
        link = re.compile(rf'<a (?=[^>]*href="/{page}[/"])')

        def part(match: re.Match[str]) -> str:
            found = self.parts[match[1]]
            if match[1] == "nav" and page:
                return link.sub('<a aria-current="page" ', found)
            return self._filled(found, path)

        return _PART.sub(part, text)

    def _with_imports(self, script: re.Match[str]) -> str:
        """A script, and links that let the browser load at once all that it imports."""
        imported = imports(script[1], self.sources)
        return script[0] + "".join(
            f'  <link rel="modulepreload" href="/static/{name}">\n' for name in imported
        )


def style_name(path: str) -> str:
    """The name of the file with all style sheets of the page at this path."""
    return f"pages/all{re.sub(r'[/{]+', '-', path.rstrip('}/'))}.css"


def imports(entry: str, sources: Mapping[str, str]) -> list[str]:
    """The modules that this one imports, and those that they import, nearest first."""
    found = [entry]
    for name in found:
        folder = posixpath.dirname(name)
        for address in _IMPORT.findall(sources[name]):
            module = posixpath.normpath(posixpath.join(folder, address))
            if module not in found:
                found.append(module)
    return found[1:]
