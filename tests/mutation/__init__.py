"""Mutation testing: `make mutants` changes the routing engine in one small way after the other and runs its tests on
each.

`mutants` lists the possible changes, and those excluded by rule; `trial` runs tests on one mutant in a process of its
own; `__main__` draws a sample and reports the figure. The reasons: docs/decisions/0037-mutation-testing.md.
"""
