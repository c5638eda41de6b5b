"""Mutation testing: small changes made by rule, one at a time, to see whether any test fails for them.

Where `tests/planted` breaks the lines that somebody thought of, this breaks all of them.

- `mutants`: which mutants of a file there are; mutmut's operators make them
- `marking`: which tests come by which statement
- `running`: runs the tests that come by a mutant's line, in a fork, until one fails
- `equivalent`: mutants that do the same as the source, each with the reason

It is no part of the suite, and needs `pip install -e ".[test,mutation]"`:

    python -m tests.mutation bot/payments --tests tests/payments

runs the tests under `--tests`, on SQLite alone, against every mutant of the functions under the path, and
tells of those that survive and are not named as equivalent. What stands outside of functions (tables,
defaults, a class's fields) is not changed: it would have to be loaded anew. Writing down what became of
each with `--record FILE`, and then `--again FILE`, tries only those that were not killed: with new tests,
or with more of them.
"""
