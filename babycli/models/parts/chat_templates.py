"""The chat template of a checkpoint, or the user's: which one counts, and the file that holds it.

Owns finding it. Never renders it: parts/chat_rendering.py does.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from babycli.errors import ModelError, UsageError
from babycli.files import in_home, read_file
from babycli.models.parts.chat_rendering import TEMPLATE_MEND
from babycli.models.parts.checkpoint import read_json_object
from babycli.wording import one_line


def own_template(folder: Path, processor: Any) -> str:
    """Gives the template that a checkpoint brings. Raises ModelError if there is none."""
    template = getattr(processor, "chat_template", None) or getattr(processor.tokenizer, "chat_template", None)
    if isinstance(template, dict):  # several, by name
        template = template.get("default")
    if not isinstance(template, str) or not template:
        raise ModelError(
            f"{folder} has no chat template: expected is a chat_template.jinja, or chat_template in "
            "chat_template.json or tokenizer_config.json",
            TEMPLATE_MEND,
        )
    return template


def file_of_template(folder: Path, template: str) -> Path:
    """Finds the file of a checkpoint that holds the template in use; the folder if none holds it as it is."""
    for path in (folder / "chat_template.jinja", *sorted(folder.glob("additional_chat_templates/*.jinja"))):
        if path.is_file() and read_file(path).decode() == template:
            return path
    for name in ("chat_template.json", "processor_config.json", "tokenizer_config.json"):
        held = read_json_object(folder / name, missing_ok=True).get("chat_template")
        texts = [entry.get("template") for entry in held if isinstance(entry, dict)] if isinstance(held, list) else []
        if template in (held, *texts, *(held.values() if isinstance(held, dict) else ())):
            return folder / name
    return folder


def template_in(name: str) -> str:
    """Reads the user's template: Jinja, or JSON with the key ``chat_template`` as in older checkpoints."""
    path = in_home(name)
    try:
        text = read_file(path).decode()
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read chat_template={name}: {one_line(error)}") from error
    if path.suffix != ".json":
        return text
    template = read_json_object(path).get("chat_template")
    if not isinstance(template, str):
        raise UsageError(f"chat_template={name} holds no text under the key chat_template")
    return template
