"""Errors, Ctrl-C and streams as a user meets them; the names of the four special entries."""

import contextlib
import io
import itertools
import os
import pickle
import re
import signal
import sys

PAD, END, UNK, START = "<pad>", "<end>", "<unk>", "<start>"


# How PyTorch says, in a RuntimeError, that memory ended: on a GPU, on Linux and macOS, on Windows.
MEMORY_ENDED = re.compile("out of memory|can't allocate memory|not enough memory")
SMALLER = (
    "a smaller batch_size or eval_batch_size helps (in inference.py, batch_size and window), and "
    "so do a smaller model, fewer tags and shorter sentences"
)


class InputError(ValueError):
    """Something from outside is wrong: the message is a sentence for the user, not a bug report."""


@contextlib.contextmanager
def refusing_damage(path):
    """Whatever goes wrong in the block with what a checkpoint holds becomes one sentence.

    :raises InputError: the file is damaged, or not what it should be
    """
    try:
        yield
    except Exception as error:  # damage raises many kinds
        if memory_ended(error):
            raise
        reason = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        if isinstance(error, pickle.UnpicklingError):
            reason = "it holds more than plain data; no code in it was run"
        reason = " ".join(reason.split())[:200]
        raise InputError(
            f"{path}: expected a checkpoint of train.py, found a damaged or different file "
            f"({reason})"
        ) from None


def run_script(main, when_stopped=lambda: ""):
    """Run a script's `main`; bad input becomes one line on stderr and exit status 1.

    Ctrl-C ends it with status 130 and the line that `when_stopped()` returns. If whoever reads our
    output goes away, as `head` does, it ends silently. Every other exception is a programming
    error and keeps its traceback.
    """
    set_up_streams()
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:  # as end_at_ctrl_c left it
        signal.signal(signal.SIGINT, _interrupt)
    try:
        main()
        sys.stdout.flush()
        return
    except KeyboardInterrupt:
        message, status = when_stopped(), 130
    except BrokenPipeError:
        message, status = "", 1
    except InputError as error:
        message, status = f"Error: {error}", 1
    except (MemoryError, RuntimeError) as error:
        if not memory_ended(error):
            raise
        message, status = f"Error: memory ended ({str(error)[:100]}); {SMALLER}", 1
    except OSError as error:
        where = f"{error.filename}: {error.strerror}" if error.filename else error
        message, status = f"Error: {where}", 1
    # Only here, after the except blocks, are main's progress bars gone from the screen.
    if message:
        print(visible(message), file=sys.stderr)
    try:
        sys.stdout.flush()
    except OSError:  # else the interpreter would flush once more, and complain
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(status)


def end_at_ctrl_c():
    """Let Ctrl-C end the process at once, with no traceback; `run_script` changes that again.

    A script calls it before it imports PyTorch, which takes seconds.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not in the background
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def _interrupt(*_, count=itertools.count(1)):  # noqa: B008  (one count for all calls)
    """End the script at the first Ctrl-C, undisturbed by a second, which torchrun sends as well.
    The third ends it at once."""
    if next(count) == 1:
        raise KeyboardInterrupt
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def memory_ended(error):
    """Whether an exception says that there was no more memory, on the CPU or a GPU."""
    from_torch = isinstance(error, RuntimeError) and MEMORY_ENDED.search(str(error)) is not None
    return from_torch or isinstance(error, MemoryError)


def set_up_streams():
    """Output is UTF-8 on every system, and each line is written at once, to a file as well.

    What is printed to a closed stream (`>&-`, `2>&-`) is dropped. A closed stdin stays None.
    """
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            # Takes the stream's number; else a checkpoint might, and get what libraries print.
            nowhere = os.open(os.devnull, os.O_RDWR)
            if name != "stdin":
                setattr(sys, name, open(nowhere, "w", encoding="utf-8"))
    if isinstance(sys.stdout, io.TextIOWrapper):  # not in a notebook
        # UTF-8 can write all but the undecodable bytes of a file's name: those become \\udce9.
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)


def visible(text):
    """The text with control characters, line separators and lone surrogates escaped (\\x1b): in a
    table they would break the line, or control the terminal."""
    unsafe = r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]"
    return re.sub(unsafe, lambda found: ascii(found[0])[1:-1], text)
