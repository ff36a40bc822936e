"""README and manual keep to what is there: links, names, numbers, pictures, quotes, commands."""

import ast
import contextlib
import csv
import importlib
import inspect
import io
import itertools
import pathlib
import pkgutil
import re
import shlex
import shutil
import sys
import textwrap
import types

import pytest
import torch
import walkthrough

import datasets
import inference
import machinery
import models
import train
import utils
from machinery.errors import run_script

ROOT = pathlib.Path(__file__).resolve().parent.parent
TEXTS = {
    name: (ROOT / name).read_text(encoding="utf-8")
    for name in ("README.md", "docs/manual.md", "docs/results.md", "data/README.md")
}
README, MANUAL = TEXTS["README.md"], TEXTS["docs/manual.md"]
RESULTS = TEXTS["docs/results.md"]
PICTURES = sorted((ROOT / "img").glob("*.svg"))


def fenced(text, language):
    """The contents of a text's code blocks of a language, "" for those of none."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [code for named, code in blocks if named == language]


def unfenced(text):
    """A text without its code blocks."""
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


def prose(text):
    """A text without its code."""
    return re.sub(r"`[^`]*`", "", unfenced(text))


def anchors(text):
    """The names by which GitHub links to the headings of a text."""
    headings = re.findall(r"^#+ (.*)$", unfenced(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", TEXTS)
def test_links_lead_somewhere(name):
    links = re.findall(r"\]\((?!https?://)([^)]+)\)", unfenced(TEXTS[name]))
    for link in links:
        path, _, anchor = link.partition("#")
        target = ROOT / name if not path else (ROOT / name).parent / path
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target.read_text(encoding="utf-8")), link
    assert name in ("data/README.md", "docs/results.md") or len(links) > 20


def test_every_picture_is_shown_and_described():
    shown = dict((path, text) for text, path in re.findall(r"!\[([^\]]*)\]\(([^)]+)\)", README))
    assert set(shown) == {f"img/{path.name}" for path in PICTURES}
    assert all(len(text) > 15 for text in shown.values())


def test_the_file_tree_names_what_is_there():
    (tree,) = [block for block in fenced(README, "") if "models.py  " in block]
    names = [line.split()[0] for line in tree.splitlines()]
    assert len(names) >= 9
    for name in names:
        assert (ROOT / name).exists(), name


def test_the_readme_is_short_and_has_one_command_of_each_kind():
    assert len(README.split()) <= 5000
    commands = [line for block in fenced(README, "") for line in block.splitlines()]
    assert sum("python train.py" in line for line in commands) == 1
    assert sum("pytest" in line for line in commands) == 1


def test_names_in_the_code_exist():
    text = README + MANUAL + RESULTS
    words = re.findall(r"`([A-Za-z]\w*)(?: = [^`]*)?`", text)
    words += re.findall(r"train\.(\w+) =", text)
    named = {
        word for word in words if "_" in word and word.islower() or re.search("[a-z][A-Z]", word)
    }
    assert {"emb_file", "word_column", "LengthBatchSampler", "word_penalty"} <= named
    modules = [f"machinery.{module.name}" for module in pkgutil.iter_modules(machinery.__path__)]
    owners = [train, models, datasets, inference, utils, *map(importlib.import_module, modules)]
    owners += [inference.Tagger, inference.ViterbiDecoder, models.ViterbiLoss, datasets.Batch]
    owners += [models.LM_LSTM_CRF(5, 9, 9, 9), torch, torch.nn.utils.rnn, torch.Tensor]
    of_methods = {"word_penalty", "word_map", "char_map", "tag_map"}  # local names, attributes
    folders = {"ncbi_disease", "ud_english_ewt"}
    flags = set(re.findall(r"\w+_bf16", inspect.getsource(machinery.device)))  # of processors
    for name in named - of_methods - folders - flags:
        assert any(hasattr(owner, name) for owner in owners), name


def test_every_constant_is_in_the_manual():
    tree = ast.parse((ROOT / "train.py").read_text(encoding="utf-8"))
    targets = [node.targets[0] for node in tree.body if isinstance(node, ast.Assign)]
    constants = {target.id for target in targets if isinstance(target, ast.Name)}
    table = MANUAL.partition("### The constants")[2].partition("\n###")[0]
    described = set(re.findall(r"`(\w+)`", table))
    assert {name for name in constants if name.islower()} <= described


@pytest.mark.parametrize("name, block", walkthrough.blocks().items())
def test_numbers_of_the_example_are_what_the_code_computes(name, block):
    # Prose may be wrapped anywhere; tables and aligned characters may not.
    readme = README if "\n" in block else " ".join(README.split())
    assert block in readme, f"{name}:\n{block}"


def test_no_formula_can_be_taken_for_something_else():
    """Markdown reads a _ after punctuation as the beginning of italics, a + before a line as that
    of a list, which breaks formulas."""
    formulas = re.findall(r"\$\$.*?\$\$|\$[^$]+\$", prose(README), re.DOTALL)
    assert len(formulas) > 10
    for formula in formulas:
        assert not re.search(r"[^\w]_|\n[-+*] ", formula.replace("\\_", "")), formula


@pytest.mark.parametrize("name", TEXTS)
def test_no_sum_is_broken_into_a_list(name):
    """A line that begins with + or - after one without a blank line is a list's in Markdown."""
    assert not re.findall(r"^(?![-+*] |  |$).+\n[-+] .*", prose(TEXTS[name]), re.MULTILINE)


