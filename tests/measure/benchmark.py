"""Speed and memory, compared with a textbook variant and with pytorch-crf.

    python tests/measure/benchmark.py                   the sample corpus
    python tests/measure/benchmark.py train.txt         another file: word first, tag last
    python tests/measure/benchmark.py --limit           how near to the processor's limit this comes
    python tests/measure/benchmark.py --half-precision  bfloat16 against float32
    python tests/measure/benchmark.py --processes       two processes that train together, and one
    python tests/measure/benchmark.py --profile         where the time of a training step goes
    python tests/measure/benchmark.py --memory          peak memory, with a corpus 10 times as long

The textbook variant is the same model, made of the same parts, as one would first write it: LSTMs
over packed sequences, batches in random order, padded as they come, each training batch decoded
for its F1, losses read at every step, weights not averaged. Both compute the same scores; that is
checked first.

Both run in turns in one process: a machine that slows down slows both. The table gives the median
over the turns, and the median ratio with the lowest and the highest.
"""

import argparse
import contextlib
import functools
import gc
import io
import itertools
import os
import pathlib
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import types

import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from torch.utils.data import DataLoader
from torch.utils.flop_counter import FlopCounterMode

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from parallel import CONTEXT, Team  # noqa: E402

import train  # noqa: E402  (only found after the line above)
from datasets import collate, data_loader  # noqa: E402
from inference import ViterbiDecoder, predict  # noqa: E402
from machinery import runs  # noqa: E402
from machinery.average import WeightAverage  # noqa: E402
from machinery.constants import checked  # noqa: E402
from machinery.device import default_device  # noqa: E402
from machinery.processes import (  # noqa: E402
    process_group,
    replicated,
)
from machinery.spans import scores  # noqa: E402
from models import LM_LSTM_CRF, LanguageModelLoss, ViterbiLoss, take  # noqa: E402
from utils import read_words_tags  # noqa: E402

SLICES = 5  # turns in which an epoch is taken
TAGGING_BATCH = 32  # sentences
MEMORY_STEPS = 400  # enough to meet the longest sentences of the sample corpus


class PackedWordLSTM(torch.nn.Module):
    """WordLSTM with packing: the same parameters, another way."""

    def __init__(self, word_lstm):
        super().__init__()
        if len(word_lstm.rightward) > 1:
            raise ValueError("expected one layer of word LSTMs, as train.py has it")
        rightward, leftward = word_lstm.rightward[0], word_lstm.leftward[0]
        self.lstm = torch.nn.LSTM(
            rightward.input_size, rightward.hidden_size, batch_first=True, bidirectional=True
        )
        with torch.no_grad():
            for name, parameter in rightward.named_parameters():
                getattr(self.lstm, name).copy_(parameter)
            for name, parameter in leftward.named_parameters():
                getattr(self.lstm, name + "_reverse").copy_(parameter)

    def forward(self, x, lengths):
        return read_packed(self.lstm, x, lengths)


def read_packed(lstm, x, lengths):
    """An LSTM's states over packed sequences."""
    packed = pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)
    states, _ = lstm(packed)
    return pad_packed_sequence(states, batch_first=True, total_length=x.size(1))[0]


class Textbook(LM_LSTM_CRF):
    """LM_LSTM_CRF whose LSTMs read packed sequences."""

    def __init__(self, arguments, model):
        super().__init__(**arguments)
        self.load_state_dict(model.state_dict())
        self.word_lstm = PackedWordLSTM(model.word_lstm)

    def forward(self, batch):
        self.char_lengths = batch.char_lengths
        return super().forward(batch)

    def read_characters(self, lstm, chars, markers):
        states = read_packed(lstm, self.char_embeddings(chars), self.char_lengths)
        return self.dropout(take(states, markers))


class Batches(list):
    """Batches in an order that no epoch changes."""

    batch_sampler = types.SimpleNamespace(set_epoch=lambda epoch: None)


