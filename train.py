"""Train an LM-LSTM-CRF tagger, resume its training, or score a checkpoint.

    python train.py
    torchrun --nproc_per_node=2 train.py     with two GPUs, or two processes on a CPU

Set the constants below first, or leave them: as they are, they train a tagger of named entities
on the sample corpus. A notebook can set them too:

    import train
    train.epochs = 2
    train.main()

The method is that of Liu et al. 2018 (arXiv 1709.04109): two language models and the tagger are
trained together, by summing their losses.
"""

import functools
import os
import statistics
import time

import torch
from torch import nn
from tqdm import tqdm

from datasets import WCDataset, data_loader
from inference import ViterbiDecoder, predict, restore_model, score_file
from machinery.checkpoints import (
    CHECKPOINT_FORMAT,
    HISTORY,
    check_can_save,
    history_file,
    keep_aside,
    load_checkpoint,
    save_checkpoint,
    save_history,
)
from machinery.errors import END, START, InputError, run_script
from machinery.processes import (
    by_first_process,
    default_device,
    gather,
    mean_of_processes,
    process_group,
    processes,
    replicated,
)
from machinery.report import duration, report_unknown_tags, summary
from machinery.runs import (
    differences,
    fingerprint,
    load_if_of_run,
    record_epoch,
    resume_momentum,
    rng_states,
    set_rng_states,
)
from machinery.spans import are_spans, convert_scheme, detect_scheme, scores
from models import LM_LSTM_CRF, LanguageModelLoss, ViterbiLoss
from utils import create_maps, load_embeddings, read_words_tags

# Data --------------------------------------------------------------------------------------------
train_file = "data/train.txt"
val_file = "data/valid.txt"  # decides which epoch is best, and when to stop
test_file = "data/test.txt"  # scored once, at the end; None: not at all
word_column = 0  # counted from 0; in CoNLL-U files 1
tag_column = -1  # the last, entities; in data/ 1 are parts of speech, 2 chunks; in CoNLL-U 3 or 4
emb_file = None  # path of word vectors in the format of GloVe or word2vec, also as .gz or .zip;
# None: embeddings are trained from scratch. A checkpoint holds them: resuming reads no file again
min_word_freq = 5  # rarer words are <unk>, the paper's code's value. Without emb_file, 2 and 3 are
# slower and scored lower on data/; with it, the rarer words that it has keep their vectors
min_char_freq = 2  # rarer characters are <unk>, so that <unk> has something to learn from
caseless = True  # look words up in lower case, as GloVe does; characters always keep their case
expand_vocab = True  # look words up that only emb_file knows, too
tag_scheme = None  # write the tags of spans as "IOB2" or "BIOES"; None: as the files have them

# Model: the parts ---------------------------------------------------------------------------------
# As they stand, LM-LSTM-CRF. Parts taken away leave simpler taggers; see the README.
use_characters = True  # False: words alone, by their embeddings
co_training = True  # train the two language models along; False: no language models
highway_layers = 1  # at each of the three places; 0: none
bidirectional = True  # False: the word LSTM reads from left to right only
attention_heads = 0  # of a self-attention over the word LSTM's features; 0: none
use_crf = True  # False: each word is tagged by itself
constrain_tags = True  # never decode what the tag scheme rules out, such as I-PER after O

# Model: the sizes, those of the paper's code ------------------------------------------------------
char_emb_dim = 30
char_rnn_dim = 300  # of each direction
char_rnn_layers = 1
word_emb_dim = 100  # with emb_file, the file decides
word_rnn_dim = 300  # of all directions together
word_rnn_layers = 1
dropout = 0.5  # paper's code: 0.55
fine_tune_word_embeddings = False  # with emb_file: to move the vectors of the words in training
# parts them from all others. Without emb_file, embeddings are always trained

