"""The documents name only what is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("examples/**/*.md")])

LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")
TEST = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")
PLACE = re.compile(r"`((?:ctrlhub|controller|engine|client|tests|docs|examples|scripts)/[\w./-]*)`")


def _named(pattern: re.Pattern[str]) -> list[tuple[Path, str]]:
    """Return (document, what it names)."""
    return [
        (document, match[1])
        for document in DOCUMENTS
        for match in pattern.finditer(document.read_text(encoding="utf-8"))
    ]


def test_there_are_documents() -> None:
    """Those that everyone looks for."""
    names = {document.name for document in DOCUMENTS}
    assert names >= {
        "README.md",
        "PROTOCOL.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "SECURITY.md",
        "guarantees.md",
        "design.md",
    }


@pytest.mark.parametrize(("document", "target"), _named(LINK), ids=str)
def test_links_lead_somewhere(document: Path, target: str) -> None:
    """Every link within the project leads to a file or folder."""
    assert (document.parent / target).exists()


@pytest.mark.parametrize(("document", "place"), _named(PLACE), ids=str)
def test_places_exist(document: Path, place: str) -> None:
    """Every path that is named is one."""
    assert (ROOT / place).exists()


def test_tests_exist() -> None:
    """Every test that a document names, as the proof of something, is there."""
    missing = []
    for document in DOCUMENTS:
        for file, name in TEST.findall(document.read_text(encoding="utf-8")):
            path = ROOT / file
            if not path.exists() or (name and f"def {name}(" not in path.read_text()):
                missing.append(f"{document.name}: {file}::{name}")
    assert not missing


def test_the_code_names_documents_that_exist() -> None:
    """Docstrings and messages that point to docs/ point to something."""
    sources = [
        path
        for folder in ("ctrlhub", "controller", "engine", "client")
        for path in (ROOT / folder).rglob("*.py")
    ]
    assert sources
    for path in sources:
        for name in re.findall(r"docs/[\w-]+\.md", path.read_text(encoding="utf-8")):
            assert (ROOT / name).exists(), f"{path} names {name}"
