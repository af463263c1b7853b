"""Runs on object storage: the objects of a run, its files on this machine, and the lease of its driver.

Modules, lowest first: `room`, `lease`, `sent_files`, `shared_objects`, `run_store`, `mirrors`, `exported`.
"""