@pytest.mark.parametrize("name", TEXTS)
def test_percentages_are_written_alike(name):
    assert not re.findall(r"\d %", prose(TEXTS[name]))


# Pictures ---------------------------------------------------------------------------------------


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
    assert not re.search(r">[-−]0\.0*<", drawn[path.stem])


def test_transitions_are_drawn_from_a_checkpoint(drawn, tiny_checkpoint):
    draw_transitions = sys.modules["draw_transitions"]
    rows = draw_transitions.read_transitions(tiny_checkpoint)
    tags = ["O", "B-LOC", "B-PER", "I-LOC", "I-PER"]
    assert list(dict.fromkeys(before for before, *_ in rows)) == ["<start>", *tags]
    assert list(dict.fromkeys(tag for _, tag, *_ in rows)) == [*tags, "<end>"]
    forbidden = {(before, tag) for before, tag, _, mark in rows if mark}
    assert len(forbidden) == 8 and ("O", "I-PER") in forbidden
    picture = draw_transitions.transitions(rows).svg()
    assert "B-PER" in picture and "forbidden" in picture
    assert picture.count(f"h {draw_transitions.CORNER} ") == len(forbidden) + 1  # and the legend


def test_the_shown_model_has_learned_what_the_tag_scheme_forbids():
    with open(ROOT / "img/transitions.csv", encoding="utf-8", newline="") as table:
        rows = list(csv.reader(table))
    forbidden = [float(score) for *_, score, mark in rows if mark]
    assert len(forbidden) > 10 and max(forbidden) < -0.5


# Code -------------------------------------------------------------------------------------------


def snippets():
    """The Python of README and manual: quoted lines, and what a reader runs."""
    every = [code for text in (README, MANUAL, RESULTS) for code in fenced(text, "python")]
    quoted = [code for code in every if re.match(r"# [\w/]+\.py, ", code)]
    return quoted, [code for code in every if code not in quoted]


QUOTED, RUN = snippets()


@pytest.mark.parametrize("code", QUOTED, ids=lambda code: code.split("\n")[0])
def test_quoted_lines_are_those_of_the_source(code):
    title, _, lines = code.partition("\n")
    script, names = re.fullmatch(r"# ([\w/]+)\.py, ([\w.]+)", title).groups()
    source = (ROOT / f"{script}.py").read_text(encoding="utf-8")
    quoted, count = lines.rstrip().splitlines(), len(lines.rstrip().splitlines())
    body = lines_of(source, names)
    parts = (body[i : i + count] for i in range(len(body)))
    assert any(textwrap.dedent("\n".join(part)).splitlines() == quoted for part in parts)
    if script in LADDER[1:]:  # what the step before has is no news
        before = (ROOT / f"{LADDER[LADDER.index(script) - 1]}.py").read_text(encoding="utf-8")
        known = {line.strip() for line in before.splitlines()}
        assert not [line for line in quoted if line.strip() in known]


