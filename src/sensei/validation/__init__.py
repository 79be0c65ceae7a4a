"""KORA: answers whether the target is the same, behaves the same and is as fast, and if not, why and what to do."""
