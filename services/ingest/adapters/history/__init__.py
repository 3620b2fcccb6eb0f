"""History: what happened, kept in SQL for people. A projection of the log; no routing decision depends on it.

    mapping   a record of a topic -> a fact (pure)             tables, migrations   the schema
    fold      facts -> rows, whatever the order of the topics  database             engine, dialects, folding replica
    store     rows and positions in one transaction            projection           reads the log continuously
    queries   SQL -> rows of a tenant                          reader               rows -> the contract's answers

Rules:
- A fact counts once, by its event id. Rows and positions are written in one SQL transaction. A transaction that finds
  other positions than it expects is rolled back. So the rows are the same whichever replica folds and however often it
  dies.
- Within a partition the order is the log's. Between topics and partitions there is no order. So each row keeps, beside
  each value that more than one of them reports, the information that decides which value wins.
- The tenant is part of every key and of every where clause.
- Erasure overwrites: texts, subjects, attachments, names, native ids and the providers' message ids are gone
  afterwards. Comments of surveys are never copied into history.
"""