LADDER = sorted(f"steps/{path.stem}" for path in (ROOT / "steps").glob("*.py"))


def lines_of(source, names):
    """The lines of a function or class of a script; names: such as Tagger.forward."""
    node = ast.parse(source)
    for name in names.split("."):
        node = next(part for part in node.body if getattr(part, "name", None) == name)
    return source.splitlines()[node.lineno - 1 : node.end_lineno]


def test_each_step_and_all_parts_of_the_crf_are_quoted():
    titles = " ".join(code.split("\n")[0] for code in QUOTED)
    assert len(LADDER) == 5 and all(script in titles for script in LADDER)
    parts = ("forward_algorithm", "loss", "marginals", "viterbi")
    assert all(f"3_crf.py, Tagger.{name}" in titles for name in parts)
    assert "models.py, LinearChain.forward_algorithm" in titles


def test_each_step_is_run_by_its_command_and_has_one_score():
    """The table's score is that of the step's chapter."""
    for script in LADDER:
        (score,) = re.findall(rf"^\| `python {script}.py` \|.* \| ([\d.]+) \|$", README, re.M)
        assert f"`python {script}.py` reaches {score}%" in " ".join(README.split())


@pytest.fixture
def prepared(tmp_path, monkeypatch, tiny_train, tiny_corpus, tiny_checkpoint):
    """A folder with all files that snippets and commands read, as the current one."""
    corpus = tiny_corpus.read_text(encoding="utf-8")
    for name in ("my_train.txt", "my_valid.txt", "test.txt", "corpus.conll"):
        (tmp_path / name).write_text(corpus, encoding="utf-8")
    for name in ("corpus.txt", "sentences.txt"):
        (tmp_path / name).write_text("Dunston checks in .\nParis is majestic .\n", encoding="utf-8")
    (tmp_path / "best_checkpoint.pt").write_bytes(tiny_checkpoint.read_bytes())
    (tmp_path / "data").mkdir()
    for name in ("train.txt", "valid.txt", "test.txt"):
        (tmp_path / "data" / name).write_text(corpus, encoding="utf-8")
    shutil.copytree(ROOT / "steps", tmp_path / "steps")
    table = "Sentence #,Word,POS,Tag\nSentence: 1,Dunston,NNP,B-per\n,checks,VBZ,O\n"
    (tmp_path / "ner_dataset.csv").write_text(f"{table}Sentence: 2,Hôtel,NN,O\n", "latin-1")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(ROOT)
    monkeypatch.setitem(sys.modules, "nltk", fake_nltk())
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("steps")]:
        del sys.modules[name]  # an exercise gives step 4 another Tagger


def fake_nltk():
    """As much of NLTK as the manual uses, without its downloads."""
    tagged = [("Dunston", "NNP"), ("*-1", "-NONE-"), ("checks", "VBZ")]
    chunked = [("Dunston", "NNP", "B-NP"), ("checks", "VBZ", "B-VP")]
    corpora = types.SimpleNamespace(
        treebank=types.SimpleNamespace(tagged_sents=lambda: [tagged] * 3914),
        conll2000=types.SimpleNamespace(iob_sents=lambda file: [chunked] * 2000),
    )
    return types.SimpleNamespace(download=lambda names: True, corpus=corpora)


@pytest.mark.parametrize("code", RUN, ids=lambda code: code.split("\n")[0])
def test_snippets_run_and_print_what_they_say(code, prepared):
    code = code.replace("epochs = 20", "epochs = 1")
    rdd = types.SimpleNamespace(mapPartitions=lambda tag: list(tag([["Paris", "is", "old"]])))
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(code, "README.md", "exec"), {"rdd": rdd})
    expected = re.findall(r"^print\(.*\)  # (.*)$", code, re.MULTILINE)
    assert not expected or printed.getvalue().splitlines() == expected


