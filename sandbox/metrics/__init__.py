"""Metrics: a scraper of the cluster's pods, a store in memory, and Prometheus' query API over it."""
