"""lmms-eval: its logs beside ours, its wrappers as models, our tasks in it, and the leaderboard of its users.

Owns which commands there are, and when the rest is registered. Imports nothing but names: babycli starts with it.
"""

from __future__ import annotations

from babycli.commands.on_use import OnUse

PREFIX = "lmms:"  # of the name of a wrapper's file
_SECTION = "For other programs"
COMMANDS = {
    "bridge": OnUse("babycli.interop.lmms.command", "app", "The tasks for another evaluation program.", _SECTION),
    "submission": OnUse(
        "babycli.interop.lmms.submission_command",
        "app",
        "A submission to the BabyVLM leaderboard:  babycli submission DIR --model ...",
        _SECTION,
    ),
}


def register() -> None:
    """Adds a model family, a reader of logs, a form of reports and the options that users type from habit."""
    from babycli.commands.foreign_options import register_options
    from babycli.interop.lmms.additions import FAMILY, LEADERBOARD, READER
    from babycli.interop.lmms.typed_models import with_checkpoint
    from babycli.interop.lmms.typed_options import OPTIONS, PROGRAM
    from babycli.models import register_family
    from babycli.report.forms import register_form
    from babycli.report.readers import register_reader

    register_family(FAMILY)
    register_reader(READER)
    register_form(LEADERBOARD)
    register_options("eval", PROGRAM, OPTIONS, with_checkpoint)