# Training ----------------------------------------------------------------------------------------
batch_size = 10  # sentences of one step, those of all processes together
eval_batch_size = 32  # sentences of one process; changes speed and memory, no score
lr = 0.015  # paper's value, for SGD with momentum ...
lr_decay = 0.05  # ... in epoch e, counted from 0, it is lr / (1 + lr_decay * e)
momentum = 0.9  # paper's value
grad_clip = 5.0  # longest gradient allowed, against the steps that explode in LSTMs; None: any
epochs = 6  # in all, those before resuming included: five minutes on data/. For real data, 200:
# patience ends it. 0: only score the checkpoint
patience = 15  # stop after so many epochs without a better validation score; as in the paper's code
criterion = "macro_f1"  # the score that decides: "macro_f1", "entity_f1" (spans only), "accuracy"
seed = 1

# Checkpoint --------------------------------------------------------------------------------------
checkpoint = None  # path of a checkpoint to resume, or with epochs = 0 to score
last_file = "last_checkpoint.pt"  # written after every epoch; resume from it. Beside it, as .csv,
# stand the losses and scores of every epoch
best_file = "best_checkpoint.pt"  # of the epoch with the best validation score; tag with it


@process_group()
def main():
    """Train as the constants say, then score the best epoch on the test data.

    :return: dict of scores, as `scores` in utils.py gives them: those of the best epoch on
        test_file, or on val_file if there is no test_file
    """
    check_constants()
    torch.manual_seed(seed)
    device = default_device()
    in_processes = f", in {processes()} processes" * (processes() > 1)
    print(f"Running on {device.type} with PyTorch {torch.__version__}{in_processes}")

    # The data, the model and where its training stands.
    train_data, val_data, test_data = read_data()
    state, model = start_run(train_data)
    model.to(device)
    train_set, val_set = encode(train_data, state), encode(val_data, state)
    report_unknown_tags(train_file, train_set)
    report_unknown_tags(val_file, val_set)
    check_criterion(criterion, val_set)
    train_loader = data_loader(train_set, batch_size, True, seed, shared=True, device=device)

    # What is minimised, and how; what is decoded.
    lm_loss = LanguageModelLoss(state["word_map"], state["model_arguments"]["lm_vocab_size"])
    viterbi_loss = ViterbiLoss(state["tag_map"]).to(device)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=lr, momentum=momentum, fused=True)
    if checkpoint is not None:
        resume_momentum(checkpoint, state, optimizer)
    set_rng_states(checkpoint, state["rng"], seed, state["epoch"])
    if epochs > 0:
        seek_anew = note_changes(state, training_settings(train_data, val_data))
        check_files()
    state["constrain_tags"] = constrain_tags
    decoder = ViterbiDecoder(state["tag_map"], state["scheme"] if constrain_tags else None)

    replica = replicated(model)
    first_epoch = state["epoch"]
    for epoch in range(first_epoch, epochs):
        if state["epochs_since_best"] >= patience:
            break
        begin = time.perf_counter()
        for group in optimizer.param_groups:
            group.update(lr=lr / (1 + lr_decay * epoch), momentum=momentum)
        train_loader.batch_sampler.set_epoch(epoch)
        losses = train_epoch(
            replica, train_loader, optimizer, lm_loss, viterbi_loss, grad_clip, epoch
        )
        title = f"Epoch {epoch + 1}, validation"
        predicted, val_loss = predict(
            model, val_set, eval_batch_size, decoder, viterbi_loss, title, shared=True
        )
        result = scores(val_set.tags, predicted)

        entry = history_entry(time.perf_counter() - begin, optimizer, losses, val_loss, result)
        record_epoch(state, result.get(criterion, 0.0), model, optimizer, entry)
        if epoch == first_epoch:
            keep_other_runs(state["run"], first_epoch, seek_anew)
        save_epoch(state)
        print_epoch(state, first_epoch)

    return finish(model, state, first_epoch, val_set, test_data, decoder)


