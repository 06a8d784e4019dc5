"""Builds the site from the pages of the repository: `make docs`; every warning is an error.

Pages keep their paths, so the links that work in the repository work on the site.
"""

import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import typer
import typer.cli
import typer.main

import wardrobe
from wardrobe.cli import app

ROOT = Path(__file__).parents[1]
PAGES, SITE = ROOT / "site/pages", ROOT / "site/html"
SOURCES = [
    "*.md", "docs/*.md", "docs/*.png", "docs/*/*.png", "results/*.png", "examples/*.py",
    "examples/*/*.py", "examples/*/*.js", "examples/*/*.yaml", "notebooks/*.ipynb",
    "src/wardrobe/models/recipes.py",
    "src/wardrobe/pretrained/README.md", "src/wardrobe/serving/web/icon.svg",
]  # fmt: skip


def render(path: Path) -> str:
    """Returns the Markdown of a page. Code is put into a fence; links to code lead to its page."""
    text = path.read_text()
    if path.suffix == ".md":
        return re.sub(r"(\]\([^):]+\.(?:py|js|yaml|ipynb))\)", r"\1.md)", text)
    if path.suffix != ".ipynb":
        return f"# {path.name}\n\n```{path.suffix[1:]}\n{text}```\n"
    cells = ((cell["cell_type"], "".join(cell["source"])) for cell in json.loads(text)["cells"])
    return "\n\n".join(
        text if kind == "markdown" else f"```python\n{text}\n```" for kind, text in cells
    )


def gather() -> None:
    """Writes all pages to site/pages."""
    shutil.rmtree(PAGES, ignore_errors=True)
    for path in (path for pattern in SOURCES for path in ROOT.glob(pattern)):
        page = PAGES / path.relative_to(ROOT)
        page.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix in (".png", ".svg"):
            shutil.copy(path, page)
        else:
            page.with_suffix(path.suffix.removesuffix(".md") + ".md").write_text(render(path))
    command = typer.main.get_command(app)
    text = typer.cli.get_docs_for_click(obj=command, ctx=typer.Context(command), name="wardrobe")
    text = text[text.index("\n## ") :]  # without what the page says itself
    with (PAGES / "docs/commands.md").open("a") as commands:
        commands.write(text.replace("/*", "/\\*"))  # KIND/*.jpg is no emphasis
    (PAGES / "docs/python.md").write_text("# Python\n\n::: wardrobe\n\n::: wardrobe.photo\n")


class Links(HTMLParser):
    """Lists what a page links to, and what it loads."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [(tag, value) for key, value in attrs if key in ("href", "src") and value]


def check(page: Path) -> list[str]:
    """Returns the links of a built page to a missing file, and what it loads from other hosts."""
    links = Links()
    links.feed(page.read_text())
    wrong = []
    for tag, link in links.found:
        url = urlsplit(link)
        if url.netloc or url.scheme:
            is_right = tag == "a"
        else:
            is_right = (page.parent / unquote(url.path)).is_file() or not url.path
        if not is_right:
            wrong.append(f"{page.relative_to(SITE)}: {link}")
    return wrong


def main() -> None:
    """Builds and checks the site; exits with what is wrong."""
    gather()
    built = subprocess.run(
        [sys.executable, "-m", "zensical", "build", "--strict", "--clean"],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    wrong = [each for page in SITE.glob("**/[!4]*.html") for each in check(page)]
    described = (SITE / "docs/python.html").read_text()
    wrong += [
        f"docs/python.html has no {name}"
        for name in wardrobe.__all__
        if not name.startswith("_") and f'id="wardrobe.{name}"' not in described
    ]
    # A docstring that cannot be parsed is a line of griffe's, which --strict does not count.
    if built.returncode or wrong or "griffe:" in built.stdout:
        sys.exit("\n".join([built.stdout, *wrong]))
    print(f"Written: {SITE / 'index.html'}")


if __name__ == "__main__":
    main()
