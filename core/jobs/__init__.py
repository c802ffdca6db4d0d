"""What runs: the ledger of jobs, the worker process, and the dispatcher between them."""
