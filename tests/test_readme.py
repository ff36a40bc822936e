"""The README keeps to what is there: links, constants, numbers, pictures, snippets, commands."""

import contextlib
import importlib
import pathlib
import re
import shlex
import subprocess
import sys
import types

import pytest
import walkthrough

import datasets
import inference
import models
import train
import utils
from machinery import (
    checkpoints,
    columns,
    command,
    errors,
    evaluation,
    probabilities,
    processes,
    report,
    runs,
    spans,
    text,
    vectors,
)

ROOT = pathlib.Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PICTURES = sorted((ROOT / "img").glob("*.svg"))


def fenced(language):
    """The contents of the README's code blocks of a language, "" for those of none."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def anchors(text):
    """The names by which GitHub links to the headings of a text."""
    prose = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.*)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", ["README.md", "data/README.md"])
def test_links_lead_somewhere(root, name):
    text = (root / name).read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!https?://)([^)]+)\)", text)
    for link in links:
        path, _, anchor = link.partition("#")
        assert ((root / name).parent / path).exists(), link
        if anchor:
            assert anchor in anchors(text), link
    assert name != "README.md" or len(links) > 30


def test_every_picture_is_shown_and_described(root):
    shown = dict((path, text) for text, path in re.findall(r"!\[([^\]]*)\]\(([^)]+)\)", README))
    assert set(shown) == {f"img/{path.name}" for path in PICTURES}
    assert all(len(text) > 15 for text in shown.values())


def test_the_file_tree_names_what_is_there(root):
    tree = re.search(r"## Files\n\n```\n(.*?)```", README, re.DOTALL)
    names = [line.split()[0] for line in tree[1].splitlines()]
    assert len(names) >= 7
    for name in names:
        assert (root / name).exists(), name


def test_names_in_the_code_exist():
    words = re.findall(r"`([A-Za-z]\w*)(?: = [^`]*)?`", README) + re.findall(
        r"train\.(\w+) =", README
    )
    named = {
        word for word in words if "_" in word and word.islower() or re.search("[a-z][A-Z]", word)
    }
    assert {"emb_file", "word_column", "LengthBatchSampler", "step_probabilities"} <= named
    owners = (train, models, datasets, inference, utils, inference.Tagger, inference.ViterbiDecoder)
    owners += (checkpoints, columns, command, errors, evaluation, probabilities)
    owners += (processes, report, runs, spans, text, vectors)
    owners += (models.LM_LSTM_CRF(5, 9, 9, 9), models.ViterbiLoss, datasets.Batch)
    import torch

    owners += (torch, torch.nn.utils.rnn)
    maps = {"word_map", "char_map", "tag_map"}
    for name in named - maps:
        assert any(hasattr(owner, name) for owner in owners), name


@pytest.mark.parametrize("name, block", walkthrough.blocks().items())
def test_numbers_of_the_example_are_what_the_code_computes(name, block):
    # Prose may be wrapped anywhere; tables and aligned characters may not.
    readme = README if "\n" in block else " ".join(README.split())
    assert block in readme, f"{name}:\n{block}"


def test_no_formula_can_be_taken_for_emphasis():
    """Markdown reads a _ behind punctuation as the beginning of italics, which breaks formulas."""
    prose = re.sub(r"^```.*?^```|`[^`]*`", "", README, flags=re.DOTALL | re.MULTILINE)
    formulas = re.findall(r"\$\$.*?\$\$|\$[^$]+\$", prose, re.DOTALL)
    assert len(formulas) > 10
    for formula in formulas:
        assert not re.search(r"[^\w]_", formula.replace("\\_", "")), formula


@pytest.fixture(scope="module")
def drawn():
    """{name: the picture as the scripts draw it now}"""
    sys.path.insert(0, str(ROOT / "img"))
    scripts = [importlib.import_module(path.stem) for path in ROOT.glob("img/draw_*.py")]
    return {
        name: picture.svg() for script in scripts for name, picture in script.pictures().items()
    }


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.stem)
def test_pictures_are_what_the_scripts_draw(path, drawn):
    assert path.read_text(encoding="utf-8") == drawn[path.stem]


# Snippets and commands, shortened where they are long ------------------------------------------


@pytest.fixture
def prepared(tmp_path, monkeypatch, tiny_train, tiny_corpus, tiny_checkpoint):
    """A folder with all files that snippets and commands read, as the current one."""
    corpus = tiny_corpus.read_text(encoding="utf-8")
    for name in ("my_train.txt", "my_valid.txt", "test.txt", "corpus.conll"):
        (tmp_path / name).write_text(corpus, encoding="utf-8")
    for name in ("corpus.txt", "sentences.txt"):
        (tmp_path / name).write_text("Dunston checks in .\nParis is majestic .\n", encoding="utf-8")
    (tmp_path / "best_checkpoint.pt").write_bytes(tiny_checkpoint.read_bytes())
    table = "Sentence #,Word,POS,Tag\nSentence: 1,Dunston,NNP,B-per\n,checks,VBZ,O\n"
    (tmp_path / "ner_dataset.csv").write_text(f"{table}Sentence: 2,Hôtel,NN,O\n", "latin-1")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "nltk", fake_nltk())
    return tmp_path


def fake_nltk():
    """As much of NLTK as the README uses, without its downloads."""
    tagged = [("Dunston", "NNP"), ("*-1", "-NONE-"), ("checks", "VBZ")]
    chunked = [("Dunston", "NNP", "B-NP"), ("checks", "VBZ", "B-VP")]
    corpora = types.SimpleNamespace(
        treebank=types.SimpleNamespace(tagged_sents=lambda: [tagged] * 3914),
        conll2000=types.SimpleNamespace(iob_sents=lambda file: [chunked] * 2000),
    )
    return types.SimpleNamespace(download=lambda names: True, corpus=corpora)


@pytest.mark.parametrize("snippet", fenced("python"), ids=lambda text: text.split("\n")[0])
def test_snippets_run(snippet, prepared):
    with contextlib.redirect_stdout(None):
        rdd = types.SimpleNamespace(mapPartitions=lambda tag: list(tag([["Paris", "is", "old"]])))
        exec(compile(snippet.replace("= 20", "= 1"), "README.md", "exec"), {"rdd": rdd})


def test_what_the_snippets_write_can_be_read(prepared):
    written = {"treebank_train.txt": 3000, "chunks_test.txt": 2000, "gmb.txt": 2}
    for snippet in fenced("python"):
        if "open(" in snippet:
            exec(compile(snippet, "README.md", "exec"), {})
    for name, sentences in written.items():
        words, _ = utils.read_words_tags(name)
        assert len(words) == sentences
        assert words[0] == ["Dunston", "checks"]


def commands():
    """The README's commands, those beside a result included."""
    lines = [line for block in fenced("") for line in block.splitlines()]
    lines += re.findall(r"`(python [^`]+)`", README)
    return sorted({line for line in lines if re.match(r"python |torchrun ", line)})


@pytest.mark.parametrize("command", [c for c in commands() if "inference.py" in c])
def test_commands_that_tag(command, prepared):
    python = shlex.quote(sys.executable)
    command = command.replace(
        "python inference.py", f"{python} {shlex.quote(str(ROOT))}/inference.py"
    )
    command = command.replace("PATH", "best_checkpoint.pt")
    result = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    output = result.stdout + "".join(
        path.read_text(encoding="utf-8") for path in prepared.glob("*.conll")
    )
    assert re.search(r"(?m)^Dunston\b|^Professor\b|^Does\b", output)


@pytest.mark.parametrize("command", [c for c in commands() if "inference.py" not in c])
def test_other_commands_name_scripts_and_options_that_exist(command):
    script = re.search(r"[\w/]+\.py|-m pytest", command)[0]
    if script == "-m pytest":
        return
    text = (ROOT / script).read_text(encoding="utf-8")
    for option in re.findall(r"--[a-z_]+", command.partition(script)[2]):
        assert f'"{option}"' in text, option


def test_requirements_that_the_readme_installs_exist():
    files = re.findall(r"pip install -r (\S+)", README)
    assert len(files) == 2
    assert all((ROOT / name).exists() for name in files)
