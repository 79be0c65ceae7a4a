"""Sensei beside the tools that people use today, measured on the reader's own machine."""
