"""`babycli bridge ...`: the tasks as another program runs them.

Owns the words on the screen. The work is done in bridge.py.
"""

from __future__ import annotations

from typing import Annotated

import typer

from babycli.commands.command import Command, Group
from babycli.commands.options import DataOption, say, tell
from babycli.commands.progress import progress_bar
from babycli.data.root import DatasetRoot
from babycli.files import in_home
from babycli.interop.lmms.sign import Sign
from babycli.wording import one_of

app = typer.Typer(
    cls=Group,
    no_args_is_help=True,
    help="""The tasks for another evaluation program.

    Examples:
    # write the four tasks of BabyVLM for lmms-eval
    babycli bridge lmms bridge
    # one of them, of the data in another folder
    babycli bridge lmms bridge -t vtwt -d path/to/dataset
    # for a model whose loglikelihood returns a loss, as LLaVA's does there
    babycli bridge lmms bridge --sign loss
    """,
)


@app.callback()
def _bridge() -> None:
    """Lets Typer keep the name of a single command."""


@app.command(cls=Command)
def lmms(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="New folder, or one of an earlier bridge.")],
    tasks: Annotated[
        str | None,
        typer.Option("--tasks", "-t", metavar="A,B", help="Tasks; default all.", show_default=False),
    ] = None,
    sign: Annotated[
        str,
        typer.Option(
            "--sign",
            metavar="|".join(Sign),
            help="What the model's loglikelihood returns in lmms-eval; loss for those of the LLaVA kind.",
        ),
    ] = Sign.LOGPROB,
    data: DataOption = None,
) -> None:
    """Write the tasks for upstream lmms-eval: YAML, documents and functions; the data are checked first.

    Examples:
    # write the four tasks of BabyVLM, and say how lmms-eval runs them
    babycli bridge lmms bridge
    # one of them, of the data in another folder
    babycli bridge lmms bridge -t vtwt -d path/to/dataset
    # for a model whose loglikelihood returns a loss, as LLaVA's does there
    babycli bridge lmms bridge --sign loss
    """
    from babycli.interop.lmms.bridge import bridgeable, check_version, installed_version, note_on, write_bridge

    meaning = one_of(sign, Sign, "--sign")
    chosen = bridgeable(tasks)
    version = installed_version()
    check_version(version, chosen)
    with progress_bar("reading images", unit=" images") as count:
        bridge = write_bridge(in_home(folder), chosen, DatasetRoot.find(data), meaning, count)
    for name, n_documents in bridge.n_documents.items():
        say(f"{name}: {n_documents} documents")
    if note := note_on(version, chosen):
        say(note)
    say("next, with your model:")
    tell(bridge.command)
