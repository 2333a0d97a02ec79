"""Trained models measured again: on the exact engine, on Aer, and on devices through the job ledger."""