# ------------------------------------------------------------------------------------------------
# Setting up a run
# ------------------------------------------------------------------------------------------------


def check_constants():
    """Find out at once what would fail after an epoch, or do something else than it says.

    :raises InputError: a constant has a value that it cannot have
    """
    least = dict(
        eval_batch_size=1,
        batch_size=1,
        patience=1,
        char_emb_dim=1,
        char_rnn_dim=1,
        char_rnn_layers=1,
        word_emb_dim=1,
        word_rnn_dim=1,
        word_rnn_layers=1,
        highway_layers=0,
        attention_heads=0,
        epochs=0,
    )
    for name, lowest in least.items():
        value = globals()[name]
        if not isinstance(value, int) or value < lowest:
            raise InputError(f"{name}: expected a whole number from {lowest} on, found {value!r}")
    if not 0 <= dropout < 1:
        raise InputError(f"dropout: expected a number from 0 to below 1, found {dropout!r}")


def read_data():
    """The words and tags of the three files; None for a test file that is not given.

    All are read before training: what is wrong with the test file shall not come out after hours.
    """
    columns = word_column, tag_column, tag_scheme
    train_data = read(train_file, *columns) if epochs > 0 else ([], [])
    val_data = read(val_file, *columns)
    return train_data, val_data, None if test_file is None else read(test_file, *columns)


def read(path, word_column, tag_column, tag_scheme):
    """The words and tags of a file, and a line that says how many."""
    words, tags = read_words_tags(path, word_column, tag_column)
    scheme = detect_scheme(tags)
    if tag_scheme is not None:
        tags = convert_scheme(tags, tag_scheme)
    print(
        f"{path}: {len(words):,} sentences, {sum(map(len, words)):,} words"
        f"{f', tags in {scheme}' * (scheme is not None)}"
        f"{f', read as {tag_scheme}' * (tag_scheme not in (None, scheme))}"
    )
    return words, tags


def model_settings():
    """The constants that a checkpoint's model depends on: they cannot change on resuming."""
    return dict(
        word_column=word_column,
        tag_column=tag_column,
        min_word_freq=min_word_freq,
        min_char_freq=min_char_freq,
        caseless=caseless,
        expand_vocab=expand_vocab,
        tag_scheme=tag_scheme,
        fine_tune_word_embeddings=fine_tune_word_embeddings or emb_file is None,
        **architecture(),
    )


def architecture():
    """Those of them that LM_LSTM_CRF takes as they are."""
    return dict(
        use_characters=use_characters,
        co_training=co_training,
        highway_layers=highway_layers,
        bidirectional=bidirectional,
        attention_heads=attention_heads,
        use_crf=use_crf,
        char_emb_dim=char_emb_dim,
        char_rnn_dim=char_rnn_dim,
        char_rnn_layers=char_rnn_layers,
        word_emb_dim=word_emb_dim,
        word_rnn_dim=word_rnn_dim,
        word_rnn_layers=word_rnn_layers,
        dropout=dropout,
    )


def training_settings(train_data, val_data):
    """What else a run depends on: it may change on resuming, and is said when it does."""
    return dict(
        train_file=fingerprint(*train_data),
        val_file=fingerprint(*val_data),
        dropout=dropout,
        batch_size=batch_size,
        processes=processes(),
        lr=lr,
        lr_decay=lr_decay,
        momentum=momentum,
        grad_clip=grad_clip,
        patience=patience,
        criterion=criterion,
        seed=seed,
    )


def start_run(train_data):
    """The state and the model of a new run, or of the checkpoint."""
    if checkpoint is not None:
        # Without emb_file, nothing here says whether the checkpoint's embeddings came from one.
        free = ["dropout"] + ["fine_tune_word_embeddings"] * (emb_file is None)
        return resume_run(checkpoint, model_settings(), dropout, free)
    if epochs <= 0:
        raise InputError("epochs = 0 scores a checkpoint: expected its path, found None")
    return new_run(*train_data, emb_file, model_settings())