class Setup:
    """What both variants share: the data, the maps, the losses, the device.

    :param constants: of train.py, other than they are there
    """

    def __init__(self, words, tags, device, **constants):
        self.constants = checked(vars(train) | constants, train.RECIPES)
        with contextlib.redirect_stdout(io.StringIO()):
            settings = runs.kept_settings(self.constants, "f1", (words, tags), None)
            self.state, self.model = train.new_run(self.constants, settings, (words, tags))
        self.replica = self.model  # what is trained; see replicated
        self.dataset = train.encode("the corpus", (words, tags), self.state)
        self.device = device
        self.tag_map = self.state["tag_map"]
        self.tag_names = {index: tag for tag, index in self.tag_map.items()}
        lm_vocab_size = self.state["model_arguments"]["lm_vocab_size"]
        self.lm_loss = LanguageModelLoss(self.state["word_map"], lm_vocab_size)
        self.viterbi_loss = ViterbiLoss(self.tag_map).to(device)
        self.decoder = ViterbiDecoder(self.tag_map)
        self.textbook = Textbook(self.state["model_arguments"], self.model).to(device)
        self.model.to(device)
        self.average = WeightAverage(self.model, self.constants.averaging)
        self.check()

    def check(self):
        """Both variants give the same scores."""
        batch = collate([self.dataset[i] for i in range(10)]).to(self.device)
        with torch.no_grad():
            found, expected = (m.eval()(batch)[0] for m in (self.model, self.textbook))
        real = batch.tags >= 0
        real &= torch.arange(real.size(1), device=self.device) < batch.word_lengths.unsqueeze(1)
        torch.testing.assert_close(found[real], expected[real], rtol=1e-3, atol=1e-3)

    def batches(self, textbook, batch_size, shuffle=True):
        """A DataLoader."""
        if textbook:
            return DataLoader(self.dataset, batch_size, shuffle=True, collate_fn=collate)
        return data_loader(
            self.dataset, batch_size, shuffle=shuffle, shared=True, device=self.device
        )

    def optimizer(self, model):
        """As in train.py."""
        return train.new_optimizer(model, self.constants)

    def project_steps(self, batches, optimizer):
        """Train as train.py does, on some batches; :return: sentences"""
        batches = Batches(batches)
        losses = (self.lm_loss, self.viterbi_loss)
        state = runs.RunState(self.state, self.model, self.average, optimizer)
        train.train_epoch(self.replica, batches, *losses, self.constants, state)
        return sum(len(batch.words) for batch in batches)

    def textbook_steps(self, batches, optimizer):
        """Train the textbook variant on some batches; :return: sentences"""
        self.textbook.train()
        total, seen = 0, [0.0, 0.0]
        for batch in batches:
            batch = batch.to(self.device)
            crf_scores, forward_lm, backward_lm = self.textbook(batch)
            lm = self.lm_loss(forward_lm, backward_lm, batch)
            crf = self.viterbi_loss(crf_scores, batch.tags, batch.word_lengths)
            optimizer.zero_grad()
            (lm + crf).backward()
            if self.constants.grad_clip is not None:
                torch.nn.utils.clip_grad_norm_(self.textbook.parameters(), self.constants.grad_clip)
            optimizer.step()
            seen[0] += lm.item()
            seen[1] += crf.item()
            scores(self.gold(batch), self.decode(crf_scores.detach(), batch))
            total += len(batch.words)
        return total

    def gold(self, batch):
        """The gold tags of a batch."""
        m = len(self.tag_map)
        return [
            [self.tag_names[index % m] for index in tags[: length - 1]]
            for tags, length in zip(batch.tags.tolist(), batch.word_lengths.tolist(), strict=True)
        ]

    def decode(self, crf_scores, batch):
        """The best tags of a batch."""
        paths = self.decoder.decode(crf_scores, batch.word_lengths)
        return [[self.tag_names[tag] for tag in path] for path in paths]

    @torch.inference_mode()
    def tag(self, model, batches):
        """Tag some batches; :return: sentences"""
        model.eval()
        total = 0
        for batch in batches:
            batch = batch.to(self.device)
            with torch.autocast(self.device.type, torch.bfloat16, self.constants.half_precision):
                crf_scores, _, _ = model(batch)
            self.decode(crf_scores, batch)
            total += len(batch.words)
        return total


