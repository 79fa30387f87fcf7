"""Telling people what matters: incidents from what is wrong now, and messages about them by log, webhook and e-mail.

``incidents`` and ``messages`` are pure; ``findings`` asks Dagster's instance, ``record`` keeps incidents and messages
in the platform's state, ``delivery`` has ``channels`` send them, ``sensor`` ties them together. None opens a
warehouse.
"""
