"""lmms-eval wants this folder; there are no tasks in it."""