def clock(device):
    """Seconds, after all that the GPU was given is done."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def in_turns(device, tasks, turns):
    """Run tasks in turns; each returns how much it did. :return: {name: list of amount/second}"""
    rates = {name: [] for name in tasks}
    for _ in range(turns):
        for name, task in tasks.items():
            begin = clock(device)
            amount = task()
            rates[name].append(amount / (clock(device) - begin))
    return rates


def header(*columns):
    """Print a line of the table."""
    what, project, other, ratio, spread = columns
    print(f"{what:44}{project:>10}{other:>24}{ratio:>8}  {spread}", flush=True)


def row(label, rates):
    """Print the first of `rates` against each of the others."""
    first, *others = rates
    for other in others:
        ratios = [a / b for a, b in zip(rates[first], rates[other], strict=True)]
        header(
            label,
            f"{statistics.median(rates[first]):,.1f}",
            f"{other} {statistics.median(rates[other]):6,.1f}",
            f"{statistics.median(ratios):.2f}",
            f"{min(ratios):.2f} to {max(ratios):.2f}",
        )


def measure_sentences(setup, batch_sizes):
    """Sentences per second in training and tagging: every sentence once, in slices, in turns."""
    for training, batch_size in [(True, size) for size in batch_sizes] + [(False, TAGGING_BATCH)]:
        tasks = {}
        for name, textbook in (("project", False), ("textbook", True)):
            model = setup.textbook if textbook else setup.model
            loader = setup.batches(textbook, batch_size)
            batches, count = iter(loader), len(loader) // SLICES
            if training:
                steps = setup.textbook_steps if textbook else setup.project_steps
                optimizer = setup.optimizer(model)
                steps(itertools.islice(setup.batches(textbook, batch_size), 3), optimizer)
                tasks[name] = lambda s=steps, o=optimizer, b=batches, c=count: s(
                    itertools.islice(b, c), o
                )
            else:
                tasks[name] = lambda m=model, b=batches, c=count: setup.tag(
                    m, itertools.islice(b, c)
                )
        rates = in_turns(setup.device, tasks, SLICES)
        row(f"sentences/s, {'training' if training else 'tagging'}, batch {batch_size}", rates)
        if training:
            step = batch_size / statistics.median(rates["project"])
            begin = time.perf_counter()
            batches = sum(1 for _ in setup.batches(False, batch_size))
            preparing = (time.perf_counter() - begin) / batches
            print(
                f"    a step: {step * 1000:.1f} ms; preparing its batch: {preparing * 1000:.1f} ms,"
                f" {preparing / step:.1%} of it"
            )


def measure_threads(setup):
    """Words per second in tagging: as Tagger does it, and one batch after the other."""
    words = sum(map(len, setup.dataset.words))
    batches = setup.batches(False, TAGGING_BATCH, shuffle=False)

    def project():
        half = setup.constants.half_precision
        predict(setup.model, setup.dataset, TAGGING_BATCH, setup.decoder, half_precision=half)
        return words

    def one_by_one():
        setup.tag(setup.model, batches)
        return words

    tasks = {"project": project, "batch by batch": one_by_one}
    for task in tasks.values():
        task()
    row("words/s, tagging", in_turns(setup.device, tasks, SLICES))


def operations(model, loss_of, batch, training):
    """Floating-point operations of the products of a step: additions and multiplications.

    PyTorch counts those of matrix products. It does not know what an LSTM does: for each position,
    pads included, it multiplies by every weight once, and twice more on the way back.

    :param loss_of: from what the model returns and the batch to a loss
    """
    of_lstms, hooks, inside = 0, [], set()

    def count(module, inputs, _):
        nonlocal of_lstms
        weights = sum(p.numel() for name, p in module.named_parameters() if "weight" in name)
        of_lstms += 2 * weights * inputs[0].size(0) * inputs[0].size(1) * (3 if training else 1)

    for name, module in model.named_modules():
        if isinstance(module, torch.nn.LSTM):
            hooks.append(module.register_forward_hook(count))
            inside.add(name)
    model.train(training)
    with FlopCounterMode(display=False) as counter, torch.set_grad_enabled(training):
        result = model(batch)
        if training:
            loss_of(result, batch).backward()
    for hook in hooks:
        hook.remove()
    model.zero_grad()
    # Where PyTorch computes an LSTM by matrix products, it counts them: not twice.
    counts = counter.get_flop_counts()
    twice = sum(
        sum(of_module.values())
        for name, of_module in counts.items()
        if name.partition(".")[2] in inside
    )
    return counter.get_total_flops() - twice + of_lstms


def measure_limit(setup, batch_sizes, size=3000, steps=20):
    """Operations per second in training and tagging, and in one large product: in turns."""

    def loss_of(result, batch):
        crf = setup.viterbi_loss(result[0], batch.tags, batch.word_lengths)
        return setup.lm_loss(*result[1:], batch) + crf

    a, b = torch.randn(2, size, size, device=setup.device)

    def product():
        a @ b
        return 2 * size**3 / 1e9

    optimizer = setup.optimizer(setup.model)
    for training, batch_size in [(True, n) for n in batch_sizes] + [(False, TAGGING_BATCH)]:
        batches = list(itertools.islice(setup.batches(False, batch_size, training), steps))
        billions = sum(
            operations(setup.model, loss_of, batch.to(setup.device), training) / 1e9
            for batch in batches
        )

        def work(training=training, batches=batches, billions=billions):
            if training:
                setup.project_steps(batches, optimizer)
            else:
                setup.tag(setup.model, batches)
            return billions

        work()
        rates = in_turns(setup.device, {"project": work, "one product": product}, SLICES)
        what = f"training, batch {batch_size}" if training else f"tagging, batch {batch_size}"
        row(f"GFLOP/s, {what}", rates)
        each = billions * 1000 / len(batches)
        seconds = billions / statistics.median(rates["project"]) / len(batches)
        print(f"    a batch: {each:,.0f} MFLOP in {seconds * 1000:.1f} ms")


def measure_precision(setup, batch_sizes, steps=20):
    """Sentences per second in training and tagging, in half precision and in full: in turns."""
    optimizer = setup.optimizer(setup.model)
    for training, batch_size in [(True, n) for n in batch_sizes] + [(False, TAGGING_BATCH)]:
        batches = list(itertools.islice(setup.batches(False, batch_size, training), steps))

        def work(half, training=training, batches=batches):
            setup.constants = types.SimpleNamespace(
                **vars(setup.constants) | dict(half_precision=half)
            )
            if training:
                return setup.project_steps(batches, optimizer)
            return setup.tag(setup.model, batches)

        tasks = {"bfloat16": lambda: work(True), "float32": lambda: work(False)}
        for task in tasks.values():
            task()
        rates = in_turns(setup.device, tasks, SLICES)
        row(f"sentences/s, {'training' if training else 'tagging'}, batch {batch_size}", rates)


@process_group()
def train_when_told(words, tags, emb_file, batch_size, told, done):
    """One of several processes: train on as many batches as `told` says, and put into `done` how
    many sentences that was. Before, train on three and put 0."""
    torch.manual_seed(train.seed)
    setup = Setup(words, tags, torch.device("cpu"), emb_file=emb_file)
    setup.replica = replicated(setup.model)
    optimizer = setup.optimizer(setup.model)
    setup.project_steps(itertools.islice(setup.batches(False, batch_size), 3), optimizer)
    done.put(0)
    batches = iter(setup.batches(False, batch_size))
    for _ in range(SLICES):
        done.put(setup.project_steps(itertools.islice(batches, told.get()), optimizer))
    # Ends with this process, not before all have put what they did.
    done.close()
    done.join_thread()


def measure_processes(words, tags, emb_file, batch_sizes):
    """Sentences per second in training: two processes against one, each with one thread."""
    for batch_size in batch_sizes:
        batches = -(-len(words) // batch_size) // SLICES
        tasks = {}
        with tempfile.TemporaryDirectory() as folder:
            for count, name in ((2, "2 processes"), (1, "1 process")):
                told, done = CONTEXT.Queue(), CONTEXT.Queue()
                given = words, tags, emb_file, batch_size, told, done
                of_team = pathlib.Path(folder) / name
                of_team.mkdir()
                team = Team(count, of_team, train_when_told, *given)
                wait_for(team, done)
                tasks[name] = functools.partial(train_slice, team, batches, told, done)
            rates = in_turns(torch.device("cpu"), tasks, SLICES)
        row(f"sentences/s, training, batch {batch_size}", rates)


def train_slice(team, batches, told, done):
    """Let a team train on some batches; :return: sentences"""
    for _ in team.members:
        told.put(batches)
    return wait_for(team, done)


def wait_for(team, done):
    """What the processes of a team did, in sum."""
    total = 0
    for _ in team.members:
        while done.empty():
            if any(member.exitcode for member in team.members):
                raise RuntimeError(team.written("err"))
            time.sleep(0.001)
        total += done.get()
    return total


def measure_crf(device, m, sentences=32, words=50):
    """Loss with gradients, and decoding, for random emissions: batches per second."""
    from torchcrf import CRF as PyTorchCRF

    torch.manual_seed(0)
    tag_map = {"<start>": 0, **{str(i): i for i in range(1, m - 1)}, "<end>": m - 1}
    emissions = torch.randn(sentences, words, m, device=device, requires_grad=True)
    transitions = torch.randn(m, m, device=device, requires_grad=True)
    lengths = torch.randint(words // 2, words + 1, (sentences,), device=device)
    lengths[0] = words
    mask = torch.arange(words, device=device) < lengths.unsqueeze(1)
    tags = torch.randint(1, m - 1, (sentences, words), device=device)
    tags[torch.arange(sentences, device=device), lengths - 1] = m - 1
    targets = torch.cat((torch.zeros_like(tags[:, :1]), tags[:, :-1]), dim=1) * m + tags
    loss, decoder = ViterbiLoss(tag_map).to(device), ViterbiDecoder(tag_map)
    pytorch_crf = PyTorchCRF(m, batch_first=True).to(device)

    def project():
        emissions.grad = transitions.grad = None
        loss(emissions.unsqueeze(2) + transitions, targets, lengths).backward()

    def textbook():  # the forward algorithm, differentiated by autograd alone
        emissions.grad = transitions.grad = None
        all_scores = emissions.unsqueeze(2) + transitions
        gold = all_scores.flatten(2).gather(2, targets.unsqueeze(2)).squeeze(2)
        alpha, _ = loss.forward_algorithm(all_scores)
        (loss.log_partition(alpha, lengths) - (gold * mask).sum(1)).mean().backward()

    def library():
        emissions.grad = None
        pytorch_crf.zero_grad()
        (-pytorch_crf(emissions, tags, mask=mask, reduction="mean")).backward()

    @torch.inference_mode()
    def decode():
        decoder.decode(emissions.unsqueeze(2) + transitions, lengths)

    @torch.inference_mode()
    def library_decode():
        pytorch_crf.decode(emissions, mask=mask)

    def repeated(function, times=10):
        def task():
            for _ in range(times):
                function()
            return times

        function()
        return task

    shape = f"N {sentences}, L {words}, m {m}"
    variants = {"project": project, "textbook": textbook, "pytorch-crf": library}
    tasks = {name: repeated(function) for name, function in variants.items()}
    row(f"batches/s, ViterbiLoss, {shape}", in_turns(device, tasks, 9))
    tasks = {"project": repeated(decode), "pytorch-crf": repeated(library_decode)}
    row(f"batches/s, decoding, {shape}", in_turns(device, tasks, 9))


def profile(setup, batch_size, steps=30):
    """Where the time of a training step goes, operation by operation."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as record

    cuda = setup.device.type == "cuda"
    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * cuda
    optimizer = setup.optimizer(setup.model)
    batches = iter(setup.batches(False, batch_size))
    setup.project_steps(itertools.islice(batches, 5), optimizer)
    with record(activities=activities) as recorded:
        setup.project_steps(itertools.islice(batches, steps), optimizer)
    order = "self_device_time_total" if cuda else "self_cpu_time_total"
    print(f"{steps} training steps of {batch_size} sentences")
    table = recorded.key_averages().table(
        sort_by=order, row_limit=18, max_name_column_width=40, max_src_column_width=0
    )
    print("\n".join(line for line in table.splitlines() if not line.startswith("-")))


