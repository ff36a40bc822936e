"""The README keeps to what is there."""

import re

import train
import utils
from inference import Tagger


def test_links_and_the_file_tree_lead_somewhere(root):
    for readme in (root / "README.md", root / "data" / "README.md"):
        text = readme.read_text(encoding="utf-8")
        links = re.findall(r"\]\((?!https?://)([^)#]+)\)", text)
        for link in links:
            assert (readme.parent / link).exists(), link
    tree = re.search(r"## Files\n\n```\n(.*?)```", (root / "README.md").read_text(), re.DOTALL)
    names = [line.split()[0] for line in tree[1].splitlines()]
    assert len(names) >= 7
    for name in names:
        assert (root / name).exists(), name


def test_constants_that_the_readme_names_exist(root):
    text = (root / "README.md").read_text(encoding="utf-8")
    named = re.findall(r"`(\w+)(?: = [^`]*)?`", text) + re.findall(r"train\.(\w+) =", text)
    constants = [name for name in named if name.islower() and "_" in name or name == "checkpoint"]
    assert {"emb_file", "word_column", "tag_column"} <= set(constants)
    for name in constants:
        assert any(hasattr(owner, name) for owner in (train, Tagger, utils)), name
