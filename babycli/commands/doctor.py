"""`babycli doctor`: a check that this machine has what an evaluation needs.

Owns the checks of the environment. Imports heavy packages, because that is what it tests.
"""

from __future__ import annotations

import platform

import typer

import babycli
from babycli.commands.options import tell
from babycli.errors import ExitCode
from babycli.models.broken_packages import TORCHVISION_MEND, why_torchvision_is_broken

_NEEDED = ("torch", "transformers", "tokenizers", "safetensors", "sentencepiece", "pillow", "numpy", "nltk")


def doctor() -> None:
    """Check this machine: packages, GPU, a torchvision that would break transformers. Exit 5 if one fails.

    Examples:
    # this machine
    babycli doctor
    # and go on only if it is well
    babycli doctor && babycli demo
    # for a report of a bug
    babycli doctor > doctor.txt
    """
    import importlib.metadata  # slow to import, and every command imports this module
    import importlib.util

    tell(f"babycli {babycli.__version__}, Python {platform.python_version()}, {platform.platform()}")
    healthy = True
    for package in _NEEDED:
        try:
            tell(f"  {package:<14} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            tell(f"  {package:<14} MISSING: pip install {package}")
            healthy = False
    try:
        import torch

        gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        tell("  GPU            " + (", ".join(gpus) or "none: evaluations run on the CPU"))
    except (ImportError, OSError, RuntimeError) as error:
        tell(f"  torch          BROKEN: {error}")
        healthy = False
    if why := why_torchvision_is_broken():
        tell(f"  torchvision    BROKEN ({why}): transformers trips over it; {TORCHVISION_MEND}")
        healthy = False
    elif importlib.util.find_spec("torchvision") is None:
        tell("  torchvision    not installed, and not needed (except by Pixtral and Mistral 3)")
    else:
        tell("  torchvision    works, and is not needed (except by Pixtral and Mistral 3)")
    tell("all is well" if healthy else "mend what is MISSING or BROKEN above")
    if not healthy:
        raise typer.Exit(ExitCode.MODEL)