def memory(arguments):
    """Peak memory of training, and of the text alone, with the corpus 1 and 10 times."""
    peaks = []
    for times in (1, 10):
        of_times = []
        for steps in (0, MEMORY_STEPS):
            command = [sys.executable, __file__, arguments.file, "--peak", str(times), str(steps)]
            command += ["--sentences", str(arguments.sentences)]
            output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            of_times.append(int(output))
        peaks.append(of_times)
        print(
            f"corpus x {times:2}: peak {of_times[0]:,} MiB with the text encoded, "
            f"{of_times[1]:,} MiB after {MEMORY_STEPS} training steps"
        )
    print(
        f"10 times the corpus takes {peaks[1][1] - peaks[0][1]:,} MiB more, "
        f"the text and its data set alone {peaks[1][0] - peaks[0][0]:,} MiB"
    )


def peak(words, tags, times, steps):
    """Print the peak memory, in MiB, of so many steps on a corpus so many times as long."""
    # New strings and lists: a longer corpus, not more references to one.
    words = [["".join(list(word)) for word in sentence] for _ in range(times) for sentence in words]
    tags = [list(sentence) for _ in range(times) for sentence in tags]
    constants = checked(vars(train), train.RECIPES)
    frequencies = ("min_word_freq", "min_lm_freq", "min_char_freq")
    # The same vocabulary, so the same model.
    same = {name: getattr(constants, name) * times for name in frequencies}
    setup = Setup(words, tags, torch.device("cpu"), **same)
    loader = setup.batches(False, 10)
    if steps > 0:
        setup.project_steps(itertools.islice(loader, steps), setup.optimizer(setup.model))
    gc.collect()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)


