"""Try careless changes of the code, one after the other, and see which the tests notice.

    python tests/measure/mutate.py               a line for each change, then how many were noticed
    python tests/measure/mutate.py FOLDER        results are kept there: a stopped run goes on
    python tests/measure/mutate.py FOLDER clip   only changes in whose text "clip" occurs

Each change is made in a copy of the repository, where the tests must pass without it, and the test
files that are most likely to notice it run there. A change that no test notices is one that a
maintainer could make by mistake.
"""

import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]

# The file, the text there, what replaces it, and the test files that run.
CHANGES = {
    "train.py": [
        # What a run decides
        ("set().union(*train_data[1], *val_data[1])", "set().union(*train_data[1])", "training"),
        ('state["epoch"] == first_epoch\n        losses', "True\n        losses", "resuming"),
        ("    first_epoch = state[\"epoch\"]\n", "    first_epoch = 0\n", "resuming training"),
        ("        constants.last_file = constants.checkpoint\n", "        pass\n", "resuming"),
        ("constants.fine_tune_word_embeddings, has_vector)",
         "constants.fine_tune_word_embeddings)", "training"),
        ("rare_from=rare_from,", "rare_from=lm_vocab_size,", "wiring training"),
        ("    report.report_unknown_tags(path, dataset)\n", "", "training hostile"),
        ('best is not None and best["epoch"] == runs.best_epoch(state)', "best is not None",
         "resuming"),
        ("used = constants.best_file if is_saved else constants.last_file",
         "used = constants.best_file", "resuming training"),
        ("viterbi_loss, title, shared=True", "viterbi_loss, title", "wiring"),
        ("model, val_set, constants.eval_batch_size", "model, val_set, 32", "wiring"),
        ("        train_files = []\n", "        pass\n", "training"),
        ("return losses | dict(tag_loss=crf_mean)", "return losses | dict(tag_loss=lm_mean)",
         "wiring"),
        ("use_half_precision(model.to(device), constants.half_precision)", "model.to(device)",
         "precision"),
        ("torch.bfloat16, constants.half_precision)", "torch.bfloat16, False)", "precision"),
        # What reaches the data and the maps
        ("constants.min_char_freq, constants.caseless\n", "1, constants.caseless\n", "wiring"),
        ("constants.min_char_freq, constants.caseless\n", "constants.min_char_freq\n", "wiring"),
        ("min_word_freq, constants.min_char", "min_char_freq, constants.min_char", "wiring"),
        ("frequent_vocab_size(words, word_map, count, constants.caseless)",
         "frequent_vocab_size(words, word_map, count)", "wiring"),
        ("for count in (constants.min_lm_freq, 2)", "for count in (2, 2)", "wiring"),
        ("constants.expand_vocab, constants.caseless", "constants.expand_vocab", "wiring"),
        ('caseless=state["settings"]["caseless"]', "caseless=True", "wiring"),
        ("read(path, constants) for path in others)",
         "read_words_tags(path, constants.word_column, constants.tag_column) for path in others)",
         "schemes"),
        ("constants.word_column, constants.tag_column)\n    found", "0, -1)\n    found", "wiring"),
        ('lm_vocab_size"])\n    viterbi', 'vocab_size"])\n    viterbi', "training wiring"),
        ('state["scheme"] if constants.constrain_tags else None', 'state["scheme"]', "schemes"),
        ('state["scheme"] if constants.constrain_tags else None', "None", "schemes"),
        ("shared=True, device=device\n", "device=device\n", "wiring"),
        ("constants.batch_size, True, constants.seed", "10, True, constants.seed", "wiring"),
        ("constants.batch_size, True, constants.seed", "constants.batch_size, True", "wiring"),
        ("constants.batch_size, True, constants.seed",
         "constants.batch_size, False, constants.seed", "wiring training"),
        ("    torch.manual_seed(constants.seed)\n", "    torch.manual_seed(1)\n", "wiring"),
        # The optimiser and a step
        ("lr=lr, momentum=momentum, fused", "lr=lr, momentum=momentum, weight_decay=decay, fused",
         "training"),
        ("lr=lr, momentum=momentum, fused", "lr=lr, momentum=momentum, nesterov=True, fused",
         "training"),
        ("betas=(momentum, 0.99)", "betas=(0.9, 0.999)", "wiring training"),
        ("params=words, weight_decay=0.0", "params=words, weight_decay=decay", "training"),
        ("constants.lr / (1 + constants.lr_decay * epoch)", "constants.lr", "training"),
        ("if constants.grad_clip is not None:", "if True:", "wiring training"),
        ("model.parameters(), constants.grad_clip)", "model.parameters(), 5.0)", "training"),
        ("        average.update()\n", "", "wiring training"),
        ("torch_optimizer.zero_grad()\n", "pass\n", "wiring training"),
        ("    model.train()\n", "", "wiring models"),
        ("(lm + crf).backward()", "crf.backward()", "training"),
        ("model(read)", "model(batch)", "training"),
        ('state["rare_from"], lm_loss.unk', "lm_loss.unk, lm_loss.unk", "training"),
        ("weight = mean_of_processes(known)", "weight = mean_of_processes(known * 0 + 1)",
         "wiring parallel"),
        ("totals += torch.stack((lm, crf))", "totals += torch.stack((crf, lm))", "wiring"),
        ("(batch.word_lengths - 1).sum())", "batch.word_lengths.sum())", "parallel"),
        # The end of an epoch and of a run
        ("        with average.applied():\n", "        if True:\n", "wiring training"),
        ("result.get(constants.criterion, 0.0)", 'result["accuracy"]', "training"),
        ("            state = best\n", "            pass\n", "training"),
        ('    model.load_state_dict(state["model"])\n    print', "    print", "training"),
        ("    if constants.epochs > 0:\n        best", "    if True:\n        best",
         "training constants"),
        ('state["epochs_since_best"] < constants.patience', "True", "training"),
        ("for path, dataset in ((constants.val_file, val_set), (constants.test_file, test_set))",
         "for path, dataset in ((constants.test_file, test_set),)", "training wiring"),
        ("patience = 15", "patience = 5", "wiring constants readme"),
        ('["dropout"] = constants.dropout', '["dropout"]', "wiring"),
    ],
    "models.py": [
        ("g * F.relu(transform(x)) + (1", "g * transform(x) + (1", "models"),
        ("torch.where(fixed, vectors.detach(), vectors)", "vectors", "models training"),
        ("batch.backward_chars, batch.backward_markers",
         "batch.backward_chars, batch.forward_markers", "models"),
        (".clamp(min=1)\n\n\ndef word", "\n\n\ndef word", "models parallel"),
        ("known.sum().clamp(min=1)", "known.sum()", "crf parallel"),
        ("words >= self.lm_vocab_size, self.unk", "words > self.lm_vocab_size, self.unk", "models"),
        # Every single dropout
        ("words = self.dropout(self.word_embeddings(batch.words))",
         "words = self.word_embeddings(batch.words)", "wiring models"),
        ("self.forward_lm_out(self.dropout(forward_lm))", "self.forward_lm_out(forward_lm)",
         "wiring models"),
        ("self.backward_lm_out(self.dropout(backward_lm))", "self.backward_lm_out(backward_lm)",
         "wiring models"),
        ("(words, self.dropout(subwords))", "(words, subwords)", "wiring models"),
        ("self.crf(self.dropout(features.float()))", "self.crf(features.float())", "wiring"),
        ("return self.dropout(take(states, markers))", "return take(states, markers)",
         "wiring models"),
        ("    if i > 0:\n                x = self.dropout(x)\n            g", "    g", "wiring"),
        ("    if i > 0:\n                x = self.dropout(x)\n            states", "    states",
         "wiring"),
        ("self.norm(x + self.dropout(seen))", "self.norm(x + seen)", "wiring family"),
        ("dropout if char_rnn_layers > 1 else 0.0", "0.0", "wiring"),
        ("Highway(2 * char_rnn_dim, highway_layers, dropout)",
         "Highway(2 * char_rnn_dim, highway_layers)", "wiring"),
        ("word_rnn_layers, dropout, bidirectional)", "word_rnn_layers, 0.5, bidirectional)",
         "wiring"),
        ("attention_heads, dropout)", "attention_heads)", "wiring"),
        # The network
        ("torch.rand_like(x) >= self.p", "torch.rand_like(x) < self.p", "models"),
        ("preceding = torch.cat((end, words[:, :-1])", "preceding = torch.cat((end, words[:, 1:])",
         "models"),
        ("fixed.copy_(has_vector[: len(fixed)])", "pass", "models training"),
        ("self.co_training and self.training", "self.co_training", "models"),
        ("bound = math.sqrt(3 / dim)", "bound = 3 / dim", "models"),
        ("key_padding_mask=pads, ", "", "family models"),
        ("if bidirectional and hidden_dim % 2:", "if hidden_dim % 2:", "models"),
        ("(scores.flatten(0, 1).float(), ", "(scores.flatten(0, 1), ", "precision"),
        ("(self.dropout(features.float()))", "(self.dropout(features))", "precision"),
    ],
    "datasets.py": [
        ("pin_memory=True, generator=torch.Generator()", "pin_memory=True", "datasets"),
        ("(self.seed << 24) % 2**63 + self.epoch", "self.seed + self.epoch", "datasets"),
        ("(self.seed << 24) % 2**63 + self.epoch", "self.seed << 24", "datasets"),
        ("self.batch_size * self.pool_batches", "self.batch_size", "datasets"),
        ("pool_batches=10", "pool_batches=1", "datasets"),
        ("batch[self.rank :: self.processes] for batch in self.shuffled()",
         "batch[self.rank * len(batch) // self.processes : (self.rank + 1) * len(batch) // "
         "self.processes] for batch in self.shuffled()", "parallel"),
        ("for i in torch.randperm(len(batches), generator=generator).tolist():",
         "for i in range(len(batches)):", "datasets"),
        ("order = torch.randperm(len(self.lengths), generator=generator)",
         "order = torch.arange(len(self.lengths))", "datasets"),
        ("shuffle, seed, share=share", "shuffle, share=share", "datasets wiring"),
        ("lengths[sentence] * (len(batch) + 1)", "lengths[sentence]", "bulk"),
        ("*maps, self.caseless)", "*maps)", "datasets wiring"),
    ],
    "inference.py": [
        ("batches[::-1], 8", "batches, 8", "bulk"),
        ("description=path, shared=True", "description=path", "wiring parallel"),
        ("torch.bfloat16, model.half_precision)", "torch.bfloat16, False)", "precision"),
        ("best[:, :, self.end].masked_fill_(pads, 0)", "pass", "crf"),
        ("return scores + self.step_penalty", "return scores", "schemes family"),
        ("if not 1 <= count <= 1000:", "if count < 1:", "inference"),
        ("mean if known else None for known", "mean for known", "wiring"),
        ("(batch.tags >= 0).all(1).tolist()]", "(batch.tags >= 0).any(1).tolist()]", "wiring"),
        ("*self.maps, caseless=self.caseless)", "*self.maps)", "wiring inference"),
        ('state["scheme"] if settings["constrain_tags"] else None', 'state["scheme"]', "schemes"),
        ("gold = convert_scheme(gold, tagger.tag_scheme)", "pass", "evaluation"),
        ("for some in windows(sentences, window):", "for some in windows(sentences, 10**9):",
         "bulk"),
        ("    model.eval()\n", "", "inference training"),
    ],
    "utils.py": [
        ("counts[word.lower() if caseless else word] += count", "counts[word.lower()] += count",
         "encoding"),
        ("if count >= min_freq)", "if count > min_freq)", "encoding"),
        ("        if entry in (PAD, END):\n", "        if entry == END:\n", "encoding"),
        ("    embeddings[word_map[PAD]] = 0\n", "", "encoding"),
        ("found[row] < quality", "found[row] <= quality", "encoding"),
        ("if previous in tag_map and current in tag_map", "if current in tag_map", "encoding"),
    ],
    "machinery/spans.py": [
        ('suffix = f"-{entity_type}" if entity_type else ""', 'suffix = f"-{entity_type}"',
         "schemes"),
        ('prefix in "IE" and entity_type == open_type', 'prefix in "IE" and open_type', "scores"),
        ('open_type = None if prefix in "ES" else entity_type', "open_type = prefix", "scores"),
        ('(*sentence, "O"), strict', '(*sentence, sentence[-1]), strict', "schemes"),
        ('same_type and tag[0] in "IE") if', "same_type) if", "schemes"),
        ("previous[1:] == tag[1:] and previous", "previous", "schemes"),
        ('overall["precision"], overall["recall"]', 'overall["recall"], overall["precision"]',
         "scores"),
        ("correct / predicted if predicted", "correct / gold if gold", "scores"),
        ("max(len(by_tag), 1)", 'max(len(by_tag) - ("O" in by_tag), 1)', "scores"),
    ],
    "machinery/report.py": [
        ("(precision {result['precision']:.2%}", "(precision {result['recall']:.2%}", "report"),
        ("precision {of_kind['precision']:7.2%}", "precision {of_kind['recall']:7.2%}", "report"),
        ("{of_kind['gold']:,} gold, {of_kind['predicted']:,} found",
         "{of_kind['predicted']:,} gold, {of_kind['gold']:,} found", "report"),
        ("    {visible(kind):12}", "    {kind:12}", "report"),
        ("for entry in history[first_epoch:]", "for entry in history", "report training"),
        ("{last['tag_loss']:.3f} (tags)", "{last['lm_loss']:.3f} (tags)", "report"),
        ("os.stat(path).st_mtime < begin", "False", "crashes report"),
    ],
    "machinery/runs.py": [
        ("for sentence in itertools.chain(words, tags)", "for sentence in words", "resuming"),
        ('    state["best_score"] = state["best_score"] if score is None else max(score, '
         'state["best_score"])\n', '    state["best_score"] = score or 0.0\n', "training resuming"),
        ("    for name in names(MODEL, FIXED):\n", "    for name in names(MODEL):\n", "constants"),
        ('same = other["run"] == state["run"]', "same = True", "resuming training"),
        ('        save_checkpoint(best_file, state)\n    save_checkpoint(last_file, state)\n',
         '        pass\n    save_checkpoint(last_file, state)\n'
         '    if state["epochs_since_best"] == 0:\n        save_checkpoint(best_file, state)\n',
         "crashes resuming"),
        ("        load_run(last_file)  #", "        pass  #", "constants"),
        ("return settings | dict(processes=processes())", "return settings", "parallel"),
        ("(best_score=-1.0, epochs_since_best=0)", "(best_score=-1.0)", "resuming"),
        ("(best_score=-1.0, epochs_since_best=0)", "(epochs_since_best=0)", "resuming"),
        ("improved = score is None or score > ", "improved = score is None or score >= ",
         "training"),
        ("        average.load(state)\n", "", "training"),
        ('    state["settings"] = settings\n', "", "wiring"),
        ('    if state["epochs_since_best"] == 0:\n        save', "    if True:\n        save",
         "training"),
        ("history\"] == state[\"history\"][: other[\"epoch\"]]", "run\"] == state[\"run\"]",
         "resuming"),
    ],
    "machinery/average.py": [
        ("(1 + steps) / (10 + steps)", "1.0", "wiring"),
        ("self.average.n_averaged.fill_(state[\"averaged\"])", "pass", "training wiring"),
        ("weights = [weight.data for weight in self.average.module]",
         "weights = [weight.data for weight in self.trained]", "training wiring"),
    ],
    "machinery/files.py": [
        ("        if os.path.exists(temporary):", "        if False:", "crashes"),
        ("fcntl.LOCK_EX | fcntl.LOCK_NB", "fcntl.LOCK_SH | fcntl.LOCK_NB", "resuming"),
        ("            os.link(os.path.realpath(path), name)", "            os.rename(path, name)",
         "resuming"),
        ("        check_can_save(path)\n", "", "crashes"),
        ("            file.flush()\n", "", "crashes"),
        ("            os.fsync(file.fileno())\n", "", "crashes training"),
        ("        os.replace(temporary, real)\n", "        os.replace(temporary, path)\n",
         "resuming"),
    ],
    "machinery/command.py": [
        ("column = tagger.word_column if column is None else column",
         "column = column or tagger.word_column", "bulk"),
        ("split_at_blanks if arguments.tokenized else split_words",
         "split_at_blanks if arguments.tokenized and not arguments.sentence else split_words",
         "inference"),
        ("window = 1 if from_stdin and sys.stdin.isatty() else window", "pass", "terminal bulk"),
        ("hidden=to_terminal", "hidden=False", "terminal bulk"),
        ("list(map(visible, row)) for row in rows]", "row for row in rows]", "bulk"),
        ("1 + arguments.confidence", "1", "bulk"),
    ],
    "machinery/errors.py": [
        (", line_buffering=True", "", "streams terminal"),
        ('encoding="utf-8", errors="backslashreplace"', 'errors="backslashreplace"', "streams"),
        ('message, status = "", 1', 'message, status = "Broken pipe", 1', "inference"),
    ],
    "machinery/columns.py": [
        (r"\d+([-.]\d+)?(\t", r"\d+(\t", "bulk reading"),
        ("[1:][-1:] * count", "[:0] * count", "bulk"),
        ("-DOCSTART-(?![^ \\t])", "-DOCSTART-", "bulk reading"),
    ],
    "machinery/text.py": [
        (' if number == 1 else line', "", "reading encoding"),
        ("closefd=not isinstance(file, int)", "closefd=True", "bulk inference"),
        ("some, count = [], 0\n    if", "some = []\n    if", "bulk reading"),
        ("or count >= words", "", "bulk reading"),
    ],
    "machinery/vectors.py": [
        ("if number == 1 and HEADER", "if HEADER", "encoding"),
        ("if count not in (None, number - 1):", "if False:", "encoding"),
    ],
    "machinery/threads.py": [
        ("hidden = True if description is None else None", "hidden = None", "terminal bulk"),
        ("        torch.set_num_threads(cores)", "        pass", "bulk"),
        ("initargs=(cores // count,)", "initargs=(cores,)", "bulk"),
    ],
    "machinery/probabilities.py": [
        ("BARELY for j in names", "-math.inf for j in names", "schemes family"),
        ("steps.sum(2).clamp(max=1)", "steps.sum(2)", "family"),
        ("logs.exp().clamp(max=1)", "logs.exp()", "family"),
    ],
    "machinery/processes.py": [
        ("count / mean_of_processes(count).clamp(min=1 / processes())", "1.0", "parallel"),
        ('f"{seed} {epoch} {rank()}"', 'f"{seed} {epoch}"', "parallel"),
    ],
    "machinery/constants.py": [
        ("dropout=number(TRAINING", "dropout=number(FREE", "constants"),
        ("val_file=optional(path(SCORE))", "val_file=optional(path(TRAINING))", "constants"),
        ("constrain_tags=flag(SCORE)", "constrain_tags=flag(TRAINING)", "constants"),
        ("caseless=flag(FIXED)", "caseless=flag(TRAINING)", "constants"),
        ("for name, value in recipe.items() if values[name] is None",
         "for name, value in recipe.items()", "constants training"),
        ("isinstance(value, bool) or not lowest", "not lowest", "constants"),
    ],
    "machinery/checkpoints.py": [
        ("weights_only=True", "weights_only=False", "training hostile"),
        ("            _check_archive(file)\n", "", "hostile"),
        ('map_location="cpu", ', "", "training"),
    ],
    "machinery/evaluation.py": [
        ("lambda a, b: a[1:] == b[1:],", "", "evaluation"),
        ("sorted(zip(least, wrong, found, strict=True))", "zip(least, wrong, found, strict=True)",
         "evaluation"),
        ("a[1] < b[2] and b[1] < a[2]", "a[1] <= b[2] and b[1] <= a[2]", "evaluation"),
    ],
}  # fmt: skip


