"""Sensei moves relational databases between engines so that every step can be taken back."""

__version__ = "0.1.0"