def machine(device):
    """A line about the hardware."""
    if device.type == "cuda":
        return torch.cuda.get_device_name()
    name = platform.processor() or platform.machine()
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo") as file:
            models = [line.split(":")[1].strip() for line in file if line.startswith("model name")]
        name = models[0] if models else name
    return f"{name}, {torch.get_num_threads()} threads"


def main():
    parser = argparse.ArgumentParser(description="Measure speed and memory.")
    parser.add_argument("file", nargs="?", default=str(ROOT / train.train_file))
    parser.add_argument("--sentences", type=int, default=1000, help="how many, from the first on")
    parser.add_argument("--embeddings", metavar="FILE", help="a GloVe text file")
    parser.add_argument("--batch", type=int, nargs="+", default=[10, 32])
    parser.add_argument("--processes", action="store_true", help="two that train together, and one")
    parser.add_argument("--limit", action="store_true", help="operations/s, and the most possible")
    parser.add_argument("--half-precision", action="store_true", help="bfloat16 against float32")
    parser.add_argument("--profile", action="store_true", help="where a training step's time goes")
    parser.add_argument("--memory", action="store_true", help="peak memory, corpus x 1 and x 10")
    parser.add_argument("--peak", type=int, nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.memory:
        return memory(arguments)
    words, tags = read_words_tags(arguments.file)
    words, tags = words[: arguments.sentences], tags[: arguments.sentences]
    if arguments.peak:
        return peak(words, tags, *arguments.peak)
    needed = SLICES * max(*arguments.batch, TAGGING_BATCH)
    if len(words) < needed:
        parser.error(f"expected at least {needed} sentences, found {len(words)}")
    torch.manual_seed(train.seed)
    device = default_device()
    if arguments.processes:  # each with one thread, on the CPU
        torch.set_num_threads(1)
        device = torch.device("cpu")
    print(
        f"{machine(device)}, PyTorch {torch.__version__}; {pathlib.Path(arguments.file).name}: "
        f"{len(words):,} sentences, {sum(map(len, words)) / len(words):.1f} words each"
    )
    if arguments.processes:
        header("", "2 processes", "other", "ratio", "lowest to highest")
        return measure_processes(words, tags, arguments.embeddings, arguments.batch)
    setup = Setup(words, tags, device, emb_file=arguments.embeddings)
    if arguments.profile:
        return profile(setup, arguments.batch[0])
    if arguments.half_precision:
        header("", "bfloat16", "other", "ratio", "lowest to highest")
        return measure_precision(setup, arguments.batch)
    header("", "project", "other", "ratio", "lowest to highest")
    if arguments.limit:
        return measure_limit(setup, arguments.batch)
    measure_sentences(setup, arguments.batch)
    measure_threads(setup)
    for m in (20, 50):
        measure_crf(device, m)


if __name__ == "__main__":
    main()
