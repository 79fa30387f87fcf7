"""Measurements that are run by hand, one command each; none is a test, and nothing here is imported by one."""