def new_run(words, tags, emb_file, settings):
    """A new model for the training data.

    :return: state, a dict with what a checkpoint holds, and the model
    """
    word_map, char_map, tag_map = create_maps(
        words, tags, settings["min_word_freq"], settings["min_char_freq"], settings["caseless"]
    )
    lm_vocab_size = len(word_map)
    embeddings = None
    if emb_file is not None:
        embeddings, word_map, _ = load_embeddings(
            emb_file, word_map, settings["expand_vocab"], settings["caseless"]
        )
    model_arguments = dict(
        tagset_size=len(tag_map),
        charset_size=len(char_map),
        vocab_size=len(word_map),
        lm_vocab_size=lm_vocab_size,
    )
    model_arguments.update((name, settings[name]) for name in architecture())
    if embeddings is not None:
        model_arguments["word_emb_dim"] = embeddings.size(1)
    model = LM_LSTM_CRF(**model_arguments)
    if embeddings is not None:
        model.init_word_embeddings(embeddings)
    model.fine_tune_word_embeddings(settings["fine_tune_word_embeddings"])
    print(
        f"New run: {lm_vocab_size:,} words and {len(word_map) - lm_vocab_size:,} more of emb_file, "
        f"{len(char_map)} characters, {len(tag_map) - 2} tags, "
        f"{sum(parameter.numel() for parameter in model.parameters()):,} parameters"
    )
    state = dict(
        format=CHECKPOINT_FORMAT,
        run=gather(os.urandom(16).hex())[0],  # tells this run's files from another's
        settings=settings,
        model_arguments=model_arguments,
        word_map=word_map,
        char_map=char_map,
        tag_map=tag_map,
        scheme=detect_scheme(tags),
        epoch=0,  # how many are finished
        best_score=-1.0,
        epochs_since_best=0,
        history=[],  # of every epoch, what HISTORY in utils.py names
        training={},
        rng=[rng_states()],
    )
    return state, model


def resume_run(path, settings, dropout, free):
    """The state and the model of a checkpoint, to go on from.

    :param free: names of settings that may be others than they were
    :raises InputError: a constant that the model depends on is not what it was
    """
    state = load_checkpoint(path)
    for name, (before, now) in differences(state["settings"], settings).items():
        if name not in free:
            raise InputError(
                f"{path} was trained with {name} = {before}: "
                f"expected the same to resume it, found {now}"
            )
    state["model_arguments"]["dropout"] = dropout
    model = restore_model(state, path)
    model.fine_tune_word_embeddings(state["settings"]["fine_tune_word_embeddings"])
    print(f"Resuming {path} after epoch {state['epoch']}; best score {state['best_score']:.4f}")
    return state, model


def note_changes(state, training):
    """Take the settings of training into `state`, and say what is not as it was on resuming.

    :return: whether scores are no longer comparable with those before, so that the best epoch is
        sought anew among those that follow
    """
    changed = differences(state["training"], training) if state["training"] else {}
    for name, (before, now) in changed.items():
        print(f"Changed since the checkpoint was written: {name} is {now}, was {before}")
    seek_anew = not changed.keys().isdisjoint({"criterion", "val_file"})
    if seek_anew:
        print("Scores are others than before: the best epoch is sought anew")
        state.update(best_score=-1.0, epochs_since_best=0)
    state["training"] = training
    return seek_anew


def check_files():
    """Find out before hours of work whether all files can be written.

    :raises OSError: one cannot
    :raises InputError: two files would have one name
    """
    table = history_file(last_file)
    if os.path.abspath(best_file) == os.path.abspath(last_file):
        raise InputError(f"expected best_file and last_file to differ, found {best_file} twice")
    if table in (best_file, last_file):
        raise InputError(f"expected checkpoints with other names than the history's, found {table}")
    for path in (best_file, last_file, table):
        check_can_save(path)


