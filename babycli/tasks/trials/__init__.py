"""Benchmarks of a user's own, without a line of Python: a file with a trial on each line. docs/trials.md is the manual.

trial.py    a line, and what is wrong with it        kinds.py    how each metric asks and counts
named.py    the words that name a file               files.py    the file, read and checked
task.py     the task that is made of it
"""
