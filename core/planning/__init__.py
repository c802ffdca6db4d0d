"""The facts about a request that are known before it runs."""