@by_first_process
def keep_other_runs(run, epoch, best_too):
    """Rename the files that this run did not write, or that are ahead of where it resumed.

    :param best_too: rename the best checkpoint in any case
    """
    for path, *table in ([best_file], [last_file, history_file(last_file)]):
        if (best_too and path == best_file) or not load_if_of_run(path, run, epoch):
            for old, new in keep_aside(path, *table).items():
                print(f"{old} holds other work: kept as {new}")


def encode(data, state):
    """WCDataset of (words, tags), with a run's maps."""
    maps = state["word_map"], state["char_map"], state["tag_map"]
    return WCDataset(*data, *maps, caseless=state["settings"]["caseless"])


def check_criterion(criterion, dataset):
    """:raises InputError: `criterion` is no score, or not one that these tags have"""
    tags = set(dataset.tag_map).union(*dataset.tags) - {START, END}
    known = ["macro_f1", "accuracy"] + ["entity_f1"] * are_spans(tags)
    if criterion not in known:
        raise InputError(f"criterion: expected one of {', '.join(known)}, found {criterion!r}")


# ------------------------------------------------------------------------------------------------
# An epoch
# ------------------------------------------------------------------------------------------------


def train_epoch(model, loader, optimizer, lm_loss, viterbi_loss, grad_clip, epoch):
    """Train on every sentence once; `epoch`, counted from 0, is shown before the bar.

    :return: mean language model loss and mean Viterbi loss, those of all processes
    """
    model.train()
    device = next(model.parameters()).device
    totals, sentences = torch.zeros(2, device=device), 0
    # disable=None: no bar where stderr is no terminal, such as a log file
    bar = tqdm(
        loader, desc=f"Epoch {epoch + 1}, training", leave=False, mininterval=0.5, disable=None
    )
    for step, batch in enumerate(bar, 1):
        batch = batch.to(device)
        crf_scores, forward_lm_scores, backward_lm_scores = model(batch)
        lm = lm_loss(forward_lm_scores, backward_lm_scores, batch)
        crf = viterbi_loss(crf_scores, batch.tags, batch.word_lengths, shared=True)

        optimizer.zero_grad()
        (lm + crf).backward()
        if grad_clip is not None:
            nn.utils.clip_grad_norm_(model.parameters(), grad_clip)
        optimizer.step()

        weight = mean_of_processes((batch.word_lengths > 1).sum())  # sentences, but NO_SENTENCE
        totals += torch.stack((lm, crf)).detach() * weight
        sentences += weight
        if step % 10 == 0 or step == len(loader):  # reading a loss makes the CPU wait for the GPU
            means = mean_of_processes(totals / sentences)
            check_finite([means], epoch, step, optimizer)
            lm_mean, crf_mean = means.tolist()
            bar.set_postfix(lm=f"{lm_mean:.3f}", crf=f"{crf_mean:.3f}")
    check_finite(model.parameters(), epoch, step, optimizer)
    return lm_mean, crf_mean


def check_finite(tensors, epoch, step, optimizer):
    """:raises InputError: training has diverged, what comes of this epoch must not be saved"""
    if not all(tensor.isfinite().all() for tensor in tensors):
        raise InputError(
            f"epoch {epoch + 1}, batches {max(step - 9, 1)} to {step}, learning rate "
            f"{optimizer.param_groups[0]['lr']:g}: expected finite losses and weights, found NaN "
            "or infinity; this epoch is not saved. A lower lr or grad_clip may help"
        )


def history_entry(seconds, optimizer, losses, val_loss, result):
    """What the history notes of an epoch, as plain numbers."""
    lm_loss, tag_loss = losses
    entry = dict(seconds=seconds, lr=optimizer.param_groups[0]["lr"])
    if co_training:
        entry["lm_loss"] = lm_loss
    entry.update(tag_loss=tag_loss, val_loss=val_loss)
    return entry | {name: result[name] for name in HISTORY if name in result}


