"""One file per benchmark: how its published record reads, what it asks, who is right, and how
scores add up.

To add one, write a file with a class that derives from ``scoring.Benchmark``, is registered by a
decorator with what a reader must know (hub id, version, licence, size, needs, files), and has
``sample`` rows in the published schema and the functions

    read(row) -> Question                      the record in neutral form, tolerant of every
    published variant prompt(question, row, style) -> str        official, spacer or spacer_default
    rule(question, row, text, profile) -> Verdict variants(items) -> {name: fraction}        only
    where plain means over questions and over tasks don't do expand(row), complete(rows, folder)
    only where a published row holds several, or another file belongs to the rows
    subtitled(question, row, folder, times)    only where the protocol has a prompt with the
    subtitles of the sampled frames

It then appears in ``list benchmarks``, ``score-benchmark``, the loaders, the evaluation and the
contract tests by itself. ``embspatial.py`` is the shortest example.
"""
