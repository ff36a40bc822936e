"""What a person sees: small runs of the real scripts, compared whole with tests/transcripts/*.txt.

Whoever changes a message runs `python -m pytest tests/test_transcripts.py --rewrite`, which writes
these files anew, and reads their diff.

Each file reads like a terminal's window. The runs share a small corpus, cut from data/, which a
tiny model learns by heart, so that it tags the same on every machine, whatever the seed. The gold
tags that it is scored on differ in known places, so that no two scores are equal. Losses, times,
probabilities and versions are masked: <lm_loss> is printed where the number in the table's column
lm_loss is.
"""

import contextlib
import csv
import difflib
import itertools
import json
import os
import pathlib
import re
import runpy
import shlex
import shutil
import signal
import struct
import sys
import threading

import pytest
import torch
from common import ROOT
from parallel import Team

from machinery import errors, report
from machinery.constants import CONSTANTS

TRANSCRIPTS = pathlib.Path(__file__).parent / "transcripts"
LOSSES = ("lm_loss", "tag_loss", "val_loss")
SMALL = (
    "train_file=train.txt val_file=valid.txt test_file=None highway_layers=0 char_emb_dim=8 "
    "char_rnn_dim=8 word_emb_dim=16 word_rnn_dim=32 dropout=0 batch_size=4 lr=0.05 averaging=0.95"
)
TRAIN = f"python train.py {SMALL}"
RESUME = f"{TRAIN} checkpoint=last_checkpoint.pt"

# Name of a transcript, and its commands. Each but "train" begins in a folder where those of
# "train" have run. CTRL_C=name presses Ctrl-C when this function of machinery/report.py has run;
# BARS=1 makes stderr a terminal.
SCENES = dict(
    train=[f"{TRAIN} epochs=2 test_file=test.txt", "cat last_checkpoint.csv"],
    resume=[
        f"{RESUME} epochs=3 test_file=test.txt",
        "cat last_checkpoint.csv",
        f"{RESUME} epochs=3",
    ],
    patience=[f"{RESUME} epochs=9 patience=2 lr=0.001"],
    other_validation_data=[f"{RESUME} epochs=3 val_file=test.txt", "cat last_checkpoint.csv", "ls"],
    score_only=[
        f"{RESUME} epochs=0",
        f"{TRAIN} checkpoint=best_checkpoint.pt epochs=0 val_file=None constrain_tags=False",
    ],
    without_validation=[
        f"{TRAIN} epochs=1 val_file=None use_crf=False co_training=False",
        f"{RESUME} epochs=0 val_file=None test_file=test.txt use_crf=False co_training=False",
        f"{RESUME} epochs=2 use_crf=False co_training=False",
        "cat last_checkpoint.csv",
        "ls",
    ],
    text=[
        f"{TRAIN} epochs=1 val_file=None text_file=sentences.txt text_epochs=2",
        f"{TRAIN} epochs=1 val_file=None text_file=sentences.txt text_epochs=2",
        f"{TRAIN} text_file=sentences.txt use_characters=False",
    ],
    parts_of_speech=[f"{TRAIN} epochs=1 tag_column=1", "cat last_checkpoint.csv"],
    two_processes=[f"torchrun --nproc_per_node=2 {TRAIN[7:]} epochs=1", "cat last_checkpoint.csv"],
    diverging=[f"{TRAIN} optimizer=sgd lr=1e30 grad_clip=None", f"{RESUME} lr=1e30", "ls"],
    ctrl_c=[
        f"CTRL_C=print_epoch {RESUME} epochs=9",
        f"CTRL_C=print_model {TRAIN}",
        "ls",
    ],
    bars=[f"BARS=1 {RESUME} epochs=3", "BARS=1 python inference.py --tokenized < chelsea.txt"],
    evaluate=[
        "python inference.py --evaluate test.txt --errors errors.txt",
        "cat errors.txt",
        "python inference.py --evaluate test.txt --errors errors.html",
        "cat errors.html",
    ],
    tag=[
        "python inference.py 'Chelsea can not defend corners.' 'Nobody in New York had asked.'",
        "python inference.py --confidence --tokenized 'Chelsea can not defend corners .'",
        "python inference.py --nbest 2 'Chelsea can not defend corners.'",
        "python inference.py < sentences.txt",
        "python inference.py --tokenized --confidence < sentences.txt",
        "python inference.py --nbest 2 < chelsea.txt",
        "python inference.py --json < sentences.txt",
        "python inference.py --html < sentences.txt",
    ],
    conll=[
        "python inference.py --conll test.txt",
        "python inference.py --conll - --confidence < test.txt",
        "python inference.py --conll test.txt --json",
    ],
    bad_input=[
        f"{TRAIN} train_file=missing.txt",
        f"{TRAIN} val_file=None test_file=bad.txt",
        f"{TRAIN} dropout=1",
        f"{TRAIN} epoch=3",
        f"{TRAIN} epochs=0",
        f"{RESUME} char_rnn_dim=20",
        f"{RESUME} checkpoint=best_checkpoint.pt",
        "python inference.py --checkpoint missing.pt Paris",
        "python inference.py --checkpoint train.txt Paris",
        "python inference.py --conll bad.txt",
        "python inference.py --evaluate test.txt --word-column 9",
        "python inference.py --evaluate test.txt --errors best_checkpoint.pt",
    ],
)


