"""What every room needs: errors for users, and the four special names."""

import os
import re
import sys

PAD, END, UNK, START = "<pad>", "<end>", "<unk>", "<start>"


class InputError(ValueError):
    """What came from outside is wrong: its message is a sentence for the user, not a bug report."""


def run_script(main, when_stopped=lambda: ""):
    """Run a script's `main`; bad input becomes one line on stderr and exit status 1.

    Ctrl-C ends it with status 130 and the line that `when_stopped()` gives. When whoever reads our
    output goes away, as `head` does, it ends silently. Every other exception is a programming
    error and keeps its traceback.
    """
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
    except OSError as error:
        where = f"{error.filename}: {error.strerror}" if error.filename else error
        message, status = f"Error: {where}", 1
    # Only here, behind the except blocks, are main's progress bars gone from the screen.
    if message:
        print(message, file=sys.stderr)
    try:
        sys.stdout.flush()
    except OSError:  # else the interpreter would flush once more, and complain
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(status)


def visible(text):
    """The text with control characters, line separators and lone surrogates as escapes (\\x1b): in
    a table they would break the line, or command the terminal."""
    unsafe = r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]"
    return re.sub(unsafe, lambda found: ascii(found[0])[1:-1], text)
