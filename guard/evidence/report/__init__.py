"""The month's report: what the audit chain holds of one month, put together for whoever answers for the licenses."""