# The corpus ---------------------------------------------------------------------------------------

# Words whose gold tags differ in the files that the model is scored on: one mistake of each kind.
IN_VALID = {"Wanganui": "B-ORG", "New": "O", "York": "B-LOC", "drops": "B-MISC"}
IN_TEST = {"Hamlet": "O", "Spain": "B-PER", "again": "B-TIME", "Tree": "O", "brass": "ORG"}


def write_corpus(folder):
    """Write what the commands read into a folder."""
    corpus = (ROOT / "data" / "train.txt").read_text(encoding="utf-8").split("\n\n")
    rows = [[line.split(" ") for line in sentence.splitlines()] for sentence in corpus]
    rows = [s for s in rows if 4 <= len(s) <= 8 and any(row[-1] != "O" for row in s)][:25]
    known, last = [rows[i] for i in (0, 1, 2, 3, 6, 9, 11)], rows[24]
    other = [[*last[0][:-1], "B-PER"], *last[1:]]  # seven of eight times, "Chelsea" is a club

    def write(name, sentences, changed=()):
        lines = [
            "".join(" ".join((*row[:-1], dict(changed).get(row[0], row[-1]))) + "\n" for row in s)
            for s in sentences
        ]
        (folder / name).write_text("\n".join(lines), encoding="utf-8")

    write("train.txt", [*([*known, last] * 7), *known, other] * 4)
    write("valid.txt", known, IN_VALID.items())
    write("test.txt", known, IN_TEST.items())
    write("bad.txt", [known[0], [["word"]], known[1]])
    for name, chosen in (("sentences.txt", [known[3], last]), ("chelsea.txt", [last])):
        lines = [" ".join(row[0] for row in s) + "\n" for s in chosen]
        (folder / name).write_text("".join(lines), encoding="utf-8")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder where TRAIN has run, and what it printed."""
    folder = tmp_path_factory.mktemp("trained")
    write_corpus(folder)
    return folder, play(SCENES["train"], folder)


# Running the scripts ------------------------------------------------------------------------------


def run_script_file(command, folder):
    """Run a script in this process, as `python` would.

    :param command: such as "python train.py epochs=2 < file"
    :return: what it wrote to stdout and to stderr, and its exit status
    """
    arguments = shlex.split(command)
    stdin = os.devnull
    if "<" in arguments:
        *arguments, _, stdin = arguments
    with pytest.MonkeyPatch.context() as patch, contextlib.ExitStack() as stack:
        patch.chdir(folder)
        for name in ("stdout", "stderr"):
            stream = open(folder.parent / name, "w", encoding="utf-8")
            patch.setattr(sys, name, stack.enter_context(stream))
        if arguments[0] == "BARS=1":
            del arguments[0]
            patch.setattr(sys, "stderr", stack.enter_context(terminal(folder.parent / "stderr")))
        if arguments[0].startswith("CTRL_C="):
            press_ctrl_c(patch, arguments.pop(0).partition("=")[2])
        patch.setattr(errors._interrupt, "__kwdefaults__", dict(count=itertools.count(1)))
        stack.callback(signal.signal, signal.SIGINT, signal.getsignal(signal.SIGINT))
        patch.setattr(sys, "argv", arguments[1:])
        patch.setattr(sys, "stdin", stack.enter_context(open(stdin)))
        status = run_main(arguments[1])
    written = [(folder.parent / name).read_text("utf-8") for name in ("stdout", "stderr")]
    return *written, status


@contextlib.contextmanager
def terminal(path):
    """A terminal to write to, 150 columns wide; a file gets all that is written to it."""
    fcntl, pty, termios = map(pytest.importorskip, ("fcntl", "pty", "termios"))
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 24, 150, 0, 0))

    def keep():
        """Read what is written, until the other side is closed."""
        with open(path, "wb") as file, contextlib.suppress(OSError):  # on Linux, the end
            while some := os.read(ours, 1000):
                file.write(some)

    reader = threading.Thread(target=keep)
    reader.start()
    with open(theirs, "w", encoding="utf-8") as stream:
        yield stream
    reader.join()
    os.close(ours)


def run_main(script):
    """Run a script as __main__; :return: its exit status"""
    try:
        runpy.run_path(str(ROOT / script), run_name="__main__")
    except SystemExit as end:
        return end.code
    return 0


def press_ctrl_c(patch, name):
    """Ctrl-C right after a function of machinery/report.py has run."""
    function = getattr(report, name)

    def then_stop(*arguments):
        function(*arguments)
        signal.raise_signal(signal.SIGINT)

    patch.setattr(report, name, then_stop)


def member(folder, arguments):
    """What one of several processes does."""
    os.chdir(folder)
    sys.argv = arguments
    sys.exit(run_main(arguments[0]))


def run_torchrun(command, folder):
    """Run a script in two processes; as run_script_file."""
    arguments = shlex.split(command)[2:]
    statuses, *written = Team(2, folder.parent, member, folder, arguments).wait()
    return *written, max(statuses)


def play(commands, folder):
    """Run commands in a folder; :return: what a terminal would show, masked"""
    shown = []
    for command in commands:
        shown.append(f"$ {command.replace(SMALL, '...')}\n")
        program, _, argument = command.partition(" ")
        if program == "cat":
            shown.append(masked_file(folder / argument))
        elif program == "ls":
            names = sorted(path.name for path in folder.iterdir())
            shown.append("".join(f"{name}\n" for name in names if not name.endswith(".txt")))
        else:
            run = run_torchrun if program == "torchrun" else run_script_file
            output, problems, status = run(command, folder)
            epochs = history(folder / "last_checkpoint.csv")
            shown.append(masked(output, epochs, may_be_probable="inference" in command))
            shown += [f"stderr: {line}\n" for line in last_frames(masked(problems, epochs))]
            shown += [f"[exit status {status}]\n"] * (status != 0)
        shown.append("\n")
    return "".join(shown)


# Masks --------------------------------------------------------------------------------------------


def history(path):
    """{number of an epoch: its row in the table}; empty without one."""
    if not path.exists():
        return {}
    with open(path, newline="", encoding="utf-8") as file:
        return {row["epoch"]: row for row in csv.DictReader(file)}


def masked(text, epochs, may_be_probable=False):
    """What a script printed, without what differs between machines.

    :param epochs: as `history` gives them
    :param may_be_probable: whether numbers from 0 to 1 are probabilities
    """

    def named(found):
        """A line about an epoch, with the names of its numbers."""
        row = epochs.get(found[1], {})
        left = [name for name in LOSSES if row.get(name)]

        def name_of(number):
            """The column that has this number."""
            same = [name for name in left if f"{float(row[name]):.3f}" == number[0]]
            left.remove(same[0]) if same else None
            return f"<{same[0]}>" if same else f"<unknown {number[0]}>"

        line = found[0].replace(f" {float(row.get('seconds', -1)):.1f} s:", " <seconds> s:")
        return re.sub(r"\d+\.\d{3}", name_of, line)

    if text.startswith("<!DOCTYPE"):
        text = text_of(text)
    text = re.sub(r"(?<!Text, )[Ee]poch +(\d+)(?: of|, training).*", named, text)
    for pattern, mask in (
        (r"\b\d+ (s|min \d+ s|h \d+ min)(?= left)", "<time>"),
        (r"(?<=: loss )\d+\.\d{3}(?=;|$)", "<loss>"),
        (r"(?<= in )\d+ (s|min|h)\b.*(?=:)", "<time>"),
        (r"(?<=^Running on )\w+ with PyTorch [^\s,]+", "<device> with PyTorch <version>"),
    ):
        text = re.sub(pattern, mask, text, flags=re.MULTILINE)
    if may_be_probable:
        probability = r"(?<![\d.])[01]\.(\d+)(?![\d%])"
        text = re.sub(r"(?m)^[{[].*", lambda line: re.sub(probability, "0.####", line[0]), text)
        text = re.sub(probability, lambda found: f"0.{'#' * len(found[1])}", text)
    return text


def last_frames(text):
    """The lines of stderr; of each of a terminal's bars the last state, without how far it is."""
    lines = {}
    for line in re.split(r"[\r\n]+", text):
        name, is_bar, rest = line.partition("%|")
        if is_bar:
            name, total = name.partition(":")[0], re.search(r"/([\d.k]+) \[", rest)[1]
            after = re.search(r"/s(, .*)?]", rest)[1] or ""
            after = re.sub("[0-9,]+(?= sentences)", "<number of>", after)
            line, name = f"{name}: <n> of {total}{after}", (name, total)
        if line.strip():
            lines[name] = line
    return list(lines.values())


