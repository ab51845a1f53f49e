"""The SQL of this wing, one file per noun.

Owns every statement about memories; `conditions` translates filters, `writes` puts many adds into one transaction,
`changes` updates, deletes and undoes, `reads` finds, `ledger` keeps receipts, `outbox` feeds the projections.
"""
