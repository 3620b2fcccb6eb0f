"""Would the tests notice? `make mutants` changes the routing engine in one small way after the other and runs its tests on each.

`mutants` lists what can be changed, and what is left out by rule; `trial` runs tests on one mutant in a process of its own; `__main__` draws a sample
and tells the figure. Why it is done so: docs/decisions/0037-mutation-testing.md.
"""