def text_of(page):
    """What a page has to show: its title, and its data as lines."""
    title = re.search("<title>(.*)</title>", page)[1]
    data = json.loads(re.search(r"(?s)<script[^>]*json[^>]*>(.*?)</script>", page)[1])
    rows = sorted(map(json.dumps, data.pop("rows")))  # not by probability
    return "\n".join([title, *rows, *(json.dumps([name, part]) for name, part in data.items()), ""])


def masked_file(path):
    """The text of a file, without what differs between machines."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".csv":
        rows = list(history(path).values())
        for row in rows:
            for name in filter(row.get, row):  # those with a number
                masks = name in ("seconds", *LOSSES)
                row[name] = f"<{name}>" if masks else f"{float(row[name]):.6g}"
        return "".join(
            ",".join(cells) + "\n" for cells in [rows[0], *(row.values() for row in rows)]
        )
    if path.suffix == ".txt":  # its sentences, not in the order of their least probable tags
        text = "\n\n".join(sorted(text.rstrip("\n").split("\n\n"))) + "\n"
    return masked(text, {}, may_be_probable=True)


# The tests ----------------------------------------------------------------------------------------


@pytest.fixture
def compare(request):
    """Compares a text with a transcript, or with --rewrite writes it."""

    def check(name, text):
        path = TRANSCRIPTS / f"{name}.txt"
        if request.config.getoption("--rewrite"):
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
            return
        expected = path.read_text(encoding="utf-8")
        lines = (kept.splitlines() for kept in (expected, text))
        difference = difflib.unified_diff(*lines, str(path), "printed now", lineterm="", n=1)
        if text != expected:
            pytest.fail("\n".join(["--rewrite writes:", *difference]), pytrace=False)

    return check


@pytest.mark.parametrize("name", SCENES)
def test_transcript(name, trained, tmp_path, compare):
    if name == "two_processes" and not torch.distributed.is_available():
        pytest.skip("needs gloo")
    folder, text = trained
    if name != "train":
        shutil.copytree(folder, tmp_path / "run")
        text = play(SCENES[name], tmp_path / "run")
    compare(name, text)


def test_defaults(compare):
    """The constants of both scripts as they are set there, and those that RECIPES sets."""
    lines = []
    for script in ("train.py", "inference.py"):
        module = runpy.run_path(str(ROOT / script), run_name="not main")
        lines.append(f"# {script}")
        for name, value in module.items():
            if name in CONSTANTS or re.fullmatch(
                r"checkpoint|batch_size|half_precision|window", name
            ):
                lines.append(f"{name} = {value!r}")
        for optimizer, recipe in module.get("RECIPES", {}).items():
            lines.append(f"# {optimizer}")
            lines += [f"{name} = {value!r}" for name, value in recipe.items()]
    compare("defaults", "\n".join([*lines, ""]))