def test_what_the_snippets_write_can_be_read(prepared):
    written = {"treebank_train.txt": 3000, "chunks_test.txt": 2000, "gmb.txt": 2}
    for code in RUN:
        if "open(" in code:
            exec(compile(code, "docs/manual.md", "exec"), {})
    for name, sentences in written.items():
        words, _ = utils.read_words_tags(name)
        assert len(words) == sentences
        assert words[0] == ["Dunston", "checks"]


def test_the_exercise_on_the_gradient():
    """Autograd over all 27 paths gives what step_probabilities does, less 1 on the gold path."""
    scores = walkthrough.SCORES.clone().requires_grad_()
    inner = itertools.product(walkthrough.INNER, repeat=len(walkthrough.WORDS))
    every = torch.stack([sum(walkthrough.parts(scores, tags)) for tags in inner])
    (every.logsumexp(0) - sum(walkthrough.parts(scores, walkthrough.GOLD))).backward()
    viterbi_loss = models.ViterbiLoss(walkthrough.maps()[2])
    _, before = viterbi_loss.forward_algorithm(walkthrough.SCORES.unsqueeze(0))
    expected = viterbi_loss.step_probabilities(
        walkthrough.SCORES.unsqueeze(0), before, walkthrough.LENGTHS
    )[0]
    path = [walkthrough.START, *walkthrough.GOLD, walkthrough.END]
    for k, (i, j) in enumerate(itertools.pairwise(path)):
        expected[k, i, j] -= 1
    assert (scores.grad - expected).abs().max() < 1e-5


# Commands ---------------------------------------------------------------------------------------


def commands():
    """The commands of README and manual, those in tables and in sentences included."""
    text = README + MANUAL + RESULTS
    lines = [line for block in fenced(text, "") for line in block.splitlines()]
    lines += re.findall(r"`(python [^`]+)`", " ".join(unfenced(text).split()))
    return sorted({line for line in lines if re.match(r"(\w+=\w+ )*(python|torchrun) ", line)})


@pytest.mark.parametrize("command", [c for c in commands() if "inference.py" in c])
def test_commands_that_tag(command, prepared, monkeypatch, capsys):
    arguments = shlex.split(re.sub(r"PATH|trial_\w+\.pt", "best_checkpoint.pt", command))[2:]
    while len(arguments) > 1 and arguments[-2] in "<>":
        *arguments, direction, name = arguments
        file = open(name, "r" if direction == "<" else "w", encoding="utf-8")  # noqa: SIM115
        monkeypatch.setattr(sys, "stdin" if direction == "<" else "stdout", file)
    monkeypatch.setattr(sys, "argv", ["inference.py", *arguments])
    run_script(inference.main)
    sys.stdout.flush()
    output = capsys.readouterr().out + "".join(
        path.read_text(encoding="utf-8") for path in prepared.glob("*.conll")
    )
    assert re.search(r"(?m)^Dunston\b|^Professor\b|^Does\b", output)


@pytest.mark.parametrize("command", [c for c in commands() if "inference.py" not in c])
def test_other_commands_name_scripts_options_and_constants_that_exist(command):
    script = re.search(r"[\w/]+\.py|-m pytest", command)[0]
    if script == "-m pytest":
        return
    text = (ROOT / script).read_text(encoding="utf-8")
    if script.startswith("tests/measure/"):
        text += (ROOT / "tests" / "measure" / "training.py").read_text(encoding="utf-8")
    for option in re.findall(r"--[a-z_-]+", command.partition(script)[2]):
        assert f'"{option}"' in text, option
    if script == "train.py" or "--set" in command:
        for name in re.findall(r"(\w+)=", command.partition(script)[2]):
            assert hasattr(train, name), name


def test_requirements_that_the_readme_installs_exist():
    files = re.findall(r"pip install -r (\S+)", README)
    assert len(files) == 2
    assert all((ROOT / name).exists() for name in files)
