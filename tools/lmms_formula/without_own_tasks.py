"""lmms-eval's command line, without looking at the tasks that come with it.

The packages of 0.7.1 and 0.7.2 on PyPI lack files that their own tasks include, so their command line runs no task.
"""

from __future__ import annotations

import functools
import runpy

from lmms_eval.tasks import TaskManager

TaskManager.__init__ = functools.partialmethod(TaskManager.__init__, include_defaults=False)
runpy.run_module("lmms_eval", run_name="__main__", alter_sys=True)
