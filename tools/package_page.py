"""The page of babycli on PyPI: README.md with addresses that work there, and the project's links.

Owns how a relative link becomes an address. Never knows where the project is hosted: the workflow that publishes does.

PyPI shows pictures and follows links by their full addresses alone. With BABYCLI_REPOSITORY (such as
https://github.com/OWNER/NAME) and BABYCLI_TAG set, as .github/workflows/publish.yml does, they lead to the files of
that tag. Without them, as in a build on one's own machine, pictures are left out and such links are their words.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

_LINK = re.compile(r"(?P<picture>!?)\[(?P<words>[^\]]*)\]\((?!https?://|mailto:|#)(?P<path>[^)\s]+)\)")
PAPERS = {
    "BabyVLM (paper)": "https://arxiv.org/abs/2504.09426",
    "BabyVLM-V2 and DevCV Toolbox (paper)": "https://arxiv.org/abs/2512.10932",
}


class PackagePage(MetadataHookInterface):
    def update(self, metadata: dict[str, Any]) -> None:
        repository, tag = os.environ.get("BABYCLI_REPOSITORY", "").rstrip("/"), os.environ.get("BABYCLI_TAG", "")
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {"content-type": "text/markdown", "text": with_addresses(text, repository, tag)}
        metadata["urls"] = project_links(repository, tag)


def project_links(repository: str, tag: str) -> dict[str, str]:
    """Gives the links beside the page: the papers, and the pages of a repository if it is known."""
    if not (repository and tag):
        return PAPERS
    return {
        "Source": repository,
        "Documentation": f"{repository}/blob/{tag}/docs/index.md",
        "Changelog": f"{repository}/blob/{tag}/CHANGELOG.md",
        "Issues": f"{repository}/issues",
    } | PAPERS


def with_addresses(text: str, repository: str, tag: str) -> str:
    """Gives a text of Markdown whose relative links are addresses of files in a repository at a tag.

    Without repository or tag, its pictures are gone, and its links are their words.
    """

    def address(link: re.Match[str]) -> str:
        picture, words, path = link["picture"], link["words"], link["path"]
        if not (repository and tag):
            return "" if picture else words
        return f"{picture}[{words}]({repository}/{'raw' if picture else 'blob'}/{tag}/{path})"

    return _LINK.sub(address, text)
