"""Personal data in the log: encrypted with a key of the person, so that destroying the key erases them wherever they are.

`fields` finds what is personal, `sealing` encrypts and opens records and changelog entries, `master` protects the keys, `keystore` keeps them on
this machine, `keyring` follows their topic. See docs/security.md and docs/decisions/0039-a-key-for-each-person.md.
"""
