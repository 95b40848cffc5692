"""A storage engine from the bottom up: pages, indexes, logs, transactions, queries."""
