"""What protects, streams, prints and coordinates; the five scripts tell the story.

    errors        what a user sees when something is wrong; the streams; the special names
    text          files of text: lines, columns, raw sentences
    vectors       files of word vectors
    spans         entities, tag schemes, scores
    processes     several processes that train together
    checkpoints   files of a run: written whole, read safely, checked
    runs          the state of a run: recorded, resumed, compared
    report        what a run prints
    command       the command line of inference.py

Nothing here imports a script.
"""

import warnings

# PyTorch warns when it is imported without NumPy, which nothing here needs. In every file, this
# package is therefore imported before torch (pyproject.toml tells ruff so).
warnings.filterwarnings("ignore", "Failed to initialize NumPy: No module named 'numpy'")
