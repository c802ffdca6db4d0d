"""The jobs: their ledger, the worker process, and the dispatcher between them."""
