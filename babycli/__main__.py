"""The start of `babycli` and of `python -m babycli`: an interrupt ends it quietly from the first moment on."""

import os
import signal


def start() -> None:
    """Runs the command line, and ends the process with its exit code."""
    is_heeded = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # nohup's children do not heed it
    if is_heeded:
        signal.signal(signal.SIGINT, lambda *_: os._exit(130))  # nothing is begun that would have to be ended
    from babycli.cli import run

    if is_heeded:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    run()


if __name__ == "__main__":
    start()