def noticed(copy, file, old, new, tests):
    """Whether a test of these files fails once `old` is `new` in a copy of the repository.

    :raises ValueError: the text is not in the file, or more than once
    """
    path = copy / file
    text = path.read_text(encoding="utf-8")
    if text.count(old) != 1:
        raise ValueError(f"{file}: expected once, found {text.count(old)} times: {old!r}")
    path.write_text(text.replace(old, new), encoding="utf-8")
    try:
        return fails(copy, tests.split())
    finally:
        path.write_text(text, encoding="utf-8")


def fails(copy, names):
    """Whether a test of tests/test_NAME.py fails, for any of the names, or takes too long."""
    files = [f"tests/test_{name}.py" for name in names]
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *files]
    try:
        done = subprocess.run(command, cwd=copy, capture_output=True, text=True, timeout=900)
    except subprocess.TimeoutExpired:
        return True
    if done.returncode > 2:  # 1: tests failed, 2: a file cannot be imported
        raise ValueError(f"{command}: {done.stdout}{done.stderr}")
    return done.returncode > 0


def main():
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp())
    wanted = sys.argv[2] if len(sys.argv) > 2 else ""
    results, copy = folder / "results.jsonl", folder / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    left_out = shutil.ignore_patterns(".git", ".venv", "*.pt", "__pycache__")
    shutil.copytree(ROOT, copy, ignore=left_out)
    known = {}
    if results.exists():
        lines = map(json.loads, results.read_text(encoding="utf-8").splitlines())
        known = {tuple(line["change"]): line["noticed"] for line in lines}
    changes = [(file, *rest) for file, changes in CHANGES.items() for rest in changes]
    changes = [change for change in changes if any(wanted in part for part in change)]
    to_run = {name for change in changes if change not in known for name in change[3].split()}
    if to_run and fails(copy, sorted(to_run)):
        raise SystemExit("expected tests that pass without any change, found one that fails")
    found = []
    for change in changes:
        if change not in known:
            known[change] = noticed(copy, *change)
            with results.open("a", encoding="utf-8") as file:
                file.write(json.dumps(dict(change=change, noticed=known[change])) + "\n")
        found.append(known[change])
        file, old, new, _ = change
        print(f"{'noticed' if found[-1] else 'UNSEEN '}  {file}: {old!r} -> {new!r}", flush=True)
    print(f"{sum(found)} of {len(found)} changes were noticed")


if __name__ == "__main__":
    main()
