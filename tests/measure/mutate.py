"""Try careless changes of the code, one after the other, and see which the tests notice.

    python tests/measure/mutate.py               a line for each change, then how many were noticed
    python tests/measure/mutate.py FOLDER        results are kept there: a stopped run goes on
    python tests/measure/mutate.py FOLDER clip   only changes in whose text "clip" occurs

First it names those whose text is no longer in its file, or more than once: they are to be mended
as the code goes on. Each change is made in a copy of the repository, where the tests must pass
without it, and the test files that are most likely to notice it run there. A change that no test
notices is one that a maintainer could make by mistake.
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
        ("count_tags(val_data[1]))\n    settings", "count_tags(train_data[1]))\n    settings",
         "training"),
        ("    first_epoch = state.epoch\n", "    first_epoch = 0\n", "resuming training"),
        ("constants.last_file if state.is_saved else constants.checkpoint", "constants.last_file",
         "resuming"),
        ("constants.fine_tune_word_embeddings, has_vector)",
         "constants.fine_tune_word_embeddings)", "training"),
        ("rare_from=rare_from,", "rare_from=lm_vocab_size,", "wiring training"),
        ("    report.report_unknown_tags(path, dataset)\n", "", "training hostile"),
        ('best is not None and best["epoch"] != state.best_epoch', "False", "resuming"),
        ("model, epoch, used = state.model, state.epoch, last_file",
         "model, epoch, used = state.model, state.epoch, constants.best_file", "resuming training"),
        ("        title,\n        shared=True,\n", "        title,\n", "wiring"),
        ("        constants.eval_batch_size,\n", "        32,\n", "wiring"),
        (" if constants.epochs > 0 else []\n", "\n", "training"),
        ("return losses | dict(tag_loss=crf_mean)", "return losses | dict(tag_loss=lm_mean)",
         "wiring"),
        ("half_precision=constants.half_precision,", "half_precision=False,", "precision"),
        ("torch.bfloat16, constants.half_precision):\n            crf",
         "torch.bfloat16, False):\n            crf", "precision"),
        # What reaches the data and the maps
        ("min_word_freq, constants.min_char_freq, constants.caseless\n",
         "min_word_freq, 1, constants.caseless\n", "wiring"),
        ("min_word_freq, constants.min_char_freq, constants.caseless\n",
         "min_word_freq, constants.min_char_freq\n", "wiring"),
        ("min_word_freq, constants.min_char", "min_char_freq, constants.min_char", "wiring"),
        ("frequent_vocab_size(words, word_map, count, constants.caseless)",
         "frequent_vocab_size(words, word_map, count)", "wiring"),
        ("for count in (constants.min_lm_freq, 2)", "for count in (2, 2)", "wiring"),
        ("constants.expand_vocab, constants.caseless", "constants.expand_vocab", "wiring"),
        ('caseless=state["settings"]["caseless"]', "caseless=True", "wiring"),
        ("read(path, constants) for path in others)",
         "read_words_tags(path, constants.word_column, constants.tag_column) for path in others)",
         "schemes"),
        ("constants.word_column, constants.tag_column)\n    wanted", "0, -1)\n    wanted",
         "wiring"),
        ('lm_vocab_size"])\n    viterbi', 'vocab_size"])\n    viterbi', "training wiring"),
        ('parts["scheme"] if constants.constrain_tags else None', 'parts["scheme"]',
         "schemes resuming"),
        ('parts["scheme"] if constants.constrain_tags else None', "None", "schemes"),
        ("shared=True, device=device\n    )\n    replica", "device=device\n    )\n    replica",
         "wiring"),
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
        ("    if grad_clip is not None:", "    if True:", "wiring training"),
        ("state.model.parameters(), grad_clip)", "state.model.parameters(), 5.0)", "training"),
        ("    state.average.update()\n", "", "wiring training"),
        ("state.optimizer.zero_grad()\n", "pass\n", "wiring training"),
        ("    model.train()\n    rare_from", "    rare_from", "wiring models"),
        ("take_step(lm + crf, ", "take_step(crf, ", "training"),
        ("model(with_unknown)", "model(batch)", "training"),
        ("with_unknown = forget_rare_words(batch, rare_from, ",
         "with_unknown = forget_rare_words(batch, lm_loss.unk, ", "training"),
        ("weight = mean_of_processes(known)", "weight = mean_of_processes(known * 0 + 1)",
         "wiring parallel"),
        ("totals += torch.stack((lm, crf))", "totals += torch.stack((crf, lm))", "wiring"),
        ("(batch.word_lengths - 1).sum())", "batch.word_lengths.sum())", "parallel"),
        # The end of an epoch and of a run
        ("        with state.average.applied():\n            result = validate",
         "        if True:\n            result = validate", "wiring training"),
        ("result.get(criterion, 0.0)", 'result["accuracy"]', "training"),
        ('epoch, used = best["epoch"], constants.best_file\n',
         "epoch, used = state.epoch, constants.best_file\n", "training resuming"),
        ("        model = restore_model(best, used, dropout=constants.dropout)\n", "",
         "training resuming"),
        ("if constants.epochs > 0 else None\n    files", "if True else None\n    files",
         "training constants"),
        ("state.epochs_since_best < constants.patience", "True", "training wiring"),
        ("files = (constants.val_file, val_set), (constants.test_file, test_set)",
         "files = ((constants.test_file, test_set),)", "training wiring"),
        ("patience = 15", "patience = 5", "wiring constants readme"),
        ("restore_model(checkpoint, path, dropout=constants.dropout)",
         "restore_model(checkpoint, path)", "resuming wiring"),
    ],
    "models.py": [
        ("num_layers=char_rnn_layers, dropout=between", "num_layers=1, dropout=between",
         "models wiring"),
        ("g * F.relu(transform(x)) + (1", "g * transform(x) + (1", "models"),
        ("torch.where(fixed, vectors.detach(), vectors)", "vectors", "models training"),
        ("batch.backward_chars, batch.backward_markers\n            )  # (N, L, H)\n\n",
         "batch.backward_chars, batch.forward_markers\n            )  # (N, L, H)\n\n", "models"),
        ("(following != NO_TARGET).sum().clamp(min=1)", "(following != NO_TARGET).sum()",
         "models parallel"),
        ("known.sum().clamp(min=1)", "known.sum()", "decoding parallel"),
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
        ("yield batch[self.rank :: self.processes]",
         "yield batch[self.rank * len(batch) // self.processes : (self.rank + 1) * len(batch) // "
         "self.processes]", "parallel"),
        ("for i in torch.randperm(len(batches), generator=generator).tolist():",
         "for i in range(len(batches)):", "datasets"),
        ("order = torch.randperm(len(self.lengths), generator=generator)",
         "order = torch.arange(len(self.lengths))", "datasets"),
        ("shuffle, seed, share=share", "shuffle, share=share", "datasets wiring"),
        ("lengths[sentence] * (len(batch) + 1)", "lengths[sentence]", "bulk"),
        ("*maps, self.caseless)", "*maps)", "datasets wiring"),
    ],
    "inference.py": [
        ("tagger.word_column if word_column is None else word_column",
         "word_column or tagger.word_column", "evaluation"),
        ("batches[::-1], 8", "batches, 8", "bulk"),
        ("        description=visible(path),\n        shared=True,\n",
         "        description=visible(path),\n", "wiring parallel"),
        ("torch.autocast(device.type, torch.bfloat16, half_precision)",
         "torch.autocast(device.type, torch.bfloat16, False)", "precision"),
        ("best[:, :, self.end].masked_fill_(pads, 0)", "pass", "decoding"),
        ("return scores + self.step_penalty", "return scores", "schemes family"),
        ("not 1 <= count <= 1000:", "count < 1:", "inference"),
        ("loss if counts else None for loss", "loss for loss", "wiring hostile"),
        ("*self.maps, caseless=self.caseless)", "*self.maps)", "wiring inference"),
        ('state["scheme"] if settings["constrain_tags"] else None', 'state["scheme"]', "schemes"),
        ("gold = convert_scheme(gold, tagger.tag_scheme)", "pass", "evaluation"),
        ("in windows(several(sentences), window):", "in windows(sentences, 10**9):",
         "bulk"),
        ("    model.eval()\n", "", "inference training"),
        ("BARELY for j in names", "-math.inf for j in names", "schemes decoding"),
        ("steps.sum(2).clamp(max=1)", "steps.sum(2)", "decoding"),
        ("logs.exp().clamp(max=1)", "logs.exp()", "decoding"),
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
        ('entity_type == open_type and (is_odd or prefix in ("I", "E"))',
         'open_type and (is_odd or prefix in ("I", "E"))', "scores"),
        ('        if prefix in ("E", "S"):\n            open_type = None\n', "", "scores"),
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
        ("if os.path.exists(table) else", "if True else", "crashes report"),
    ],
    "machinery/runs.py": [
        ("for sentence in itertools.chain(words, tags)", "for sentence in words", "resuming"),
        ("self.best_score if score is None else max(score, self.best_score)", "score or 0.0",
         "training resuming"),
        ("    for name in names(MODEL, FIXED):\n", "    for name in names(MODEL):\n", "constants"),
        ('other["run"] == run and other["history"]', 'other["history"]', "resuming training"),
        ("        save_checkpoint(last_file, state, load_run)\n",
         "        save_checkpoint(last_file, state)\n", "constants resuming"),
        ("return settings | dict(processes=processes())", "return settings", "parallel"),
        ("            self.best_score, self.epochs_since_best = -1.0, 0\n",
         "            self.best_score = -1.0\n", "resuming"),
        ("            self.best_score, self.epochs_since_best = -1.0, 0\n",
         "            self.epochs_since_best = 0\n", "resuming"),
        ("improved = score is None or score > ", "improved = score is None or score >= ",
         "training"),
        ('        self.average.load(state["weights"], state["averaged"])\n', "", "resuming"),
        ('        self.parts["settings"] = settings\n', "", "resuming"),
        ("        if self.epochs_since_best == 0:\n            best =",
         "        if True:\n            best =", "training"),
        (' and other["history"] == history[: other["epoch"]] else', " else", "resuming"),
    ],
    "machinery/average.py": [
        ("(1 + self.steps) / (10 + self.steps)", "1.0", "wiring"),
        ("            self.steps = steps\n", "", "resuming"),
        ("weight.data, self.average[i] = self.average[i], weight.data",
         "self.average[i] = weight.data", "training wiring"),
    ],
    "machinery/files.py": [
        ("        if os.path.exists(temporary):", "        if False:", "crashes"),
        ("fcntl.LOCK_EX | fcntl.LOCK_NB", "fcntl.LOCK_SH | fcntl.LOCK_NB", "resuming"),
        ("any(map(os.path.lexists, kept.values()))", "False", "training"),
        ("        check_can_save(path)\n", "", "crashes"),
        ("            file.flush()\n", "", "crashes"),
        ("            os.fsync(file.fileno())\n", "", "crashes training"),
        ("        os.replace(temporary, real)\n", "        os.replace(temporary, path)\n",
         "resuming"),
    ],
    "machinery/command.py": [
        ("word_column if column is None else column\n            sentences",
         "word_column if not column else column\n            sentences", "bulk"),
        ("split_at_blanks if arguments.tokenized else split_words",
         "split_at_blanks if arguments.tokenized and not arguments.sentence else split_words",
         "inference"),
        ("windows(sentences, window, waits=arriving.waits)", "windows(sentences, window)",
         "terminal bulk"),
        ("hidden=to_terminal", "hidden=False", "terminal bulk"),
        ("list(map(visible, row)) for row in rows]", "row for row in rows]", "bulk"),
        ("1 + arguments.confidence", "1", "bulk"),
    ],
    "machinery/errors.py": [
        ("print(visible(message), file", "print(message, file", "hostile"),
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
        ("(?i:n['’]t)", "n['’]t", "inference"),
        (' if number == 1 else line', "", "reading encoding"),
        ("closefd=not isinstance(file, int)", "closefd=True", "bulk inference"),
        ("some, count = [], 0\n    if", "some = []\n    if", "bulk reading"),
        ("or count >= words", "", "bulk reading"),
    ],
    "machinery/recognition.py": [
        ("{shown[:width]}", "{shown}", "recognition"),
    ],
    "machinery/pages.py": [
        ("        if not text.strip():\n            continue\n", "", "pages"),
        ("counts[kind] += 1", "counts[kind] = 1", "pages"),
        ("of {total:,} sentences have", "of {len(rows):,} sentences have", "pages"),
    ],
    "machinery/vectors.py": [
        (' if not name.startswith("__MACOSX/")', "", "encoding"),
        ("HEADER.fullmatch(head[0][1])", "HEADER.match(head[0][1])", "encoding recognition"),
        ("if count not in (None, words):", "if False:", "encoding"),
    ],
    "machinery/threads.py": [
        ("hidden = True if description is None else None", "hidden = None", "terminal bulk"),
        ("        torch.set_num_threads(cores)", "        pass", "bulk"),
        ("initargs=(cores // count,)", "initargs=(cores,)", "bulk"),
    ],
    "machinery/processes.py": [
        ("count / mean_of_processes(count).clamp(min=1 / processes())", "1.0", "parallel"),
        ('f"{seed} {epoch} {rank()}"', 'f"{seed} {epoch}"', "parallel"),
    ],
    "machinery/constants.py": [
        ("dropout=Constant(TRAINING", "dropout=Constant(FREE", "constants"),
        ("val_file=Constant(SCORE", "val_file=Constant(TRAINING", "constants"),
        ("constrain_tags=Constant(SCORE", "constrain_tags=Constant(TRAINING", "constants"),
        ("caseless=Constant(FIXED", "caseless=Constant(TRAINING", "constants"),
        ("recipes[optimizer].items() if values[name] is None", "recipes[optimizer].items()",
         "constants training"),
        ("is_flag or plain != value", "plain != value", "constants"),
    ],
    "machinery/checkpoints.py": [
        ("weights_only=True", "weights_only=False", "training hostile"),
        ("        _check_archive(file)\n", "", "hostile"),
        ('map_location="cpu", ', "", "training"),
    ],
    "machinery/evaluation.py": [
        ("lambda a, b: a[1:] == b[1:],", "", "evaluation"),
        ("in sorted(wrong):", "in wrong:", "evaluation pages"),
        ("a[1] < b[2] and b[1] < a[2]", "a[1] <= b[2] and b[1] <= a[2]", "evaluation"),
    ],
}  # fmt: skip


def stale(changes):
    """A line for each change that cannot be made, or whose tests are not there."""
    for file, old, _, tests in changes:
        path = ROOT / file
        count = path.read_text(encoding="utf-8").count(old) if path.exists() else 0
        if count != 1:
            yield f"{file}: expected once, found {count} times: {old!r}"
        for name in tests.split():
            if not (ROOT / "tests" / f"test_{name}.py").exists():
                yield f"{file}: {old!r}: expected tests/test_{name}.py, found no such file"


def noticed(copy, file, old, new, tests):
    """Whether a test of these files fails once `old` is `new` in a copy of the repository."""
    path = copy / file
    text = path.read_text(encoding="utf-8")
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
    changes = [(file, *rest) for file, changes in CHANGES.items() for rest in changes]
    if lines := list(stale(changes)):
        raise SystemExit("\n".join(lines))
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
