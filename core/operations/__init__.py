"""The operations of a studio other than running jobs."""
