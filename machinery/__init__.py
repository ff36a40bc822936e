"""What protects, streams, prints and coordinates; the five scripts tell the story.

    constants     the constants of train.py: what each may be
    errors        what a user sees when something is wrong; the streams; the special names
    text          files of text: lines, columns, raw sentences
    vectors       files of word vectors
    spans         entities, tag schemes, scores
    recognition   what a file was taken for: its tags' scheme, its first sentence
    processes     several processes that train together
    threads       several threads that tag
    files         the files that a run writes: whole, and its own alone
    checkpoints   checkpoint files: saved, read safely, checked
    runs          the state of a run: recorded, resumed, compared
    average       a running average of the weights
    report        what a run prints
    command       the command line of inference.py
    columns       files with a word in every line, read and written again
    device        where to compute, and in which precision
    evaluation    what goes wrong, and where
    entities      where entities are in a text, and how probable they are
    pages         tagged text and mistakes as HTML

Nothing here imports a script.
"""

import warnings

# PyTorch warns when it is imported without NumPy, which nothing here needs. The two scripts that
# are run, train.py and inference.py, therefore import this package before torch.
warnings.filterwarnings("ignore", "Failed to initialize NumPy: No module named 'numpy'")
