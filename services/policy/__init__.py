"""The one home of configuration: the contract in, typed policy and findings out, for the four services and the command line.

`model` holds the types, without protobuf, so that domains may use them. `reading` converts the contract and reports what cannot be used.
`lint` runs the readers and reports also what can be used but is hardly intended. Nothing here does I/O, except that time zones and holidays
are read from the data of their libraries.
"""
