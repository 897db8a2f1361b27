"""One file per benchmark: how its published record is read, what is asked, which answers are right,
and how scores add up.

To add one, write a file with a class that derives from ``scoring.Benchmark``. A decorator registers
it with what a reader must know: hub id, version, licence, size, needs, files. The class has
``sample`` rows in the published schema, and these functions:

* ``read(row) -> Question``: the record in neutral form; it takes every published variant.
* ``prompt(question, row, style) -> str``: in the style official, spacer or spacer_default.
* ``rule(question, row, text, scoring) -> Verdict``: whether a text answers the question.
* ``variants(items) -> {name: fraction}``: only where means over questions and over tasks are not
  enough.
* ``expand(row)``, ``complete(rows, folder)``: only where a published row holds several questions,
  or where another file belongs to the rows.
* ``subtitled(question, row, folder, times)``: only where a prompt has the subtitles of the sampled
  frames.

The benchmark then appears in ``list benchmarks``, ``score-benchmark``, the loaders, the evaluation
and the contract tests by itself. ``embspatial.py`` is the shortest example.
"""