def save_epoch(state):
    """Write the checkpoints and the history."""
    # The best first: after a crash between the two, resuming the last finds the best again.
    if state["epochs_since_best"] == 0:
        save_checkpoint(best_file, state)
    save_checkpoint(last_file, state)
    save_history(history_file(last_file), state["history"])


def print_epoch(state, first_epoch):
    """Two lines that sum up an epoch: its losses and the time left, its scores and the best."""
    history = state["history"]
    last, left = history[-1], epochs - state["epoch"]
    of_language_models = f"{last['lm_loss']:.3f} (language models) + " if "lm_loss" in last else ""
    each = statistics.mean(entry["seconds"] for entry in history[first_epoch:])
    at_most = f"; at most {duration(left * each)} left" if left > 0 else ""
    standing = "the best so far"
    if state["epochs_since_best"] > 0:
        waited = f"patience {state['epochs_since_best']} of {patience}"
        standing = f"best: {best_so_far(state)}, {waited}"
    print(
        f"epoch {state['epoch']:3} of {epochs}, {last['seconds']:.1f} s: "
        f"loss {of_language_models}{last['tag_loss']:.3f} (tags), "
        f"validation {last['val_loss']:.3f}{at_most}\n"
        f"    {summary(last)}; {standing}"
    )


def best_so_far(state):
    """epoch 4 (macro F1 55.10%)"""
    epoch = state["epoch"] - state["epochs_since_best"]
    return f"epoch {epoch} ({criterion.replace('_f1', ' F1')} {state['best_score']:.2%})"


# ------------------------------------------------------------------------------------------------
# The end of a run
# ------------------------------------------------------------------------------------------------


def finish(model, state, first_epoch, val_set, test_data, decoder):
    """Say how training ended, and score the best epoch; without training, the checkpoint as it is.

    :return: dict of scores, as main returns it
    """
    best = None
    if state["epoch"] > first_epoch:
        best = load_if_of_run(best_file, state["run"])
    if epochs > 0:
        print_end(state, first_epoch, best is not None)
    if best is not None:
        state = best
        model.load_state_dict(state["model"])
    print(f"The model of epoch {state['epoch']}:")
    result, _ = score_file(model, val_file, val_set, eval_batch_size, decoder)
    if test_data is not None:
        test_set = encode(test_data, state)
        report_unknown_tags(test_file, test_set)
        result, _ = score_file(model, test_file, test_set, eval_batch_size, decoder)
    return result


def print_end(state, first_epoch, best_is_saved):
    """Why training ended, how long it took, which epoch was best and where everything is."""
    why = f"epochs = {epochs} is reached"
    if state["epochs_since_best"] >= patience and state["epoch"] < epochs:
        why = f"stopped early, no better {criterion} for {state['epochs_since_best']} epochs"
    seconds = sum(entry["seconds"] for entry in state["history"])
    print(f"Ended after {state['epoch']} epochs in {duration(seconds)}: {why}")
    if state["epoch"] == first_epoch:
        return
    print(f"Best: {best_so_far(state)}{f', saved in {best_file}' * best_is_saved}")
    print(f"To resume: {last_file}; losses and scores of every epoch: {history_file(last_file)}")


def last_saved():
    """When last_file was written, or None if there is none."""
    return os.stat(last_file).st_mtime_ns if os.path.exists(last_file) else None


def how_to_resume(saved_before):
    """What to say after Ctrl-C; `saved_before` is what last_saved gave before the run."""
    if last_saved() == saved_before:
        return "Stopped before an epoch had ended: no checkpoint was written"
    epoch = load_checkpoint(last_file)["epoch"]
    return f'Stopped; to go on after epoch {epoch}, set checkpoint = "{last_file}"'


if __name__ == "__main__":
    run_script(main, functools.partial(how_to_resume, last_saved()))
