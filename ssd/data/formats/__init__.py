"""Annotation formats: one module for each reads and writes it; `records` is what they share."""
