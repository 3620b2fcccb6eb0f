"""Personal data in the log: encrypted with a key of the person, so that destroying the key erases the data in every place.

`fields` finds personal fields, `sealing` encrypts and opens records and changelog entries, `master` protects the keys, `keystore` keeps them
on this machine, `keyring` follows their topic. See docs/security.md and docs/decisions/0039-a-key-for-each-person.md.
"""
