"""History: what happened, kept in SQL for people. A projection of the log, never on the path of a decision.

    mapping   a record of a topic -> a fact (pure)             tables, migrations   the schema
    fold      facts -> rows, whatever the order of the topics  database             engine, dialects, who may fold
    store     rows and positions in one transaction            projection           reads the log, for ever
    queries   SQL -> rows of a tenant                          reader               rows -> the contract's answers

Rules:
- A fact counts once, by its event id. Rows and positions are written in one SQL transaction, and a transaction that does not
  find the positions where it expects them is thrown away: whoever folds, and however often it dies, the rows are the same.
- The order within a partition is the log's; between topics and partitions there is none. So each row keeps, beside each value
  that more than one of them states, what decides which value wins.
- The tenant is part of every key and of every where clause.
- Erasure overwrites: texts, subjects, attachments, names, native ids and the providers' message ids are gone afterwards.
  Comments of surveys are never taken over.
"""
