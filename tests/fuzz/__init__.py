"""Fuzzing of everything that the command line reads: ``python -m tests.fuzz --examples 10000``.

A case is a folder of files and one command. Cases are drawn by hypothesis from a seed, sound files in which something
was changed and hostile ones, and run in worker processes through the real commands. Every case must be accepted, or
refused in one line, within ten seconds of computing and a gigabyte.
"""
