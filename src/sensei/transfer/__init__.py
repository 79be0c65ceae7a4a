"""Carries rows: one chunk at a time, with its ledger row, in one transaction of the target."""
